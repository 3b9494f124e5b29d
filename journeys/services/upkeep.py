"""What the worker does every minute, whatever else happens."""

import logging

from django.conf import settings
from django.core.mail import send_mail
from django.utils import timezone

from approvals.chain import head
from approvals.invariants import Breach, broken
from approvals.services import escalate_due, expire_overdue, remind_due, reroute_due
from journeys.models import Heartbeat, InvariantCheck
from journeys.services.execution import WORKER, execute_due, give_up_overdue

log = logging.getLogger(__name__)

HEARTBEAT = "worker"


def sweep() -> None:
    """Show a sign of life, expire what passed its clock, and carry out what no bell announced.

    A part that breaks does not hold up the others. Raises ExceptionGroup at the end with all that broke.
    """
    broken = []
    for part in (beat, _expire, _escalate, _remind, _reroute, give_up_overdue, execute_due):
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


def check_invariants() -> list[Breach]:
    """Look whether everything holds that must, and keep the result for the front page."""
    breaches = broken()
    InvariantCheck.objects.update_or_create(
        pk=1, defaults={"checked_at": timezone.now(), "breaches": [list(breach) for breach in breaches]}
    )
    for breach in breaches:
        log.error("Broken: %s: %s.", *breach)
    return breaches


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
