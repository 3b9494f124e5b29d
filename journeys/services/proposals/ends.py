"""Moving interventions along with the requests by which they are decided."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.utils import timezone
from django_q.tasks import async_task

from approvals.models import ApprovalRequest
from approvals.rows import update_each
from approvals.rules import Actor, AlreadyDecided, Status
from journeys.domain.vocabulary import Channel, InterventionStatus
from journeys.models import Intervention
from journeys.services import policies
from journeys.services.marks import make_due
from journeys.services.proposals.requests import PIPELINE

_AUTHORITY_LENGTH = Intervention._meta.get_field("authority").max_length
REACHES_CUSTOMER = (Channel.EMAIL, Channel.WEBHOOK)


def on_requests_end(requests: Sequence[ApprovalRequest], actor: Actor) -> None:
    """Move the interventions along with their requests, which have come to the same status together, and ring
    the worker for those that may now be executed."""
    interventions = Intervention.objects.in_bulk([request.subject_key for request in requests])
    approved = requests[0].status == Status.APPROVED
    names = ["status", "ended_at", *(["authority", "not_before"] if approved else [])]
    waits = _not_before(requests) if approved else {}
    now, rows, at_once = timezone.now(), [], []
    for request in requests:
        intervention = interventions[request.subject_key]
        before = InterventionStatus.PENDING
        if (
            request.status in (Status.LAPSED, Status.REVOKED)
            or intervention.status == InterventionStatus.APPROVED
        ):
            before = InterventionStatus.APPROVED
        if intervention.status != before:
            raise AlreadyDecided(
                f"The intervention is {intervention.status} by now: it is too late for this."
            )
        after = status_after(request.status, intervention.channel)
        fields = [after, None if after == InterventionStatus.APPROVED else now]
        if approved:
            fields += [actor.told[:_AUTHORITY_LENGTH], waits.get(request.pk)]
        rows.append((*fields, intervention.pk, before))
        if after == InterventionStatus.APPROVED and request.pk not in waits:
            at_once.append(intervention.pk)
    if update_each(Intervention, names, ["intervention_id", "status"], rows) != len(rows):
        raise AlreadyDecided("An intervention has moved on at this moment: it is too late for this.")
    if actor.door != PIPELINE.door:  # what a run moves it has looked at
        make_due([intervention.customer_id for intervention in interventions.values()])
    for key in at_once:
        # The queue's rows are in this database: the task is there only if this transaction is. What has to
        # wait first, the sweep finds.
        async_task("journeys.tasks.execute", key)


def _not_before(requests: Sequence[ApprovalRequest]) -> dict[int, datetime]:
    """When each may be carried out, where it has to wait: what goes to a customer waits, so that the approval
    can be revoked; what was scheduled waits for its time."""
    found, now = {}, timezone.now()
    reaching = {request.policy for request in requests if request.payload["channel"] in REACHES_CUSTOMER}
    graces = {name: policies.find(name).rules.clocks.grace_seconds for name in reaching}
    for request in requests:
        times = []
        if request.payload["channel"] in REACHES_CUSTOMER and (grace := graces[request.policy]):
            times.append(now + timedelta(seconds=grace))
        if request.payload.get("not_before"):
            times.append(datetime.fromisoformat(request.payload["not_before"]))
        if times:
            found[request.pk] = max(times)
    return found


def status_after(request_status: str, channel: str) -> InterventionStatus:
    """An approved action that sends nothing is done by being recorded."""
    if request_status == Status.APPROVED and channel == Channel.NONE:
        return InterventionStatus.RECORDED
    return InterventionStatus(request_status)
