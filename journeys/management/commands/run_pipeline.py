import json
import sys
from datetime import date

from django.core.management.base import BaseCommand, CommandError

from approvals.rules import Actor, Refusal
from journeys import pipeline
from journeys.run_document import RunDocument
from journeys.services import policies

FAILED, BAD_INPUT, UNDER_WAY = 1, 2, 3


class Command(BaseCommand):
    help = (
        "Assess the customers and propose interventions. Exits with 0 when done, 1 when the run failed, "
        "2 on bad usage or input, 3 while another portfolio run is under way."
    )

    def add_arguments(self, parser):
        parser.add_argument("--customer", metavar="ID", default="", help="only this customer")
        parser.add_argument(
            "--as-of", metavar="DATE", type=_day, help="the day to judge by, YYYY-MM-DD (default: today, UTC)"
        )
        parser.add_argument(
            "--policy", metavar="NAME", help="NAME or 'NAME VERSION' (default: the one in force)"
        )
        parser.add_argument(
            "--changed",
            action="store_true",
            help="only those about whom something was received, or who are due; where nothing less will do, "
            "everybody",
        )
        parser.add_argument("--dry-run", action="store_true", help="write nothing")
        parser.add_argument("--json", action="store_true", help="print one JSON document, and nothing else")
        parser.add_argument("--full", action="store_true", help="with --json: every assessment as well")
        parser.add_argument(
            "--auto-approve-for-testing",
            action="store_true",
            help="approve some of what needs a person; refused where DEBUG is off or something could go out",
        )
        parser.add_argument("--background", action="store_true", help="hand the run to the worker")

    def handle(self, **options):
        if options["background"] and options["dry_run"]:
            raise CommandError("--background and --dry-run exclude each other.", returncode=BAD_INPUT)
        try:
            policy = policies.find(options["policy"]) if options["policy"] else policies.in_force()
            planned = pipeline.plan_run(
                policy=policy,
                actor=Actor(key="command:run_pipeline", name="the command line", door="command"),
                as_of=options["as_of"],
                customer_id=options["customer"],
                auto_approve_for_testing=options["auto_approve_for_testing"],
                dry_run=options["dry_run"],
                changed_only=options["changed"],
            )
        except Refusal as refusal:
            raise CommandError(str(refusal), returncode=BAD_INPUT) from refusal
        if options["background"]:
            try:
                pipeline.queue(planned)
            except pipeline.RunUnderWay as under_way:
                raise CommandError(str(under_way), returncode=UNDER_WAY) from under_way
            self.stdout.write(json.dumps({"run_id": planned.pk, "status": planned.status}))
            return
        self._run(planned, options)

    def _run(self, planned, options):
        self.stdout.ending = ""
        document = RunDocument(full=options["full"])
        try:
            pipeline.run(
                planned,
                on_case=document.on_case,
                on_finding=document.on_finding,
                on_progress=_show_progress if sys.stderr.isatty() else lambda customers: None,
            )
        except pipeline.RunUnderWay as under_way:
            raise CommandError(str(under_way), returncode=UNDER_WAY) from under_way
        except pipeline.RunFailed as failure:
            if options["json"]:
                document.write_json(planned, self.stdout)
            raise CommandError(str(failure), returncode=FAILED) from failure
        write = document.write_json if options["json"] else document.write_text
        write(planned, self.stdout)


def _day(text: str) -> date:
    return date.fromisoformat(text)


_day.__name__ = "date"  # argparse names the type in its error


def _show_progress(customers: int) -> None:
    sys.stderr.write(f"\r{customers:,} customers")
    sys.stderr.flush()
