"""What journeys asks the gate for: the evidence of each kind of request, and what its end does."""

from collections.abc import Mapping, Sequence
from datetime import date

from approvals.models import ApprovalRequest
from approvals.rules import Actor, RejectionCategory, Status, fingerprint
from approvals.subjects import DayAsked, Subject, one_by_one
from journeys import evidence
from journeys.domain.vocabulary import Action, PersonReason, Segment, Tier, choices
from journeys.models import Policy
from journeys.policy_diff import changes
from journeys.services import execution, policies, proposals, reviews, switches, wishes


def _end_interventions(requests: Sequence[ApprovalRequest], actor: Actor) -> None:
    """Move the interventions along, and close the executions that wait for their next try."""
    proposals.on_requests_end(requests, actor)
    for request in requests:
        if request.status not in (Status.LAPSED, Status.REVOKED):
            continue
        execution.end_retries(
            intervention_id=request.subject_key,
            reason=f"The approval was {request.status} before the next try.",
        )


def _leave_alone(request: ApprovalRequest, days: Mapping[str, date], actor: Actor, reason: str) -> None:
    """A rejection for bad timing can say until when the customer is left alone."""
    wishes.leave_alone(
        customer_id=request.concerning,
        until=days[_LEAVE_ALONE.name],
        reason=reason,
        actor=actor,
        request_id=request.pk,
    )


_LEAVE_ALONE = DayAsked(
    name="leave_alone_until",
    label="Leave the customer alone until",
    category=RejectionCategory.BAD_TIMING,
    hint="that day included",
)


def _describe_review(request: ApprovalRequest, user) -> dict:
    """The evidence of the request that the policy decided."""
    share = "a share of what the policy decided alone is looked at afterwards"
    return evidence.describe(reviews.reviewed(request), user) | {"person_reasons": [share]}


def _describe_activation(request: ApprovalRequest, user) -> dict:
    """What the policy would change, and whether anything moved since it was asked."""
    policy = Policy.objects.get(pk=request.subject_key)
    replaced = policies.find(request.payload["replaces"])
    current = policies.in_force()
    warnings = []
    if request.status == Status.PENDING and current != replaced:
        warnings.append(f"{replaced} is no longer in force, {current} is: this has to be asked for again.")
    if request.status == Status.PENDING and fingerprint(policy.document) != request.payload["document"]:
        warnings.append("The document is not the one that was asked for.")
    return {
        "policy": policy,
        "replaces": replaced,
        "changes": changes(replaced.document, policy.document),
        "against": warnings,
        "reason": request.evidence["reason"],
    }


def _describe_switch(request: ApprovalRequest, user) -> dict:
    return switches.describe(request) | {"reason": request.evidence["reason"]}


SUBJECTS = (
    Subject(
        kind=proposals.KIND,
        label="Intervention",
        template="admin/approvals/evidence/intervention.html",
        describe=evidence.describe,
        on_end=_end_interventions,
        change=proposals.change,
        changeable=proposals.changeable,
        on_change=proposals.on_change,
        revise_permission="journeys.propose_intervention",
        days_asked=lambda request: (_LEAVE_ALONE,),
        on_days=_leave_alone,
        choices={
            "action": choices(Action),
            "segment": choices(Segment),
            "risk_tier": choices(Tier),
            "person_reasons": choices(PersonReason),
        },
        recommends=True,
    ),
    Subject(
        kind=reviews.KIND,
        label="Review of the policy's decision",
        template="admin/approvals/evidence/intervention.html",
        describe=_describe_review,
        on_end=one_by_one(reviews.on_review_end),
    ),
    Subject(
        kind=policies.KIND,
        label="Policy in force",
        template="admin/approvals/evidence/change.html",
        describe=_describe_activation,
        on_end=one_by_one(policies.on_activation_end),
    ),
    Subject(
        kind=switches.KIND,
        label="How far execution goes",
        template="admin/approvals/evidence/execution_switch.html",
        describe=_describe_switch,
        on_end=one_by_one(switches.on_switch_end),
    ),
)
