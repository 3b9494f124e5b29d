"""Who may import whom: doors, then pipeline and reports, then services, then models, then rules; never up."""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Each kind of module, by its path, and what it must never import.
DOORS = (
    "journeys.admin",
    "approvals.admin",
    "journeys.tasks",
    "journeys.management",
    "journeys.api",
    "approvals.api",
    "approvals.tasks",
)
ABOVE_SERVICES = (
    *DOORS,
    "journeys.pipeline",
    "journeys.reports",
    "journeys.run_document",
    "journeys.demo",
    "journeys.bench",
)
ABOVE_MODELS = (
    *ABOVE_SERVICES,
    "journeys.services",
    "approvals.services",
    "journeys.executors",
    "journeys.subjects",
)
FORBIDDEN = {
    "approvals/": ("journeys",),
    "approvals/rules.py": ("django", "approvals"),
    "journeys/domain/": ("django", "approvals", "rest_framework", "journeys.models", "journeys.services"),
    "journeys/models/": ABOVE_MODELS,
    "approvals/models/": ABOVE_MODELS,
    "journeys/services/": ABOVE_SERVICES,
    "approvals/services/": ABOVE_SERVICES,
    "journeys/executors.py": ("journeys.models", *ABOVE_MODELS),
    "journeys/cases.py": ABOVE_MODELS,
    "journeys/history.py": ABOVE_MODELS,
    "journeys/pipeline/": (*DOORS, "journeys.demo"),
    "journeys/demo/": (*DOORS, "journeys.executors", "journeys.bench"),
    "journeys/bench/": (*DOORS, "journeys.executors"),
    "journeys/reports/": DOORS,
    "journeys/admin": ("journeys.executors",),
    "journeys/management/": ("journeys.executors",),
    "journeys/tasks.py": ("journeys.executors",),
    "journeys/": ("cjo_site",),
}


def _modules(prefix: str) -> list[Path]:
    return [path for path in ROOT.glob("*/**/*.py") if path.relative_to(ROOT).as_posix().startswith(prefix)]


def _imports(path: Path) -> set[str]:
    """Every module that a file names in an import, wherever in the file it stands."""
    package = path.relative_to(ROOT).parent.as_posix().replace("/", ".")
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join(filter(None, [*package.split(".")[: -node.level + 1 or None], node.module]))
            names |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return names


def _is_or_is_below(name: str, forbidden: str) -> bool:
    return name == forbidden or name.startswith(f"{forbidden}.")


def test_imports_go_down_only():
    breaches = [
        f"{path.relative_to(ROOT)} imports {name}"
        for prefix, forbidden in FORBIDDEN.items()
        for path in _modules(prefix)
        if "migrations" not in path.parts
        for name in _imports(path)
        if any(_is_or_is_below(name, word) for word in forbidden)
    ]
    assert breaches == []


def test_the_rules_above_speak_of_files_that_exist():
    assert [prefix for prefix in FORBIDDEN if not _modules(prefix)] == []


def test_no_file_is_a_dumping_ground():
    long = {
        path.relative_to(ROOT).as_posix(): lines
        for path in _modules("")
        if not {"migrations", "tests", ".venv"} & set(path.parts)
        if (lines := len(path.read_text().splitlines())) > 450
    }
    assert long == {}


def test_trials_and_browser_tests_lie_where_ci_run_looks_for_them():
    for mark, folder in {"trial": "tests/trials", "browser": "tests/browser"}.items():
        marked = [path for path in _modules("tests/") if f"pytest.mark.{mark}" in path.read_text()]
        assert marked
        assert {path.parent.relative_to(ROOT).as_posix() for path in marked} == {folder}
