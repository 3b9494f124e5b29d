"""A person's own proposal: the same gate, always decided by somebody else."""

from datetime import UTC, date, datetime

from django.db import IntegrityError, transaction
from django.utils import timezone

from approvals.rules import Actor, NotAuthorised, ReasonNeeded, Refusal
from approvals.services import actor_of, open_requests
from journeys import cases, history
from journeys.cases import Case
from journeys.domain.policy import PolicyDocument
from journeys.domain.suppression import suppress
from journeys.domain.vocabulary import Action, Channel, InterventionStatus, Origin, PersonReason, label
from journeys.models import Intervention
from journeys.services.marks import mark
from journeys.services.policies import in_force
from journeys.services.proposals.machine import supersede_pending
from journeys.services.proposals.requests import build_request, recipient, render_content


class Suppressed(Refusal):
    """The action would be against a wish, or too soon, or one too many."""

    code = "suppressed"


class UnknownCustomer(Refusal):
    code = "unknown_customer"


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
            past = history.past_of(cases.only(customer_id)).get(customer_id, history.NOTHING)
            _refuse_suppressed(case, past, action, channel, today, rules)
            superseded = []
            if past.open_id:
                by = f"{label(action)}, proposed by {actor.name}"
                superseded = supersede_pending({past.open_id: by})
            intervention = _by_hand(case, action, channel, reason.strip(), actor, today, now)
            intervention.save(force_insert=True)
            text = render_content(case, action, channel, rules)
            text = text._replace(subject=subject.strip() or text.subject, body=body.strip() or text.body)
            request = build_request(
                intervention, case, text, policy=policy, rules=rules, now=now, reason=reason.strip()
            )
            # A worker looks at the customer at once: what comes of it is measured against how they stand now.
            mark([customer_id])
            open_requests([request], proposer=actor, superseded=superseded)
    except IntegrityError as error:
        raise Suppressed("Something else was begun with this customer at this moment; look again.") from error
    return intervention


def _refuse_suppressed(
    case: Case, past: history.Past, action: str, channel: str, today: date, rules: PolicyDocument
) -> None:
    target = recipient(case, channel)
    contact = history.last_contacts([target]).get(target)
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
        recipient=recipient(case, channel),
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
