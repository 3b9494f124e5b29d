"""What a run leaves on its own row while it works: steps, counts, seconds, and its sign of life."""

from collections.abc import Iterable, Sequence

from django.db import reset_queries, transaction
from django.utils import timezone

from approvals.audit import Event, record
from journeys.models import PipelineRun, RunRange
from journeys.pipeline.steps import RANGE_STEPS, Context, Step, counts_of
from journeys.pipeline.totals import Progress
from journeys.services.proposals import PIPELINE

_NOTHING = Progress()


class Recorder:
    """Keeps each step's status, counts and seconds on the run, and its sign of life. What it writes counts
    only while the run goes on and `finisher` is the one who sums it up: whoever has been taken for dead
    writes nothing any more."""

    def __init__(self, context: Context, *, save: bool, finisher: str = ""):
        self.run = context.run
        self._context = context
        self._save = save
        self._finisher = finisher

    def beat(self, under_way: Iterable[Step]) -> None:
        """Show a sign of life. The steps over the ranges are under way together, until the last range."""
        self._write(running=[step.name for step in under_way])
        self.run.heartbeat_at = timezone.now()
        self._update("steps", "heartbeat_at")
        reset_queries()  # in DEBUG, Django keeps the text of every query

    def is_cancelled(self) -> bool:
        if not self._save:
            return False
        asked = PipelineRun.with_dry_runs.filter(pk=self.run.pk, cancelled_at__isnull=False)
        return asked.exists()

    def succeed(self) -> None:
        self._write()
        self._finish(PipelineRun.Status.SUCCEEDED)

    def cancel(self) -> None:
        """What has been done so far stands beside how much there would have been to do."""
        self._write(cancelled=[step.name for step in RANGE_STEPS])
        self.run.counts = self.run.counts | counts_of(self._context)
        self._finish(PipelineRun.Status.CANCELLED)

    def fail(self, error: Exception) -> None:
        self._write(failed=[self._context.step])
        self.run.error = f"{self._context.step}: {error}"
        self._finish(PipelineRun.Status.FAILED)

    def _finish(self, status: PipelineRun.Status) -> None:
        self.run.status = status
        self.run.finished_at = self.run.heartbeat_at = timezone.now()
        with transaction.atomic():
            ended = self._update(
                "steps", "heartbeat_at", "status", "finished_at", "error", "counts", "results", "report"
            )
            if ended:
                RunRange.objects.filter(run=self.run).delete()
                tell_end(self.run)

    def _write(
        self, *, running: Sequence[str] = (), failed: Sequence[str] = (), cancelled: Sequence[str] = ()
    ) -> None:
        """Before the steps that are under way, or that failed, everything is done; after them nothing is."""
        status = "done"
        for row in self.run.steps:
            if row["status"] == "skipped":
                continue
            if row["name"] in running:
                status = "running"
            elif row["name"] in failed:
                status = "failed"
            elif row["name"] in cancelled:
                status = "cancelled"
            elif status != "done":
                status = "planned"
            progress = self._context.totals.steps.get(row["name"], _NOTHING)
            row["status"], row["seconds"] = status, round(progress.seconds, 4)
            row["in"], row["out"] = progress.taken, progress.given

    def _update(self, *names: str) -> int:
        if not self._save:
            return 0
        mine = PipelineRun.with_dry_runs.filter(
            pk=self.run.pk, status=PipelineRun.Status.RUNNING, finisher=self._finisher
        )
        return mine.update(**{name: getattr(self.run, name) for name in names})


def tell_end(run: PipelineRun) -> None:
    """Put the end of a run on record, in the transaction that ends it: of each that somebody, or a schedule,
    had asked for. Those that look at what was received come by the second, and tell by what they propose."""
    if run.scope == PipelineRun.Scope.MARKED:
        return
    record(
        [
            Event(
                word="run.finished",
                actor=PIPELINE,
                kind="run",
                subject_key=str(run.pk),
                subject_name=str(run),
                concerning=run.customer_id or "",
                after=run.status,
            )
        ]
    )
