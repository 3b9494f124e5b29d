import argparse
import sys

from django.core.management.base import BaseCommand, CommandError

from approvals.rules import Refusal
from journeys import demo
from journeys.pipeline import RunFailed, RunUnderWay

FAILED, REFUSED = 1, 2


def _whole(least: int, most: int):
    def number(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least} to {most}")
        return int(text)

    return number


class Command(BaseCommand):
    help = (
        "Fill an empty database with a demonstration: people, an invented portfolio, and weeks of runs, "
        "decisions and outcomes. Where it is there already, nothing is changed. Exits with 2 where DEBUG is "
        "off or other customers are there."
    )

    def add_arguments(self, parser):
        parser.add_argument(
            "--customers", metavar="N", type=_whole(1, 1_000_000), default=300, help="how many (default: 300)"
        )
        parser.add_argument(
            "--seed",
            metavar="S",
            type=_whole(0, 10**9),
            default=1,
            help="the same seed on the same day makes the same customers (default: 1)",
        )
        parser.add_argument(
            "--weeks", metavar="W", type=_whole(0, 52), default=10, help="of the past (default: 10)"
        )

    def handle(self, *, customers: int, seed: int, weeks: int, **options):
        try:
            made = demo.seed(customers=customers, seed=seed, weeks=weeks, on_progress=_progress())
        except demo.AlreadyThere as there:
            self.stdout.write(f"{there} Nothing was changed.")
            return
        except (RunFailed, RunUnderWay) as failure:
            raise CommandError(str(failure), returncode=FAILED) from failure
        except Refusal as refusal:
            raise CommandError(str(refusal), returncode=REFUSED) from refusal
        self.stdout.write(
            f"Made the demo: {made.subject}.\n"
            f"  {made.proposed} interventions proposed; people decided {made.decided_by_people} "
            f"and rejected {made.rejected} of them; {made.executed} carried out (recorded, nothing sent), "
            f"{made.outcomes} outcomes.\n"
            + (
                f"  Execution stays record-only. {made.kept_back}"
                if made.kept_back
                else "  Execution is live."
            )
        )


def _progress():
    """A line that is written over, when a terminal watches."""
    if not sys.stderr.isatty():
        return lambda text: None
    return lambda text: sys.stderr.write(f"\rMaking the demo: {text:<16}" + "\n" * (text == demo.TODAY))
