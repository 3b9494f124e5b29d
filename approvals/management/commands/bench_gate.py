import json

from django.core.management.base import BaseCommand

from approvals.bench import measure


class Command(BaseCommand):
    help = (
        "Measure decisions per second at 1 and 8 threads, beside a bare insert's, on a database of its own."
    )

    def add_arguments(self, parser):
        parser.add_argument("--decisions", metavar="N", type=int, default=400, help="decisions for each rate")
        parser.add_argument(
            "--json", action="store_true", help="print {bare_per_second, one_thread, eight_threads, ratio}"
        )

    def handle(self, **options):
        rates = measure(options["decisions"])
        if options["json"]:
            self.stdout.write(json.dumps(rates))
            return
        self.stdout.write(
            f"bare inserts {rates['bare_per_second']:,.0f} a second; decisions {rates['one_thread']:,.0f} a "
            f"second on 1 thread, {rates['eight_threads']:,.0f} on 8; ratio {rates['ratio']:.2f}"
        )
