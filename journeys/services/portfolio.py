"""Importing a portfolio from a folder of files: what is good goes in, what is not is named and kept."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import NamedTuple

from django.db import transaction

from approvals.audit import Event, record
from approvals.rules import Actor, Refusal
from journeys import portfolio_files, records
from journeys.batches import in_batches
from journeys.days import today
from journeys.domain.vocabulary import FindingKind
from journeys.models import Finding
from journeys.portfolio_files import Line, PortfolioFile
from journeys.records import InvalidRecord, Record
from journeys.services import findings, intake
from journeys.services.findings import NewFinding

_BATCH = 1000


class Bad(NamedTuple):
    """A record that was not taken. `field` is empty where it is the record as a whole."""

    file: str
    line: int
    field: str
    problem: str

    @property
    def subject(self) -> str:
        return f"{self.file} line {self.line}"

    @property
    def detail(self) -> str:
        return f"{self.field}: {self.problem}" if self.field else self.problem

    def __str__(self) -> str:
        return f"{self.subject}, {self.detail}"


@dataclass(slots=True)
class FileCounts:
    """How many records of a file became what; they add up to its records."""

    file: str
    new: int = 0
    updated: int = 0
    unchanged: int = 0
    bad: int = 0


@dataclass(slots=True)
class Imported:
    files: list[FileCounts] = field(default_factory=list)
    bad: list[Bad] = field(default_factory=list)
    mended: int = 0

    @property
    def taken(self) -> int:
        return sum(counts.new + counts.updated + counts.unchanged for counts in self.files)


class NothingTaken(Refusal):
    """A strict import had bad records; `bad` names them all."""

    code = "nothing_taken"

    def __init__(self, bad: list[Bad]):
        self.bad = bad
        super().__init__(f"Nothing was imported: {len(bad)} bad record{'s' if len(bad) > 1 else ''}.")


def import_portfolio(
    *, folder: Path, actor: Actor, strict: bool = False, on_bad: Callable[[Bad], None] = lambda bad: None
) -> Imported:
    """Take what the folder's files hold, in batches of a transaction each, and record it in the audit.

    A bad record is told to `on_bad` and kept as a finding; the finding is mended once the same record (by its
    ids) is taken. With `strict`, either all goes in or nothing, findings included. Raises
    portfolio_files.BadFile before anything is written, NothingTaken (strict only).
    """
    files = portfolio_files.find(folder, _kinds())
    portfolio_files.check(files)
    with transaction.atomic() if strict else nullcontext():
        imported = _Import(today=today(), on_bad=on_bad).take(files)
        if strict and imported.bad:
            raise NothingTaken(imported.bad)
        record([_event(folder, imported, actor)])
    return imported


class _Import:
    def __init__(self, *, today: date, on_bad: Callable[[Bad], None]):
        self.today, self.on_bad = today, on_bad
        self.result = Imported()
        self._findings = _open_findings(today)
        self._mended: dict[tuple, list[int]] = {}
        self._bad_keys: set[tuple] = set()

    def take(self, files: list[PortfolioFile]) -> Imported:
        kinds = {kind.FILE: kind for kind in records.KINDS}
        for file in files:
            self._take_file(file, kinds[file.kind])
        # A record that is bad once more, beside a good one of the same ids, is not mended.
        mended = [pk for key, found in self._mended.items() if key not in self._bad_keys for pk in found]
        self.result.mended = findings.mend(finding_ids=mended, note="The record has been imported since.")
        return self.result

    def _take_file(self, file: PortfolioFile, kind: type[Record]) -> None:
        counts = FileCounts(file.path.name)
        self.result.files.append(counts)
        seen: dict[tuple, tuple[int, int]] = {}
        for lines in in_batches(file.lines(), _BATCH):
            good, bad = self._sort(lines, kind, seen, counts)
            with transaction.atomic():
                for (line, item), taken in zip(good, intake.take([item for _, item in good]), strict=True):
                    if isinstance(taken, InvalidRecord):
                        bad.append((line, taken))
                        continue
                    setattr(counts, taken, getattr(counts, taken) + 1)
                    key = (kind.FILE, records.key_of(item))
                    if key in self._findings:
                        self._mended[key] = self._findings.pop(key)
                self._keep(bad, kind, counts)

    def _sort(
        self, lines: list[Line], kind: type[Record], seen: dict[tuple, tuple[int, int]], counts: FileCounts
    ) -> tuple[list[tuple[Line, Record]], list[tuple[Line, InvalidRecord]]]:
        """The good records and the bad ones. One that stands in the file before, with the same content, is
        only counted; with another content it is bad, as nobody can say which of the two holds."""
        good, bad = [], []
        for line in lines:
            try:
                if line.problem:
                    raise InvalidRecord("", line.problem)
                item = records.parse(kind, line.content, today=self.today)
                key, content = records.key_of(item), hash(item)
                first_line, first_content = seen.setdefault(key, (line.number, content))
                if first_content != content:
                    raise InvalidRecord(kind.KEY[0], f"stands on line {first_line} too, with other content")
            except InvalidRecord as error:
                bad.append((line, error))
                continue
            if first_line == line.number:
                good.append((line, item))
            else:
                counts.unchanged += 1
        return good, bad

    def _keep(
        self, refused: list[tuple[Line, InvalidRecord]], kind: type[Record], counts: FileCounts
    ) -> None:
        counts.bad += len(refused)
        found = []
        for line, error in sorted(refused, key=lambda pair: pair[0].number):
            bad = Bad(counts.file, line.number, error.field, error.message)
            found.append(NewFinding(FindingKind.BAD_RECORD, bad.subject, bad.detail, line.content))
            key = records.key_in(kind, line.content, today=self.today)
            self._bad_keys.add((kind.FILE, key))
            self.result.bad.append(bad)
            self.on_bad(bad)
        findings.note(found)


def _open_findings(today: date) -> dict[tuple, list[int]]:
    """The open findings on bad records that have ids, by kind and ids."""
    kinds = {kind.FILE: kind for kind in records.KINDS}
    found: dict[tuple, list[int]] = {}
    rows = Finding.objects.filter(kind=FindingKind.BAD_RECORD, status=Finding.Status.OPEN)
    for pk, subject, content in rows.values_list("pk", "subject", "record").iterator():
        kind = kinds.get(subject.partition(".")[0].lower())
        key = records.key_in(kind, content, today=today) if kind else None
        if key:
            found.setdefault((kind.FILE, key), []).append(pk)
    return found


def _kinds() -> dict[str, portfolio_files.Kind]:
    return {
        kind.FILE: portfolio_files.Kind(
            [column.name for column in records.columns(kind)],
            [column.name for column in records.columns(kind) if column.required],
        )
        for kind in records.KINDS
    }


def _event(folder: Path, imported: Imported, actor: Actor) -> Event:
    name = folder.resolve().name
    return Event(
        word="portfolio.imported",
        actor=actor,
        kind="portfolio",
        subject_key=name[:80],
        subject_name=f"the portfolio {name}",
        details={"files": [asdict(counts) for counts in imported.files], "mended": imported.mended},
    )
