"""What the database knows of its own tables, from which it chooses how to look something up."""

import logging

from django.apps import apps
from django.db import DatabaseError, connection, transaction
from django.db.models import JSONField

from journeys.models import Execution, Intervention, Outcome

log = logging.getLogger(__name__)

# So many rows of each index are looked at: enough to tell a range of days from a whole table.
_ROWS = 400
# From so few rows SQLite guesses how many there are in all, of each index another number, and passes over
# the one that is in order for another that seems smaller. A partial index does hold fewer.
_AS_MANY_IN_EACH = """
UPDATE sqlite_stat1 SET stat = %s || substr(stat, instr(stat, ' '))
WHERE tbl = %s
    AND idx NOT IN (SELECT name FROM sqlite_master WHERE type = 'index' AND sql LIKE '%% WHERE %%')
"""
# By pages: how many rows there are is just what PostgreSQL does not know. Whoever does not own a table may
# not have it analysed.
_GROWN = """
SELECT relname FROM pg_class
WHERE relname = ANY(%s) AND pg_table_is_visible(oid) AND pg_has_role(relowner, 'USAGE')
    AND pg_relation_size(oid) > (2 * greatest(relpages, 0) + 10) * current_setting('block_size')::int
"""
# A quarter of the rows that PostgreSQL looks at by itself: a run waits for it.
_TARGET = 25


def refresh_statistics() -> None:
    """Gather them anew where a run has made them wrong. Without them SQLite takes the wrong index where a
    hundred thousand interventions are counted."""
    if connection.vendor == "sqlite":
        _gather_on_sqlite()
    else:
        _gather_what_has_grown()


def keep_up() -> None:
    """Now and then while a run fills tables. PostgreSQL sees to it by itself, but only once a minute: of a
    table that was empty when it last looked it believes until then that any index will do, and goes through
    all of its rows for each range. SQLite has no figures to go by while it is written.

    It waits for nobody, and what keeps it from its work keeps the run from nothing."""
    if connection.vendor == "postgresql":
        try:
            _gather_what_has_grown("(SKIP_LOCKED)")
        except DatabaseError:
            log.warning("The statistics of what a run fills could not be gathered.", exc_info=True)


def _gather_on_sqlite() -> None:
    """Only of what is counted: the pages of all else are written for the plans that it makes without."""
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA analysis_limit = {_ROWS}")
        for model in (Intervention, Execution, Outcome):
            table = model._meta.db_table
            cursor.execute(f"ANALYZE {connection.ops.quote_name(table)}")
            cursor.execute(_AS_MANY_IN_EACH, [model.objects.count(), table])
        cursor.execute("ANALYZE sqlite_master")  # which reads in what was just written


def _gather_what_has_grown(option: str = "") -> None:
    """Of all columns but documents, which nobody looks anything up by. As the columns are named, PostgreSQL
    goes on counting towards its own, thorough look."""
    models = {
        model._meta.db_table: model
        for label in ("journeys", "approvals")
        for model in apps.get_app_config(label).get_models()
    }
    quoted = connection.ops.quote_name
    with connection.cursor() as cursor:
        cursor.execute(_GROWN, [list(models)])
        for (table,) in cursor.fetchall():
            fields = models[table]._meta.concrete_fields
            columns = [quoted(field.column) for field in fields if not isinstance(field, JSONField)]
            # One for each: of a table whose transaction is undone the pages are noted all the same, and it
            # would not be found again.
            with transaction.atomic():
                cursor.execute(f"SET LOCAL default_statistics_target = {_TARGET}")
                cursor.execute(f"ANALYZE {option} {quoted(table)} ({', '.join(columns)})")
