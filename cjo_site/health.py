"""GET /healthz: whether this site is alive, for whoever watches it from outside.

200 only while the database answers, the worker's heartbeat is fresh and no schedule is missing or late; else
503. The answer says which of the three it is and how old, and nothing else about the installation.
"""

from datetime import datetime, timedelta

from django.db import DatabaseError
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from django_q.models import Schedule

from journeys.models import Heartbeat
from journeys.tasks import SCHEDULES

WORKER = "worker"
HEARTBEAT_STALE_AFTER = timedelta(minutes=3)
SCHEDULE_LATE_AFTER = timedelta(minutes=5)
OK = "ok"


def last_beat() -> datetime | None:
    """When the worker last showed itself."""
    return Heartbeat.objects.filter(name=WORKER).values_list("beat_at", flat=True).first()


def worker_state(*, now: datetime) -> str:
    """ "ok", or what is wrong with the heartbeat that the worker's sweep writes every minute."""
    beat_at = last_beat()
    if beat_at is None:
        return "no heartbeat yet"
    if now - beat_at > HEARTBEAT_STALE_AFTER:
        return f"last heartbeat {_seconds(now - beat_at)} s ago"
    return OK


def schedule_state(*, now: datetime) -> str:
    """ "ok", or which schedules are missing or late: without them nothing is swept, expired or run."""
    wrong = [
        f"{name} is missing" if late is None else f"{name} is {_seconds(late)} s late"
        for name, late in late_schedules(now=now)
    ]
    return "; ".join(wrong) or OK


def late_schedules(*, now: datetime) -> list[tuple[str, timedelta | None]]:
    """(name, by how much), None where it is not there at all: the missing ones first."""
    next_runs = dict(Schedule.objects.filter(name__in=SCHEDULES).values_list("name", "next_run"))
    missing = [(name, None) for name in SCHEDULES if next_runs.get(name) is None]
    return missing + [
        (name, now - next_run)
        for name, next_run in next_runs.items()
        if next_run is not None and now - next_run > SCHEDULE_LATE_AFTER
    ]


@never_cache
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    now = timezone.now()
    try:
        checks = {"database": OK, "worker": worker_state(now=now), "schedule": schedule_state(now=now)}
    except DatabaseError:
        checks = {"database": "no answer", "worker": "not known", "schedule": "not known"}
    healthy = all(state == OK for state in checks.values())
    return JsonResponse(
        {"status": OK if healthy else "stale", "checks": checks}, status=200 if healthy else 503
    )


def _seconds(span: timedelta) -> int:
    return int(span.total_seconds())
