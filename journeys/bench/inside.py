"""What the processes of a measurement do, each on the database that its environment names: `PARTS`.

Each part takes plain values and returns figures for JSON.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from random import Random
from statistics import median

from django.core.management import call_command
from django.db import connection, transaction
from django_q.models import Schedule, Success
from django_q.tasks import async_task

from approvals.rules import Actor
from journeys import pipeline
from journeys.bench import deciding, floor, invented, reporting
from journeys.bench.invented import Size
from journeys.bench.patterns import people
from journeys.bench.processes import Watched, cluster, cpu_seconds, peak_mib, wait_until
from journeys.models import Customer, JourneyState, PipelineRun, Signal
from journeys.services import marks
from journeys.services.policies import in_force

ACTOR = Actor(key="command:bench", name="bench", door="command")
# Seconds that a cluster may take until it works, and a run until it has ended.
_TO_START, _TO_RUN = 60, 6 * 3600


def generate(*, customers: int, signals_per_customer: float, seed: int, day: str) -> dict:
    """An empty database becomes one with the people, the published policy and the portfolio of that day."""
    started = time.perf_counter()
    call_command("migrate", verbosity=0)
    people()
    # The clock's own tasks would be measured along.
    Schedule.objects.all().delete()
    size = Size(customers, signals_per_customer, seed)
    signals = invented.fill(size, date.fromisoformat(day))
    _settle()
    return {
        "signals": signals,
        "seconds": time.perf_counter() - started,
        "heights": floor.heights(),
        "peak_mib": peak_mib(),
    }


def _settle() -> None:
    """What the databases do by themselves in the time in which a portfolio grows. Of the tables that are
    empty still PostgreSQL would believe that they stay so until the run tells it."""
    gather = "VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE"
    with connection.cursor() as cursor:
        for model in (Customer, JourneyState, Signal):
            cursor.execute(f"{gather} {connection.ops.quote_name(model._meta.db_table)}")


def run(*, as_of: str, **options) -> dict:
    """A run over the portfolio, in this process. `options` are those of plan_run."""
    planned = _planned(as_of, **options)
    if options.get("changed_only") and not planned.changed_only:
        raise RuntimeError("It would look at everybody.")
    server = _server_process()
    with _transactions() as spent:
        before, cpu, started = cpu_seconds(server), time.process_time(), time.perf_counter()
        pipeline.run(planned)
        wall, cpu, after = time.perf_counter() - started, time.process_time() - cpu, cpu_seconds(server)
    return {
        "seconds": wall,
        "cpu_seconds": cpu,
        "server_cpu_seconds": None if before is None or after is None else after - before,
        "peak_mib": peak_mib(),
        "longest_transaction_ms": 1000 * max(spent),
        "median_transaction_ms": 1000 * median(spent),
        "counts": planned.counts,
        "steps": {step["name"]: step["seconds"] for step in planned.steps},
    }


def run_by_workers(*, as_of: str, workers: int) -> dict:
    """A run over the portfolio by the workers of one cluster, from when it is queued to when it has ended."""
    with cluster(workers) as group:
        async_task("time.time")
        wait_until(Success.objects.exists, alive=group, seconds=_TO_START)
        watched = Watched(group.pid)
        watched.look()
        before = dict(watched.cpu_seconds)
        planned, started = _planned(as_of), time.perf_counter()
        pipeline.queue(planned)
        mine = PipelineRun.objects.filter(pk=planned.pk).exclude(status__in=["queued", "running"])

        wait_until(mine.exists, alive=group, seconds=_TO_RUN, meanwhile=watched.look)
        wall = time.perf_counter() - started
        watched.look()
    planned.refresh_from_db()
    if planned.status != PipelineRun.Status.SUCCEEDED:
        raise RuntimeError(f"The run {planned.status}: {planned.error}")
    return {
        "seconds": wall,
        "cpu_seconds": [round(cpu - before.get(key, 0.0), 2) for key, cpu in watched.cpu_seconds.items()],
        "peaks_mib": list(watched.peak_mib.values()),
        "peak_mib": max(watched.peak_mib.values(), default=None),
        "counts": planned.counts,
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
    "run_by_workers": run_by_workers,
    "floor": measure_floor,
    "change": change,
    "decide": deciding.during_a_run,
    "interventions": reporting.fill,
    "report": reporting.report,
}


def do(part: str, **arguments) -> dict:
    return PARTS[part](**arguments)


def _planned(as_of: str, **options) -> PipelineRun:
    return pipeline.plan_run(policy=in_force(), actor=ACTOR, as_of=date.fromisoformat(as_of), **options)


def _server_process() -> int:
    """The id of the process that works for this one on a PostgreSQL server; 0 on SQLite."""
    connection.ensure_connection()
    return connection.connection.info.backend_pid if connection.vendor == "postgresql" else 0


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
