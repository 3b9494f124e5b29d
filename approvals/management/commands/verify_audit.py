import json
import sys

from django.core.management.base import BaseCommand

from approvals.services import check_chain


class Command(BaseCommand):
    help = "Verify the audit's chain. Exits with 1 on any break, and says which event."

    def add_arguments(self, parser):
        parser.add_argument("--from", dest="start", metavar="N", type=int, default=1, help="begin at event N")
        parser.add_argument(
            "--head", metavar="HASH", default="", help="a head that was kept elsewhere (see audit_head)"
        )
        parser.add_argument("--json", action="store_true", help="print {ok, events, head, problems}")

    def handle(self, **options):
        found = check_chain(start=options["start"], kept_head=options["head"].strip().lower())
        if options["json"]:
            problems = [problem._asdict() for problem in found.problems]
            document = {"ok": found.ok, "events": found.events, "head": found.head, "problems": problems}
            self.stdout.write(json.dumps(document | {"verdict": found.verdict}))
        else:
            for sequence, problem in found.problems:
                self.stdout.write(f"event {sequence}: {problem}")
            self.stdout.write(f"{found.events} events, head {found.head}: {found.verdict}")
        if not found.ok:
            sys.exit(1)
