"""What the processes of a measurement do, each on the database that its environment names: `PARTS`.

Each part takes plain values and returns figures for JSON.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from random import Random
from statistics import median

from django.core.management import call_command
from django.db import connection, transaction
from django_q.models import Schedule

from approvals.rules import Actor
from journeys import pipeline
from journeys.bench import floor, invented
from journeys.bench.invented import Size
from journeys.bench.patterns import people
from journeys.models import Customer
from journeys.services import marks
from journeys.services.policies import in_force

ACTOR = Actor(key="command:bench", name="bench", door="command")


def generate(*, customers: int, signals_per_customer: float, seed: int, day: str) -> dict:
    """An empty database becomes one with the people, the published policy and the portfolio of that day."""
    started = time.perf_counter()
    call_command("migrate", verbosity=0)
    people()
    # The clock's own tasks would be measured along.
    Schedule.objects.all().delete()
    size = Size(customers, signals_per_customer, seed)
    signals = invented.fill(size, date.fromisoformat(day))
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")
    return {
        "signals": signals,
        "seconds": time.perf_counter() - started,
        "heights": floor.heights(),
        "peak_mib": peak_mib(),
    }


def run(*, as_of: str) -> dict:
    """A run over the portfolio, in this process."""
    planned = pipeline.plan_run(policy=in_force(), actor=ACTOR, as_of=date.fromisoformat(as_of))
    with _transactions() as spent:
        cpu, started = time.process_time(), time.perf_counter()
        pipeline.run(planned)
        wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    return {
        "seconds": wall,
        "cpu_seconds": cpu,
        "peak_mib": peak_mib(),
        "longest_transaction_ms": 1000 * max(spent),
        "median_transaction_ms": 1000 * median(spent),
        "counts": planned.counts,
        "steps": {step["name"]: step["seconds"] for step in planned.steps},
    }


def measure_floor(*, heights: floor.Heights, as_of: str) -> dict:
    """The floor of the run that filled this database."""
    return floor.measure(heights, date.fromisoformat(as_of), in_force().rules) | {"peak_mib": peak_mib()}


def change(*, share: float, day: str, seed: int) -> dict:
    """Something is received about some of the customers: a signal and a mark for each."""
    ids = Customer.objects.order_by("pk").values_list("pk", flat=True)
    random = Random(f"{seed}:change")
    changed = [key for key in ids.iterator() if random.random() < share]
    invented.notice(changed, date.fromisoformat(day), seed)
    for start in range(0, len(changed), 1_000):
        with transaction.atomic():
            marks.mark(changed[start : start + 1_000])
    return {"changed": len(changed)}


PARTS: dict[str, Callable[..., dict]] = {
    "generate": generate,
    "run": run,
    "floor": measure_floor,
    "change": change,
}


def do(part: str, **arguments) -> dict:
    return PARTS[part](**arguments)


def peak_mib(process: str = "self") -> float | None:
    """The most that a process has had in memory; None where the system does not tell."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return None
    lines = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(lines[0].split()[1]) / 1024 if lines else None


@contextmanager
def _transactions() -> Iterator[list[float]]:
    """The seconds that each transaction of Django's connection takes, filled in as they end."""
    spent: list[float] = []
    began: list[float] = []
    switch = connection.set_autocommit

    def watched(autocommit: bool, *args, **options) -> None:
        if not autocommit:
            began.append(time.perf_counter())
        switch(autocommit, *args, **options)
        if autocommit and began:
            spent.append(time.perf_counter() - began.pop())

    connection.ensure_connection()
    connection.set_autocommit = watched
    try:
        yield spent
    finally:
        del connection.set_autocommit
