"""Rows in handfuls, so that memory stays flat."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

Row = TypeVar("Row")


def in_batches(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    """Lists of `size` of the rows, in their order; the last may be shorter. As itertools has it from Python
    3.12 on."""
    rest = iter(rows)
    while batch := list(islice(rest, size)):
        yield batch
