"""Only one place moves a request, and only the named services move what it is about. Read from the code."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from approvals.services import Facets

ROOT = Path(__file__).resolve().parent.parent
APPS = ("approvals", "journeys", "cjo_site")
STATEFUL = ("ApprovalRequest", "Intervention", "Execution")
WRITERS = {"update", "bulk_update", "bulk_create", "create", "get_or_create", "update_or_create", "save"}

# Model, file, function: every place that may write the status of a row that is there.
MAY_MOVE = {
    ("ApprovalRequest", "approvals/services/moves.py", "move_unrecorded"),
    ("ApprovalRequest", "approvals/services/moves.py", "move_together"),
    ("Intervention", "journeys/services/proposals/ends.py", "on_requests_end"),
    ("Intervention", "journeys/services/execution/moves.py", "move"),
    ("Intervention", "journeys/services/execution/worker.py", "_claim"),
    ("Execution", "journeys/services/execution/moves.py", "move"),
    ("Execution", "journeys/services/execution/worker.py", "_claim_execution"),
    ("Execution", "journeys/services/execution/endings.py", "end_retries"),
}
# Where a row begins, with its first status.
MAY_BEGIN = {
    ("ApprovalRequest", "approvals/services/opening.py", "open_prepared"),
    ("Intervention", "journeys/services/proposals/machine.py", "open_proposals"),
    ("Intervention", "journeys/services/proposals/by_hand.py", "propose"),
    ("Execution", "journeys/services/execution/worker.py", "_claim_execution"),
}
# Writes fields that its callers name: none of them may name the status.
FIELDS_OF_CALLERS = {
    ("ApprovalRequest", "approvals/services/opening.py", "_swap_payload"): (
        "approvals/services/opening.py",
        "approvals/services/changing.py",
    ),
}
# Writes rows of whatever model it is given: what comes in from outside, with a status only as it begins.
OF_ANY_MODEL = {
    ("?", "journeys/services/merging.py", "flush"),
    ("?", "approvals/rows.py", "insert_all"),
    ("?", "journeys/bench/world.py", "_write"),
}
# Functions of `approvals.rows`, called with the model.
PAST_THE_ORM = ("insert", "insert_all", "update_each")
BEGINNINGS = ("create", "bulk_create", "get_or_create", "insert", "insert_all")
TABLES = ("approvals_approvalrequest", "journeys_intervention", "journeys_execution")


class Write(NamedTuple):
    """`fields`: the names that are written; None where the code does not say which."""

    model: str
    file: str
    function: str
    verb: str
    fields: frozenset[str] | None

    @property
    def place(self) -> tuple[str, str, str]:
        return self.model, self.file, self.function


def files() -> Iterator[Path]:
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path


@cache
def returns() -> dict[str, set[str]]:
    """By the name of a function: the classes that it says it returns."""
    found: dict[str, set[str]] = {}
    for path in files():
        for function in functions(ast.parse(path.read_text())):
            found.setdefault(function.name, set()).update(named(function.returns))
    return found


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def values_of(name: str, function: ast.FunctionDef) -> Iterator[ast.expr]:
    """All that a local name is set to or extended by, where it is iterated over included."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                names = target.elts if isinstance(target, ast.Tuple) else [target]
                values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value] * len(names)
                for part, value in zip(names, values, strict=False):
                    if isinstance(part, ast.Name) and part.id == name:
                        yield value
        elif isinstance(node, ast.AugAssign | ast.AnnAssign | ast.For | ast.NamedExpr | ast.comprehension):
            value = node.iter if isinstance(node, ast.For | ast.comprehension) else node.value
            if isinstance(node.target, ast.Name) and node.target.id == name and value is not None:
                yield value


def model_of(node: ast.expr, function: ast.FunctionDef, seen: frozenset = frozenset()) -> set[str]:
    """The models whose rows an expression gives, through local names, annotated arguments and what our
    functions say that they return; empty where the code does not say."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return returns().get(node.func.id) or {node.func.id}
        node = node.func if isinstance(node, ast.Call) else node.value
    if not isinstance(node, ast.Name) or node.id in seen:
        return set()
    if node.id[:1].isupper():
        return {node.id}
    found = {
        name
        for argument in (*function.args.args, *function.args.kwonlyargs)
        if argument.arg == node.id
        for name in named(argument.annotation)
    }
    for value in values_of(node.id, function):
        found |= model_of(value, function, seen | {node.id})
    return found


def named(annotation: ast.expr | None) -> set[str]:
    """The classes that an annotation names."""
    nodes = ast.walk(annotation) if annotation is not None else ()
    return {node.id for node in nodes if isinstance(node, ast.Name) and node.id[:1].isupper()}


def keys_in(node: ast.expr, function: ast.FunctionDef, seen: frozenset = frozenset()) -> set[str] | None:
    """The names in a dict that is unpacked into a call; None where the code does not say."""
    if isinstance(node, ast.Dict):
        names: set[str] = set()
        for key, value in zip(node.keys, node.values, strict=True):
            inner = keys_in(value, function, seen) if key is None else {getattr(key, "value", None)}
            if inner is None or None in inner:
                return None
            names |= inner
        return names
    if isinstance(node, ast.BinOp):
        parts = [keys_in(node.left, function, seen), keys_in(node.right, function, seen)]
        return None if None in parts else parts[0] | parts[1]
    if isinstance(node, ast.Name) and node.id not in seen:
        values = [keys_in(value, function, seen | {node.id}) for value in values_of(node.id, function)]
        return None if not values or None in values else set().union(*values)
    return None


def fields_of(call: ast.Call, function: ast.FunctionDef) -> frozenset[str] | None:
    names: set[str] = set()
    for keyword in call.keywords:
        inner = {keyword.arg} if keyword.arg else keys_in(keyword.value, function)
        if inner is None:
            return None
        names |= inner
    if call.func.attr == "bulk_update":
        listed = call.args[1] if len(call.args) > 1 else None
        if not isinstance(listed, ast.List | ast.Tuple):
            return None
        names |= {getattr(element, "value", "") for element in listed.elts}
    return frozenset(names)


@cache
def writes() -> tuple[Write, ...]:
    """Every call that writes rows of what has a status, or of what the code does not name."""
    found = []
    for path in files():
        file = path.relative_to(ROOT).as_posix()
        tree = ast.parse(path.read_text())
        for function in functions(tree):
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") in PAST_THE_ORM:
                    fields = fields_of_each(node, tree) if node.func.id == "update_each" else None
                    found += [
                        Write(model, file, function.name, node.func.id, fields) for model in _named(node)
                    ]
                if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
                    continue
                if node.func.attr not in WRITERS or _of_a_set(node):
                    continue
                models = model_of(node.func.value, function)
                for model in models & set(STATEFUL) if models else {"?"}:
                    found.append(Write(model, file, function.name, node.func.attr, fields_of(node, function)))
    return tuple(found)


def fields_of_each(call: ast.Call, tree: ast.Module) -> frozenset[str] | None:
    """Those that `update_each` sets: told on the spot, or by a constant of the module. What a dataclass has
    is known from itself."""
    listed = call.args[1]
    if isinstance(listed, ast.Name):
        constants = [node for node in tree.body if isinstance(node, ast.Assign)]
        values = [node.value for node in constants if getattr(node.targets[0], "id", "") == listed.id]
        listed = values[0] if values else listed
    if not isinstance(listed, ast.List | ast.Tuple):
        return None
    names: set[str] = set()
    for element in listed.elts:
        if isinstance(element, ast.Starred) and ast.unparse(element.value) == "Facets.__dataclass_fields__":
            names |= set(Facets.__dataclass_fields__)
        elif isinstance(element, ast.Constant):
            names.add(element.value)
        else:
            return None
    return frozenset(names)


def _named(call: ast.Call) -> set[str]:
    """The model that a function of `approvals.rows` is called with; anything but a name of one is "?"."""
    name = getattr(call.args[0], "id", "?")
    return {name} & set(STATEFUL) if name[:1].isupper() else {"?"}


def _of_a_set(call: ast.Call) -> bool:
    """`update` of a set or a dict takes what to add by place, that of rows by name."""
    return call.func.attr == "update" and bool(call.args)


def may_move(write: Write) -> bool:
    if write.verb in BEGINNINGS or write.place in MAY_BEGIN and write.verb == "save":
        return False
    return write.verb == "save" or write.fields is None or "status" in write.fields


def test_the_status_of_a_request_is_written_in_one_place():
    movers = {write.place for write in writes() if write.model == "ApprovalRequest" and may_move(write)}
    assert {file for _, file, _ in movers - FIELDS_OF_CALLERS.keys()} == {"approvals/services/moves.py"}


def test_many_rows_at_once_are_seen_as_well():
    seen = {write.place: write.fields for write in writes() if write.verb == "update_each"}
    assert "status" in seen["ApprovalRequest", "approvals/services/moves.py", "move_together"]
    assert "payload" in seen["ApprovalRequest", "approvals/services/opening.py", "refresh_prepared"]


def test_the_status_of_what_is_carried_out_is_written_by_the_named_services_only():
    movers = {write.place for write in writes() if write.model in STATEFUL and may_move(write)}
    assert movers - FIELDS_OF_CALLERS.keys() == MAY_MOVE


def test_rows_with_a_status_begin_in_the_named_services_only():
    beginners = {write.place for write in writes() if write.model in STATEFUL and write.verb in BEGINNINGS}
    beginners |= {write.place for write in writes() if write.model in STATEFUL and write.verb == "save"}
    assert beginners == MAY_BEGIN


def test_nothing_writes_rows_that_the_code_does_not_name():
    assert {write.place for write in writes() if write.model == "?"} == OF_ANY_MODEL


def test_who_hands_on_fields_hands_on_no_status():
    named_statuses = [
        f"{file}, line {node.lineno}"
        for callers in FIELDS_OF_CALLERS.values()
        for file in callers
        for node in ast.walk(ast.parse((ROOT / file).read_text()))
        if isinstance(node, ast.Dict) and "status" in [getattr(key, "value", None) for key in node.keys]
    ]
    assert named_statuses == []


def test_no_statement_of_sql_passes_the_services_by():
    writing = re.compile(
        rf"(?i)\b(update|insert\s+into|replace\s+into|delete\s+from)\b.*({'|'.join(TABLES)})"
    )
    found = [
        f"{path.relative_to(ROOT)}, line {node.lineno}"
        for path in files()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and writing.search(node.value)
    ]
    assert found == []
