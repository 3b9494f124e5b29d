"""What a run leaves on its own row while it works: steps, counts, seconds, and its sign of life."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import reset_queries, transaction
from django.utils import timezone

from approvals.audit import Event, record
from journeys.models import PipelineRun
from journeys.pipeline.steps import STEPS, Progress
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

    def beat(self) -> None:
        self._write(running=self.current)
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
        self._write(cancelled=True)
        self.run.status = PipelineRun.Status.CANCELLED
        self._finish()

    def fail(self, error: Exception) -> None:
        self._write(failed=self.current)
        self.run.status = PipelineRun.Status.FAILED
        self.run.error = f"{self.current}: {error}"
        self._finish()

    def _finish(self) -> None:
        self.run.finished_at = self.run.heartbeat_at = timezone.now()
        with transaction.atomic():
            self._update("steps", "heartbeat_at", "status", "finished_at", "error", "counts", "report")
            if self._save:
                tell_end(self.run)

    def _write(self, *, running: str = "", failed: str = "", cancelled: bool = False) -> None:
        status, after = "cancelled" if cancelled else "done", False
        for row in self.run.steps:
            progress = self._progress[row["name"]]
            if row["status"] == "skipped":
                continue
            if row["name"] in (running, failed):
                status, after = ("failed" if failed else "running"), True
            row["status"] = status
            row["seconds"], row["in"], row["out"] = round(progress.seconds, 4), progress.taken, progress.given
            if after:
                status = "planned"

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
