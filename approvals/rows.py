"""Writing many rows at once, past the ORM: by COPY where the database has it.

For what is written by the hundred thousand, where `bulk_create` takes most of the time. No signal is sent.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from operator import attrgetter

from django.db import connection, models

# Below this COPY is not worth its round trips.
_COPY_FROM = 20


def insert_all(model: type[models.Model], instances: Sequence[models.Model]) -> None:
    """Write unsaved instances, and give them their keys where the database makes them.

    Raises django.db.IntegrityError. Call it in a transaction.
    """
    if model._meta.auto_field is not None:
        for instance, key in zip(instances, next_keys(model, len(instances)), strict=True):
            instance.pk = key
    names = [field.attname for field in model._meta.concrete_fields if not field.generated]
    insert(model, names, list(map(attrgetter(*names), instances)))
    for instance in instances:
        instance._state.adding = False
        instance._state.db = connection.alias


def insert(model: type[models.Model], names: Sequence[str], rows: Sequence[tuple]) -> None:
    """Write `rows`, each with a value for every one of the `names`; a foreign key takes the key's value. No
    default of a field is filled in: every column without one in the database must be named.

    Raises django.db.IntegrityError. Call it in a transaction.
    """
    fields = _fields(model, tuple(names))
    table = connection.ops.quote_name(model._meta.db_table)
    columns = ", ".join(connection.ops.quote_name(field.column) for field in fields)
    prepared = _prepared(rows, [_to_database(field) for field in fields])
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql" and len(rows) >= _COPY_FROM:
            with connection.wrap_database_errors, cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                for row in prepared:
                    copy.write_row(row)
        else:
            marks = ", ".join(["%s"] * len(fields))
            cursor.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", prepared)  # noqa: S608 - names of our own models


def next_keys(model: type[models.Model], count: int) -> list[int]:
    """So many keys that nobody else gets, in order. Call it in the transaction that uses them: on SQLite,
    which lets one writer in at a time, that is what keeps others away."""
    table = model._meta.db_table
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                "SELECT nextval(pg_get_serial_sequence(%s, %s)) FROM generate_series(1, %s)",
                [table, model._meta.pk.column, count],
            )
            return [key for (key,) in cursor.fetchall()]
        cursor.execute("SELECT seq FROM sqlite_sequence WHERE name = %s", [table])
        found = cursor.fetchone()
    last = found[0] if found else 0
    return list(range(last + 1, last + 1 + count))


@cache
def _fields(model: type[models.Model], names: tuple[str, ...]) -> list[models.Field]:
    """By the fields' names or, of foreign keys, those of their columns."""
    known = {field.name: field for field in model._meta.concrete_fields}
    known |= {field.attname: field for field in model._meta.concrete_fields}
    return [known[name] for name in names]


def _prepared(rows: Iterable[tuple], converters: Sequence[Callable | None]) -> Iterable[tuple]:
    """The rows as the driver takes them; columns that need no converting cost nothing."""
    needed = [(place, convert) for place, convert in enumerate(converters) if convert]
    if not needed:
        return rows
    return (_converted(row, needed) for row in rows)


def _converted(row: tuple, needed: list[tuple[int, Callable]]) -> list:
    values = list(row)
    for place, convert in needed:
        if values[place] is not None:
            values[place] = convert(values[place])
    return values


def _to_database(field: models.Field) -> Callable | None:
    """As Django would write it, for the kinds of field that the drivers do not take as they are."""
    if isinstance(field, models.JSONField):
        return json.dumps
    if connection.vendor == "postgresql":
        return None
    if isinstance(field, models.DateTimeField):
        return _moment
    if isinstance(field, models.DateField):
        return str
    if isinstance(field, models.DecimalField):
        return str
    return None


def _moment(value: datetime) -> str:
    return str(value.astimezone(UTC).replace(tzinfo=None))
