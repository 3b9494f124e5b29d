"""What the trials share. At the end of a run they tell what each of them did: a row of `docs/trials.md`."""

import time
from collections.abc import Callable

import pytest
from django.db import connection

from tests.trials import portfolio

# A property of the report, which comes along where another process ran the trial.
TOLD = "told"


@pytest.fixture
def no_grace(db):
    return portfolio.without_grace()


@pytest.fixture
def started(tmp_path):
    """Starts processes, `started(Cluster, mail_port=1)`; none is left behind."""
    groups = []

    def one(kind, **arguments):
        groups.append(kind(log=tmp_path / "log", **arguments))
        return groups[-1]

    yield one
    for group in groups:
        group.kill()


@pytest.fixture
def tell(request) -> Callable[[object, str], None]:
    """`tell(how often, what came of it)`, at the end of a trial that held."""
    started = time.monotonic()

    def note(times: object, result: str) -> None:
        name = request.node.name.removeprefix("test_").replace("_", " ")
        cells = (name, times, connection.display_name, result, f"{time.monotonic() - started:.0f}")
        row = "| " + " | ".join(str(cell) for cell in cells) + " |"
        request.node.user_properties.append((TOLD, row))

    return note


def pytest_terminal_summary(terminalreporter):
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == TOLD:
                terminalreporter.write_line(value)
