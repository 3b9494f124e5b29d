"""Bringing what waits for a decision up to date, where the facts moved."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from django.utils import timezone

from approvals.models import ApprovalRequest
from approvals.rules import Proposer
from approvals.services import News, refresh
from journeys.cases import Case
from journeys.domain.policy import PolicyDocument
from journeys.domain.vocabulary import InterventionStatus, PersonReason, label, phrase
from journeys.models import Intervention, Policy
from journeys.services.proposals.requests import (
    KIND,
    PIPELINE,
    build_request,
    evidence_of,
    recipient,
    render_content,
)

# What a person changed stays as they put it.
_WORDS = ("subject", "body", "template_version", "not_before")


@dataclass(frozen=True, slots=True)
class Moved:
    """Something that waits, of which the facts moved: what is to be asked now, and what its intervention is
    to say then."""

    news: News
    fields: dict


def find_moved(waiting: Mapping[str, Case], *, policy: Policy, rules: PolicyDocument) -> list[Moved]:
    """Of what waits for a decision, that of which the facts moved materially: given are the cases of a run by
    the id of their pending intervention. Reads only; for `refresh_moved`.

    What a person proposed stays as they put it; where a person changed the words, the words stay.
    """
    pending = ApprovalRequest.objects.pending().filter(kind=KIND, subject_key__in=list(waiting))
    # First: whoever changes one after that changes the intervention as well, and is found out by the request.
    requests = list(pending.exclude(proposer=Proposer.PERSON))
    interventions = Intervention.objects.in_bulk([request.subject_key for request in requests])
    found = [
        _moved(request, waiting[request.subject_key], interventions[request.subject_key], policy, rules)
        for request in requests
    ]
    return [moved for moved in found if moved]


def refresh_moved(found: Sequence[Moved]) -> None:
    """Bring them up to date, inside the caller's transaction. What somebody has just decided or changed stays
    as it is."""
    fields = {moved.news.request.subject_key: moved.fields for moved in found}
    for request in refresh([moved.news for moved in found], actor=PIPELINE):
        pending = Intervention.objects.filter(pk=request.subject_key, status=InterventionStatus.PENDING)
        pending.update(**fields[request.subject_key])


def _moved(
    request: ApprovalRequest, case: Case, intervention: Intervention, policy: Policy, rules: PolicyDocument
) -> Moved | None:
    edited = bool(request.editors)
    channel = intervention.channel if edited else case.plan.channel
    target = recipient(case, channel)
    moved = whats_moved(request, case, channel, target)
    if not moved:
        return None
    fields = {
        "channel": channel,
        "recipient": target,
        "journey_stage": case.stage.journey_stage,
        "risk_score": case.risk.overall,
        "risk_tier": case.risk.tier,
        "confidence": case.plan.confidence,
        "priority_score": case.plan.priority,
        "person_reasons": _person_reasons(request, case),
        "reasons": list(case.reasons + case.plan.reasons),
        "triggered_by_signals": list(case.summary.signal_ids),
    }
    for name, value in fields.items():
        setattr(intervention, name, value)
    text = render_content(case, intervention.recommended_action, channel, rules)
    new = build_request(intervention, case, text, policy=policy, rules=rules, now=timezone.now())
    if edited:
        words = {name: request.payload[name] for name in _WORDS}
        new = replace(new, payload=new.payload | words)
    return Moved(News(request, new, moved), fields)


def whats_moved(request: ApprovalRequest, case: Case, channel: str, target: str) -> list[str]:
    """What is materially different now from what was asked, in words; empty where nothing is. The days that
    pass, or another policy, are not."""
    asked, moved = request.payload, []
    if asked["journey_stage"] != case.stage.journey_stage:
        moved.append(
            f"The stage was {phrase(asked['journey_stage'])}, is {phrase(case.stage.journey_stage)}."
        )
    if request.risk_tier != case.risk.tier:
        moved.append(f"The risk was {request.risk_tier}, is {case.risk.tier}.")
    if request.value_at_stake != case.customer.exact_value:
        before, now = (_amount(value) for value in (request.value_at_stake, case.customer.exact_value))
        moved.append(f"The account value was {before}, is {now}.")
    before, now = {tuple(row) for row in asked["evidence"]}, {tuple(row) for row in evidence_of(case)}
    for verb, rows in (("came in", now - before), ("is no longer in force", before - now)):
        moved += [f"{label(kind)} ({strength:.2f}) {verb}." for _, kind, strength, _ in sorted(rows)]
    if asked["channel"] != channel:
        moved.append(f"The channel was {phrase(asked['channel'])}, is {phrase(channel)}.")
    if asked["recipient"] != target:
        moved.append(f"The recipient was {asked['recipient'] or 'nobody'}, is {target or 'nobody'}.")
    if sorted(request.person_reasons) != sorted(_person_reasons(request, case)):
        moved.append("The reasons for which a person decides are others.")
    return moved


def _person_reasons(request: ApprovalRequest, case: Case) -> list[str]:
    """By the rules; where they name none, that it was more than the policy may decide alone is still so."""
    capped = [reason for reason in request.person_reasons if reason == PersonReason.POLICY_CAP]
    return [reason.value for reason in case.person_reasons] or capped


def _amount(value: Decimal | None) -> str:
    return "not known" if value is None else f"{value:,.0f}"
