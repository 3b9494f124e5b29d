"""What SQLite knows of its own tables, from which it chooses how to look something up."""

from django.db import connection

from journeys.models import Execution, Intervention, Outcome

# So many rows of each index are looked at: enough to tell a range of days from a whole table.
_ROWS = 400


def refresh_statistics() -> None:
    """SQLite gathers its statistics only when asked to; without them it takes the wrong index where a hundred
    thousand interventions are counted. Only of what is counted so: the pages of all else are written for the
    plans that it makes without. PostgreSQL sees to it by itself."""
    if connection.vendor != "sqlite":
        return
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA analysis_limit = {_ROWS}")
        for model in (Intervention, Execution, Outcome):
            cursor.execute(f"ANALYZE {connection.ops.quote_name(model._meta.db_table)}")
