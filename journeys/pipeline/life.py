"""How a run begins, and how it ends before its time."""

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django_q.tasks import async_task

from approvals.rules import Actor, NotFound, Refusal
from journeys.models import PipelineRun
from journeys.models.runs import HEARTBEAT_LIMIT
from journeys.pipeline.recorder import tell_end

# Seconds that a worker may spend on one task of a run. The queue hands the task out again after its retry
# time; the run then says that it is under way.
RUN_TIMEOUT = 6 * 3600


class RunUnderWay(Refusal):
    code = "run_under_way"


class NotRunning(Refusal):
    """A run that has ended, or never began, cannot be cancelled."""

    code = "not_running"


class RunFailed(Exception):
    """The run stopped at `step`; what earlier ranges wrote is consistent and stays."""

    def __init__(self, step: str, cause: Exception):
        self.step = step
        super().__init__(f"The run failed at {step}: {cause}")


def queue(planned: PipelineRun) -> PipelineRun:
    """Save a planned run for the workers, and ring one. Raises RunUnderWay where one over the portfolio waits
    or goes on already; a dry run is in nobody's way.

    A run over the portfolio is spread over all workers; one that approves automatically, for testing, stays
    with one, as its cap counts in the order of customers.
    """
    over_all = planned.scope == PipelineRun.Scope.PORTFOLIO and not planned.dry_run
    if over_all:
        under_way = (PipelineRun.Status.QUEUED, PipelineRun.Status.RUNNING)
        if PipelineRun.objects.filter(scope=planned.scope, status__in=under_way).exists():
            raise RunUnderWay("A run over the portfolio is queued or under way already.")
    planned.spread = over_all and not planned.auto_approve_for_testing
    with transaction.atomic():
        planned.save()
        async_task("journeys.tasks.run_pipeline", planned.pk, timeout=RUN_TIMEOUT)
    return planned


def start(planned: PipelineRun, expected: int) -> None:
    """Take the run, by insert or by compare-and-swap. The database allows one portfolio run at a time."""
    now = timezone.now()
    silent = PipelineRun.with_dry_runs.filter(
        status=PipelineRun.Status.RUNNING, heartbeat_at__lt=now - HEARTBEAT_LIMIT
    )
    give_up(silent, "It gave no sign of life for five minutes.")
    planned.status, planned.started_at, planned.heartbeat_at = PipelineRun.Status.RUNNING, now, now
    # The run's figures come at its end; until then, how many customers there are to come to.
    planned.counts = {"expected": expected}
    try:
        with transaction.atomic():
            if planned.pk is None:
                planned.save(force_insert=True)
                return
            taken = PipelineRun.with_dry_runs.filter(pk=planned.pk, status=PipelineRun.Status.QUEUED)
            if not taken.update(
                status=planned.status, started_at=now, heartbeat_at=now, counts=planned.counts
            ):
                raise RunUnderWay(f"Run {planned.pk} has been taken by another worker.")
    except IntegrityError as error:
        raise RunUnderWay("Another run over the whole portfolio is under way.") from error


def give_up(runs: QuerySet[PipelineRun], error: str) -> None:
    """End those that nobody ends any more; each only if it still stands as it was found."""
    for row in runs:
        with transaction.atomic():
            row.status, row.finished_at, row.error = PipelineRun.Status.FAILED, timezone.now(), error
            fields = {"status": row.status, "finished_at": row.finished_at, "error": error}
            if runs.filter(pk=row.pk).update(**fields):
                row.ranges.all().delete()
                tell_end(row)


def cancel(run_id: int, *, actor: Actor) -> PipelineRun:
    """End a queued run at once, and one under way after the ranges that it is at: what was written so far is
    consistent and stays. Raises NotFound, or NotRunning where it has ended."""
    now = timezone.now()
    mine = PipelineRun.with_dry_runs.filter(pk=run_id)
    asked = {"cancelled_at": now, "cancelled_by": actor.name}
    ended = {"status": PipelineRun.Status.CANCELLED, "finished_at": now}
    with transaction.atomic():
        at_once = mine.filter(status=PipelineRun.Status.QUEUED).update(**asked, **ended)
        if not at_once:
            mine.filter(status=PipelineRun.Status.RUNNING, cancelled_at__isnull=True).update(**asked)
        found = mine.first()
        if at_once:
            tell_end(found)
    if found is None:
        raise NotFound(f"There is no run {run_id}.")
    if found.cancelled_at is None:
        raise NotRunning(f"Run {run_id} is {found.status}: there is nothing to cancel.")
    return found
