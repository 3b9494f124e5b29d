"""What the worker does every minute, whatever else happens."""

import logging

from django.utils import timezone

from approvals.services import expire_overdue
from journeys.models import Heartbeat
from journeys.services.execution import WORKER, execute_due

log = logging.getLogger(__name__)

HEARTBEAT = "worker"


def sweep() -> None:
    """Show a sign of life, expire what passed its clock, and carry out what no bell announced.

    A part that breaks does not hold up the others. Raises ExceptionGroup at the end with all that broke.
    """
    broken = []
    for part in (beat, _expire, execute_due):
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
