"""The geometry of the charts, drawn as SVG by templates. Pure: figures in, coordinates out."""

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

WIDTH = 860
_LEFT, _RIGHT = 300, 800
_ROW = 30


class Whisker(NamedTuple):
    """A difference with its interval. `tone` is low (helps), high (harms) or empty."""

    label: str
    y: int
    x: float
    low: float
    high: float
    text: str
    tone: str


class Intervals(NamedTuple):
    """`zero` is where no effect lies, `ticks` are (x, label)."""

    rows: list[Whisker]
    zero: float
    ticks: list[tuple[float, str]]
    bottom: int
    height: int
    kind: str = "intervals"


def intervals(rows: Sequence[tuple[str, dict, str]]) -> Intervals | None:
    """(label, difference in shares, what it says) for each; lower is better. None without any."""
    if not rows:
        return None
    reach = max(max(abs(row["low"]), abs(row["high"])) for _, row, _ in rows)
    reach = next((step for step in (0.02, 0.05, 0.1, 0.2, 0.5) if reach <= step), 1.0)

    def x(share: float) -> float:
        return round(_LEFT + (share + reach) / (2 * reach) * (_RIGHT - _LEFT), 1)

    placed = [
        Whisker(
            label,
            16 + number * _ROW,
            x(row["value"]),
            x(row["low"]),
            x(row["high"]),
            text,
            "low" if row["high"] < 0 else "high" if row["low"] > 0 else "",
        )
        for number, (label, row, text) in enumerate(rows)
    ]
    bottom = len(rows) * _ROW
    ticks = [
        (x(share), f"{'+' if share > 0 else '−' if share < 0 else ''}{abs(share):.0%}")
        for share in (-reach, -reach / 2, 0, reach / 2, reach)
    ]
    return Intervals(placed, x(0), ticks, bottom, bottom + 22)


class Band(NamedTuple):
    """Of one band of the score: the column that left, the interval's middle as a mark, and a title."""

    x: float
    width: float
    y: float
    height: float
    mark: float
    label: str
    title: str
    off: bool


class Bands(NamedTuple):
    bands: list[Band]
    top: int
    bottom: int
    height: int


def bands(rows: Sequence[dict]) -> Bands | None:
    """How many left by band of the churn score, with a mark where a calibrated score would be."""
    if not rows:
        return None
    top, bottom, left = 8, 148, 40
    step = (WIDTH - left - 10) / len(rows)
    placed = []
    for number, row in enumerate(rows):
        height = round(row["value"] * (bottom - top), 1)
        placed.append(
            Band(
                round(left + number * step + step * 0.15, 1),
                round(step * 0.7, 1),
                round(bottom - height, 1),
                height,
                round(bottom - row["expected"] * (bottom - top), 1),
                row["band"],
                f"{row['band']}: {row['count']} of {row['of']} left",
                bool(row["off"]),
            )
        )
    return Bands(placed, top, bottom, bottom + 22)


def spark(past: Sequence[tuple[date, float | None]]) -> tuple[str, ...]:
    """Points of lines in a box of 100 by 20, from the lowest value to the highest, in the order of the days;
    a value that is not known leaves a gap. Empty with fewer than two that are known."""
    known = [value for _, value in past if value is not None]
    if len(known) < 2:
        return ()
    low, reach = min(known), max(known) - min(known)
    first, days = past[0][0], (past[-1][0] - past[0][0]).days or 1
    pieces: list[list[str]] = [[]]
    for day, value in past:
        if value is None:
            pieces.append([])
            continue
        x = 1 + 98 * (day - first).days / days
        y = 18 - 16 * (value - low) / reach if reach else 10
        pieces[-1].append(f"{x:.0f},{y:.1f}")
    return tuple(" ".join(piece) for piece in pieces if len(piece) > 1)
