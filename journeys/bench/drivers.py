"""The databases' own drivers, with nothing above them: for the floor."""

import re
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Protocol

import psycopg
from django.db import connection
from psycopg.types.string import TextLoader

PREFIX = "floor_"


class Driver(Protocol):
    mark: str
    # The id of the process that works for it on a server, 0 where there is none.
    server_process: int

    def read(self, query: str, bounds: Sequence) -> list[tuple]: ...

    def write(self, rows: Iterable[tuple[str, Sequence[str], list[tuple]]]) -> None:
        """(table, columns, rows) each into the shadow of the table, in one transaction."""

    def columns(self, table: str) -> tuple[str, ...]:
        """But for those that the database fills in."""

    def shadow(self, table: str) -> None:
        """Make an empty table with the same columns, checks and indexes, and no foreign keys."""


def bare() -> Driver:
    """On the database of Django's connection."""
    return _Sqlite() if connection.vendor == "sqlite" else _Postgres()


def names(columns: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


class _Sqlite:
    mark = "?"
    server_process = 0

    def __init__(self):
        # With the settings of Django's; foreign keys are checked only where one asks for it.
        self._connection = sqlite3.connect(connection.settings_dict["NAME"], isolation_level=None, timeout=20)
        self._connection.executescript(connection.settings_dict["OPTIONS"]["init_command"])

    def read(self, query: str, bounds: Sequence) -> list[tuple]:
        return self._connection.execute(query, bounds).fetchall()

    def write(self, rows: Iterable[tuple[str, Sequence[str], list[tuple]]]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        for table, columns, values in rows:
            marks = ", ".join("?" * len(columns))
            self._connection.executemany(
                f'INSERT INTO "{PREFIX}{table}" ({names(columns)}) VALUES ({marks})', values
            )
        self._connection.execute("COMMIT")

    def columns(self, table: str) -> tuple[str, ...]:
        return tuple(row[1] for row in self.read(f'PRAGMA table_info("{table}")', ()))

    def shadow(self, table: str) -> None:
        statements = self.read(
            "SELECT sql FROM sqlite_master WHERE tbl_name = ? AND type IN ('table', 'index') "
            "AND sql IS NOT NULL ORDER BY type DESC",
            [table],
        )
        for (statement,) in statements:
            statement = statement.replace(f'"{table}"', f'"{PREFIX}{table}"')
            self._connection.execute(re.sub(r'INDEX "(\w+)" ON', rf'INDEX "{PREFIX}\1" ON', statement))


class _Postgres:
    mark = "%s"

    def __init__(self):
        self._connection = psycopg.connect(
            **{**connection.get_connection_params(), "cursor_factory": psycopg.Cursor}, autocommit=True
        )
        self.server_process = self._connection.info.backend_pid
        # JSON as the text that has to be written.
        self._connection.adapters.register_loader("jsonb", TextLoader)

    def read(self, query: str, bounds: Sequence) -> list[tuple]:
        return self._connection.execute(query, bounds).fetchall()

    def write(self, rows: Iterable[tuple[str, Sequence[str], list[tuple]]]) -> None:
        with self._connection.transaction(), self._connection.cursor() as cursor:
            for table, columns, values in rows:
                with cursor.copy(f'COPY "{PREFIX}{table}" ({names(columns)}) FROM STDIN') as copy:
                    for row in values:
                        copy.write_row(row)

    def columns(self, table: str) -> tuple[str, ...]:
        found = self.read(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = current_schema() "
            "AND table_name = %s AND is_generated = 'NEVER' ORDER BY ordinal_position",
            [table],
        )
        return tuple(name for (name,) in found)

    def shadow(self, table: str) -> None:
        self._connection.execute(f'CREATE TABLE "{PREFIX}{table}" (LIKE "{table}" INCLUDING ALL)')
