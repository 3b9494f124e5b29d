import json
from dataclasses import asdict
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from approvals.rules import Actor
from journeys.portfolio_files import BadFile
from journeys.services.portfolio import Bad, Imported, NothingTaken, import_portfolio

IMPORTER = Actor(key="machine:import", name="import_portfolio", door="import_portfolio")


class Command(BaseCommand):
    help = (
        "Import a portfolio: customers, journey_state_log, signals, interventions and outcomes, each as "
        ".csv, .jsonl or .json. What is there already is updated, so importing twice is the same as once. "
        "Bad records are named on standard error and kept as findings. Exit code: 0 done, 1 nothing could "
        "be taken, 2 the folder or a file is not what it should be."
    )

    def add_arguments(self, parser):
        parser.add_argument("folder", type=Path, help="the folder with the files")
        parser.add_argument("--strict", action="store_true", help="all records or, if one is bad, none")
        parser.add_argument("--json", action="store_true", help="print one JSON document")

    def handle(self, *, folder: Path, strict: bool, json: bool, **options):
        try:
            imported = import_portfolio(folder=folder, actor=IMPORTER, strict=strict, on_bad=self._tell)
        except BadFile as error:
            raise CommandError(str(error), returncode=2) from None
        except NothingTaken as error:
            raise CommandError(str(error), returncode=1) from None
        self.stdout.write(_document(imported) if json else _table(imported))
        if not imported.taken:
            raise CommandError("Not one record could be taken.", returncode=1)

    def _tell(self, bad: Bad) -> None:
        self.stderr.write(str(bad))


def _document(imported: Imported) -> str:
    return json.dumps(
        {
            "files": [asdict(counts) for counts in imported.files],
            "bad_records": [bad._asdict() for bad in imported.bad],
            "findings_mended": imported.mended,
        }
    )


def _table(imported: Imported) -> str:
    rows = [("", "new", "updated", "unchanged", "bad")]
    rows += [(c.file, c.new, c.updated, c.unchanged, c.bad) for c in imported.files]
    width = max(len(row[0]) for row in rows)
    lines = [f"{name:{width}} " + "".join(f"{count:>10}" for count in counts) for name, *counts in rows]
    if imported.bad:
        lines.append("Bad records are kept as findings.")
    if imported.mended:
        lines.append(f"Findings mended: {imported.mended}.")
    return "\n".join(lines)
