"""What a run leaves on its own row while it works: steps, counts, seconds, and its sign of life."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from django.db import reset_queries, transaction
from django.utils import timezone

from approvals.audit import Event, record
from journeys.models import PipelineRun
from journeys.pipeline.steps import RANGE_STEPS, STEPS, Progress, Step
from journeys.services.proposals import PIPELINE


class Recorder:
    """Keeps each step's status, counts and seconds on the run, and its sign of life."""

    def __init__(self, planned: PipelineRun, *, save: bool):
        self.run = planned
        self.current = STEPS[0].name
        self._save = save
        self._progress = {step.name: Progress() for step in STEPS}

    @contextmanager
    def step(self, name: str) -> Iterator[Progress]:
        self.current = name
        progress = self._progress[name]
        started = time.perf_counter()
        yield progress
        progress.seconds += time.perf_counter() - started

    def snapshot(self) -> dict[str, tuple[int, int]]:
        return {name: (progress.taken, progress.given) for name, progress in self._progress.items()}

    def restore(self, totals: dict[str, tuple[int, int]]) -> None:
        for name, (taken, given) in totals.items():
            self._progress[name].taken, self._progress[name].given = taken, given

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
        self.run.status = PipelineRun.Status.SUCCEEDED
        self._finish()

    def cancel(self) -> None:
        self._write(cancelled=[step.name for step in RANGE_STEPS])
        self.run.status = PipelineRun.Status.CANCELLED
        self._finish()

    def fail(self, error: Exception) -> None:
        self._write(failed=[self.current])
        self.run.status = PipelineRun.Status.FAILED
        self.run.error = f"{self.current}: {error}"
        self._finish()

    def _finish(self) -> None:
        self.run.finished_at = self.run.heartbeat_at = timezone.now()
        with transaction.atomic():
            self._update(
                "steps", "heartbeat_at", "status", "finished_at", "error", "counts", "results", "report"
            )
            if self._save:
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
            progress = self._progress[row["name"]]
            row["status"], row["seconds"] = status, round(progress.seconds, 4)
            row["in"], row["out"] = progress.taken, progress.given

    def _update(self, *names: str) -> None:
        if self._save:
            PipelineRun.with_dry_runs.filter(pk=self.run.pk).update(
                **{name: getattr(self.run, name) for name in names}
            )


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
