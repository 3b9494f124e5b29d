"""The geometry of charts that fit any width: sideways in percent of it, upwards in pixels. Pure: figures in,
coordinates out, for templates that draw them as SVG."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

_ROW, _BAR = 42, 16
_PLOT, _TOP, _FOOT = 130, 20, 20
_FIGURE = 18
# So many labels stand side by side on a narrow screen.
_LABELS = 8
_DOTS = 31
# Lines keep clear of both edges, so that their dots are whole.
_LEFT, _RIGHT = 1.0, 99.0


class Series(NamedTuple):
    """`tone` is the class by which a style sheet colours it."""

    tone: str
    label: str


class Part(NamedTuple):
    """A rectangle of one series; `x` and `width` in percent, `y` and `height` in pixels."""

    tone: str
    x: float
    width: float
    y: float
    height: float
    title: str


class Row(NamedTuple):
    label: str
    told: str
    y: int
    parts: list[Part]


class Bars(NamedTuple):
    """Rows of bars that lie end to end, each row below its label."""

    rows: list[Row]
    series: Sequence[Series]
    height: int
    kind: str = "bars"


def bars(
    rows: Sequence[tuple[str, Sequence[float]]],
    series: Sequence[Series],
    *,
    told: Sequence[str] = (),
    each_whole: bool = False,
) -> Bars:
    """`rows` are (label, a figure for each series). The longest row is as wide as the chart; with
    `each_whole` every row is, for figures that cannot be compared from row to row. `told` stands at the end
    of each row's label instead of its sum."""
    most = max((sum(figures) for _, figures in rows), default=0)
    drawn = []
    for number, (label, figures) in enumerate(rows):
        whole = sum(figures) if each_whole else most
        y, x, parts = number * _ROW, 0.0, []
        for (tone, name), figure in zip(series, figures, strict=True):
            if figure:
                width = float(figure) / float(whole) * 100
                parts.append(
                    Part(tone, round(x, 3), round(width, 3), y + 18, _BAR, f"{label}, {name}: {figure:,}")
                )
                x += width
        drawn.append(Row(label, told[number] if told else f"{sum(figures):,}", y + 12, parts))
    return Bars(drawn, series, max(1, len(rows)) * _ROW - 6)


class Column(NamedTuple):
    """`middle` and where the line across it begins and ends in percent; `top` is where its figure stands, in
    pixels, and `mark` the height of the line, None for none."""

    label: str
    told: str
    middle: float
    top: float
    parts: list[Part]
    mark: float | None
    mark_from: float
    mark_to: float


class Columns(NamedTuple):
    """Columns side by side, their parts on top of each other; `bottom` is their ground."""

    columns: list[Column]
    series: Sequence[Series]
    bottom: int
    height: int
    kind: str = "columns"


def columns(
    rows: Sequence[tuple[str, Sequence[float]]],
    series: Sequence[Series],
    *,
    told: Sequence[str] = (),
    marks: Sequence[float | None] = (),
    marked: str = "",
) -> Columns:
    """`rows` are (label, a figure for each series); `marks`, one for each row, are further figures, each a
    line across; `marked` says what they are. `told` stands above each column instead of its sum. Of many
    labels every second is left out."""
    marks = marks or [None] * len(rows)
    most = max(
        (max(sum(figures), mark or 0) for (_, figures), mark in zip(rows, marks, strict=True)), default=0
    )
    room = 100 / max(1, len(rows))
    bottom, drawn = _TOP + _PLOT, []
    for number, ((label, figures), mark) in enumerate(zip(rows, marks, strict=True)):
        y, parts = float(bottom), []
        for (tone, name), figure in zip(series, figures, strict=True):
            if figure:
                height = float(figure) / float(most) * _PLOT
                y -= height
                x = (number + 0.15) * room
                title = f"{label}, {name}: {told[number] if told else f'{figure:,}'}"
                parts.append(
                    Part(tone, round(x, 3), round(0.7 * room, 3), round(y, 1), round(height, 1), title)
                )
        line = None if mark is None or not most else round(bottom - float(mark) / float(most) * _PLOT, 1)
        text = told[number] if told else f"{sum(figures):,}"
        label = "" if len(rows) > _LABELS and (len(rows) - 1 - number) % 2 else label
        # The figure stands above its column, and above a line that it would stand in.
        top = line if line is not None and y - _FIGURE < line <= y else y
        middle, ends = (number + 0.5) * room, ((number + 0.08) * room, (number + 0.92) * room)
        drawn.append(
            Column(
                label, text, round(middle, 3), round(top - 5, 1), parts, line, *(round(x, 3) for x in ends)
            )
        )
    legend = [*series, Series("mark", marked)] if marked else series
    return Columns(drawn, legend, bottom, bottom + _FOOT)


class Dot(NamedTuple):
    x: float
    y: float
    title: str


class Line(NamedTuple):
    """`strokes` are the `points` of one polyline each, from gap to gap, in a box that is 100 wide. Of many
    dots only the ends of the strokes are kept."""

    tone: str
    strokes: list[str]
    dots: list[Dot]


class Grid(NamedTuple):
    y: float
    label: str


class Lines(NamedTuple):
    """Lines over time; a figure that is not known leaves a gap. `first` and `last` are written below."""

    lines: list[Line]
    grid: list[Grid]
    series: Sequence[Series]
    first: str
    last: str
    bottom: int
    height: int
    kind: str = "lines"


def lines(
    points: Sequence[tuple[float, str, Sequence[float | None]]],
    series: Sequence[Series],
    *,
    told: Callable[[float], str] = lambda figure: f"{figure:,}",
    scale: Callable[[float], str] = lambda figure: f"{figure:,}",
    plot: int = _PLOT,
) -> Lines | None:
    """`points` are (place, label, a figure for each series), in the order of their places; None for fewer
    than two. The ground is 0. `told` makes text of a figure, `scale` a short one for the edge."""
    if len(points) < 2:
        return None
    top = round_up(
        max((figure for *_, figures in points for figure in figures if figure is not None), default=0)
    )
    begin, end = points[0][0], points[-1][0]
    bottom = _TOP + plot

    def x(number: int, place: float) -> float:
        share = (place - begin) / (end - begin) if end > begin else number / (len(points) - 1)
        return round(_LEFT + share * (_RIGHT - _LEFT), 3)

    drawn = []
    for of, (tone, name) in enumerate(series):
        pieces: list[list[Dot]] = [[]]
        for number, (place, label, figures) in enumerate(points):
            figure = figures[of]
            if figure is None:
                pieces.append([])
                continue
            y = round(bottom - float(figure) / float(top) * plot, 1)
            pieces[-1].append(Dot(x(number, place), y, f"{label}, {name}: {told(figure)}"))
        pieces = [piece for piece in pieces if piece]
        strokes = [" ".join(f"{dot.x},{dot.y}" for dot in piece) for piece in pieces if len(piece) > 1]
        few = len(points) <= _DOTS
        dots = [dot for piece in pieces for dot in (piece if few else dict.fromkeys([piece[0], piece[-1]]))]
        drawn.append(Line(tone, strokes, dots))
    grid = [Grid(_TOP, scale(top)), Grid(_TOP + plot / 2, scale(top // 2)), Grid(bottom, scale(0))]
    return Lines(drawn, grid, series, points[0][1], points[-1][1], bottom, bottom + _FOOT)


def round_up(figure: float) -> int:
    """To the next figure that is easy to read, as is its half."""
    if figure <= 10:
        return next(step for step in (2, 4, 6, 8, 10) if step >= figure)
    unit = 1
    while unit * 100 < figure:
        unit *= 10
    return next(step * unit for step in (12, 16, 20, 24, 30, 40, 50, 60, 80, 100) if step * unit >= figure)
