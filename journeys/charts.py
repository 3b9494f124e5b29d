"""The geometry of the charts, for templates that draw them as SVG. Pure: figures in, coordinates out."""

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from typing import NamedTuple

from approvals.shown import adding_up
from journeys.domain.shift import PARTS

WIDTH = 860
# Room for a dot's label, in units of the chart; closer ones are put on another level.
_LABEL_ROOM = 150
_LEVELS = 3
_LEVEL_HEIGHT = 20
BAR_HEIGHT = 16


class Segment(NamedTuple):
    """One contribution to a score; `colour` is 1 to 4."""

    label: str
    value: float
    x: float
    width: float
    colour: int


def score_bar(contributions: dict[str, float]) -> list[Segment]:
    """The four contributions end to end, on a bar whose whole width is a score of 1. The values shown add
    up to the score shown."""
    shown = adding_up({name: contributions[name] for name in PARTS})
    segments, x = [], 0.0
    for colour, (name, label) in enumerate(PARTS.items(), start=1):
        width = contributions[name] * WIDTH
        segments.append(Segment(label, shown[name], round(x, 1), round(width, 1), colour))
        x += width
    return segments


class Stay(NamedTuple):
    """A stay in a stage; `until` is None for the present one."""

    label: str
    since: date
    until: date | None


class Dot(NamedTuple):
    """Something noticed; `tone` is negative, positive or neutral."""

    label: str
    day: date
    tone: str


class Timeline(NamedTuple):
    """`top` is where the bars begin, `axis` where the ticks are written, from the top of the chart."""

    bars: list["Bar"]
    dots: list["PlacedDot"]
    ticks: list["Tick"]
    top: int
    axis: int
    height: int


class Bar(NamedTuple):
    """A stay; `text` is empty where it would not fit."""

    x: float
    width: float
    text: str
    shade: int
    title: str


class PlacedDot(NamedTuple):
    """`text` is empty where there is no room for it."""

    x: float
    y: int
    text: str
    text_x: float
    anchor: str
    tone: str
    title: str


class Tick(NamedTuple):
    x: float
    label: str


def timeline(stays: Sequence[Stay], dots: Sequence[Dot], *, until: date, most_days: int = 120) -> Timeline:
    """Stages as bars, with bad news above and good news below. Shows at most `most_days` days."""
    latest = max([until, *(dot.day for dot in dots)])
    earliest = min([until - timedelta(days=30), *(stay.since for stay in stays), *(dot.day for dot in dots)])
    first = max(earliest, latest - timedelta(days=most_days))
    span = max(1, (latest - first).days)

    def x(day: date) -> float:
        return round(8 + (max(day, first) - first).days / span * (WIDTH - 16), 1)

    bars = []
    for number, stay in enumerate(stays):
        end = stay.until or latest
        if end < first:
            continue
        width = max(4.0, round(x(end) - x(stay.since) - 2, 1))
        text = stay.label if width > 7 * len(stay.label) else ""
        bars.append(Bar(x(stay.since), width, text, 1 + number % 2, stay.label))
    placed, top, below = _placed([(x(dot.day), dot) for dot in dots if dot.day >= first])
    axis = top + BAR_HEIGHT + below + 22
    return Timeline(bars, placed, _ticks(first, latest, x), top, axis, axis + 6)


def _placed(dots: list[tuple[float, Dot]]) -> tuple[list[PlacedDot], int, int]:
    """Dots with their labels, each on the first level on which there is room for it (to the left of the dot,
    or at the left end of the chart to its right), and the room that they take above and below the bars. What
    fits on no level goes beyond them, without a label."""
    taken_to = {True: [-1e9] * _LEVELS, False: [-1e9] * _LEVELS}
    levels = []
    for x, dot in sorted(dots, key=lambda row: (row[0], row[1].label)):
        side = taken_to[dot.tone == "negative"]
        begins, ends = (x - _LABEL_ROOM, x) if x > _LABEL_ROOM else (x, x + _LABEL_ROOM)
        level = next((n for n, taken in enumerate(side) if begins >= taken), None)
        if level is not None:
            side[level] = ends
        levels.append((x, dot, level))
    above, below = (
        max((_away(level) + 8 for _, dot, level in levels if (dot.tone == "negative") is bad), default=8)
        for bad in (True, False)
    )
    rows = []
    for x, dot, level in levels:
        y = above - _away(level) if dot.tone == "negative" else above + BAR_HEIGHT + _away(level)
        anchor, text_x = ("end", x - 10) if x > _LABEL_ROOM else ("start", x + 10)
        text = "" if level is None else dot.label
        rows.append(PlacedDot(x, y, text, text_x, anchor, dot.tone, dot.label))
    return rows, above, below


def _away(level: int | None) -> int:
    """From the bars; one without a label is beyond the outermost level."""
    return 14 + _LEVEL_HEIGHT * (_LEVELS if level is None else level)


def _ticks(first: date, last: date, x: Callable[[date], float]) -> list[Tick]:
    ticks = []
    day = first.replace(day=1)
    while day <= last:
        if day >= first:
            ticks.append(Tick(x(day), f"{day:%b}" if day.month > 1 else f"{day:%b %Y}"))
        day = (day + timedelta(days=32)).replace(day=1)
    return ticks
