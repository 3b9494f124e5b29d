"""Writing many rows at once, past the ORM: by COPY where the database has it.

For what is written by the hundred thousand, where `bulk_create` and `bulk_update` take most of the time. No
signal is sent.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from operator import attrgetter

import orjson
from django.db import connection, models
from django.db.backends.utils import CursorWrapper

# Below this COPY is not worth its round trips.
_COPY_FROM = 20


class Prepared(list):
    """Rows as the driver takes them."""


def prepared(model: type[models.Model], names: Sequence[str], rows: Iterable[tuple]) -> Prepared:
    """What `insert` takes in their place. Converting them takes as long as writing them: who prepares them
    before the transaction holds its locks for half the time."""
    converters = [_to_database(field) for field in _fields(model, tuple(names))]
    needed = [(place, convert) for place, convert in enumerate(converters) if convert]
    return Prepared(_converted(row, needed) for row in rows)


def prepared_all(model: type[models.Model], instances: Sequence[models.Model]) -> Prepared:
    """What `insert_all` takes beside them; without the keys that the database makes."""
    names = _names(model)
    return prepared(model, names, map(attrgetter(*names), instances))


def insert_all(
    model: type[models.Model], instances: Sequence[models.Model], rows: Prepared | None = None
) -> None:
    """Write unsaved instances, and give them their keys where the database makes them. `rows` is what
    `prepared_all` made of them.

    Raises django.db.IntegrityError. Call it in a transaction.
    """
    names = _names(model)
    rows = prepared_all(model, instances) if rows is None else rows
    if model._meta.auto_field is not None:
        names = (model._meta.pk.attname, *names)
        keys = next_keys(model, len(instances))
        rows = Prepared((key, *row) for key, row in zip(keys, rows, strict=True))
        for instance, key in zip(instances, keys, strict=True):
            instance.pk = key
    insert(model, names, rows)
    for instance in instances:
        instance._state.adding = False
        instance._state.db = connection.alias


def insert(
    model: type[models.Model],
    names: Sequence[str],
    rows: Sequence[tuple] | Prepared,
    *,
    unless_there: bool = False,
) -> None:
    """Write `rows`, each with a value for every one of the `names`; a foreign key takes the key's value. No
    default of a field is filled in: every column without one in the database must be named. With
    `unless_there`, a row that a unique constraint refuses is left out instead of raising.

    Raises django.db.IntegrityError. Call it in a transaction.
    """
    if not isinstance(rows, Prepared):
        rows = prepared(model, names, rows)
    table = connection.ops.quote_name(model._meta.db_table)
    columns = ", ".join(connection.ops.quote_name(field.column) for field in _fields(model, tuple(names)))
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql" and len(rows) >= _COPY_FROM and not unless_there:
            _copy(
                cursor,
                f"COPY {table} ({columns}) FROM STDIN (FORMAT BINARY)",
                _types(model, tuple(names)),
                rows,
            )
        else:
            marks = ", ".join(["%s"] * len(names))
            otherwise = " ON CONFLICT DO NOTHING" if unless_there else ""
            statement = f"INSERT INTO {table} ({columns}) VALUES ({marks}){otherwise}"  # noqa: S608 - names of our own models
            cursor.executemany(statement, rows)


def _copy(cursor: CursorWrapper, statement: str, types: list[str], rows: Prepared) -> None:
    # In binary: as text the 28 columns of an assessment take the driver and the server a third longer.
    cursor.adapters.register_dumper(str, _jsonb_dumper())
    with connection.wrap_database_errors, cursor.copy(statement) as copy:
        copy.set_types(types)
        for row in rows:
            copy.write_row(row)


@cache
def _jsonb_dumper() -> type:
    """Of JSON that is text already. The driver is imported where there is one."""
    from psycopg import adapters, pq
    from psycopg.adapt import Dumper

    class Text(Dumper):
        format = pq.Format.BINARY
        oid = adapters.types["jsonb"].oid

        def dump(self, obj: str) -> bytes:
            return b"\x01" + obj.encode()  # the version of the format, then the text

    return Text


@cache
def _types(model: type[models.Model], names: tuple[str, ...]) -> list[str]:
    """What the columns are, without their lengths."""
    return [field.db_type(connection).partition("(")[0] for field in _fields(model, names)]


def update_each(
    model: type[models.Model],
    names: Sequence[str],
    known_by: Sequence[str],
    rows: Iterable[tuple] | Prepared,
) -> int:
    """Set the fields `names` of many rows, each to values of its own, where the fields `known_by` still read
    as told: each of `rows` has the values of the first, then of the second, of which none may be null.
    Returns how many were set: the caller looks whether these were all."""
    if not isinstance(rows, Prepared):
        rows = prepared(model, (*names, *known_by), rows)
    if not rows:
        return 0
    new, known = (
        [connection.ops.quote_name(field.column) for field in _fields(model, tuple(fields))]
        for fields in (names, known_by)
    )
    table = connection.ops.quote_name(model._meta.db_table)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql" and len(rows) >= _COPY_FROM:
            _update_from_document(cursor, table, new, known, _types(model, (*names, *known_by)), rows)
        else:
            to, where = (
                word.join(f"{column} = %s" for column in of) for word, of in ((", ", new), (" AND ", known))
            )
            cursor.executemany(f"UPDATE {table} SET {to} WHERE {where}", rows)  # noqa: S608 - names of our own models
        return cursor.rowcount


def _update_from_document(
    cursor: CursorWrapper, table: str, new: list[str], known: list[str], types: list[str], rows: Prepared
) -> None:
    # One statement for all, with the values in one document: half as much again is done a second as by one
    # for each, and the driver makes the document eight times as fast as an array for each column.
    documents = [place for place, of in enumerate(types) if of == "jsonb"]
    values = ", ".join(f"v{place} {of}" for place, of in enumerate(types))
    to = ", ".join(f"{column} = given.v{place}" for place, column in enumerate(new))
    where = " AND ".join(f"it.{column} = given.v{place}" for place, column in enumerate(known, len(new)))
    cursor.execute(
        f"UPDATE {table} AS it SET {to} FROM jsonb_to_recordset(%s) AS given({values}) WHERE {where}",  # noqa: S608 - names of our own models
        [orjson.dumps([_document(row, documents) for row in rows], default=_exactly).decode()],
    )


def _document(row: Sequence, documents: list[int]) -> dict:
    """`documents` are the places of what is JSON already, as text."""
    values = {f"v{place}": value for place, value in enumerate(row)}
    for place in documents:
        if row[place] is not None:
            values[f"v{place}"] = orjson.Fragment(row[place])
    return values


def _exactly(value: object) -> str:
    """What JSON has no word for. Raises TypeError but for a Decimal."""
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(type(value).__name__)


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


@cache
def _names(model: type[models.Model]) -> tuple[str, ...]:
    """Of all columns but those that the database fills in."""
    fields = model._meta.concrete_fields
    return tuple(field.attname for field in fields if not field.generated and field != model._meta.auto_field)


def _converted(row: tuple, needed: list[tuple[int, Callable]]) -> list:
    values = list(row)
    for place, convert in needed:
        if values[place] is not None:
            values[place] = convert(values[place])
    return values


def _to_database(field: models.Field) -> Callable | None:
    """As Django would write it, for the kinds of field that the drivers do not take as they are."""
    if isinstance(field, models.JSONField):
        return _json
    if connection.vendor == "postgresql":
        return None
    if isinstance(field, models.DateTimeField):
        return _moment
    if isinstance(field, models.DateField):
        return str
    if isinstance(field, models.DecimalField):
        return str
    return None


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


def _moment(value: datetime) -> str:
    return str(value.astimezone(UTC).replace(tzinfo=None))
