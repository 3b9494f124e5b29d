"""Proposing interventions, by the pipeline in bulk or by a person by hand, and moving them along with the
request by which they are decided."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django_q.tasks import async_task

from approvals.models import ApprovalRequest
from approvals.rules import Actor, AlreadyDecided, Authority, NotAuthorised, ReasonNeeded, Refusal, Status
from approvals.services import (
    Facets,
    NewRequest,
    Terms,
    actor_of,
    authorise_by_policy,
    open_requests,
    supersede,
)
from journeys import cases, history
from journeys.cases import Case
from journeys.domain import content
from journeys.domain.policy import PolicyDocument
from journeys.domain.suppression import suppress
from journeys.domain.vocabulary import (
    Action,
    Channel,
    InterventionStatus,
    Origin,
    PersonReason,
    Tier,
    label,
)
from journeys.models import Intervention, PipelineRun, Policy
from journeys.services.policies import deadlines, in_force
from journeys.standing import evidence_row

KIND = "intervention"
AGENT = "journey_orchestrator"
PIPELINE = Actor(key="machine:pipeline", name="the pipeline", door="pipeline")


class Suppressed(Refusal):
    """The action would be against a wish, or too soon, or one too many."""

    code = "suppressed"


class UnknownCustomer(Refusal):
    code = "unknown_customer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What a run found for one customer. `authority` is None where a person has to decide, for the
    `person_reasons`; `replaces` is the id of the pending intervention that this one supersedes."""

    case: Case
    person_reasons: tuple[PersonReason, ...]
    authority: Authority | None
    replaces: str = ""
    latency_ms: float


def open_proposals(
    proposals: Sequence[Proposal], *, run: PipelineRun, policy: Policy, rules: PolicyDocument
) -> list[Intervention]:
    """Write what a run proposes, each with its request, inside the caller's transaction, and let the policy
    decide those that are its own. Returns the rows in the same order.

    Raises django.db.IntegrityError where somebody else has opened one for a customer meanwhile.
    """
    now = timezone.now()
    for proposal in proposals:
        if proposal.replaces:
            _supersede(proposal.replaces, by=label(proposal.case.plan.action))
    interventions, requests = [], []
    for proposal in proposals:
        case = proposal.case
        text = _content(case, case.plan.action, case.plan.channel, rules)
        intervention = draft(proposal, run=run)
        interventions.append(intervention)
        requests.append(_request(intervention, case, text, policy=policy, rules=rules, now=now))
    Intervention.objects.bulk_create(interventions, batch_size=500)
    rows = open_requests(requests, proposer=PIPELINE)
    for authority in (Authority.POLICY, Authority.AUTO_APPROVAL_FOR_TESTING):
        decided = [
            row for row, proposal in zip(rows, proposals, strict=True) if proposal.authority == authority
        ]
        authorise_by_policy(
            decided, policy=str(policy), authority=authority, reason=_POLICY_REASON[authority]
        )
    for intervention, proposal in zip(interventions, proposals, strict=True):
        intervention.status = status_in_run(proposal)
    return interventions


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
        recipient=_recipient(case, case.plan.channel),
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


def propose(
    *,
    customer_id: str,
    action: Action,
    subject: str,
    body: str,
    reason: str,
    user,
    door: str,
    address: str = "",
) -> Intervention:
    """A person's own proposal: the same gate, always decided by somebody else.

    Empty subject and body take the text of the policy's template. Raises NotAuthorised, ReasonNeeded,
    UnknownCustomer, or Suppressed with the reason; nothing is written then.
    """
    if not (user.is_active and user.has_perm("journeys.propose_intervention")):
        raise NotAuthorised("You have no permission to propose interventions.")
    if not reason.strip():
        raise ReasonNeeded("Say why: whoever decides sees it beside the proposal.")
    policy = in_force()
    rules = policy.rules
    now = timezone.now()
    today = now.astimezone(UTC).date()
    actor = actor_of(user, door=door, address=address)
    try:
        with transaction.atomic():
            case = cases.assess(customer_id, as_of=today, rules=rules)
            if case is None or case.stage is None:
                raise UnknownCustomer(f"There is no customer {customer_id} with an open journey state.")
            channel = rules.actions[action].channel
            if channel == Channel.EMAIL and not case.customer.email:
                channel = Channel.TASK
            past = history.past_of(customer_id, customer_id).get(customer_id, history.NOTHING)
            _refuse_suppressed(case, past, action, channel, today, rules)
            if past.open_id:
                _supersede(past.open_id, by=f"{label(action)}, proposed by {actor.name}")
            intervention = _by_hand(case, action, channel, reason.strip(), actor, today, now)
            intervention.save(force_insert=True)
            text = _content(case, action, channel, rules)
            text = text._replace(subject=subject.strip() or text.subject, body=body.strip() or text.body)
            request = _request(
                intervention, case, text, policy=policy, rules=rules, now=now, reason=reason.strip()
            )
            open_requests([request], proposer=actor)
    except IntegrityError as error:
        raise Suppressed("Something else was begun with this customer at this moment; look again.") from error
    return intervention


def on_request_end(request: ApprovalRequest, actor: Actor) -> None:
    """Move the intervention along with its request, and ring the worker where it may now be executed."""
    intervention = Intervention.objects.get(pk=request.subject_key)
    before = InterventionStatus.PENDING
    if (
        request.status in (Status.LAPSED, Status.REVOKED)
        or intervention.status == InterventionStatus.APPROVED
    ):
        before = InterventionStatus.APPROVED
    after = status_after(request.status, intervention.channel)
    ended_at = None if after == InterventionStatus.APPROVED else timezone.now()
    authority = actor.name if request.status == Status.APPROVED else intervention.authority
    unmoved = Intervention.objects.filter(pk=intervention.pk, status=before)
    if not unmoved.update(status=after, ended_at=ended_at, authority=authority):
        raise AlreadyDecided(f"The intervention is {intervention.status} by now: it is too late for this.")
    if after == InterventionStatus.APPROVED:
        # The queue's rows are in this database: the task is there only if this transaction is.
        async_task("journeys.tasks.execute", intervention.pk)


def status_after(request_status: str, channel: str) -> InterventionStatus:
    """An approved action that sends nothing is done by being recorded."""
    if request_status == Status.APPROVED and channel == Channel.NONE:
        return InterventionStatus.RECORDED
    return InterventionStatus(request_status)


def testing_refusal() -> str | None:
    """Why automatic approval for testing is refused here, or None: never where it could reach somebody."""
    if not settings.DEBUG:
        return "Automatic approval is for testing only: it is refused where DEBUG is off."
    if settings.EMAIL_BACKEND.endswith("smtp.EmailBackend"):
        return "Automatic approval is refused while mail goes to a server: it could reach a customer."
    if settings.WEBHOOK_URL:
        return "Automatic approval is refused while WEBHOOK_URL is set: it could reach outside."
    return None


_POLICY_REASON = {
    Authority.POLICY: "No rule of the policy asks for a person.",
    Authority.AUTO_APPROVAL_FOR_TESTING: "Approved automatically, for testing.",
}


def _refuse_suppressed(
    case: Case, past: history.Past, action: str, channel: str, today: date, rules: PolicyDocument
) -> None:
    recipient = _recipient(case, channel)
    contact = history.last_contacts([recipient]).get(recipient)
    facts = history.history_of(case, past, contact, by_hand=True)
    found = suppress(action=action, channel=channel, facts=facts, as_of=today, policy=rules)
    if found:
        raise Suppressed(found.detail)


def _by_hand(
    case: Case,
    action: str,
    channel: str,
    reason: str,
    actor: Actor,
    today: date,
    now: datetime,
) -> Intervention:
    plan = case.plan
    return Intervention(
        customer_id=case.customer.customer_id,
        agent_name=actor.name,
        origin=Origin.PERSON,
        journey_stage=case.stage.journey_stage,
        recommended_action=action,
        channel=channel,
        recipient=_recipient(case, channel),
        status=InterventionStatus.PENDING,
        confidence=plan.confidence,
        risk_score=case.risk.overall,
        risk_tier=case.risk.tier,
        priority_score=plan.priority,
        requires_human_approval=True,
        person_reasons=[reason.value for reason in (*case.person_reasons, PersonReason.BY_HAND)],
        reasons=[f"{actor.name}: {reason}", *case.reasons],
        triggered_by_signals=list(case.summary.signal_ids),
        as_of=today,
        generated_at=now,
    )


def _supersede(intervention_id: str, *, by: str) -> None:
    request = ApprovalRequest.objects.get(kind=KIND, subject_key=intervention_id, status=Status.PENDING)
    supersede(request, actor=PIPELINE, reason=f"Replaced by: {by}.")


def _recipient(case: Case, channel: str) -> str:
    if channel == Channel.EMAIL:
        return case.customer.email
    if channel == Channel.TASK:
        return case.customer.owner
    return settings.WEBHOOK_URL if channel == Channel.WEBHOOK else ""


def _content(case: Case, action: str, channel: str, rules: PolicyDocument) -> content.Content:
    facts = {
        "customer_id": case.customer.customer_id,
        "customer_name": case.customer.name,
        "owner_name": case.customer.owner,
        "stage": label(case.stage.journey_stage).lower(),
        "days_in_state": case.state.days,
    }
    return content.render(action=action, channel=channel, facts=facts, policy=rules)


def _request(
    intervention: Intervention,
    case: Case,
    text: content.Content,
    *,
    policy: Policy,
    rules: PolicyDocument,
    now: datetime,
    reason: str = "",
) -> NewRequest:
    urgency = case.risk.urgency if case.risk else Tier.MEDIUM
    due, expires = deadlines(rules, urgency, now)
    return NewRequest(
        kind=KIND,
        subject_key=intervention.pk,
        concerning=intervention.customer_id,
        title=f"{label(intervention.recommended_action)} for {case.display_name}"[:200],
        summary=(reason or _summary(case))[:400],
        payload=_payload(intervention, case, text, policy),
        evidence=_evidence(case, reason),
        facets=Facets(
            value_at_stake=case.customer.account_value,
            currency=case.customer.currency,
            segment=case.customer.segment,
            action=intervention.recommended_action,
            risk_tier=case.risk.tier,
            urgency=urgency,
            risk_score=case.risk.overall,
            confidence=case.plan.confidence,
            priority_score=intervention.priority_score or 0.0,
        ),
        terms=Terms(
            decision_due_at=due,
            expires_at=expires,
            execute_within_hours=rules.clocks.execute_by_hours,
        ),
        person_reasons=intervention.person_reasons,
        policy=str(policy),
    )


def _payload(intervention: Intervention, case: Case, text: content.Content, policy: Policy) -> dict:
    """What the action means: exactly this is approved, fingerprinted and sent."""
    mail = intervention.channel == Channel.EMAIL
    return {
        "customer_id": intervention.customer_id,
        "action": intervention.recommended_action,
        "channel": intervention.channel,
        "recipient": intervention.recipient,
        "sender": settings.DEFAULT_FROM_EMAIL if mail else "",
        "reply_to": settings.REPLY_TO_EMAIL if mail else "",
        "subject": text.subject,
        "body": text.body,
        "template_version": text.template_version,
        "parameters": {},
        "evidence": _signals(case),
        "journey_stage": intervention.journey_stage,
        "policy": str(policy),
    }


def _evidence(case: Case, reason: str) -> dict:
    """The facts as they were when it was asked: what the page shows, and what a replay needs."""
    return {
        "reason": reason,
        "stage": case.stage.journey_stage,
        "entered_on": case.stage.state_entered_at.isoformat(),
        "previous_stage": case.stage.previous_stage,
        "days_in_state": case.state.days,
        "health": case.state.health,
        "signals": _signals(case),
        "signal_risk": case.summary.signal_risk,
        "overall_risk_score": case.risk.overall,
        "churn_risk_score": case.risk.churn,
        "contributions": case.risk.contributions._asdict(),
        "reasons": {
            "state": list(case.state.reasons),
            "signals": list(case.summary.reasons),
            "risk": list(case.risk.reasons),
            "plan": list(case.plan.reasons),
        },
    }


def _signals(case: Case) -> list[list]:
    return [evidence_row(*signal) for signal in sorted(case.signals, key=lambda signal: signal.signal_id)]


def _summary(case: Case) -> str:
    """Why, in one line: the stage first where it stalls, then what was noticed."""
    strongest = [label(kind).lower() for kind in dict.fromkeys(reversed(case.summary.kinds))]
    noticed = ", ".join(strongest[:3]).capitalize()
    stay = f"{case.state.days} days in {label(case.stage.journey_stage).lower()}"
    return f"{noticed}; {stay}" if noticed else f"No signals; {stay}"
