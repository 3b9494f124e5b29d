"""Bringing what waits for a decision up to date, where the facts moved."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal

from django.utils import timezone

from approvals.models import ApprovalRequest
from approvals.rows import Prepared, prepared, update_each
from approvals.rules import Proposer
from approvals.services import Deciders, News, Refreshing, prepare_refresh, refresh_prepared
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
    """What waits and of which the facts moved: what is to be asked now, and what the interventions are to say
    then."""

    news: Refreshing
    interventions: Prepared


_FIELDS = (
    "channel", "recipient", "journey_stage", "risk_score", "risk_tier", "confidence", "priority_score",
    "person_reasons", "reasons", "triggered_by_signals",
)  # fmt: skip
_AS_IT_WAS = ("intervention_id", "status")


def find_moved(
    waiting: Mapping[str, Case], *, policy: Policy, rules: PolicyDocument, deciders: Deciders
) -> Moved:
    """Of what waits for a decision, that of which the facts moved materially: given are the cases of a run by
    the id of their pending intervention. Reads only; for `refresh_moved`.

    What a person proposed stays as they put it; where a person changed the words, the words stay.
    """
    news, interventions = [], []
    if waiting:
        pending = ApprovalRequest.objects.pending().filter(kind=KIND, subject_key__in=list(waiting))
        # First: whoever changes one after that changes the intervention as well, and is found out by the
        # request.
        requests = list(pending.exclude(proposer=Proposer.PERSON).defer("evidence"))
        theirs = Intervention.objects.in_bulk([request.subject_key for request in requests])
        for request in requests:
            intervention = theirs[request.subject_key]
            if found := _news(request, waiting[request.subject_key], intervention, policy, rules):
                news.append(found)
                values = [getattr(intervention, name) for name in _FIELDS]
                interventions.append((*values, intervention.pk, InterventionStatus.PENDING))
    return Moved(
        prepare_refresh(news, actor=PIPELINE, deciders=deciders),
        prepared(Intervention, (*_FIELDS, *_AS_IT_WAS), interventions),
    )


def refresh_moved(moved: Moved) -> None:
    """Bring them up to date, inside the caller's transaction, which holds the requests. Raises
    django.db.IntegrityError where somebody has decided or changed one meanwhile."""
    refresh_prepared(moved.news)
    update_each(Intervention, _FIELDS, _AS_IT_WAS, moved.interventions)


def _news(
    request: ApprovalRequest, case: Case, intervention: Intervention, policy: Policy, rules: PolicyDocument
) -> News | None:
    """None where nothing has moved; else the intervention says by then what it is to say."""
    edited = bool(request.editors)
    channel = intervention.channel if edited else case.plan.channel
    target = recipient(case, channel)
    moved = whats_moved(request, case, channel, target)
    if not moved:
        return None
    intervention.channel, intervention.recipient = channel, target
    intervention.journey_stage = case.stage.journey_stage
    intervention.risk_score, intervention.risk_tier = case.risk.overall, case.risk.tier
    intervention.confidence, intervention.priority_score = case.plan.confidence, case.plan.priority
    intervention.person_reasons = _person_reasons(request, case)
    intervention.reasons = list(case.reasons + case.plan.reasons)
    intervention.triggered_by_signals = list(case.summary.signal_ids)
    text = render_content(case, intervention.recommended_action, channel, rules)
    new = build_request(intervention, case, text, policy=policy, rules=rules, now=timezone.now())
    if edited:
        words = {name: request.payload[name] for name in _WORDS}
        new = replace(new, payload=new.payload | words)
    return News(request, new, moved)


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
