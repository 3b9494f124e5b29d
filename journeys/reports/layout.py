"""What a laid-out report is made of. All of it is plain text, escaped by nobody yet."""

from dataclasses import dataclass, field
from typing import Any

from journeys.reports.wording import NOT_KNOWN


@dataclass(frozen=True, slots=True)
class Cell:
    """`note` stands small beneath the text; `tone` is a word that the look may colour by; `spark` are the
    points of lines in a box of 100 by 20 that say in small what a text says."""

    text: str
    note: str = ""
    tone: str = ""
    spark: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """`columns` are titles; those in `numeric` are set to the right, and `widest` holds sentences. `more`
    says what was left out."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    numeric: frozenset[str] = frozenset()
    more: str = ""
    widest: str = ""
    compact: bool = False
    kind: str = "table"

    @property
    def is_narrow(self) -> bool:
        """Names and counts, which are hard to read across a whole page."""
        return self.compact or self.numeric >= set(self.columns[1:])

    @property
    def styled_columns(self) -> list[tuple[str, str]]:
        return [
            (column, "n" if column in self.numeric else "wide" if column == self.widest else "")
            for column in self.columns
        ]

    @property
    def styled_rows(self) -> list[list[tuple[Cell, str]]]:
        styles = ["n" if column in self.numeric else "" for column in self.columns]
        return [
            [
                (cell, " ".join(filter(None, (style, cell.tone))))
                for cell, style in zip(row, styles, strict=True)
            ]
            for row in self.rows
        ]


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure: what it is, its value, how it comes about, and of what."""

    label: str
    value: str
    how: str = ""
    source: str = ""

    @property
    def known(self) -> bool:
        return self.value != NOT_KNOWN


@dataclass(frozen=True, slots=True)
class Tiles:
    tiles: tuple[Tile, ...]
    kind: str = "tiles"


@dataclass(frozen=True, slots=True)
class Paragraph:
    text: str
    kind: str = "paragraph"


@dataclass(frozen=True, slots=True)
class Items:
    items: tuple[str, ...]
    kind: str = "items"


@dataclass(frozen=True, slots=True)
class Chart:
    """What the table beside it says, drawn. `name` is its own within the report, and `drawn` coordinates; its
    `kind` names the template."""

    name: str
    drawn: Any
    summary: str
    kind: str = "chart"

    @property
    def template(self) -> str:
        return f"journeys/charts/{self.drawn.kind}.svg"


@dataclass(frozen=True, slots=True)
class Section:
    title: str
    blocks: tuple[Paragraph | Items | Tiles | Table | Chart, ...]
    anchor: str


@dataclass(frozen=True, slots=True)
class Page:
    """`facts` are (what, value) pairs on scope and period."""

    title: str
    warning: str | None
    facts: tuple[tuple[str, str], ...]
    takeaways: tuple[str, ...]
    sections: tuple[Section, ...] = field(default_factory=tuple)
