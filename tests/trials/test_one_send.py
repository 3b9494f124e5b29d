"""However often a task is delivered, and however badly the other side answers: it goes out once, or never."""

import random
from collections import Counter
from functools import partial

import pytest
from django.db import transaction
from django.utils import timezone
from django_q.models import OrmQ, Schedule, Success
from django_q.tasks import async_task

from approvals import services
from approvals.invariants import broken
from approvals.models import ApprovalRequest
from journeys import tasks
from journeys.domain.vocabulary import ExecutionStatus, InterventionStatus
from journeys.models import Execution, Intervention
from journeys.services import execution
from tests.acting import decide, drain, together
from tests.servers import BREAK
from tests.trials import portfolio
from tests.trials.cluster import Cluster, HeldMailServer, wait_until
from tests.trials.rounds import rounds

pytestmark = [pytest.mark.trial, pytest.mark.django_db(transaction=True)]

TIMES = 5


def status(request: ApprovalRequest) -> str:
    return Intervention.objects.get(pk=request.subject_key).status


def test_a_task_delivered_five_times_at_once_sends_once(people, live, no_grace, mailbox, tell):
    count = rounds(200)
    for sent, request in enumerate(portfolio.waiting(count), start=1):
        decide(request, people["approver"])
        answers = together(*[partial(tasks.execute, request.subject_key)] * TIMES)
        assert answers == [None] * TIMES
        assert status(request) == InterventionStatus.EXECUTED
        assert len(mailbox.envelopes) == sent
    assert set(Execution.objects.values_list("attempts", flat=True)) == {1}
    assert broken() == []
    tell(count, f"{count * TIMES} deliveries, {len(mailbox.envelopes)} mails")


@pytest.mark.slow
def test_a_task_that_stands_five_times_in_the_queue_of_a_real_cluster_sends_once(
    people, live, no_grace, tmp_path, tell
):
    count = rounds(200)
    requests = portfolio.waiting(count)
    Schedule.objects.all().delete()
    mails = HeldMailServer()
    with mails.running() as port:
        for request in requests:
            with transaction.atomic():
                decide(request, people["approver"])
                for _ in range(TIMES - 1):
                    async_task("journeys.tasks.execute", request.subject_key)
        cluster = Cluster(mail_port=port, log=tmp_path / "cluster.log")
        try:
            wait_until(lambda: not OrmQ.objects.exists(), seconds=300)
        finally:
            cluster.kill()
    assert Success.objects.filter(func="journeys.tasks.execute").exists()
    assert mails.receipts() == Counter(request.subject_key for request in requests)
    assert broken() == []
    tell(count, f"{count * TIMES} deliveries to two workers, {len(mails.messages)} mails")


# ---- a side that takes it and breaks off before it says so


def press_on(key: str, chance: random.Random) -> None:
    """All that could send it again: workers at once, the task redelivered, the sweep, in any order."""
    again = [
        lambda: together(*[partial(tasks.execute, key)] * TIMES),
        lambda: (async_task("journeys.tasks.execute", key), drain()),
        tasks.sweep,
        execution.execute_due,
    ]
    chance.shuffle(again)
    for act in again:
        act()
        Execution.objects.update(retry_at=timezone.now())  # the pause before a next try is over


def assert_unknown(request: ApprovalRequest) -> None:
    assert status(request) == InterventionStatus.UNKNOWN
    row = Execution.objects.get(intervention=request.subject_key)
    assert (row.status, row.attempts) == (ExecutionStatus.UNKNOWN, 1)


def test_a_mail_server_that_takes_it_and_breaks_off_gets_it_once(
    people, live, no_grace, bad_mail_server, tell
):
    count, chance = rounds(100), random.Random(8)
    with bad_mail_server(MESSAGE=BREAK) as server:
        for taken, request in enumerate(portfolio.waiting(count), start=1):
            decide(request, people["approver"])
            press_on(request.subject_key, chance)
            assert_unknown(request)
            assert len(server.messages) == taken
    assert broken() == []
    tell(count, f"{len(server.messages)} mails taken, none twice; all {count} are unknown")


def test_a_mail_server_that_breaks_off_anywhere_gets_it_at_most_once(
    people, live, no_grace, bad_mail_server, tell
):
    """Before DATA it surely did not go out, and is tried again once the server works."""
    count, chance = rounds(100), random.Random(8)
    ends = Counter()
    with bad_mail_server() as server:
        for request in portfolio.waiting(count):
            step = chance.choice(["GREETING", "EHLO", "MAIL", "RCPT", "DATA", "MESSAGE"])
            before = len(server.messages)
            server.script = {step: BREAK} | ({"HELO": BREAK} if step == "EHLO" else {})
            decide(request, people["approver"])
            execution.execute(intervention_id=request.subject_key)
            server.script = {}
            Execution.objects.update(retry_at=timezone.now())
            press_on(request.subject_key, chance)
            taken = len(server.messages) - before
            unknown = step in ("DATA", "MESSAGE")
            assert status(request) == ("unknown" if unknown else "executed")
            assert taken == (0 if step == "DATA" else 1)
            ends[status(request)] += 1
    assert broken() == []
    tell(count, f"{len(server.messages)} mails taken, none twice; {dict(ends)}")


def test_a_receiver_that_takes_it_and_breaks_off_gets_it_once(people, live, no_grace, receiver, tell):
    count, chance = rounds(100), random.Random(8)
    with receiver(answer=BREAK) as server:
        for taken, request in enumerate(by_webhook(portfolio.waiting(count), people), start=1):
            decide(request, people["approver2"])
            press_on(request.subject_key, chance)
            assert_unknown(request)
            assert len(server.requests) == taken
    ids = [headers["webhook-id"] for _, headers, _ in server.requests]
    assert len(set(ids)) == len(ids) == count
    assert broken() == []
    tell(count, f"{count} requests taken, none twice; all {count} are unknown")


def by_webhook(requests: list[ApprovalRequest], people) -> list[ApprovalRequest]:
    """Somebody has changed the channel of each; somebody else decides."""
    return [
        services.change(
            request_id=request.pk,
            fingerprint=request.fingerprint,
            changes={"channel": "webhook"},
            user=people["approver"],
            door="test",
        )
        for request in requests
    ]
