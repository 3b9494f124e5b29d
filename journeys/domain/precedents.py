"""What came of what was done alike: outcomes in, counts out. An intervention without an outcome is open, and
open is no failure."""

from collections.abc import Sequence
from datetime import date
from statistics import median
from typing import NamedTuple


class Done(NamedTuple):
    """Something that was done, with the outcome recorded last (None: none yet) and the days it took (None:
    not measured). `only_recorded`: nothing was sent, as execution was set to record only."""

    on: date
    outcome: str | None
    days: float | None
    only_recorded: bool = False


class Count(NamedTuple):
    """How often an outcome was recorded; `days` is the median of the `measured` ones that state days, None
    where none does."""

    outcome: str
    number: int
    days: float | None
    measured: int


class Precedents(NamedTuple):
    """`counts` are the most frequent first; with `open` they add up to `number`. `first` and `last` are the
    days between which these were done, None where there are none."""

    number: int
    open: int
    counts: tuple[Count, ...]
    first: date | None
    last: date | None
    only_recorded: int = 0


def precedents(done: Sequence[Done]) -> Precedents:
    days_of: dict[str, list[float | None]] = {}
    for row in done:
        if row.outcome is not None:
            days_of.setdefault(row.outcome, []).append(row.days)
    counts = [_count(outcome, days) for outcome, days in days_of.items()]
    return Precedents(
        number=len(done),
        open=sum(row.outcome is None for row in done),
        counts=tuple(sorted(counts, key=lambda count: (-count.number, count.outcome))),
        first=min((row.on for row in done), default=None),
        last=max((row.on for row in done), default=None),
        only_recorded=sum(row.only_recorded for row in done),
    )


def _count(outcome: str, days: list[float | None]) -> Count:
    known = [number for number in days if number is not None]
    return Count(outcome, len(days), median(known) if known else None, len(known))
