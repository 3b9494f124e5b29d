"""The geometry of a customer's score over time, for a template that draws it as SVG. Pure."""

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import NamedTuple

from approvals.shown import score
from journeys.score_moves import Happening, Move, Point, standing

WIDTH = 860
# Of the steps so many, those that moved the score the most, say in the chart what moved it.
LABELS = 6
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, WIDTH - 84, 16, 176
# Of a label: its width for each character and its height, and where it may stand from its mark.
_CHARACTER, _LINE = 6.2, 13
_ABOVE, _BELOW = (-12, -27, -42, -57), (19, 34, 49, 64)
# Left, top, right, bottom.
_Box = tuple[float, float, float, float]
# Room between two days on the axis.
_TICK_ROOM = 62
_LONG_TICK_ROOM = 84


class Band(NamedTuple):
    tier: str
    y: float
    height: float

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


class Level(NamedTuple):
    y: float
    text: str


class Tick(NamedTuple):
    x: float
    label: str
    anchor: str


class Mark(NamedTuple):
    """A step on the line; `text` is empty where there is no room for it. `box` is what the text covers."""

    x: float
    y: float
    tone: str
    moved: float
    title: str
    text: str = ""
    text_x: float = 0.0
    text_y: float = 0.0
    anchor: str = "middle"
    box: _Box = (0.0, 0.0, 0.0, 0.0)


class ScoreChart(NamedTuple):
    """`path` is an SVG path of level and upright lines only: a score holds until the next one. `last` is the
    latest score."""

    path: str
    bands: list[Band]
    levels: list[Level]
    marks: list[Mark]
    ticks: list[Tick]
    last: Level
    left: int = _LEFT
    right: int = _RIGHT
    top: int = _TOP
    bottom: int = _BOTTOM
    height: int = _BOTTOM + 22

    @property
    def breadth(self) -> int:
        return self.right - self.left


def draw(
    points: Sequence[Point], steps: Sequence[Move], *, medium: float, high: float, until: date
) -> ScoreChart | None:
    """`medium` and `high` are the scores from which those tiers begin; the last score holds to `until`. None
    for fewer than two days."""
    held = standing(points)
    if len(held) < 2:
        return None
    first, last = held[0].day, max(until, held[-1].day)

    def x(day: date) -> float:
        return round(_LEFT + (day - first) / (last - first) * (_RIGHT - _LEFT), 1)

    path, at, level = f"M{_LEFT} {_y(held[0].score):g}", float(_LEFT), _y(held[0].score)
    lines: list[_Box] = []
    for point in held[1:]:
        if _y(point.score) != level:
            before, level, since, at = level, _y(point.score), at, x(point.day)
            path += f" H{at:g} V{level:g}"
            lines += [(since, before, at, before), (at, min(before, level), at, max(before, level))]
    lines.append((at, level, _RIGHT, level))
    edges = [_TOP, _y(high), _y(medium), _BOTTOM]
    return ScoreChart(
        path=f"{path} H{_RIGHT}",
        bands=[
            Band(tier, upper, round(lower - upper, 1))
            for tier, upper, lower in zip(("high", "medium", "low"), edges, edges[1:], strict=False)
        ],
        levels=[Level(_y(value), score(value) if value else "0") for value in (1.0, high, medium, 0.0)],
        marks=_labelled([_mark(step, x) for step in steps if step.happenings or step.crossed], lines),
        ticks=_ticks(first, last, x),
        last=Level(_y(held[-1].score), score(held[-1].score)),
    )


def _y(value: float) -> float:
    return round(_BOTTOM - min(1.0, max(0.0, value)) * (_BOTTOM - _TOP), 1)


def _mark(step: Move, x) -> Mark:
    """With the whole of its text, which may find no room yet."""
    rose = step.change > 0
    tone = "neutral" if abs(step.change) < 0.0005 else "negative" if rose else "positive"
    arrow = {"negative": "▲ ", "positive": "▼ ", "neutral": ""}[tone]
    fitting = sorted(step.happenings, key=lambda row: _against(row, rose))
    if fitting:
        text = fitting[0].text + (f", +{len(fitting) - 1} more" if len(fitting) > 1 else "")
        why = ", ".join(happening.text for happening in fitting)
    else:
        text = why = step.parts[0][0] if step.parts else "the policy"
    moved = f"{score(step.before)} to {score(step.after)}"
    title = f"{step.until.day} {step.until:%b %Y}, {moved}: {why}"
    return Mark(x(step.until), _y(step.after), tone, abs(step.change), title, arrow + text)


def _against(happening: Happening, rose: bool) -> bool:
    """What went the other way than the score explains it least."""
    return happening.direction != ("up" if rose else "down")


def _labelled(marks: list[Mark], lines: list[_Box]) -> list[Mark]:
    """The text of those that moved the score the most, each where it covers no other; the others without."""
    placed: dict[int, Mark] = {}
    by_weight = sorted(range(len(marks)), key=lambda place: -marks[place].moved)
    for place in by_weight[:LABELS]:
        taken = [mark.box for mark in placed.values()]
        placed[place] = _placed(marks[place], taken, lines)
    return [placed.get(place, mark._replace(text="")) for place, mark in enumerate(marks)]


def _placed(mark: Mark, taken: list[_Box], lines: list[_Box]) -> Mark:
    """With its text where it covers no other text, and as little of the line as can be."""
    fitting = [option for option in _options(mark) if not any(_overlap(option.box, other) for other in taken)]
    if not fitting:
        return mark._replace(text="")
    return min(fitting, key=lambda option: sum(_overlap(option.box, line) for line in lines))


def _options(mark: Mark) -> Iterator[Mark]:
    """Where the text may stand, the best first: on the side to which the score went, and close by."""
    width = _CHARACTER * len(mark.text)
    sides = (*_ABOVE, *_BELOW) if mark.tone != "positive" else (*_BELOW, *_ABOVE)
    for height in sides:
        y = round(mark.y + height, 1)
        for anchor, left in (("middle", mark.x - width / 2), ("start", mark.x), ("end", mark.x - width)):
            box = (left, y - _LINE + 3, left + width, y + 3)
            if box[0] >= _LEFT and box[2] <= _RIGHT and box[1] >= 0 and box[3] <= _BOTTOM:
                yield mark._replace(text_x=mark.x, text_y=y, anchor=anchor, box=box)


def _overlap(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _ticks(first: date, last: date, x) -> list[Tick]:
    """Both ends with their year, and between them the first of each month, or the Mondays of a short span."""
    if (last - first).days > 60:
        days = [day for day in _days(first, last) if day.day == 1]
    else:
        days = [day for day in _days(first, last) if day.isoweekday() == 1]
    ticks = [Tick(x(first), f"{first.day} {first:%b %Y}", "start")]
    for day in days:
        room = _LONG_TICK_ROOM if len(ticks) == 1 else _TICK_ROOM
        if x(day) - ticks[-1].x >= room and x(last) - x(day) >= _LONG_TICK_ROOM:
            ticks.append(Tick(x(day), f"{day.day} {day:%b}", "middle"))
    return [*ticks, Tick(x(last), f"{last.day} {last:%b %Y}", "end")]


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range(1, (last - first).days)]
