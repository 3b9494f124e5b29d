"""How the database finds what is asked for: the indexes of a plan, and the tables that it reads whole."""

import json
import re
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.db import connection

# A table's other name in a statement: "approvals_decision" U0.
_ALIAS = re.compile(r'"(\w+)" ([A-Z]+\d+)\b')
_OF_SQLITE = re.compile(r"(SEARCH|SCAN) (\w+)(?: USING (?:COVERING )?(?:INDEX (\w+)|(INTEGER PRIMARY KEY)))?")


@dataclass(slots=True)
class Plan:
    """Of one statement. `used` are (table, index) pairs, with "PRIMARY" for the primary key; `whole` are the
    tables that are read from their first to their last row."""

    sql: str
    used: set[tuple[str, str]] = field(default_factory=set)
    whole: set[str] = field(default_factory=set)
    text: str = ""


def plans_of(work: Callable[[], object]) -> list[Plan]:
    """Of each statement that `work` asks the database, with the values that it asks with, bound as they are
    there: SQLite plans otherwise where it knows them."""
    with _heard() as asked:
        work()
    return [_plan(sql, values) for sql, values in asked]


@contextmanager
def _heard():
    asked: list[tuple[str, tuple]] = []

    def hear(execute, sql, values, many, context):
        if sql.lstrip("(").startswith(("SELECT", "UPDATE", "DELETE")) and not many:
            asked.append((sql, values))
        return execute(sql, values, many, context)

    with connection.execute_wrapper(hear):
        yield asked


def _plan(sql: str, values: tuple) -> Plan:
    named = dict(reversed(pair) for pair in _ALIAS.findall(sql)).get
    explain = _explain_postgresql if connection.vendor == "postgresql" else _explain_sqlite
    return explain(Plan(sql), values, lambda name: named(name, name))


def _explain_sqlite(plan: Plan, values: tuple, table_of: Callable[[str], str]) -> Plan:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {plan.sql}", values)
        lines = [row[3] for row in cursor.fetchall()]
        keys = _primary_keys_of_sqlite(cursor)
    for line in lines:
        for _, name, index, by_number in _OF_SQLITE.findall(line):
            table = table_of(name)
            if by_number or keys.get(table) == index:
                plan.used.add((table, "PRIMARY"))
            elif index:
                plan.used.add((table, index))
            else:
                plan.whole.add(table)
    plan.text = "\n".join(lines)
    return plan


def _primary_keys_of_sqlite(cursor) -> dict[str, str]:
    """The index of the key, by table, where the key is no number."""
    cursor.execute(
        "SELECT tables.name, keys.name FROM sqlite_master AS tables, pragma_index_list(tables.name) AS keys "
        "WHERE tables.type = 'table' AND keys.origin = 'pk'"
    )
    return dict(cursor.fetchall())


def _explain_postgresql(plan: Plan, values: tuple, table_of: Callable[[str], str]) -> Plan:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (FORMAT JSON) {plan.sql}", values)
        (found,) = cursor.fetchone()
    found = json.loads(found) if isinstance(found, str) else found

    def walk(node: dict, table: str = "") -> None:
        table = node.get("Relation Name", table)
        if index := node.get("Index Name"):
            plan.used.add((table, "PRIMARY" if index.endswith("_pkey") else index))
        elif node["Node Type"] == "Seq Scan":
            plan.whole.add(table)
        for part in node.get("Plans", ()):
            walk(part, table)

    walk(found[0]["Plan"])
    plan.text = json.dumps(found, indent=1)
    return plan
