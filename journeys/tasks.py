"""What the worker is called for; a line each. A task that comes twice, late or never changes nothing."""

from datetime import UTC, datetime, time, timedelta

from django.db import transaction
from django.utils import timezone
from django_q.models import Schedule

from journeys import monthly, pipeline
from journeys.services import execution, retention, reviews, upkeep

# Seconds that the worker gives the sweep: less than after which the queue hands a task out again.
_SWEEP_TIMEOUT = 240
DAILY_RUN_AT = time(5, tzinfo=UTC)
DAILY_REVIEW_AT = time(6, tzinfo=UTC)
# After the run of the day.
MONTHLY_REPORT_AT = time(7, tzinfo=UTC)

SCHEDULES: dict[str, dict] = {
    "sweep": {
        "func": "journeys.tasks.sweep",
        "schedule_type": Schedule.MINUTES,
        "minutes": 1,
        "kwargs": repr({"q_options": {"timeout": _SWEEP_TIMEOUT}}),
    },
    "invariants": {
        "func": "journeys.tasks.check_invariants",
        "schedule_type": Schedule.HOURLY,
        "minutes": None,
        "kwargs": repr({"q_options": {"timeout": _SWEEP_TIMEOUT}}),
    },
    "audit chain": {
        "func": "journeys.tasks.check_audit_chain",
        "schedule_type": Schedule.DAILY,
        "minutes": None,
        "kwargs": repr({"q_options": {"timeout": _SWEEP_TIMEOUT}}),
    },
    "audit head": {
        "func": "journeys.tasks.deliver_audit_head",
        "schedule_type": Schedule.DAILY,
        "minutes": None,
        "kwargs": repr({}),
    },
    "daily review": {
        "func": "journeys.tasks.daily_review",
        "schedule_type": Schedule.DAILY,
        "minutes": None,
        "kwargs": repr({}),
    },
    "retention": {
        "func": "journeys.tasks.forget_past",
        "schedule_type": Schedule.DAILY,
        "minutes": None,
        "kwargs": repr({"q_options": {"timeout": pipeline.RUN_TIMEOUT}}),
    },
    "monthly report": {
        "func": "journeys.tasks.monthly_report",
        "schedule_type": Schedule.DAILY,
        "minutes": None,
        "kwargs": repr({}),
    },
    "daily run": {
        "func": "journeys.tasks.daily_run",
        "schedule_type": Schedule.DAILY,
        "minutes": None,
        "kwargs": repr({"q_options": {"timeout": pipeline.RUN_TIMEOUT}}),
    },
}


def execute(intervention_id: str) -> None:
    execution.execute(intervention_id=intervention_id)


def sweep() -> None:
    try:
        upkeep.sweep()
    finally:
        pipeline.take_over()


def run_pipeline(run_id: int) -> None:
    pipeline.run_queued(run_id)


def work_on_run(run_id: int) -> None:
    pipeline.work(run_id)


def look_at_marked() -> None:
    pipeline.look_at_marked()


def daily_run() -> None:
    pipeline.run_daily()


def daily_review() -> None:
    reviews.draw_recent()


def forget_past() -> None:
    retention.forget_past()


def monthly_report() -> None:
    """Each day, so that one on which the worker stood still loses nothing; each person is told once."""
    monthly.send_report_of_the_month()


def check_audit_chain() -> None:
    upkeep.check_audit_chain()


def deliver_audit_head() -> None:
    upkeep.deliver_audit_head()


def check_invariants() -> None:
    upkeep.check_invariants()


def reconsider(intervention_id: str) -> None:
    pipeline.reconsider(intervention_id)


def install_schedules() -> None:
    """Put the schedules in, or right; when each runs next is left as it is."""
    now = timezone.now()
    first = {
        "daily run": next_at(DAILY_RUN_AT, now),
        "daily review": next_at(DAILY_REVIEW_AT, now),
        "monthly report": next_at(MONTHLY_REPORT_AT, now),
    }
    for name, definition in SCHEDULES.items():
        with transaction.atomic():
            if not Schedule.objects.filter(name=name).update(**definition):
                Schedule.objects.create(name=name, next_run=first.get(name, now), **definition)


def next_at(hour: time, now: datetime) -> datetime:
    """The next moment after `now` at which it is this hour in UTC."""
    today = datetime.combine(now.astimezone(UTC).date(), hour)
    return today if today > now else today + timedelta(days=1)
