"""What others do between two looks of somebody who reads."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from approvals.audit import Event, record
from approvals.rules import Actor

_SOMEBODY = Actor(key="user:9", name="somebody", door="test")


@contextmanager
def writing_after_each_look_at(tables: str) -> Iterator[None]:
    """Somebody else's event comes to the audit after each reading of a table whose name begins so."""
    writing = False

    def watched(execute, sql, params, many, context):
        nonlocal writing
        result = execute(sql, params, many, context)
        if not writing and sql.startswith(("SELECT", "DECLARE")) and f'FROM "{tables}' in sql:
            writing = True
            record([Event(word="request.opened", actor=_SOMEBODY, kind="intervention", subject_key="iv")])
            writing = False
        return result

    with connection.execute_wrapper(watched):
        yield
