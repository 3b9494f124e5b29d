"""A worker that is really killed, at any point between decision, claim, send and record: at most one mail
goes out, what hangs is seen, and a person or the sweep ends it."""

import random
import time
from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone
from django_q.models import OrmQ
from django_q.tasks import async_task

from approvals.invariants import broken
from journeys.domain.vocabulary import ExecutionStatus, InterventionStatus
from journeys.models import Execution, Intervention
from journeys.services import execution
from tests.acting import decide
from tests.trials import portfolio
from tests.trials.cluster import Cluster, HeldMailServer, wait_until
from tests.trials.rounds import rounds

pytestmark = [pytest.mark.trial, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

# Where the worker is when it dies: the step at which the mail server holds it, or has just answered.
POINTS = ("before the claim", "GREETING", "MAIL", "DATA", "MESSAGE", "after MESSAGE", "anywhere")
# The mail has been taken in full at these, and at no earlier one.
TAKEN = ("MESSAGE", "after MESSAGE")
EACH_ROUND = 2


@pytest.fixture
def mails():
    server = HeldMailServer()
    with server.running() as port:
        server.port = port
        yield server


@pytest.fixture
def start(mails, started):
    return partial(started, Cluster, mail_port=mails.port)


def a_long_time_passes() -> None:
    """Claims grow old, the queue hands out again what was never acknowledged, and the sweep is due: its task
    is put in here, as the schedule would do it half a minute later."""
    claimed = Execution.objects.filter(status=ExecutionStatus.CLAIMED)
    claimed.update(claimed_at=timezone.now() - execution.STUCK_AFTER - timedelta(seconds=1))
    OrmQ.objects.update(lock=timezone.now() - timedelta(seconds=1))
    async_task("journeys.tasks.sweep")


def stuck() -> set[str]:
    return set(execution.stuck(timezone.now()).values_list("intervention_id", flat=True))


def at_rest(keys: list[str]) -> bool:
    """Whether all of these are either carried out or hang."""
    moving = Intervention.objects.filter(pk__in=keys, status=InterventionStatus.APPROVED)
    executing = Intervention.objects.filter(pk__in=keys, status=InterventionStatus.EXECUTING)
    return not (moving.exists() or executing.exclude(pk__in=stuck()).exists())


def end(row: Execution, person, *, went_out: bool) -> None:
    execution.end_uncertain(
        execution_id=row.pk, user=person, went_out=went_out, note="Asked the mail server.", door="test"
    )


def end_what_hangs(mails: HeldMailServer, person) -> int:
    """What hangs is seen as such, nothing else is wrong, and a person who asks the mail server ends it.
    Returns how many hung."""
    hanging = list(execution.stuck(timezone.now()))
    assert [breach.invariant for breach in broken()] == ["no_orphaned_claim"] * len(hanging)
    for row in hanging:
        end(row, person, went_out=bool(mails.receipts()[row.intervention_id]))
    assert broken() == []
    return len(hanging)


def kill_at(point: str, workers: Cluster, batch: list, person, mails: HeldMailServer, chance) -> None:
    """Have the requests decided, and kill the workers when they have come to this point."""
    if point == "anywhere":
        time.sleep(chance.uniform(0, 2.5))  # it may be just starting
    elif point == "before the claim":
        workers.kill()
    else:
        mails.hold(point)
    for request in batch:
        decide(request, person)
    if point == "anywhere":
        time.sleep(chance.uniform(0, 0.6))
    elif point != "before the claim":
        assert mails.reached.wait(60)
        time.sleep(chance.uniform(0, 0.01))
    workers.kill()
    mails.let_go()


def test_a_worker_that_is_killed_at_any_point_sends_at_most_once(people, live, no_grace, mails, start, tell):
    count = rounds(100)
    requests = portfolio.waiting(count * EACH_ROUND)
    chance = random.Random(3)  # the same points in every run, the moments around them as they come
    points = [POINTS[number % len(POINTS)] for number in range(count)]
    chance.shuffle(points)
    hung = dict.fromkeys(POINTS, 0)
    workers = start()
    for point in points:
        batch = [requests.pop() for _ in range(EACH_ROUND)]
        keys = [request.subject_key for request in batch]
        kill_at(point, workers, batch, people["approver"], mails, chance)
        before = mails.receipts()
        if point in TAKEN:
            assert sum(before[key] for key in keys) >= 1
        for row in Execution.objects.filter(intervention__in=keys, status=ExecutionStatus.CLAIMED):
            with pytest.raises(execution.StillRunning):
                end(row, people["operator"], went_out=True)
        if chance.random() < 0.5:
            OrmQ.objects.all().delete()  # the bells are lost: only the sweep is left
        a_long_time_passes()
        hanging = stuck()
        workers = start()
        wait_until(lambda keys=keys: at_rest(keys))
        time.sleep(0.3)  # in which a second sending would happen
        # What hung was not touched again.
        assert stuck() == hanging
        assert {key: mails.receipts()[key] for key in hanging} == {key: before[key] for key in hanging}
        hung[point] += end_what_hangs(mails, people["operator"])
        ends = dict(Intervention.objects.filter(pk__in=keys).values_list("pk", "status"))
        assert ends == {key: "executed" if mails.receipts()[key] else "failed" for key in keys}
    workers.kill()
    assert max(mails.receipts().values()) == 1
    # The points were really hit: something was claimed, and hung.
    assert hung["before the claim"] == 0
    assert all(hung[point] for point in points if point in ("GREETING", "MAIL", "DATA", "MESSAGE"))
    places = ", ".join(f"{point}: {number}" for point, number in hung.items())
    tell(count, f"{len(mails.messages)} mails, none twice; hung and ended by a person, by place: {places}")
