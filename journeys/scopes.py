"""What a token of the domain's part can be made for: one family of scopes for each kind of thing."""

SCOPES = {
    "customers:read": "read customers and the stages they are in",
    "customers:write": "send customers and the stages they are in",
    "signals:read": "read signals",
    "signals:write": "send signals",
    "assessments:read": "read what runs concluded about customers, and what they suppressed",
    "interventions:read": "read interventions and how they were carried out",
    "outcomes:read": "read outcomes",
    "outcomes:write": "send outcomes",
    "runs:read": "read runs, their findings and their reports",
    "runs:write": "start and cancel runs",
}
