import json
import sys

from django.core.management.base import BaseCommand

from approvals.invariants import sentences
from journeys.services.upkeep import check_invariants


class Command(BaseCommand):
    help = (
        "Look whether everything holds that must always hold. Exits with 1 and the rows where one is broken."
    )

    def add_arguments(self, parser):
        parser.add_argument("--json", action="store_true", help="print {ok, broken: [{invariant, row}]}")

    def handle(self, **options):
        breaches = check_invariants()
        if options["json"]:
            rows = [breach._asdict() for breach in breaches]
            self.stdout.write(json.dumps({"ok": not breaches, "broken": rows}))
        else:
            told = sentences()
            for breach in breaches:
                self.stdout.write(f"BROKEN {breach.invariant}: {breach.row}. ({told[breach.invariant]})")
            self.stdout.write(f"{len(told)} invariants, {len(breaches)} breaches.")
        if breaches:
            sys.exit(1)
