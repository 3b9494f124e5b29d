"""What the worker does every minute, whatever else happens."""

import logging
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.mail import send_mail
from django.db import transaction
from django.utils import timezone

from approvals.chain import head
from approvals.delivery import deliver_all
from approvals.invariants import Breach, broken
from approvals.postbox import send_due, write_digests_of
from approvals.rules import is_working
from approvals.services import check_chain, escalate_due, expire_overdue, remind_due, reroute_due
from approvals.services.idempotency import forget_old
from journeys.models import Heartbeat, InvariantCheck
from journeys.services.execution import WORKER, execute_due, give_up_overdue
from journeys.services.marks import move_due_left, ring_for_unheard
from journeys.services.policies import in_force, working_hours

log = logging.getLogger(__name__)

HEARTBEAT = "worker"
DIGEST = "digest"
# As many as the worker verifies with certainty in the time that it has; `verify_audit` verifies them all.
MOST_EVENTS = 500_000


def sweep() -> None:
    """Show a sign of life, expire what passed its clock, and carry out what no bell announced.

    A part that breaks does not hold up the others. Raises ExceptionGroup at the end with all that broke.
    """
    broken = []
    # What others take their time with comes last: it is then nobody else's.
    parts = (
        beat,
        ring_for_unheard,
        move_due_left,
        _expire,
        _escalate,
        _remind,
        _reroute,
        give_up_overdue,
        execute_due,
        forget_old,
        _digest,
        send_due,
        deliver_all,
    )
    for part in parts:
        try:
            part()
        except Exception as error:
            log.exception("A part of the sweep broke: %s.", part.__name__)
            broken.append(error)
    if broken:
        raise ExceptionGroup("Parts of the sweep broke", broken)


def beat() -> None:
    Heartbeat.objects.update_or_create(name=HEARTBEAT, defaults={"beat_at": timezone.now()})


def _expire() -> None:
    expire_overdue(actor=WORKER)


def _escalate() -> None:
    escalate_due(actor=WORKER)


def _remind() -> None:
    remind_due(actor=WORKER)


def _reroute() -> None:
    reroute_due(actor=WORKER)


def _digest() -> None:
    """Once a day, when the working day has begun: also late, where no worker ran in the morning."""
    now = timezone.now()
    calendar = working_hours(in_force().rules)
    if not is_working(now, calendar):
        return
    opened = now.astimezone(ZoneInfo(calendar.zone)).replace(
        hour=calendar.opens, minute=0, second=0, microsecond=0
    )
    if Heartbeat.objects.filter(name=DIGEST, beat_at__gte=opened).exists():
        return
    with transaction.atomic():
        Heartbeat.objects.update_or_create(name=DIGEST, defaults={"beat_at": now})
        write_digests_of(opened.date())


def check_invariants() -> list[Breach]:
    """Look whether everything holds that must, and keep the result for the front page."""
    breaches = broken()
    InvariantCheck.objects.update_or_create(
        pk=1, defaults={"checked_at": timezone.now(), "breaches": [list(breach) for breach in breaches]}
    )
    for breach in breaches:
        log.error("Broken: %s: %s.", *breach)
    return breaches


def check_audit_chain() -> None:
    """Verify the audit's chain, its end at least, and keep the result for the front page."""
    sequence, _ = head()
    for number, problem in check_chain(start=max(1, sequence - MOST_EVENTS + 1)).problems:
        log.error("Broken: audit event %s %s.", number, problem)


def deliver_audit_head() -> None:
    """Send number and hash of the audit's last event to where whoever runs this cannot change them. Nothing
    is sent where no address is set."""
    if not settings.AUDIT_HEAD_EMAIL:
        return
    sequence, last_hash = head()
    send_mail(
        f"Audit head {sequence}",
        f"{sequence} {last_hash}\n\nKeep this: verify_audit --head {last_hash}",
        None,
        [settings.AUDIT_HEAD_EMAIL],
    )
