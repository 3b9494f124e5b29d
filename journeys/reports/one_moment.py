"""Several statements that see the database as it was at one moment, and keep nobody from writing."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

# Django's own transactions would take SQLite's only lock for writing.
_BEGIN = {"sqlite": "BEGIN DEFERRED", "postgresql": "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"}


@contextmanager
def one_moment() -> Iterator[None]:
    """For reading only. Within a transaction it is that transaction's."""
    if connection.in_atomic_block:
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute(_BEGIN[connection.vendor])
        try:
            yield
        finally:
            cursor.execute("ROLLBACK")
