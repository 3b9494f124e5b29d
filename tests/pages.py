"""The parts of the documentation that are made of the code. To write them anew after a change:
`.venv/bin/python -m tests.pages`.
"""

import json
import os
from pathlib import Path

import django

from journeys.domain.policy import PUBLISHED
from journeys.domain.policy_table import field_rows
from journeys.domain.vocabulary import Action, label

ROOT = Path(__file__).resolve().parent.parent
POLICY_PAGE = ROOT / "docs" / "policy.md"
ROLES_PAGE = ROOT / "docs" / "roles.md"
OPENAPI = ROOT / "docs" / "openapi.yaml"
API_PAGE = ROOT / "docs" / "api.md"
MATRIX_BEGINS = "<!-- made of fixtures/people.json -->\n"
# Published values longer than this stand in a table of their own, further down the page.
_LONGEST_VALUE = 120

_INTRODUCTION = """\
# The policy, field by field

Every threshold, weight and table that the rules read is a field of one document, the policy. `published 1`,
which the installation puts in force, has the values below. A policy is never changed: another one is stored
under a new version, and is in force once a second person has confirmed it. What it does not state keeps the
published value; a field that it misspells, or a value that makes no sense, is refused with its path.

Shares, scores and strengths run from 0 to 1, priorities from 0 to 100, money is per year in the portfolio's
currency. Fields below `*` belong to each row of the table above them. How the fields work together is told in
[decision-rules.md](decision-rules.md).
"""


def policy_page() -> str:
    parts = [_INTRODUCTION]
    section = ""
    for path, value, description in field_rows():
        if path.partition(".")[0] != section:
            section = path.partition(".")[0]
            parts.append(f"\n## {section}\n\n| Field | Published value | What it does |\n|---|---|---|\n")
        parts.append(f"| `{path}` | {_shown(value)} | {description} |\n")
    return "".join([*parts, _moves(), _kinds(), _playbooks(), _actions()])


def role_matrix() -> str:
    """Which permissions each group of fixtures/people.json gives, and its authority."""
    rows = json.loads((ROOT / "fixtures" / "people.json").read_text())
    groups = {
        row["fields"]["name"]: row["fields"]["permissions"] for row in rows if row["model"] == "auth.group"
    }
    limits = {
        row["fields"]["group"][0]: row["fields"]["max_value"]
        for row in rows
        if row["model"] == "approvals.authoritylimit"
    }
    permissions = {f"{app}.{name}": None for held in groups.values() for name, app, _ in held}
    lines = [f"| Permission | {' | '.join(groups)} |", "|---" * (len(groups) + 1) + "|"]
    for permission in sorted(permissions):
        held = [any(f"{app}.{name}" == permission for name, app, _ in names) for names in groups.values()]
        lines.append(f"| `{permission}` | {' | '.join('yes' if yes else '–' for yes in held)} |")
    authority = [_limit(limits, group) for group in groups]
    lines.append(f"| decides up to | {' | '.join(authority)} |")
    return "\n".join(lines) + "\n"


def openapi() -> str:
    """The contract of the API. Takes a Django that is set up."""
    from drf_spectacular.generators import SchemaGenerator
    from drf_spectacular.renderers import OpenApiYamlRenderer

    schema = SchemaGenerator().get_schema(request=None, public=True)
    return OpenApiYamlRenderer().render(schema, renderer_context={}).decode()


def api_page() -> str:
    """The page as it stands, its tables made anew. Takes a Django that is set up."""
    from approvals import scopes
    from approvals.api.problems import KINDS
    from cjo_site import urls  # noqa: F401 - what is reached by no address is no problem of the API

    told = API_PAGE.read_text()
    problems = sorted((kind.status, name, kind.title) for name, kind in KINDS.items())
    tables = {
        "scopes": ["| Scope | It lets a program |", "|---|---|"]
        + [f"| `{name}` | {what} |" for name, what in scopes.known().items()],
        "problems": ["| Status | `urn:cjo:problem:` | In short |", "|---|---|---|"]
        + [f"| {status} | `{name}` | {title} |" for status, name, title in problems],
    }
    for name, lines in tables.items():
        begins, _, rest = told.partition(f"<!-- made of the code: {name} -->\n")
        ends = rest.partition("<!-- end -->")[2]
        table = "\n".join(lines)
        told = f"{begins}<!-- made of the code: {name} -->\n{table}\n<!-- end -->{ends}"
    return told


def _limit(limits: dict, group: str) -> str:
    if group not in limits:
        return "nothing"
    return "without limit" if limits[group] is None else f"{float(limits[group]):,.0f}, inclusive"


def _shown(value: str) -> str:
    if not value:
        return ""
    return f"`{value}`" if len(value) <= _LONGEST_VALUE else "see below"


def _moves() -> str:
    rows = [(stage, ", ".join(after)) for stage, after in PUBLISHED.journey.legal_moves.items()]
    return _table(
        "Published: which stages may follow (`journey.legal_moves`)", ("Stage", "May be followed by"), rows
    )


def _kinds() -> str:
    other = PUBLISHED.signals.other_weight
    rows = [
        (kind, rule.polarity, f"{other if rule.weight is None else rule.weight:g}")
        for kind, rule in PUBLISHED.signals.kinds.items()
    ]
    return _table("Published: kinds of signals (`signals.kinds`)", ("Kind", "Polarity", "Weight"), rows)


def _playbooks() -> str:
    rows = []
    for stage, playbook in PUBLISHED.planning.playbooks.items():
        rows += [(stage, " or ".join(rule.any_of), rule.action) for rule in playbook.rules]
        rows.append((stage, "none of these", playbook.otherwise))
    columns = ("Stage", "First signal kind that is in force", "Action")
    return _table("Published: playbooks (`planning.playbooks`)", columns, rows)


def _actions() -> str:
    rows = []
    for action in Action:
        rule = PUBLISHED.actions[action]
        mail = rule.template.to_customer.subject if rule.template.to_customer else "–"
        rows.append((f"`{action}`", label(action), rule.channel, mail, rule.template.to_owner.subject))
    columns = ("Action", "Shown as", "Channel", "Subject to the customer", "Title of the owner's task")
    return _table("Published: actions and the texts they begin with (`actions`)", columns, rows)


def _table(title: str, columns: tuple[str, ...], rows: list[tuple]) -> str:
    lines = [f"\n## {title}\n", f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    OPENAPI.write_text(openapi())
    API_PAGE.write_text(api_page())
    POLICY_PAGE.write_text(policy_page())
    told = ROLES_PAGE.read_text().partition(MATRIX_BEGINS)[0]
    ROLES_PAGE.write_text(told + MATRIX_BEGINS + role_matrix())
