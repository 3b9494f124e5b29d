"""manage.py bench_api: how fast the API takes signals, and how soon they reach the queue."""

import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from cjo_site.bench import api

_INSIDE = "CJO_BENCH_INSIDE"


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
        if os.environ.get(_INSIDE):
            # In a process of its own, whose settings name the database that is measured.
            self.stdout.write(json.dumps(api.measure(options["batches"])))
            return
        with _database() as environment:
            arguments = [sys.executable, sys.argv[0], "bench_api", "--batches", str(options["batches"])]
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


@contextmanager
def _database() -> Iterator[dict[str, str]]:
    """The environment of the measuring process: an empty database beside the one in use, and a folder."""
    with tempfile.TemporaryDirectory(prefix="cjo-bench-") as folder:
        environment = os.environ | {
            _INSIDE: "1",
            "ENV_FILE": "",
            "SECRET_KEY": secrets.token_urlsafe(50),
            "VAR_DIR": folder,
            "DEBUG": "0",
            "HTTPS": "0",
            "ALLOWED_HOSTS": "127.0.0.1",
            "LOG_LEVEL": "WARNING",
            "API_REQUESTS_PER_MINUTE": "1000000",
            "DATABASE_URL": f"sqlite:///{quote(str(Path(folder) / 'bench.sqlite3'))}",
        }
        if connection.vendor == "sqlite":
            yield environment
            return
        where, name = settings.DATABASES["default"], f"cjo_bench_{secrets.token_hex(4)}"
        user, password, host = (quote(str(where[key]), safe="") for key in ("USER", "PASSWORD", "HOST"))
        secret = f":{password}" if password else ""
        environment["DATABASE_URL"] = f"postgresql://{user}{secret}@{host}:{where['PORT'] or 5432}/{name}"
        with connection._nodb_cursor() as cursor:
            cursor.execute(f'CREATE DATABASE "{name}"')
        try:
            yield environment
        finally:
            with connection._nodb_cursor() as cursor:
                cursor.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
