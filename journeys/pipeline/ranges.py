"""The ranges of a run that all workers carry out together: cut, claimed, done. Each is written once, by
whoever holds its claim at that moment; a claim that has grown silent is anybody's."""

import secrets
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from journeys.cases import Span
from journeys.models import PipelineRun, RunRange
from journeys.pipeline import whom
from journeys.pipeline.steps import Part
from journeys.pipeline.totals import Totals
from journeys.pipeline.urgent import Candidate, rank

# Whoever has claimed a range and shown no sign of life for so long has died. One that only was slow finds,
# before it writes, that the range is not its own any more.
SILENCE = timedelta(seconds=60)
# So many customers of the second look are taken together. Each of them is proposed something, and some are
# decided: on SQLite nobody else can write meanwhile.
_SECOND_LOOK = 100


class Lost(Exception):
    """Somebody else has taken the range over."""


@dataclass(slots=True)
class Claim:
    """A range in hand. Whoever holds it goes on until the moment `until` (of time.monotonic): `following` is
    the range that they took as this one was done."""

    run: PipelineRun
    range_id: int
    token: str
    part: Part
    until: float = 0.0
    following: "Claim | None" = None

    def hold(self) -> None:
        """First in the transaction that writes the range: nobody else writes it until that has ended. Raises
        Lost, with which nothing is written."""
        mine = RunRange.objects.filter(pk=self.range_id, token=self.token)
        if not mine.filter(status=RunRange.Status.CLAIMED).update(beat_at=timezone.now()):
            raise Lost

    def done(self, totals: Totals, left: list[Candidate]) -> None:
        """Last in the same transaction. `left` are those for the second look.

        The next range is taken along: on SQLite another worker writes right afterwards, and whoever took one
        by itself would wait for them instead of reading."""
        RunRange.objects.filter(pk=self.range_id).update(
            status=RunRange.Status.DONE, totals=totals.as_json(), left=left
        )
        goes_on = time.monotonic() < self.until
        self.following = claim(self.run, until=self.until) if goes_on else None


def cut(run: PipelineRun) -> int:
    """Cut those whom the run looks at into ranges, and return their number. Raises IntegrityError where
    somebody else has done so at this moment."""
    rows = [
        RunRange(run=run, number=number, first=span.first, last=span.last, ids=list(span.ids) or None)
        for number, span in enumerate(whom.spans(run))
    ]
    RunRange.objects.bulk_create(rows, batch_size=500)
    return len(rows)


def cut_second_look(run: PipelineRun, *, most: int) -> int:
    """Once everybody has been looked at: let the policy decide the `most` urgent of those that it may, and
    cut all of them into ranges of their own. Returns their number. Raises IntegrityError as `cut`."""
    rows = second_look(left_so_far(run), most)
    RunRange.objects.bulk_create(
        # Their numbers are the same whoever counts: so only one cuts them.
        RunRange(run=run, number=number, ids=list(part.span.ids), decided=sorted(part.decided))
        for number, part in enumerate(rows, start=run.counts["ranges"])
    )
    return len(rows)


def left_so_far(run: PipelineRun) -> Iterator[Candidate]:
    """Those for the second look, of the ranges that are done."""
    done = RunRange.objects.filter(run=run, status=RunRange.Status.DONE, decided__isnull=True)
    for left in done.values_list("left", flat=True).iterator():
        yield from map(tuple, left)


def second_look(left: Iterable[Candidate], most: int) -> list[Part]:
    """The parts of the second look: the `most` urgent of those that were left are the policy's."""
    urgent = sorted(left, key=rank)
    decided = {customer_id for _, customer_id in urgent[:most]}
    ids = sorted(customer_id for _, customer_id in urgent)
    chunks = [ids[start : start + _SECOND_LOOK] for start in range(0, len(ids), _SECOND_LOOK)]
    return [Part(Span(ids=tuple(chunk)), False, frozenset(decided.intersection(chunk))) for chunk in chunks]


def claim(run: PipelineRun, *, until: float = 0.0) -> Claim | None:
    """The next range that nobody looks at; None where there is none, or the run has ended or is to end.

    Within the transaction that writes another range it is the last thing that is locked, and it waits for
    nobody: a row that somebody else has in hand is passed over.
    """
    while True:
        now = timezone.now()
        goes_on = Q(run__status=PipelineRun.Status.RUNNING, run__cancelled_at__isnull=True)
        silent = Q(status=RunRange.Status.CLAIMED, beat_at__lt=now - SILENCE)
        free = Q(status=RunRange.Status.WAITING) | silent
        with transaction.atomic():
            rows = RunRange.objects.select_for_update(skip_locked=True, of=("self",))
            row = rows.filter(free, goes_on, run=run).order_by("number").first()
            if row is None:
                return None
            token = secrets.token_hex(8)
            unclaimed = RunRange.objects.filter(free, pk=row.pk, token=row.token)
            if unclaimed.update(status=RunRange.Status.CLAIMED, token=token, beat_at=now):
                part = _part(row, alone=run.counts["ranges"] == 1)
                return Claim(run, row.pk, token, part, until)


def _part(row: RunRange, *, alone: bool) -> Part:
    span = Span(row.first, row.last, tuple(row.ids or ()))
    if row.decided is None:
        return Part(span, alone)
    return Part(span, False, frozenset(row.decided))


def are_done(run: PipelineRun) -> bool:
    return not RunRange.objects.filter(run=run).exclude(status=RunRange.Status.DONE).exists()


def is_anybody_at_work(run: PipelineRun) -> bool:
    alive = timezone.now() - SILENCE
    claimed = RunRange.objects.filter(run=run, status=RunRange.Status.CLAIMED, beat_at__gte=alive)
    return claimed.exists()


def has_second_look(run: PipelineRun) -> bool:
    return RunRange.objects.filter(run=run, decided__isnull=False).exists()


def totals_of(run: PipelineRun) -> Totals:
    """Those of the ranges that are done."""
    sums = Totals()
    done = RunRange.objects.filter(run=run, status=RunRange.Status.DONE)
    for told in done.values_list("totals", flat=True).iterator():
        sums.add(Totals.from_json(told))
    return sums
