"""Figures as a table: what a page shows under a chart, and what is downloaded of it as CSV. Pure."""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple

from approvals import shown

NOT_KNOWN = "not known"
# Of a longer table a page shows so many rows: of what is told day by day, the latest.
SHOWN = 31
# What makes a spreadsheet take a text for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def _plain(value: object) -> str:
    if isinstance(value, date):
        return f"{value.day} {value:%b %Y}"
    return f"{value:,}" if isinstance(value, int) else str(value)


@dataclass(frozen=True, slots=True)
class Column:
    """`label` heads it on the page, and in the file unless `name` does. `show` makes text of a value for the
    page; the file has the value itself. None is not known, in both."""

    label: str
    show: Callable[[object], str] = _plain
    numeric: bool = True
    name: str = ""

    def told(self, value: object) -> str:
        return NOT_KNOWN if value is None else self.show(value)


def count(label: str, name: str) -> Column:
    """With a short heading on the page and the full name in the file."""
    return Column(label, name=name)


def words(label: str) -> Column:
    return Column(label, numeric=False)


def share(label: str) -> Column:
    """Of values from 0 to 1."""
    return Column(label, lambda value: f"{value:.0%}", name=f"{label}, 0 to 1")


def minutes(label: str) -> Column:
    return Column(label, lambda value: shown.span(timedelta(minutes=value)), name=f"{label}, minutes")


class Money(NamedTuple):
    """The file has the amount alone: the currency is a column of its own."""

    amount: Decimal | None
    currency: str

    def __str__(self):
        return shown.money(self.amount, self.currency)


class Cell(NamedTuple):
    label: str
    text: str
    numeric: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """`name` is its name in an address and of its file. `about` are (name, value) pairs that hold for every
    row, such as the run: the page says them once, the file in each row. `total` is a last row."""

    name: str
    columns: tuple[Column, ...]
    rows: Sequence[tuple]
    about: tuple[tuple[str, object], ...] = ()
    total: tuple | None = None

    @property
    def left_out(self) -> int:
        """How many rows, the first ones, only the file has."""
        return max(0, len(self.rows) - SHOWN)

    def cells(self) -> Iterator[list[Cell]]:
        """What the page shows: the last rows, and the total."""
        for row in (*self.rows[self.left_out :], *([self.total] if self.total else [])):
            yield [
                Cell(column.label, column.told(value), column.numeric)
                for column, value in zip(self.columns, row, strict=True)
            ]

    def csv_lines(self) -> Iterator[str]:
        """One line each, the names of the columns first; without the total, which is the sum of the rows."""
        writer = csv.writer(_Echo())
        names = [*(column.name or column.label for column in self.columns), *dict(self.about)]
        yield writer.writerow([_for_file(name) for name in names])
        about = [value for _, value in self.about]
        for row in self.rows:
            yield writer.writerow([_for_file(value) for value in (*row, *about)])


class _Echo:
    """A file that hands back what is written to it."""

    def write(self, line: str) -> str:
        return line


def _for_file(value: object) -> object:
    """What is text cannot begin a formula; a negative number stays a number."""
    if isinstance(value, Money):
        value = value.amount
    if value is None:
        return NOT_KNOWN
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
