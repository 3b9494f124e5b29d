"""Triggers by which the database itself refuses to change what must only grow."""

# Each table with what is unique in it, as conditions on a new row.
TABLES = {
    "approvals_auditevent": ("sequence = NEW.sequence",),
    "approvals_decision": (
        "id = NEW.id",
        "event_id = NEW.event_id",
        "(ends AND NEW.ends AND request_id = NEW.request_id)",
        "(request_id = NEW.request_id AND fingerprint = NEW.fingerprint AND actor_key = NEW.actor_key)",
    ),
}


def install(connection, tables: dict[str, tuple[str, ...]] = TABLES) -> None:
    """Create the triggers on each table (name -> conditions of uniqueness), if they are not there yet."""
    _run(connection, _POSTGRESQL if connection.vendor == "postgresql" else _SQLITE, tables)


def remove(connection, tables: dict[str, tuple[str, ...]] = TABLES) -> None:
    drops = _POSTGRESQL_DROP if connection.vendor == "postgresql" else _SQLITE_DROP
    _run(connection, drops, tables)


def _run(connection, statements: list[str], tables: dict[str, tuple[str, ...]]) -> None:
    with connection.cursor() as cursor:
        for table, unique in tables.items():
            taken = " OR ".join(unique)
            for statement in statements:
                cursor.execute(statement.format(table=table, taken=taken))


# INSERT OR REPLACE deletes without firing the DELETE trigger (unless recursive_triggers is on), so an
# INSERT of a unique value that exists is refused as well.
_SQLITE = [
    "CREATE TRIGGER IF NOT EXISTS {table}_no_update BEFORE UPDATE ON {table} "
    "BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END",
    "CREATE TRIGGER IF NOT EXISTS {table}_no_delete BEFORE DELETE ON {table} "
    "BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END",
    "CREATE TRIGGER IF NOT EXISTS {table}_no_replace BEFORE INSERT ON {table} "
    "WHEN EXISTS (SELECT 1 FROM {table} WHERE {taken}) "
    "BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END",
]
_SQLITE_DROP = [f"DROP TRIGGER IF EXISTS {{table}}_no_{verb}" for verb in ("update", "delete", "replace")]

_POSTGRESQL = [
    "CREATE OR REPLACE FUNCTION approvals_append_only() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$",
    "CREATE OR REPLACE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} "
    "FOR EACH ROW EXECUTE FUNCTION approvals_append_only()",
    "CREATE OR REPLACE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
    "FOR EACH STATEMENT EXECUTE FUNCTION approvals_append_only()",
]
_POSTGRESQL_DROP = [
    f"DROP TRIGGER IF EXISTS {{table}}_no_{verb} ON {{table}}" for verb in ("change", "truncate")
]
