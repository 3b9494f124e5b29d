"""How an execution and its intervention move together, and what the audit keeps of it."""

from datetime import datetime

from approvals.audit import Event, record
from approvals.models import ApprovalRequest
from approvals.rules import Actor, AlreadyDecided, Status
from journeys.domain.vocabulary import Channel, InterventionStatus
from journeys.models import Customer, Execution, Intervention
from journeys.models.interventions import OPEN_STATUSES
from journeys.services.marks import make_due
from journeys.services.proposals import KIND

_DETAIL_LENGTH = Execution._meta.get_field("detail").max_length


def shortened(text: str) -> str:
    """As much of it as the row holds; the audit keeps the whole."""
    return text[:_DETAIL_LENGTH]


def move(
    intervention: Intervention,
    execution: Execution,
    *,
    word: str,
    status: InterventionStatus,
    fields: dict,
    request: ApprovalRequest | None,
    actor: Actor,
    reason: str,
    now: datetime,
    told: tuple[str, str] | None = None,
) -> None:
    """Compare-and-swap both rows from what they were read as, then record; `told` is what the audit says was
    before and after, where that is not the intervention's status.

    Raises AlreadyDecided where either row has moved meanwhile; `attempts` tells an attempt from the next.
    """
    before = intervention.status
    ended_at = None if status in OPEN_STATUSES else now
    unmoved = Intervention.objects.filter(pk=intervention.pk, status=before)
    moved = unmoved.update(status=status, ended_at=ended_at)
    if moved:
        same = Execution.objects.filter(pk=execution.pk, status=execution.status, attempts=execution.attempts)
        moved = same.update(**{"retry_at": None} | fields | {"detail": shortened(reason)})
    if not moved:
        raise AlreadyDecided("This execution has moved on since you looked; look again.")
    before, after = told or (before, status)
    record([event(word, intervention, request, actor, before=before, after=after, reason=reason)])
    concerned = {intervention.customer_id}
    if status == InterventionStatus.EXECUTED and intervention.channel == Channel.EMAIL:
        # It counts as a contact with everybody who has that address.
        concerned.update(Customer.objects.filter(email=intervention.recipient).values_list("pk", flat=True))
    make_due(concerned)


def event(
    word: str,
    intervention: Intervention,
    request: ApprovalRequest | None,
    actor: Actor,
    *,
    before: str,
    after: str,
    reason: str = "",
) -> Event:
    return Event(
        word=word,
        actor=actor,
        kind=KIND,
        subject_key=intervention.pk,
        subject_name=request.title if request else str(intervention),
        concerning=intervention.customer_id,
        request_id=request.pk if request else None,
        before=str(before),
        after=str(after),
        fingerprint=request.fingerprint if request else "",
        policy=request.policy if request else "",
        reason=reason,
    )


def approved_request(intervention_id: str) -> ApprovalRequest | None:
    return ApprovalRequest.objects.filter(
        kind=KIND, subject_key=intervention_id, status=Status.APPROVED
    ).first()
