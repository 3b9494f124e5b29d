import argparse
import json
import os
import sys

from django.core.management.base import BaseCommand, CommandError

from journeys.bench import inside
from journeys.bench.place import INSIDE, Broken
from journeys.bench.processes import ended_tidily
from journeys.bench.scale import Plan, measure
from journeys.bench.table import table


class Command(BaseCommand):
    help = (
        "Measure the pipeline beside the floor (the same rows read and written, by the bare driver and "
        "nothing else), on an invented portfolio, in databases of its own; the one in use is left alone."
    )
    requires_system_checks = ()

    def add_arguments(self, parser):
        parser.add_argument("--customers", metavar="N", type=int, default=20_000, help="default: 20000")
        parser.add_argument(
            "--signals-per-customer", metavar="N", type=float, default=5.0, help="on average (default: 5)"
        )
        parser.add_argument(
            "--changed", metavar="SHARE", type=_share, default=0.01, help="as 1%% (the default) or 0.01"
        )
        parser.add_argument(
            "--rounds", metavar="N", type=int, default=3, help="of each measurement (default: 3)"
        )
        parser.add_argument("--seed", metavar="S", type=int, default=1, help="of the portfolio (default: 1)")
        parser.add_argument(
            "--database",
            metavar="URL",
            default="",
            help="another server (default: the kind of the one in use)",
        )
        parser.add_argument(
            "--full-only", action="store_true", help="the full run and its floor, and nothing else"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON document, and nothing else")

    def handle(self, **options):
        if asked := os.environ.get(INSIDE):
            # In a process of the measurement, whose environment names the database that is measured.
            with ended_tidily():
                self.stdout.write(json.dumps(inside.do(**json.loads(asked))))
            return
        if options["customers"] < 1 or options["rounds"] < 1 or options["signals_per_customer"] <= 0:
            raise CommandError("It takes a customer at least, some signals and a round.", returncode=2)
        plan = Plan(**{name: options[name] for name in Plan.__dataclass_fields__})
        try:
            with ended_tidily():
                found = measure(plan, _tell if sys.stderr.isatty() else lambda text: None)
        except Broken as broken:
            raise CommandError(str(broken)) from broken
        if options["json"]:
            self.stdout.write(json.dumps(found))
            return
        self.stdout.write(table(found))


def _share(text: str) -> float:
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no share, such as 1% or 0.01")
    return share


def _tell(text: str) -> None:
    sys.stderr.write(f"\rMeasuring: {text:<40}")
    sys.stderr.flush()
