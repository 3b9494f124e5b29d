"""What SQLite knows of its own tables, from which it chooses how to look something up."""

from django.db import connection

from journeys.models import Execution, Intervention, Outcome

# So many rows of each index are looked at: enough to tell a range of days from a whole table.
_ROWS = 400
# From so few rows it guesses how many there are in all, of each index another number, and then passes over
# the one that is in order for another that seems smaller. A partial index does hold fewer.
_AS_MANY_IN_EACH = """
UPDATE sqlite_stat1 SET stat = %s || substr(stat, instr(stat, ' '))
WHERE tbl = %s
    AND idx NOT IN (SELECT name FROM sqlite_master WHERE type = 'index' AND sql LIKE '%% WHERE %%')
"""


def refresh_statistics() -> None:
    """SQLite gathers its statistics only when asked to; without them it takes the wrong index where a hundred
    thousand interventions are counted. Only of what is counted so: the pages of all else are written for the
    plans that it makes without. PostgreSQL sees to it by itself."""
    if connection.vendor != "sqlite":
        return
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA analysis_limit = {_ROWS}")
        for model in (Intervention, Execution, Outcome):
            table = model._meta.db_table
            cursor.execute(f"ANALYZE {connection.ops.quote_name(table)}")
            cursor.execute(_AS_MANY_IN_EACH, [model.objects.count(), table])
        cursor.execute("ANALYZE sqlite_master")  # which reads in what was just written
