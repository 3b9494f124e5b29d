"""A worker that is really killed while it tells others of what happened: each message arrives, as often as it
takes, always under its one id, and nothing arrives that did not happen."""

import json
import random
import time
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from functools import partial

import pytest
from django.db import transaction
from django.utils import timezone
from django_q.models import OrmQ
from django_q.tasks import async_task
from standardwebhooks import Webhook

from approvals import delivery
from approvals.invariants import broken
from approvals.models import Decision, WebhookAttempt, WebhookDelivery, WebhookMessage, user_key
from tests import hooks
from tests.acting import decide
from tests.trials import portfolio
from tests.trials.cluster import Cluster, HeldReceiver, wait_until
from tests.trials.rounds import rounds

pytestmark = [pytest.mark.trial, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

# Where the worker is when it dies: nowhere yet, posting what the receiver has taken and not yet answered,
# about to put on record what it has just answered, or anywhere.
POINTS = ("before the claim", "TAKEN", "ANSWERED", "anywhere")
EACH_ROUND = 2


class _TakenBack(Exception):
    pass


@pytest.fixture
def told(people, settings):
    """A receiver that is told of decisions, with its secret."""
    settings.WEBHOOK_ENDPOINTS_INSIDE = hooks.LOOPBACK
    receiver = HeldReceiver()
    with receiver.running() as url:
        _, secret = hooks.add(people, url, ["approval.decided"])
        yield receiver, secret


@pytest.fixture
def start(started):
    return partial(started, Cluster, mail_port=1, WEBHOOK_ENDPOINTS_INSIDE="127.0.0.0/8")


def sweep() -> None:
    """The queue hands out again what was never acknowledged, and the sweep is due: its task is put in here,
    as the schedule would do it half a minute later."""
    OrmQ.objects.update(lock=timezone.now() - timedelta(seconds=1))
    async_task("journeys.tasks.sweep")


def in_state(state: str):
    return WebhookDelivery.objects.filter(state=state)


def happen(batch: list, taken_back, person) -> None:
    """All of these are decided, and one more is decided in a transaction that is undone."""
    with suppress(_TakenBack), transaction.atomic():
        decide(taken_back, person)
        raise _TakenBack
    for request in batch:
        decide(request, person)


def test_a_worker_that_is_killed_at_any_point_loses_no_message_and_makes_none_up(
    people, no_grace, told, start, tell
):
    receiver, secret = told
    count = rounds(60)
    requests = portfolio.waiting(count * EACH_ROUND + 1)
    taken_back = requests.pop()
    WebhookMessage.objects.all().delete()
    chance = random.Random(5)  # the same points in every run, the moments around them as they come
    points = [POINTS[number % len(POINTS)] for number in range(count)]
    chance.shuffle(points)
    again = dict.fromkeys(POINTS, 0)
    workers = start()
    for point in points:
        before, had = receiver.receipts(), len(receiver.requests)
        if point == "before the claim":
            workers.kill()
        elif point == "anywhere":
            time.sleep(chance.uniform(0, 2.5))  # it may be just starting
        else:
            receiver.hold(point)
        happen([requests.pop() for _ in range(EACH_ROUND)], taken_back, people["approver"])
        if point == "anywhere":
            time.sleep(chance.uniform(0, 0.6))
        elif point != "before the claim":
            assert receiver.reached.wait(60)
            time.sleep(chance.uniform(0, 0.01))
        workers.kill()
        receiver.let_go()
        known = set(in_state("sending").values_list("message_id", flat=True))
        if point == "before the claim":
            assert not known
        if point == "TAKEN":
            assert known & (receiver.receipts() - before).keys()
        if chance.random() < 0.5:
            OrmQ.objects.all().delete()  # the bells are lost: only the sweep is left
        in_state("sending").update(claimed_at=timezone.now() - 2 * delivery.ORPHANED)
        workers = start()
        sweep()
        wait_until(lambda: not in_state("sending").exists())
        in_state("waiting").update(next_try_at=timezone.now())
        sweep()
        wait_until(lambda: not WebhookDelivery.objects.exclude(state="delivered").exists())
        again[point] += sum((receiver.receipts() - before).values()) - EACH_ROUND
        for _, headers, body in receiver.requests[had:]:
            Webhook(secret).verify(body, headers)  # now, as a signature is good for five minutes
    workers.kill()
    messages = dict(WebhookMessage.objects.values_list("pk", "body"))
    assert receiver.receipts().keys() == messages.keys()
    assert all(body.decode() == messages[headers["webhook-id"]] for _, headers, body in receiver.requests)
    told_of = Counter(json.loads(body)["data"]["request_id"] for body in messages.values())
    decided = Decision.objects.filter(actor_key=user_key(people["approver"]))
    assert told_of == Counter(decided.values_list("request_id", flat=True))
    assert taken_back.pk not in told_of
    assert len(messages) == count * EACH_ROUND
    # The points were really hit: what was taken before the kill came again.
    assert again["before the claim"] == 0
    if "TAKEN" in points:
        assert again["TAKEN"] >= points.count("TAKEN")
        assert WebhookAttempt.objects.filter(error__startswith="The worker died").exists()
    assert list(broken()) == []
    places = ", ".join(f"{point}: {number}" for point, number in again.items())
    tell(count, f"{len(messages)} messages, all arrived, none made up; sent again, by place: {places}")
