"""On SQLite: what a run commits is carried over from the write-ahead log into the database beside it, by a
thread. Commits that do so themselves take two to three times as long, with the run waiting for the disk."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from django.db import DatabaseError, connection

log = logging.getLogger(__name__)

# Pages of the log from which a commit does it all the same: where the thread is behind, or has died, or
# somebody reads for so long that the log cannot begin anew.
_AT_MOST = 30_000


@contextmanager
def beside(*, worth_it: bool = True) -> Iterator[Callable[[], None]]:
    """Yields what is to be called after each commit. Where it is not worth a thread, or the database has no
    such log, that does nothing."""
    if not worth_it or connection.vendor != "sqlite":
        yield lambda: None
        return
    committed, ended = Event(), Event()
    thread = Thread(target=_carry_over, args=(committed, ended), name="checkpoints", daemon=True)
    usual = _pragma("wal_autocheckpoint")
    thread.start()
    try:
        _pragma(f"wal_autocheckpoint={_AT_MOST}")
        yield committed.set
    finally:
        ended.set()
        committed.set()
        thread.join()
        _pragma(f"wal_autocheckpoint={usual}")


def _carry_over(committed: Event, ended: Event) -> None:
    # A connection of its own, as each thread has one. PASSIVE waits for nobody, and nobody for it.
    try:
        while True:
            committed.wait()
            # Before looking whether it has ended, or the call that says so could be lost.
            committed.clear()
            if ended.is_set():
                return
            _pragma("wal_checkpoint(PASSIVE)")
    except DatabaseError:
        log.warning("The write-ahead log is carried over by commits again.", exc_info=True)
    finally:
        connection.close()


def _pragma(text: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA {text}")
        return cursor.fetchone()[0]
