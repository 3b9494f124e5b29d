"""manage.py bench_api: how fast the API takes signals, and how soon they reach the queue."""

import json
import os
import subprocess
import sys

from django.core.management.base import BaseCommand, CommandError

from cjo_site.bench import api
from journeys.bench.place import INSIDE, place


class Command(BaseCommand):
    help = (
        "Measure how many signals a second the API takes, in batches and singly, beside a bare view and the "
        "database alone, and how long it takes from a POST to the queue. On a database of its own."
    )
    requires_system_checks = ()

    def add_arguments(self, parser):
        parser.add_argument(
            "--batches", metavar="N", type=int, default=20, help="batches of 1,000 for each rate"
        )
        parser.add_argument("--json", action="store_true", help="print one JSON document, and nothing else")

    def handle(self, **options):
        if os.environ.get(INSIDE):
            # In a process of its own, whose settings name the database that is measured.
            self.stdout.write(json.dumps(api.measure(options["batches"])))
            return
        with place() as here:
            here.make("api")
            arguments = [sys.executable, sys.argv[0], "bench_api", "--batches", str(options["batches"])]
            environment = here.environment("api") | {INSIDE: "1", "API_REQUESTS_PER_MINUTE": "1000000"}
            inside = subprocess.run(arguments, env=environment, stdout=subprocess.PIPE, text=True)
        if inside.returncode:
            raise CommandError("The measurement broke off; what it said stands above.")
        figures = json.loads(inside.stdout)
        if options["json"]:
            self.stdout.write(json.dumps(figures))
            return
        self.stdout.write(
            f"signals a second: {figures['batch_per_second']:,.0f} in batches, "
            f"{figures['single_per_second']:,.0f} singly; a bare view "
            f"{figures['bare_view_per_second']:,.0f}, the database alone "
            f"{figures['database_per_second']:,.0f}; ratio {figures['ratio']:.2f}\n"
            f"from a POST to the queue: half within {figures['queue_p50_ms']:.0f} ms, "
            f"95 % within {figures['queue_p95_ms']:.0f} ms"
        )
