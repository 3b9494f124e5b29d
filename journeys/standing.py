"""Whether what was approved may still be carried out. Reads only."""

from datetime import date, datetime

from django.conf import settings

from approvals.models import ApprovalRequest
from journeys import cases, history
from journeys.domain.policy import PolicyDocument
from journeys.domain.suppression import suppress
from journeys.domain.vocabulary import Channel, Origin, phrase
from journeys.models import Intervention, Signal
from journeys.services import policies


def objection(intervention: Intervention, request: ApprovalRequest, *, now: datetime) -> str | None:
    """The sentence why this approved action may no longer be carried out, or None.

    It holds while recipient and evidence are unaltered and the customer crossed no line of the policy under
    which it was approved: another stage, another tier, or across the value from which a person decides.
    The day is the intervention's own, so that a run on past data is judged by the past's calendar.
    """
    rules = policies.find(request.policy).rules
    as_of = intervention.calendar_day(now)
    case = cases.assess(intervention.customer_id, as_of=as_of, rules=rules)
    if case is None or case.stage is None:
        return "The customer has no open journey state any more."
    return (
        _other_recipient(case, request.payload)
        or _altered_evidence(request.payload)
        or _crossed_line(case, intervention, request, rules)
        or _suppressed(case, intervention, rules, as_of)
    )


def _other_recipient(case: cases.Case, payload: dict) -> str | None:
    targets = {
        Channel.EMAIL: case.customer.email,
        Channel.TASK: case.customer.owner,
        Channel.WEBHOOK: settings.WEBHOOK_URL,
        Channel.NONE: "",
    }
    target = targets[payload["channel"]]
    if target != payload["recipient"]:
        return f"It was approved for {payload['recipient']}; the recipient is now {target or 'nobody'}."
    return None


def _altered_evidence(payload: dict) -> str | None:
    rows = Signal.objects.filter(
        pk__in=[row[0] for row in payload["evidence"]], customer_id=payload["customer_id"]
    )
    now = {
        row.pk: evidence_row(row.pk, row.signal_type, row.signal_strength, row.detected_at.date())
        for row in rows
    }
    altered = [row[0] for row in payload["evidence"] if now.get(row[0]) != row]
    if altered:
        return f"Signals it rests on were altered since: {', '.join(altered)}."
    return None


def _crossed_line(
    case: cases.Case, intervention: Intervention, request: ApprovalRequest, rules: PolicyDocument
) -> str | None:
    if case.stage.journey_stage != intervention.journey_stage:
        before, after = phrase(intervention.journey_stage), phrase(case.stage.journey_stage)
        return f"The customer has moved from {before} to {after} since."
    if intervention.risk_tier and case.risk.tier != intervention.risk_tier:
        return f"The risk was {intervention.risk_tier} and is {case.risk.tier} now."
    before = None if request.value_at_stake is None else float(request.value_at_stake)
    if (before is None) != (case.value is None):
        return "The account value has become known since, or unknown."
    for line, what in _lines_of_value(rules):
        if before is not None and (before >= line) != (case.value >= line):
            return f"The account value has crossed the line from which {what}."
    return None


def _lines_of_value(rules: PolicyDocument) -> list[tuple[float, str]]:
    lines = [
        (rules.escalation.account_value, "a person decides"),
        (rules.quorum.account_value, "it takes more people"),
    ]
    if rules.bulk.below_account_value is not None:
        lines.append((rules.bulk.below_account_value, "it is decided on its own"))
    return lines


def _suppressed(
    case: cases.Case, intervention: Intervention, rules: PolicyDocument, as_of: date
) -> str | None:
    key = intervention.customer_id
    past = history.past_of(cases.only(key), excluding=intervention.pk).get(key, history.NOTHING)
    contact = history.last_contacts([intervention.recipient], excluding=intervention.pk).get(
        intervention.recipient
    )
    facts = history.history_of(case, past, contact, by_hand=intervention.origin == Origin.PERSON)
    found = suppress(
        action=intervention.recommended_action,
        channel=intervention.channel,
        facts=facts,
        as_of=as_of,
        policy=rules,
    )
    return found.detail if found else None


def evidence_row(signal_id: str, kind: str, strength: float, detected_on: date) -> list:
    """A signal as it stands in a frozen payload."""
    return [signal_id, kind, strength, detected_on.isoformat()]
