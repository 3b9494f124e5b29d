"""What the database knows of its own tables, from which it chooses how to look something up."""

from django.db import connection

# So many rows of each index are looked at: enough to tell a range of days from a whole table.
_ROWS = 400


def refresh_statistics() -> None:
    """SQLite gathers its statistics only when asked to; without them it takes the wrong index where a hundred
    thousand rows are counted. PostgreSQL sees to it by itself."""
    if connection.vendor != "sqlite":
        return
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA analysis_limit = {_ROWS}")
        cursor.execute("ANALYZE")
