import json

from django.core.management.base import BaseCommand, CommandError

from journeys.bench.place import Broken
from journeys.bench.processes import ended_tidily
from journeys.bench.reporting import measure


class Command(BaseCommand):
    help = (
        "Measure what the KPIs, the return and the report of a run take together, on a database of its own "
        "in which so many interventions were executed within 30 days; the one in use is left alone."
    )
    requires_system_checks = ()

    def add_arguments(self, parser):
        parser.add_argument(
            "--interventions", metavar="N", type=int, default=100_000, help="about (default: 100000)"
        )
        parser.add_argument(
            "--database",
            metavar="URL",
            default="",
            help="another server (default: the kind of the one in use)",
        )
        parser.add_argument("--json", action="store_true", help="print one JSON document, and nothing else")

    def handle(self, **options):
        if options["interventions"] < 1:
            raise CommandError("It takes an intervention at least.", returncode=2)
        try:
            with ended_tidily():
                found = measure(options["interventions"], options["database"])
        except Broken as broken:
            raise CommandError(str(broken)) from broken
        if options["json"]:
            self.stdout.write(json.dumps(found))
            return
        server = found["server_cpu_seconds"]
        self.stdout.write(
            f"report of {found['interventions']:,} interventions on {found['database']}: "
            f"{found['seconds']:.1f} s, {found['cpu_seconds']:.1f} s of processor time"
            + (f" and {server:.1f} s of the server's" if server else "")
            + f", {found['peak_mib']:.0f} MiB"
        )
