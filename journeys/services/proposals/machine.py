"""What a run proposes: opened in bulk, and decided by the policy where it may."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db import IntegrityError
from django.db.models import Max
from django.utils import timezone

from approvals.audit import Event
from approvals.models import ApprovalRequest, AuditEvent
from approvals.rows import Prepared, insert_all, prepared_all
from approvals.rules import Authority, Status
from approvals.services import (
    Deciders,
    Opening,
    authorise_by_policy,
    open_prepared,
    prepare_requests,
    supersede_together,
)
from journeys.cases import Among, Case
from journeys.domain.policy import PolicyDocument
from journeys.domain.vocabulary import InterventionStatus, Origin, PersonReason, label
from journeys.models import Intervention, PipelineRun, Policy, Signal
from journeys.services.proposals.ends import status_after
from journeys.services.proposals.refreshing import Moved
from journeys.services.proposals.requests import (
    AGENT,
    KIND,
    PIPELINE,
    AskedBefore,
    build_request,
    recipient,
    render_content,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What a run found for one customer. `authority` is None where a person has to decide, for the
    `person_reasons`; `replaces` is the id of the pending intervention that this one supersedes."""

    case: Case
    person_reasons: tuple[PersonReason, ...]
    authority: Authority | None
    replaces: str = ""
    latency_ms: float


@dataclass(frozen=True, slots=True)
class Drafts:
    """Proposals with everything that is to be written of them, in the same order."""

    proposals: Sequence[Proposal]
    interventions: list[Intervention]
    rows: Prepared
    opening: Opening


def prepare_proposals(
    proposals: Sequence[Proposal],
    *,
    run: PipelineRun,
    policy: Policy,
    rules: PolicyDocument,
    deciders: Deciders,
) -> Drafts:
    """Make what a run proposes ready for `open_proposals`, before the transaction in which it is opened."""
    now = timezone.now()
    before = _asked_before([proposal.case.customer.customer_id for proposal in proposals])
    received = _received(proposals, now)
    interventions, requests = [], []
    for proposal in proposals:
        case = proposal.case
        text = render_content(case, case.plan.action, case.plan.channel, rules)
        intervention = draft(proposal, run=run)
        intervention.signals_received_at = received.get(case.customer.customer_id)
        interventions.append(intervention)
        requests.append(
            build_request(
                intervention,
                case,
                text,
                policy=policy,
                rules=rules,
                now=now,
                before=before.get(case.customer.customer_id),
            )
        )
    for_people = [proposal.authority is None for proposal in proposals]
    opening = prepare_requests(requests, proposer=PIPELINE, for_people=for_people, deciders=deciders)
    return Drafts(proposals, interventions, prepared_all(Intervention, interventions), opening)


def hold_requests(drafts: Drafts, moved: Moved) -> None:
    """Lock the requests that a run replaces or brings up to date, in the order of their keys. First in the
    caller's transaction: whoever decides one of them holds it while waiting for the audit's head.

    Raises django.db.IntegrityError where somebody has ended or changed one since it was read.
    """
    replaced = {proposal.replaces for proposal in drafts.proposals if proposal.replaces}
    read = {row.subject_key: (row.fingerprint, row.returned_at) for row in moved.news.requests}
    keys = replaced | read.keys()
    if not keys:
        return
    rows = ApprovalRequest.objects.pending().filter(kind=KIND, subject_key__in=keys).order_by("pk")
    columns = rows.select_for_update(no_key=True).values_list("subject_key", "fingerprint", "returned_at")
    held = {key: tuple(was) for key, *was in columns}
    if not replaced <= held.keys() or any(held.get(key) != was for key, was in read.items()):
        raise IntegrityError("What was to be replaced or refreshed was decided or changed meanwhile.")


def open_proposals(drafts: Drafts, *, policy: Policy) -> list[Intervention]:
    """Write what a run proposes, each with its request, inside the caller's transaction, and let the policy
    decide those that are its own. Returns the rows in the same order.

    Call `hold_requests` before. Raises django.db.IntegrityError where somebody else has opened one for a
    customer meanwhile.
    """
    proposals, interventions = drafts.proposals, drafts.interventions
    superseded = supersede_pending(
        {proposal.replaces: label(proposal.case.plan.action) for proposal in proposals if proposal.replaces}
    )
    insert_all(Intervention, interventions, drafts.rows)
    requests = open_prepared(drafts.opening, proposer=PIPELINE, superseded=superseded)
    for authority in (Authority.POLICY, Authority.AUTO_APPROVAL_FOR_TESTING):
        decided = [
            row for row, proposal in zip(requests, proposals, strict=True) if proposal.authority == authority
        ]
        authorise_by_policy(
            decided, policy=str(policy), authority=authority, reason=_POLICY_REASON[authority]
        )
    for intervention, proposal in zip(interventions, proposals, strict=True):
        intervention.status = status_in_run(proposal)
    return interventions


def _received(proposals: Sequence[Proposal], now: datetime) -> dict[str, datetime]:
    """By customer: when the last of the signals that the proposal rests on arrived."""
    ids = [key for proposal in proposals for key in proposal.case.summary.signal_ids]
    rows = Signal.objects.filter(Among("signal_id", ids), received_at__lte=now)
    return dict(rows.values_list("customer_id").annotate(Max("received_at")).order_by())


def _asked_before(customer_ids: Sequence[str]) -> dict[str, AskedBefore]:
    """By customer: that their last request expired, or that its approval lapsed."""
    # Of what kind they are is looked at only here: asked for that as well, a database that does not know how
    # many are of one kind goes through all of them.
    rows = ApprovalRequest.objects.filter(Among("concerning", customer_ids)).order_by()
    told = rows.values_list("pk", "kind", "concerning", "status", "level", "decided_at", named=True)
    last = {row.concerning: row for row in sorted(told) if row.kind == KIND}
    ended = [row for row in last.values() if row.status in (Status.EXPIRED, Status.LAPSED)]
    reasons = _reasons_of([row.pk for row in ended if row.status == Status.LAPSED])
    return {row.concerning: _what_came_of_it(row, reasons) for row in ended}


def _what_came_of_it(row: NamedTuple, reasons: Mapping[int, str]) -> AskedBefore:
    if row.status == Status.EXPIRED:
        when = f"{row.decided_at:%d %b %Y}"
        return AskedBefore(
            row.level + 1, (f"Asked again, one level higher: the last request expired on {when}.",)
        )
    why = reasons.get(row.pk, "")
    return AskedBefore(row.level, (f"Asked again: the last approval lapsed. {why}".strip(),))


def _reasons_of(request_ids: Sequence[int]) -> dict[int, str]:
    events = AuditEvent.objects.filter(request_id__in=request_ids, word="request.lapsed").select_related(
        "detail"
    )
    return {event.request_id: event.reason for event in events}


def status_in_run(proposal: Proposal) -> InterventionStatus:
    """Where a proposal stands at the end of its run."""
    decided = Status.APPROVED if proposal.authority else Status.PENDING
    return status_after(decided, proposal.case.plan.channel)


def draft(proposal: Proposal, *, run: PipelineRun) -> Intervention:
    """The unsaved row of a proposal, pending."""
    case = proposal.case
    return Intervention(
        customer_id=case.customer.customer_id,
        agent_name=AGENT,
        origin=Origin.MACHINE,
        run=run,
        journey_stage=case.stage.journey_stage,
        recommended_action=case.plan.action,
        channel=case.plan.channel,
        recipient=recipient(case, case.plan.channel),
        status=InterventionStatus.PENDING,
        confidence=case.plan.confidence,
        risk_score=case.risk.overall,
        risk_tier=case.risk.tier,
        priority_score=case.plan.priority,
        requires_human_approval=bool(proposal.person_reasons),
        person_reasons=[reason.value for reason in proposal.person_reasons],
        reasons=list(case.reasons + case.plan.reasons),
        triggered_by_signals=list(case.summary.signal_ids),
        evaluation_latency_ms=round(proposal.latency_ms, 3),
        as_of=run.as_of,
    )


def supersede_pending(by: Mapping[str, str]) -> list[Event]:
    """As `supersede_together`: those of the interventions, each with what replaces it, in words. Raises
    django.db.IntegrityError where one was decided meanwhile."""
    if not by:
        return []
    pending = ApprovalRequest.objects.pending().filter(kind=KIND, subject_key__in=by).order_by("pk")
    requests = list(pending.select_for_update(no_key=True))
    if len(requests) != len(by):
        raise IntegrityError("What was to be replaced was decided meanwhile.")
    reasons = [f"Replaced by: {by[request.subject_key]}." for request in requests]
    return supersede_together(requests, actor=PIPELINE, reasons=reasons)


_POLICY_REASON = {
    Authority.POLICY: "No rule of the policy asks for a person.",
    Authority.AUTO_APPROVAL_FOR_TESTING: "Approved automatically, for testing.",
}
