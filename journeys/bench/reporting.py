"""How long the figures and the report of a run take, and how much memory, where much was executed at once.

On a database of its own, filled by `journeys.bench.world`; the report is made in a process of its own.
"""

import time
from collections.abc import Callable

from django.core.management import call_command
from django.db import connection

from journeys import reports
from journeys.bench import world
from journeys.bench.place import place
from journeys.bench.processes import cpu_seconds, peak_mib
from journeys.models import Customer, PipelineRun, Signal
from journeys.reports import snapshots, worth
from journeys.services.policies import in_force
from journeys.table_statistics import refresh_statistics

# Of 100 requests of the world so many are executed; the window is 30 days, the run's own day included.
_EXECUTED, _DAYS = 0.62, 29


def measure(
    interventions: int, database: str = "", tell: Callable[[str], None] = lambda text: None
) -> dict[str, float | str | None]:
    """About so many executed in 30 days. {database, customers, interventions, seconds, cpu_seconds,
    server_cpu_seconds, peak_mib}; the server's is None where there is none, or it cannot be told. Raises
    journeys.bench.place.Broken."""
    with place(database) as here:
        tell("filling the database")
        here.make("world")
        made = here.do("world", "interventions", interventions=interventions)
        tell("the report")
        return {"database": here.vendor} | made | here.do("world", "report")


def fill(*, interventions: int) -> dict:
    call_command("migrate", verbosity=0)
    requests = round(interventions / _EXECUTED)
    pending = max(2, requests // 50)
    world.fill(world.Size(requests + pending, pending, days=_DAYS))
    return {"customers": Customer.objects.count()}


def report() -> dict:
    """What the end of the last run would do once more: KPIs, return and report. Nothing is kept."""
    run = PipelineRun.objects.latest("pk")
    connection.ensure_connection()
    server = connection.connection.info.backend_pid if connection.vendor == "postgresql" else 0
    before, cpu, started = cpu_seconds(server), time.process_time(), time.perf_counter()
    refresh_statistics()
    facts = {
        "customers": Customer.objects.count(),
        "received": Signal.objects.count(),
        "orphaned": 0,
        "seconds": 0.0,
        "cells": snapshots.count(run).cells,
    }
    scope = worth.scope_of(run, in_force().rules)
    run.results = worth.roi_results(scope, worth.kpi_results(scope, facts))
    reports.build(run)
    wall, cpu, after = time.perf_counter() - started, time.process_time() - cpu, cpu_seconds(server)
    return {
        "interventions": run.results["roi"]["executed"],
        "seconds": round(wall, 2),
        "cpu_seconds": round(cpu, 2),
        "server_cpu_seconds": None if before is None or after is None else round(after - before, 2),
        "peak_mib": peak_mib(),
    }
