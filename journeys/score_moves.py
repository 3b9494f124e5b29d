"""What moved a customer's score from one conclusion to the next. Pure: figures and days in, steps out."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from itertools import pairwise
from typing import NamedTuple

from journeys.domain.shift import PARTS

_DAYS = PARTS["time_in_state"]


class Point(NamedTuple):
    """What was concluded for a day: the score (0..1) with its tier and its four contributions. It holds until
    the next one. What was received after `made_at` was not counted yet."""

    day: date
    made_at: datetime
    score: float
    tier: str
    parts: dict[str, float]


class Happening(NamedTuple):
    """A signal or a stage move. `day` is the first whose conclusion may count it; `direction` is up, down or
    empty, `weight` (0..1) how much it says beside others of the same step."""

    day: date
    received_at: datetime
    text: str
    direction: str
    weight: float


class Move(NamedTuple):
    """A step of the score, from one day's conclusion to another's. `parts` are the contributions that
    changed, by label; what is shown of them adds up to what is shown of the change."""

    since: date
    until: date
    before: float
    after: float
    crossed: bool
    parts: tuple[tuple[str, float], ...]
    happenings: tuple[Happening, ...]

    @property
    def change(self) -> float:
        return self.after - self.before


def standing(points: Iterable[Point]) -> list[Point]:
    """Oldest first, and of each day the last."""
    by_day = {point.day: point for point in sorted(points, key=lambda point: (point.day, point.made_at))}
    return list(by_day.values())


def moves(points: Iterable[Point], happenings: Sequence[Happening]) -> list[Move]:
    """The steps, oldest first. Days between which nothing changed make none."""
    steps: list[Move] = []
    drifting = False
    for before, after in pairwise(standing(points)):
        step = _step(before, after, happenings)
        if drifting and _drifts(step):
            steps[-1] = _joined(steps[-1], step)
        else:
            steps.append(step)
        drifting = _drifts(step)
    return [step for step in steps if step.parts or step.happenings]


def _step(before: Point, after: Point, happenings: Sequence[Happening]) -> Move:
    new = [row for row in happenings if _counted(row, after) and not _counted(row, before)]
    return Move(
        since=before.day,
        until=after.day,
        before=before.score,
        after=after.score,
        crossed=before.tier != after.tier,
        parts=_changed(
            {label: after.parts[name] - before.parts[name] for name, label in PARTS.items()},
            after.score - before.score,
        ),
        happenings=tuple(sorted(new, key=lambda row: -row.weight)),
    )


def _counted(happening: Happening, point: Point) -> bool:
    return happening.day <= point.day and happening.received_at <= point.made_at


def _drifts(step: Move) -> bool:
    """Whether nothing but the passing of days explains it."""
    return not step.happenings and not step.crossed and {label for label, _ in step.parts} <= {_DAYS}


def _joined(first: Move, second: Move) -> Move:
    parts = dict(first.parts)
    for label, change in second.parts:
        parts[label] = parts.get(label, 0.0) + change
    return first._replace(
        until=second.until, after=second.after, parts=_changed(parts, second.after - first.before)
    )


def _changed(parts: dict[str, float], total: float) -> tuple[tuple[str, float], ...]:
    """Largest first, to three places; what rounding leaves of the total goes to the largest, so that what is
    shown adds up."""
    rounded = {label: round(change, 3) for label, change in parts.items()}
    shown = sorted(((label, change) for label, change in rounded.items() if change), key=_size)
    rest = round(total, 3) - sum(change for _, change in shown)
    if shown:
        label, change = shown[0]
        shown[0] = (label, round(change + rest, 3))
    return tuple(row for row in shown if row[1])


def _size(row: tuple[str, float]) -> float:
    return -abs(row[1])
