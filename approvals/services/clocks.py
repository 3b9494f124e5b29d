"""What time does to requests: reminding, escalating, expiring. Called by the sweep, every minute."""

from collections.abc import Callable, Iterable
from datetime import datetime

from django.db import transaction
from django.utils import timezone

from approvals.audit import record
from approvals.models import ApprovalRequest
from approvals.rules import Actor, AlreadyDecided, Stale, Status
from approvals.services import notices
from approvals.services.moves import event_of, move
from approvals.services.opening import mark_unroutable
from approvals.services.people import Deciders

AT_MOST = 1000


def expire_overdue(*, actor: Actor, now: datetime | None = None, at_most: int = AT_MOST) -> int:
    """Expire what passed its clock; returns how many. Each in its own transaction: one that somebody moves
    at this moment is left to them."""
    now = now or timezone.now()

    def expire(request: ApprovalRequest) -> None:
        late = "Nobody decided in time." if request.status == Status.PENDING else "Not carried out in time."
        move(request, Status.EXPIRED, actor, late, now=now)

    return _each(ApprovalRequest.objects.overdue(now)[:at_most], expire)


def remind_due(*, actor: Actor, now: datetime | None = None, at_most: int = AT_MOST) -> int:
    """Record that three quarters of the time to decide have passed; returns how many. Once each."""
    now = now or timezone.now()
    due = ApprovalRequest.objects.pending().filter(remind_at__lte=now, reminded_at__isnull=True)

    deciders = None

    def remind(request: ApprovalRequest) -> None:
        nonlocal deciders
        untouched = ApprovalRequest.objects.pending().filter(pk=request.pk, reminded_at__isnull=True)
        if untouched.update(reminded_at=now):
            record([event_of("request.reminded", request, actor)])
            deciders = deciders or Deciders()
            notices.remind(request, deciders)

    return _each(due[:at_most], remind)


def escalate_due(*, actor: Actor, now: datetime | None = None, at_most: int = AT_MOST) -> int:
    """Ask the group one level higher as well, once the time to decide has passed; returns how many. Once
    each; a request that no limit escalates keeps to those who could decide it."""
    now = now or timezone.now()
    late = ApprovalRequest.objects.pending().filter(decision_due_at__lte=now, escalated_at__isnull=True)
    deciders = None

    def escalate(request: ApprovalRequest) -> None:
        nonlocal deciders
        deciders = deciders or Deciders()
        group = deciders.escalation_target(request, steps=request.level + 1)
        untouched = ApprovalRequest.objects.pending().filter(pk=request.pk, escalated_at__isnull=True)
        if untouched.update(escalated_at=now, routed_to=group):
            record([event_of("request.escalated", request, actor, after=group or "nobody else")])
            notices.escalate(request, group, deciders)

    return _each(late.order_by("decision_due_at")[:at_most], escalate)


def reroute_due(*, actor: Actor, at_most: int = AT_MOST) -> int:
    """Look again whether anybody can decide what nobody could: people and limits change. Returns how many
    can be decided by now."""
    stranded = ApprovalRequest.objects.pending().filter(unroutable=True).order_by("pk")
    rerouted = 0
    for request in list(stranded[:at_most]):
        with transaction.atomic():
            if not mark_unroutable(request).unroutable:
                notices.announce([request])
                rerouted += 1
    return rerouted


def _each(requests: Iterable[ApprovalRequest], act: Callable[[ApprovalRequest], None]) -> int:
    moved = 0
    for request in requests:
        try:
            with transaction.atomic():
                act(request)
        except (AlreadyDecided, Stale):
            continue
        moved += 1
    return moved
