"""How many decisions a second the gate records, beside how many rows a second the same database takes.

On a database of its own, made for the measurement and removed again; the one in use is left alone.
"""

import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db import connection, connections
from django.utils import timezone

from approvals import subjects
from approvals.models import ApprovalRequest, AuthorityLimit
from approvals.rules import Actor, Verdict
from approvals.services import Facets, NewRequest, Terms, decide, open_requests

KIND = "bench"
THREADS = 8


def measure(decisions: int) -> dict[str, float]:
    """Rates per second: `bare_per_second` (one insert a commit, one thread), `one_thread`, `eight_threads`
    decisions, and `ratio`, the lower of the two decision rates by the bare one."""
    subjects.register(
        subjects.Subject(
            kind=KIND,
            label="Measurement",
            template="",
            describe=lambda request, user: {},
            on_end=lambda requests, actor: None,
        )
    )
    with database_of_its_own():
        user = _decider()
        requests = _requests(2 * decisions)
        bare = _rate(decisions, _insert_bare)
        one = _rate(decisions, lambda count: _decide(requests[:count], user))
        eight = _rate(decisions, lambda count: _in_threads(requests[count:], user))
    return {
        "bare_per_second": round(bare, 1),
        "one_thread": round(one, 1),
        "eight_threads": round(eight, 1),
        "ratio": round(min(one, eight) / bare, 3),
    }


@contextmanager
def database_of_its_own() -> Iterator[None]:
    settings = connection.settings_dict
    test, name = settings["TEST"], settings["NAME"]
    before = test["NAME"]
    with tempfile.TemporaryDirectory(prefix="cjo-bench-") as folder:
        if connection.vendor == "sqlite":
            test["NAME"] = str(Path(folder) / "bench.sqlite3")
        else:
            test["NAME"] = f"bench_{name}"
        connection.creation.create_test_db(verbosity=0, autoclobber=True)
        try:
            yield
        finally:
            connections.close_all()
            connection.creation.destroy_test_db(name, verbosity=0)
            test["NAME"] = before


def _decider():
    user = get_user_model().objects.create_user("bench")
    group = Group.objects.create(name="bench")
    group.permissions.add(Permission.objects.get(codename="decide_approvalrequest"))
    AuthorityLimit.objects.create(name="bench", group=group)
    user.groups.add(group)
    return user


def _requests(count: int) -> list[ApprovalRequest]:
    now = timezone.now()
    terms = Terms(
        remind_at=now,
        decision_due_at=now,
        expires_at=now + timedelta(days=1),
        execute_within_hours=1,
    )
    new = (
        NewRequest(
            kind=KIND,
            subject_key=str(number),
            title=f"Measurement {number}",
            payload={"number": number, "body": "x" * 500},
            facets=Facets(value_at_stake=1),
            terms=terms,
        )
        for number in range(count)
    )
    return open_requests(new, proposer=Actor(key="machine:bench", name="bench", door="command"))


def _insert_bare(count: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE bench_bare (id integer PRIMARY KEY, body text)")
        for number in range(count):
            cursor.execute("INSERT INTO bench_bare (id, body) VALUES (%s, %s)", [number, "x" * 500])


def _decide(requests: list[ApprovalRequest], user) -> None:
    for request in requests:
        decide(
            request_id=request.pk,
            verdict=Verdict.APPROVED,
            fingerprint=request.fingerprint,
            user=user,
            door="command",
        )


def _in_threads(requests: list[ApprovalRequest], user) -> None:
    failures = []

    def work(mine: list[ApprovalRequest]) -> None:
        try:
            _decide(mine, user)
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(requests[place::THREADS],)) for place in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def _rate(count: int, work: Callable[[int], None]) -> float:
    started = time.perf_counter()
    work(count)
    return count / (time.perf_counter() - started)
