"""SQLite's write-ahead log is carried over beside a run, and not by its commits."""

import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from django.db import connection

from journeys.models import Assessment, Customer
from journeys.pipeline import checkpoints, run
from tests.runs import planned_run

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL has processes of its own for that"),
]


@pytest.fixture
def in_the_file(tmp_path):
    """How many rows of a table the database's file has by itself, without its log."""

    def number(model) -> int:
        copy = tmp_path / "copy.sqlite3"
        copy.write_bytes(Path(connection.settings_dict["NAME"]).read_bytes())
        try:
            with sqlite3.connect(f"file:{copy}?immutable=1", uri=True) as alone:
                return alone.execute(f"SELECT COUNT(*) FROM {model._meta.db_table}").fetchone()[0]
        except sqlite3.DatabaseError:
            return -1  # copied while it was being carried over

    with connection.cursor() as cursor:
        cursor.execute("PRAGMA wal_checkpoint(FULL)")
    return number


def soon(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def in_threads() -> bool:
    return any(thread.name == "checkpoints" for thread in threading.enumerate())


def pages_until_a_commit_carries_over() -> int:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA wal_autocheckpoint")
        return cursor.fetchone()[0]


def test_what_is_committed_is_carried_over_soon(in_the_file):
    with checkpoints.beside() as committed:
        for number in range(3):
            Customer.objects.create(customer_id=f"K{number}", email="k@example.com")
            assert in_the_file(Customer) == number
            committed()
            soon(lambda there=number + 1: in_the_file(Customer) == there)


def test_what_a_run_has_written_is_in_the_file_while_it_goes_on(sample, settings, in_the_file):
    settings.RANGE_SIZE = 3
    seen = []

    def look(customers: int) -> None:
        soon(lambda: in_the_file(Assessment) == Assessment.objects.count() > 0)
        seen.append(customers)

    run(planned_run(), on_progress=look)
    assert seen


def test_meanwhile_no_commit_does_so_and_afterwards_they_do_as_before():
    usual = pages_until_a_commit_carries_over()

    def break_off() -> None:
        with checkpoints.beside():
            assert pages_until_a_commit_carries_over() > 5 * usual
            assert in_threads()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        break_off()
    assert pages_until_a_commit_carries_over() == usual
    assert not in_threads()


class SlowEvent(threading.Event):
    """One that is set again while it is being cleared."""

    def clear(self):
        time.sleep(0.1)
        super().clear()


def test_that_it_has_ended_is_not_lost_while_the_thread_takes_note_of_a_commit(monkeypatch):
    monkeypatch.setattr(checkpoints, "Event", SlowEvent)

    def one_commit() -> None:
        with checkpoints.beside() as committed:
            committed()
            time.sleep(0.02)
        connection.close()

    run_of_its_own = threading.Thread(target=one_commit, daemon=True)
    run_of_its_own.start()
    run_of_its_own.join(timeout=20)
    assert not run_of_its_own.is_alive()
