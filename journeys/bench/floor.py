"""The floor: the inputs of a run read, range by range, and the rows that it made written, by the bare driver
and nothing else. What any program would need that keeps the same rows.

It goes over a database that a run has just filled, and writes the rows of that run once more: into shadow
tables with the same columns, checks and indexes, in a transaction for each range. Reading them back is not
counted.
"""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from django.db import connection

from journeys import cases
from journeys.bench.drivers import Driver, bare, names
from journeys.bench.processes import cpu_seconds
from journeys.domain.policy import PolicyDocument
from journeys.models import Customer, JourneyState, Signal

Heights = dict[str, list]
_SIGNAL = ("customer_id", "signal_id", "signal_type", "signal_strength", "detected_at")


@dataclass(frozen=True, slots=True)
class Grown:
    """A table to which a run added `rows`: all of them, or those whose key is above `after`."""

    table: str
    key: str
    after: Any
    rows: int


@dataclass(slots=True)
class Clock:
    """Seconds that were spent within, by the wall and by this process."""

    wall: dict[str, float] = field(default_factory=lambda: {"read": 0.0, "write": 0.0})
    cpu: float = 0.0

    @contextmanager
    def during(self, what: str) -> Iterator[None]:
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall[what] += time.perf_counter() - wall
        self.cpu += time.process_time() - cpu


def heights() -> Heights:
    """Of every table: how many rows it has, and its largest key."""
    found = {}
    with connection.cursor() as cursor:
        for table in sorted(connection.introspection.django_table_names(only_existing=True)):
            key = connection.introspection.get_primary_key_column(cursor, table)
            cursor.execute(f'SELECT count(*), max("{key}") FROM "{table}"')
            found[table] = list(cursor.fetchone())
    return found


def grown(before: Heights) -> list[Grown]:
    """Raises ValueError where rows were there before and their keys do not say which are new."""
    tables = []
    for table, (count, largest) in heights().items():
        had, after = before[table]
        if count <= had:
            continue
        if had and not isinstance(largest, int):
            raise ValueError(f"Which rows of {table} are new cannot be told by their keys.")
        with connection.cursor() as cursor:
            key = connection.introspection.get_primary_key_column(cursor, table)
        tables.append(Grown(table, key, after if had else None, count - had))
    return tables


def measure(before: Heights, as_of: date, rules: PolicyDocument) -> dict:
    """{seconds, read_seconds, write_seconds, cpu_seconds, server_cpu_seconds, rows_read,
    rows_written, written (by table)}: of what came to be since `before`."""
    driver, reader, tables, clock = bare(), bare(), grown(before), Clock()
    for table in tables:
        driver.shadow(table.table)
    spans, queries = list(cases.ranges()), _queries(driver, as_of, rules)
    made = [_parts(reader, table, len(spans)) for table in tables]
    served = cpu_seconds(driver.server_process)
    rows_read, written = 0, Counter()
    for span in spans:
        with clock.during("read"):
            for query, bounds in queries:
                rows_read += len(driver.read(query, [span.first, span.last, *bounds]))
        parts = [next(rest) for rest in made]
        with clock.during("write"):
            driver.write(parts)
        written.update({table: len(rows) for table, _, rows in parts})
    return {
        "seconds": sum(clock.wall.values()),
        "read_seconds": clock.wall["read"],
        "write_seconds": clock.wall["write"],
        "cpu_seconds": clock.cpu,
        "server_cpu_seconds": None if served is None else cpu_seconds(driver.server_process) - served,
        "rows_read": rows_read,
        "rows_written": written.total(),
        "written": dict(written),
    }


def _queries(driver: Driver, as_of: date, rules: PolicyDocument) -> list[tuple[str, list]]:
    """What a run reads of each range, and the bounds behind those of the range."""
    since, until = cases.window(as_of, rules)
    if connection.vendor == "sqlite":
        since, until = (str(moment.replace(tzinfo=None)) for moment in (since, until))
    reads = [
        (Customer, cases.Profile._fields, "", []),
        (JourneyState, ("customer_id", *cases.OpenState._fields), " AND left_on IS NULL", []),
        (Signal, _SIGNAL, " AND detected_at >= ? AND detected_at < ?", [since, until]),
    ]
    queries = []
    for model, columns, more, bounds in reads:
        where = f"customer_id >= ? AND customer_id <= ?{more}".replace("?", driver.mark)
        queries.append((f'SELECT {names(columns)} FROM "{model._meta.db_table}" WHERE {where}', bounds))
    return queries


def _parts(driver: Driver, table: Grown, count: int) -> Iterator[tuple[str, tuple[str, ...], list[tuple]]]:
    """The rows that a run added, in `count` parts, in the order of their keys."""
    columns = driver.columns(table.table)
    place, size, after = columns.index(table.key), -(-table.rows // count), table.after
    for _ in range(count):
        where = "" if after is None else f'WHERE "{table.key}" > {driver.mark} '
        query = f'SELECT {names(columns)} FROM "{table.table}" {where}ORDER BY "{table.key}" LIMIT {size}'
        rows = driver.read(query, [] if after is None else [after])
        after = rows[-1][place] if rows else after
        yield table.table, columns, rows
