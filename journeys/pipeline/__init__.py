"""Runs of the pipeline: planned, perhaps queued for the workers, started once, taken through the steps."""

import logging
import time
from collections.abc import Mapping
from datetime import UTC

from django.utils import timezone

from approvals.rules import Actor, NotFound
from journeys import cases
from journeys.days import today
from journeys.models import Intervention, PipelineRun
from journeys.pipeline import whom
from journeys.pipeline.alone import expected, run
from journeys.pipeline.life import (
    RUN_TIMEOUT,
    NotRunning,
    RunFailed,
    RunUnderWay,
    cancel,
    give_up,
    queue,
    start,
)
from journeys.pipeline.planned import BadScope, NotInForce, plan_run, planned_for
from journeys.pipeline.together import take_over, work
from journeys.services import marks
from journeys.services.policies import in_force

__all__ = [
    "RUN_TIMEOUT",
    "BadScope",
    "NotFound",
    "NotInForce",
    "NotRunning",
    "RunFailed",
    "RunUnderWay",
    "cancel",
    "cases",
    "expected",
    "look_at_marked",
    "plan_run",
    "queue",
    "reconsider",
    "run",
    "run_daily",
    "run_queued",
    "start",
    "take_over",
    "work",
]

log = logging.getLogger(__name__)

# Marked customers are looked at so many at a time, and by one task for so many seconds.
MARKED_AT_ONCE = 500
MARKED_FOR = 30.0

EVENTS = Actor(key="machine:events", name="what was received", door="worker")
WORKER = Actor(key="machine:worker", name="the worker", door="worker")
SCHEDULE = Actor(key="machine:schedule", name="the daily schedule", door="schedule")


def run_queued(run_id: int) -> None:
    """What a worker does with a queued run; a second delivery of the same task finds it taken."""
    queued = PipelineRun.with_dry_runs.filter(pk=run_id, status=PipelineRun.Status.QUEUED).first()
    if queued is None:
        return
    try:
        if queued.spread:
            start(queued, expected(queued))
        else:
            run(queued)
            return
    except RunUnderWay as under_way:
        # It would wait for ever: whoever asked sees why, and may ask again.
        waiting = PipelineRun.with_dry_runs.filter(pk=run_id, status=PipelineRun.Status.QUEUED)
        give_up(waiting, str(under_way))
    else:
        work(run_id)


def look_at_marked() -> None:
    """What a worker does when something was received: evaluate the marked customers by a run of their own,
    burst by burst. A customer at whom a run breaks holds up no other, and is tried again later."""
    until = time.monotonic() + MARKED_FOR
    while time.monotonic() < until:
        tokens = marks.claim(MARKED_AT_ONCE)
        if not tokens:
            return
        _look_at(tokens)
    marks.ring()


def _look_at(tokens: Mapping[str, str]) -> None:
    try:
        run(planned_for(PipelineRun.Scope.MARKED, in_force(), EVENTS, takes_stock=False), marked=tokens)
    except RunFailed:
        if len(tokens) > 1:
            for customer_id, token in tokens.items():
                _look_at({customer_id: token})


def run_daily() -> None:
    """What the daily schedule does: a run over the portfolio under the policy in force. It looks at what
    changed or is due, and every so many days at everybody."""
    changed_only = not whom.everybody_is_due(today())
    try:
        queue(plan_run(policy=in_force(), actor=SCHEDULE, changed_only=changed_only))
    except (BadScope, RunUnderWay) as refusal:
        log.warning("No daily run: %s", refusal)


def reconsider(intervention_id: str) -> None:
    """Look at a customer anew, whose approved intervention may no longer be carried out: on the
    intervention's own calendar, and never ahead of today."""
    intervention = Intervention.objects.get(pk=intervention_id)
    now = timezone.now()
    as_of = min(intervention.calendar_day(now), now.astimezone(UTC).date())
    run(plan_run(policy=in_force(), actor=WORKER, as_of=as_of, customer_id=intervention.customer_id))
