"""Moments and days as whole microseconds since 1970, in the database: so that a hundred thousand spans of
time can be added up there, exactly, on SQLite as on PostgreSQL. SQLite keeps moments as text, in UTC."""

from django.db.models import BigIntegerField, ExpressionWrapper, Func

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR

# {0} is a moment or a day.
_WRITTEN = {
    "sqlite": "(strftime('%%s', {0}) * 1000000 + CAST(substr({0} || '000000', 21, 6) AS INTEGER))",
    "postgresql": "(EXTRACT(EPOCH FROM {0}) * 1000000)::bigint",
}


class Microseconds(Func):
    """Null of null."""

    arity = 1
    output_field = BigIntegerField()

    def as_sql(self, compiler, connection, **context):
        sql, params = compiler.compile(self.source_expressions[0])
        written = _WRITTEN[connection.vendor]
        return written.format(sql), tuple(params) * written.count("{0}")


def span(since, until) -> ExpressionWrapper:
    """From one moment to another. Django would take the difference for a small integer."""
    return ExpressionWrapper(Microseconds(until) - Microseconds(since), BigIntegerField())
