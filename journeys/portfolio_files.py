"""Reading the files of a portfolio, .csv, .jsonl or .json, record by record and in little memory.

All are UTF-8, with or without a byte order mark. In CSV (commas, a header line) and JSONL a line is a record,
so that what is wrong with one line stays with it; a value cannot have line breaks. JSON is one array of
objects. What makes a file unreadable as a whole is a BadFile, naming file and line.
"""

import csv
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

_CHUNK = 1 << 16
_SPACE = re.compile(r"[ \t\r\n]*")


class BadFile(Exception):
    """A folder or file that cannot be taken as it is."""


class Line(NamedTuple):
    """A record as it came, with the number of the line on which it begins. With a `problem`, it could not be
    read as one, and `content` is whatever stands there."""

    number: int
    content: object
    problem: str = ""


class PortfolioFile(NamedTuple):
    """`fields` are the names its records may have, `required` those that they must have."""

    path: Path
    kind: str
    fields: Collection[str]
    required: Collection[str]

    def lines(self) -> Iterator[Line]:
        """Raises BadFile."""
        try:
            with self.path.open("rb") as file:
                start = file.read(3)
            if start[:2] in (b"\xff\xfe", b"\xfe\xff"):
                raise BadFile(f"{self.path.name} is UTF-16; save it as UTF-8.")
            yield from _READERS[self.path.suffix.lower()](self)
        except OSError as error:
            raise BadFile(f"{self.path.name} cannot be read: {error.strerror}.") from None


class Kind(NamedTuple):
    fields: Collection[str]
    required: Collection[str]


def find(folder: Path, kinds: Mapping[str, Kind]) -> list[PortfolioFile]:
    """The portfolio's files, in the order of `kinds` (name without suffix -> its fields). Raises BadFile
    where the folder is missing or has none, a file of another kind or format, or two for one kind."""
    if not folder.is_dir():
        raise BadFile(f"There is no folder {folder}.")
    names = f"{', '.join(kinds)}, each as {', '.join(_READERS)}"
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        name, suffix = path.stem.lower(), path.suffix.lower()
        if path.name.startswith(".") or (name not in kinds and suffix not in _READERS):
            continue
        if name not in kinds:
            raise BadFile(f"{path.name} is no file of a portfolio; these are {names}.")
        if suffix not in _READERS or not path.is_file():
            raise BadFile(f"{path.name} is of the wrong kind; a portfolio is made of {names}.")
        if name in found:
            raise BadFile(f"{found[name].name} and {path.name} are both {name}; leave one of them.")
        found[name] = path
    if not found:
        raise BadFile(f"{folder} has no file of a portfolio; these are {names}.")
    return [PortfolioFile(found[name], name, *kind) for name, kind in kinds.items() if name in found]


def check(files: list[PortfolioFile]) -> None:
    """Raise BadFile where one of them cannot be read as a whole, or all of them have not a single record, so
    that nothing is taken of a portfolio that is broken."""
    records = 0
    for file in files:
        for _ in file.lines():
            records += 1
            if file.path.suffix.lower() != ".json":
                break
    if not records:
        raise BadFile(f"There is no record in {', '.join(file.path.name for file in files)}.")


def _text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """What is not UTF-8 comes through as lone surrogates, so that it is found in the field where it is."""
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            yield number, line.decode("utf-8", "surrogateescape").rstrip("\r\n")


def _csv(file: PortfolioFile) -> Iterator[Line]:
    lines = _text_lines(file.path)
    header = _header(file, next(lines, (1, ""))[1])
    for number, text in lines:
        if not text.strip():
            continue
        try:
            values = next(csv.reader([text], strict=True))
        except csv.Error as error:
            yield Line(number, text, f"is not CSV: {error}")
            continue
        if len(values) != len(header):
            yield Line(number, text, f"has {len(values)} values, the header {len(header)}")
        else:
            yield Line(number, dict(zip(header, values, strict=True)))


def _header(file: PortfolioFile, text: str) -> list[str]:
    where = f"{file.path.name} line 1"
    try:
        header = [name.strip() for name in next(csv.reader([text], strict=True), [])]
    except csv.Error as error:
        raise BadFile(f"{where} is not CSV: {error}.") from None
    if not header:
        raise BadFile(f"{where}: the line with the names of the columns is missing.")
    for name in header:
        if name not in file.fields:
            raise BadFile(
                f"{where}: {ascii(name[:60])} is no column of {file.kind}. These are, separated by commas: "
                f"{', '.join(file.fields)}."
            )
        if header.count(name) > 1:
            raise BadFile(f"{where}: the column {name} is there twice.")
    if missing := [name for name in file.required if name not in header]:
        raise BadFile(f"{where}: the column {missing[0]} is missing.")
    return header


class _Repeated(list):
    """The pairs of a JSON object that has a name twice."""


def _object(pairs: list[tuple[str, object]]) -> dict | _Repeated:
    names = dict(pairs)
    return names if len(names) == len(pairs) else _Repeated(pairs)


def _integer(digits: str) -> int | str:
    """Python refuses to read whole numbers of thousands of digits; the field then refuses the text."""
    return int(digits) if len(digits) < 400 else digits


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer)


def _json_line(number: int, content: object) -> Line:
    if isinstance(content, _Repeated):
        names = [name for name, _ in content]
        twice = next(name for name in names if names.count(name) > 1)
        return Line(number, content, f"has the field {ascii(twice[:60])} twice")
    return Line(number, content)


def _jsonl(file: PortfolioFile) -> Iterator[Line]:
    for number, text in _text_lines(file.path):
        if not text.strip():
            continue
        try:
            yield _json_line(number, _DECODER.decode(text))
        except json.JSONDecodeError as error:
            yield Line(number, text, f"is not JSON: {error.msg} at character {error.pos + 1}")
        except RecursionError:
            yield Line(number, text, "is nested too deeply")


def _json(file: PortfolioFile) -> Iterator[Line]:
    name = file.path.name
    with file.path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as opened:
        window = _Window(name, opened.read)
        if window.peek() != "[":
            raise BadFile(f"{name} line {window.line}: a JSON array of objects must begin here.")
        window.skip()
        while window.peek() != "]":
            number = window.line
            yield _json_line(number, window.value())
            if window.peek() == ",":
                window.skip()
                if window.peek() == "]":
                    raise window.bad("a record is missing after the comma")
            elif window.peek() != "]":
                raise window.bad("a comma or the end of the array is missing")
        window.skip()
        if window.peek():
            raise window.bad("there is something behind the end of the array")


class _Window:
    """The part of a JSON text that is in memory, read on as it is needed."""

    def __init__(self, name: str, read: Callable[[int], str]):
        self.name, self.line = name, 1
        self._read, self._text, self._at, self._ended = read, "", 0, False

    def peek(self) -> str:
        """The next character that is not white space; empty at the end."""
        while True:
            self._move(_SPACE.match(self._text, self._at).end())
            if self._at < len(self._text) or self._ended:
                return self._text[self._at : self._at + 1]
            self._fill()

    def skip(self) -> None:
        self._at += 1

    def value(self) -> object:
        """The value that begins here. It is tried again with twice as much text where it may only be cut off:
        so even a broken file is looked at a few times only."""
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except RecursionError:
                raise self.bad("nested too deeply") from None
            except json.JSONDecodeError as error:
                if self._ended:
                    self._move(min(error.pos, len(self._text)))
                    raise self.bad(f"not JSON: {error.msg}") from None
            else:
                # A number at the very end may go on.
                if end < len(self._text) or self._ended:
                    self._move(end)
                    return value
            self._fill()

    def bad(self, what: str) -> BadFile:
        return BadFile(f"{self.name} line {self.line}: {what}.")

    def _move(self, to: int) -> None:
        self.line += self._text.count("\n", self._at, to)
        self._at = to

    def _fill(self) -> None:
        rest = self._text[self._at :]
        more = self._read(max(_CHUNK, len(rest)))
        self._text, self._at, self._ended = rest + more, 0, not more


_READERS: dict[str, Callable[[PortfolioFile], Iterator[Line]]] = {
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".json": _json,
}
