"""Moving an intervention along with the request by which it is decided."""

from datetime import datetime, timedelta

from django.utils import timezone
from django_q.tasks import async_task

from approvals.models import ApprovalRequest
from approvals.rules import Actor, AlreadyDecided, Status
from journeys.domain.vocabulary import Channel, InterventionStatus
from journeys.models import Intervention
from journeys.services import policies
from journeys.services.marks import make_due
from journeys.services.proposals.requests import PIPELINE

_AUTHORITY_LENGTH = Intervention._meta.get_field("authority").max_length
REACHES_CUSTOMER = (Channel.EMAIL, Channel.WEBHOOK)


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
    fields = {"status": after, "ended_at": ended_at}
    if request.status == Status.APPROVED:
        fields |= {"authority": actor.told[:_AUTHORITY_LENGTH], "not_before": _not_before(request)}
    unmoved = Intervention.objects.filter(pk=intervention.pk, status=before)
    if not unmoved.update(**fields):
        raise AlreadyDecided(f"The intervention is {intervention.status} by now: it is too late for this.")
    if actor.door != PIPELINE.door:  # what a run moves it has looked at
        make_due([intervention.customer_id])
    if after == InterventionStatus.APPROVED and fields.get("not_before") is None:
        # The queue's rows are in this database: the task is there only if this transaction is. What has to
        # wait first, the sweep finds.
        async_task("journeys.tasks.execute", intervention.pk)


def _not_before(request: ApprovalRequest) -> datetime | None:
    """When it may be carried out: what goes to a customer waits, so that the approval can be revoked; what
    was scheduled waits for its time."""
    times = []
    if request.payload["channel"] in REACHES_CUSTOMER:
        grace = policies.find(request.policy).rules.clocks.grace_seconds
        if grace:
            times.append(timezone.now() + timedelta(seconds=grace))
    if request.payload.get("not_before"):
        times.append(datetime.fromisoformat(request.payload["not_before"]))
    return max(times, default=None)


def status_after(request_status: str, channel: str) -> InterventionStatus:
    """An approved action that sends nothing is done by being recorded."""
    if request_status == Status.APPROVED and channel == Channel.NONE:
        return InterventionStatus.RECORDED
    return InterventionStatus(request_status)
