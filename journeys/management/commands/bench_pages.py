import json
import sys

from django.core.management.base import BaseCommand, CommandError

from journeys.bench.pages import FEW_ROWS, Measured, Streamed, measure
from journeys.bench.world import Size


class Command(BaseCommand):
    help = (
        "Measure the desk's pages, the API's lists and the trail's export: queries, milliseconds (median), "
        "kilobytes and memory, on a database of its own that is filled first. A million requests take some "
        "minutes, and 8 GB of disk."
    )

    def add_arguments(self, parser):
        parser.add_argument("--requests", metavar="N", type=int, default=1_000_000, help="default: 1000000")
        parser.add_argument(
            "--pending", metavar="N", type=int, default=20_000, help="of the requests; default: 20000"
        )
        parser.add_argument(
            "--customers", metavar="N", type=int, default=0, help="default: a tenth of the requests"
        )
        parser.add_argument(
            "--json",
            action="store_true",
            help="print {database, customers, requests, pending, "
            "pages: [{page, user, queries, milliseconds, processor_milliseconds, kilobytes}], "
            "exports: [{export, rows, begun_seconds, seconds, early_mib, most_mib}]}",
        )

    def handle(self, *, requests: int, pending: int, customers: int, **options):
        if not 2 <= pending < requests:
            raise CommandError("It takes at least two pending requests, and more that are not.", returncode=2)
        told = (lambda row: None) if options["json"] else self._told
        found = measure(Size(requests, pending, customers), on_progress=_progress(), on_row=told)
        if options["json"]:
            self.stdout.write(json.dumps(found))

    def _told(self, row: Measured | Streamed) -> None:
        if isinstance(row, Streamed):
            self.stdout.write(
                f"{row.export}, exported: {row.rows:,} rows in {row.seconds} s, the first after "
                f"{row.begun_seconds} s; {row.early_mib} MiB by row {FEW_ROWS:,}, {row.most_mib} MiB in all"
            )
            return
        self.stdout.write(
            f"{row.page:<46} {row.user:<9} {row.queries:>3} queries {row.milliseconds:>7.1f} ms "
            f"({row.processor_milliseconds:.1f} of the processor) {row.kilobytes:>6.1f} kB"
        )


def _progress():
    """A line that is written over, when a terminal watches."""
    if not sys.stderr.isatty():
        return lambda text: None
    return lambda text: sys.stderr.write(f"\rFilling: {text:<24}")
