"""Taking messages to receivers on loopback that take them, refuse, hang, break off, redirect and are gone."""

import json
import time
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone
from django_q.models import OrmQ
from hypothesis import given
from hypothesis import strategies as some
from standardwebhooks import Webhook, WebhookVerificationError

from approvals import delivery, outbox
from approvals.delivery import deliver_all, deliver_due
from approvals.models import (
    Notice,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookMessage,
    WebhookSecret,
)
from approvals.services import webhooks
from journeys import tasks
from tests import hooks
from tests.acting import drain, together
from tests.hooks import arrived, only
from tests.servers import BREAK, HANG, Receiver

pytestmark = pytest.mark.django_db
committing = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)


@pytest.fixture
def listening(people, settings):
    """`with listening(answer=...) as (receiver, endpoint, secret): ...`"""
    return lambda **behaviour: hooks.listening(people, settings, **behaviour)


@pytest.fixture
def impatient(monkeypatch):
    """For receivers that hang; on a busy machine any other may take its time."""
    monkeypatch.setattr(delivery, "TIMEOUT", 0.5)


def happen(*endpoints, number=1):
    """Something that each is told of."""
    data = [{"number": place} for place in range(number)]
    return outbox.write("run.finished", data, at=timezone.now(), to=[endpoint.pk for endpoint in endpoints])


def let_time_pass(length=timedelta(days=2)):
    """All that waits is due."""
    WebhookDelivery.objects.filter(state="waiting").update(next_try_at=timezone.now() - length)


def states():
    return sorted(WebhookDelivery.objects.values_list("state", flat=True))


# ---- it arrives


def test_the_official_library_verifies_what_arrives(listening):
    with listening() as (receiver, endpoint, secret):
        [message] = happen(endpoint)
        assert deliver_due() == 1
    [body] = arrived(receiver, secret)
    assert body == json.loads(message.body)
    [(path, headers, _)] = receiver.requests
    assert path == "/hooks/journeys?source=cjo"
    assert headers["webhook-id"] == message.pk
    assert headers["Content-Type"] == "application/json"
    row = only()
    assert (row.state, row.attempts, row.last_status, row.last_error) == ("delivered", 1, 200, "")
    assert row.next_try_at is None
    assert row.finished_at is not None


def test_an_altered_body_does_not_verify(listening):
    with listening() as (receiver, endpoint, secret):
        happen(endpoint)
        deliver_due()
    [(_, headers, body)] = receiver.requests
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body.replace(b"finished", b"started!"), headers)


def test_each_try_is_the_same_message_signed_for_its_own_time(listening, monkeypatch):
    with listening(answer=500) as (receiver, endpoint, secret):
        happen(endpoint)
        deliver_due()
        let_time_pass()
        later = timezone.now() + timedelta(minutes=3)
        monkeypatch.setattr(delivery.timezone, "now", lambda: later)
        deliver_due()
    first, second = receiver.requests
    assert first[2] == second[2]
    assert first[1]["webhook-id"] == second[1]["webhook-id"]
    assert int(second[1]["webhook-timestamp"]) - int(first[1]["webhook-timestamp"]) in (179, 180, 181)
    assert len(arrived(receiver, secret)) == 2


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_taken_for_arrived(listening, status):
    with listening(answer=status) as (_, endpoint, _):
        happen(endpoint)
        deliver_due()
    assert only().state == "delivered"


def test_what_has_arrived_is_not_sent_again(listening):
    with listening() as (receiver, endpoint, _):
        happen(endpoint, number=3)
        assert deliver_due() == 3
        assert deliver_due() == 0
        deliver_all()
    assert len({headers["webhook-id"] for _, headers, _ in receiver.requests}) == 3
    assert len(receiver.requests) == 3


# ---- it does not


@pytest.mark.parametrize("status", [301, 307, 400, 401, 404, 422, 429, 500, 503])
def test_whatever_else_is_answered_is_tried_again(listening, status):
    with listening(answer=status, headers={"Location": "/elsewhere"}, says=b"no\x00pe") as (receiver, to, _):
        happen(to)
        deliver_due()
    row = only()
    assert (row.state, row.last_status) == ("waiting", status)
    assert len(receiver.requests) == 1
    attempt = WebhookAttempt.objects.get()
    assert (attempt.status, attempt.excerpt) == (status, "no pe")
    assert str(status) in attempt.error


@pytest.mark.parametrize("how", [BREAK, HANG])
def test_a_receiver_that_never_answers_is_tried_again(listening, impatient, how):
    with listening(answer=how) as (_, endpoint, _):
        happen(endpoint)
        deliver_due()
    row, attempt = only(), WebhookAttempt.objects.get()
    assert (row.state, row.last_status) == ("waiting", None)
    assert attempt.status is None
    assert "broke off" in attempt.error
    assert attempt.duration_ms >= (500 if how == HANG else 0)


def test_a_receiver_that_has_moved_into_the_network_gets_nothing(listening, settings):
    with listening() as (receiver, endpoint, _):
        happen(endpoint)
        settings.WEBHOOK_ENDPOINTS_INSIDE = ()
        deliver_due()
    assert receiver.requests == []
    assert "inside the network" in only().last_error


def test_of_a_long_answer_a_kilobyte_is_kept(listening):
    with listening(answer=500, says="é".encode() * 1_000_000) as (_, endpoint, _):
        happen(endpoint)
        deliver_due()
    assert 1000 <= len(WebhookAttempt.objects.get().excerpt.encode()) <= 1024


def test_the_tries_are_spread_over_three_days_and_then_end(listening):
    gaps = []
    with listening(answer=500) as (receiver, endpoint, _):
        happen(endpoint)
        while only().state == "waiting":
            let_time_pass()
            before = timezone.now()
            deliver_due()
            if only().next_try_at:
                gaps.append(only().next_try_at - before)
    assert only().state == "failed"
    assert len(receiver.requests) == WebhookAttempt.objects.count() == 10
    wanted = [5, 300, 1800, *(hours * 3600 for hours in (2, 5, 10, 14, 20, 24))]
    for gap, seconds in zip(gaps, wanted, strict=True):
        assert seconds <= gap.total_seconds() <= seconds * 1.1 + 5
    let_time_pass()
    assert deliver_due() == 0


@given(some.integers(1, 20))
def test_a_gap_is_stretched_and_never_shortened(attempts):
    gap = delivery.next_gap(attempts)
    if attempts > 9:
        assert gap is None
    else:
        assert delivery.GAPS[attempts - 1] <= gap <= delivery.GAPS[attempts - 1] * 1.1


def test_what_failed_together_does_not_come_back_together():
    assert len({delivery.next_gap(2) for _ in range(50)}) > 1


def test_the_second_try_has_a_bell_of_its_own_and_the_others_the_sweep(listening):
    with listening(answer=500) as (_, endpoint, _):
        happen(endpoint)
        OrmQ.objects.all().delete()
        deliver_due()
        [bell] = OrmQ.objects.all()
        assert bell.func() == outbox.TASK
        assert timedelta(seconds=4) < bell.lock - timezone.now() < timedelta(seconds=6)
        let_time_pass()
        deliver_due()
    assert OrmQ.objects.count() == 1


@committing
def test_the_queue_hands_a_delayed_bell_out_once_its_time_has_come(listening):
    """It lies with the queue under a lock ahead, which is the queue's own affair."""
    with listening() as (receiver, endpoint, _):
        happen(endpoint)
        OrmQ.objects.all().delete()
        outbox.ring_after(timedelta(seconds=0.6))
        drain()
        assert receiver.requests == []
        time.sleep(0.7)
        drain()
        assert len(receiver.requests) == 1
    assert not OrmQ.objects.exists()


def test_the_sweep_sends_what_no_bell_announced(listening):
    with listening() as (receiver, endpoint, _):
        happen(endpoint)
        OrmQ.objects.all().delete()
        tasks.sweep()
    assert len(receiver.requests) == 1


def test_a_receiver_that_is_broken_for_an_hour_has_everything_in_the_end(listening, monkeypatch):
    began = clock = timezone.now()
    monkeypatch.setattr(delivery.timezone, "now", lambda: clock)
    with listening(answer=500) as (receiver, endpoint, _):
        for minute in range(6 * 60):
            clock = began + timedelta(minutes=minute)
            receiver.answer = 500 if minute < 60 else 200
            if minute in (0, 20, 40, 70):
                happen(endpoint, number=2)
            deliver_all()
            if WebhookDelivery.objects.count() == 8 and states() == ["delivered"] * 8:
                break
    assert states() == ["delivered"] * 8
    assert timedelta(minutes=minute) < timedelta(hours=4)
    assert len({headers["webhook-id"] for _, headers, _ in receiver.requests}) == 8
    assert max(row.attempts for row in WebhookDelivery.objects.all()) <= 5


# ---- gone


def test_410_switches_the_endpoint_off_and_ends_what_waits_for_it(listening, people):
    people["manager2"].email = "manager2@desk.example"
    people["manager2"].save()
    with listening(answer=410) as (receiver, endpoint, _):
        happen(endpoint)
        deliver_due()
        happen(endpoint, number=3)
        deliver_all()
    assert len(receiver.requests) == 1
    endpoint.refresh_from_db()
    assert not endpoint.enabled
    assert "410" in endpoint.disabled_reason
    assert states() == ["failed"] * 4
    assert Notice.objects.get().recipient == people["manager2"]


def test_an_endpoint_that_is_off_is_sent_nothing(listening, people):
    with listening() as (receiver, endpoint, _):
        happen(endpoint)
        webhooks.disable(endpoint_id=endpoint.pk, reason="Enough.", user=people["manager"], door="test")
        assert only().state == "failed"
        happen(endpoint)  # written by a transaction that had looked before
        assert deliver_due() == 0
        deliver_all()
    assert receiver.requests == []
    assert states() == ["failed", "failed"]


# ---- secrets


def test_while_two_secrets_are_valid_either_verifies(listening, people):
    with listening() as (receiver, endpoint, old):
        how = {"user": people["manager"], "door": "test"}
        new = webhooks.rotate_secret(endpoint_id=endpoint.pk, overlap_hours=24, **how)
        assert new != old
        happen(endpoint)
        deliver_due()
        assert arrived(receiver, old) == arrived(receiver, new) != []
        [(_, headers, _)] = receiver.requests
        assert len(headers["webhook-signature"].split()) == 2
        receiver.requests.clear()
        WebhookSecret.objects.filter(valid_until__isnull=False).update(valid_until=timezone.now())
        happen(endpoint)
        deliver_due()
        assert len(arrived(receiver, new)) == 1
        with pytest.raises(WebhookVerificationError):
            arrived(receiver, old)


def test_a_secret_that_others_know_ends_at_once(listening, people):
    with listening() as (receiver, endpoint, old):
        how = {"user": people["manager"], "door": "test"}
        new = webhooks.rotate_secret(endpoint_id=endpoint.pk, overlap_hours=0, **how)
        happen(endpoint)
        deliver_due()
        assert len(arrived(receiver, new)) == 1
        with pytest.raises(WebhookVerificationError):
            arrived(receiver, old)


def test_after_another_secret_key_nothing_goes_out_under_a_wrong_signature(listening, settings):
    with listening() as (receiver, endpoint, _):
        happen(endpoint)
        settings.SECRET_KEY = "another-" * 8
        deliver_due()
    assert receiver.requests == []
    assert "SECRET_KEY was changed" in only().last_error


# ---- several workers, and one that dies


@committing
def test_two_workers_do_not_send_one_message_twice(listening):
    with listening() as (receiver, endpoint, _):
        happen(endpoint, number=30)
        together(*[deliver_due] * 4)
        while WebhookDelivery.objects.exclude(state="delivered").exists():
            deliver_due()
    sent = [headers["webhook-id"] for _, headers, _ in receiver.requests]
    assert len(sent) == len(set(sent)) == 30
    assert WebhookAttempt.objects.count() == 30


def test_what_a_dead_worker_had_claimed_is_sent_again_under_the_same_id(listening):
    """It died between the sending and the recording: the receiver has it, and we do not know."""
    with listening() as (receiver, endpoint, secret):
        [message] = happen(endpoint)
        claimed = delivery._claim(endpoint)
        delivery._send(claimed, endpoint.secrets_at(timezone.now()), timezone.now())
        deliver_all()
        assert len(receiver.requests) == 1
        WebhookDelivery.objects.update(claimed_at=timezone.now() - 2 * delivery.ORPHANED)
        deliver_all()
        assert only().state == "waiting"
        let_time_pass()
        deliver_all()
        assert len(arrived(receiver, secret)) == 2
    assert {headers["webhook-id"] for _, headers, _ in receiver.requests} == {message.pk}
    assert only().state == "delivered"
    assert [bool(attempt.error) for attempt in WebhookAttempt.objects.all()] == [True, False]


def test_a_message_that_kills_its_worker_each_time_ends_too(listening):
    with listening() as (_, endpoint, _):
        happen(endpoint)
        for _ in range(30):
            let_time_pass()
            delivery._claim(endpoint)
            delivery.end_orphans(now=timezone.now() + HOUR)
    assert (only().state, only().attempts) == ("failed", 10)


def test_a_worker_that_was_taken_for_dead_moves_nothing(listening):
    with listening() as (_, endpoint, _):
        happen(endpoint)
        late = delivery._claim(endpoint)
        result = delivery._send(late, endpoint.secrets_at(timezone.now()), timezone.now())
        delivery.end_orphans(now=timezone.now() + HOUR)
        assert not delivery._record(late, result)
        assert only().state == "waiting"
        let_time_pass()
        assert deliver_due() == 1
    assert WebhookAttempt.objects.count() == 3


# ---- side by side


def test_a_slow_endpoint_does_not_delay_another(people, settings, monkeypatch):
    monkeypatch.setattr(delivery, "TIMEOUT", 4)
    monkeypatch.setattr(delivery, "ROUND", 3.5)
    slow, fast = Receiver(answer=HANG), Receiver()
    settings.WEBHOOK_ENDPOINTS_INSIDE = hooks.LOOPBACK
    with slow.running() as slow_url, fast.running() as fast_url:
        first, _ = hooks.add(people, slow_url)
        second, _ = hooks.add(people, fast_url)
        happen(first, second, number=6)
        began = time.monotonic()
        deliver_due()
    assert len(slow.requests) == delivery.TO_ONE
    assert {row.state for row in first.deliveries.all()} == {"waiting"}
    assert {row.state for row in second.deliveries.all()} == {"delivered"}
    # All of them while the first posts to the slow one still hung.
    assert fast.came_at[-1] - began < 4


@committing
def test_what_happens_while_a_slow_endpoint_is_waited_for_goes_out_meanwhile(people, settings, monkeypatch):
    monkeypatch.setattr(delivery, "TIMEOUT", 3)
    monkeypatch.setattr(delivery, "LOOK_AGAIN", 0.1)
    slow, fast = Receiver(answer=HANG), Receiver()
    settings.WEBHOOK_ENDPOINTS_INSIDE = hooks.LOOPBACK
    with slow.running() as slow_url, fast.running() as fast_url:
        first, _ = hooks.add(people, slow_url)
        second, _ = hooks.add(people, fast_url)
        happen(first)

        def meanwhile():
            while not slow.requests:
                time.sleep(0.01)
            happen(second)
            began = time.monotonic()
            while not fast.requests and time.monotonic() - began < 10:
                time.sleep(0.01)
            return time.monotonic() - began

        _, seconds = together(deliver_due, meanwhile)
    assert seconds < 2


def test_an_endpoint_that_was_slow_is_left_to_the_sweep_until_it_is_quick_again(
    listening, impatient, monkeypatch
):
    monkeypatch.setattr(delivery, "SLOW", 0.4)
    with listening(answer=HANG) as (receiver, endpoint, _):
        happen(endpoint)
        deliver_due()
        assert WebhookEndpoint.objects.get(pk=endpoint.pk).slow
        receiver.answer = 200
        let_time_pass()
        assert deliver_due() == 0
        deliver_all()
        assert not WebhookEndpoint.objects.get(pk=endpoint.pk).slow
        happen(endpoint)
        assert deliver_due() == 1


def test_a_bell_leaves_an_endpoint_to_the_worker_that_is_at_it(listening):
    with listening() as (receiver, endpoint, _):
        happen(endpoint, number=2)
        delivery._claim(endpoint)
        assert deliver_due() == 0
    assert receiver.requests == []


@committing
def test_a_round_that_is_over_leaves_the_rest_to_the_next_bell(listening, monkeypatch):
    monkeypatch.setattr(delivery, "ROUND", -1)
    with listening() as (_, endpoint, _):
        happen(endpoint)
        OrmQ.objects.all().delete()
        assert deliver_due() == 0
    assert [row.func() for row in OrmQ.objects.all()] == [outbox.TASK]


@committing
def test_from_the_event_to_the_receiver_through_the_queue(listening, people, sample):
    from tests.runs import run_pipeline

    with listening(events=["run.finished"]) as (receiver, _, secret):
        run_pipeline()
        drain()
        [body] = arrived(receiver, secret)
    assert body["type"] == "run.finished"
    connections.close_all()


# ---- what is old


def test_what_is_old_and_done_is_deleted_with_its_tries(listening, settings):
    with listening() as (_, endpoint, _):
        happen(endpoint, number=2)
        deliver_due()
        [waits] = happen(endpoint)
    days = timedelta(days=settings.WEBHOOK_ENDPOINTS_KEEP_DAYS)
    assert delivery.prune(now=timezone.now() + days - HOUR) == 0
    assert delivery.prune(now=timezone.now() + days + HOUR) == 2
    assert WebhookMessage.objects.get() == waits
    assert not WebhookAttempt.objects.exists()


def test_secrets_that_no_longer_count_are_deleted(listening, people):
    with listening() as (_, endpoint, _):
        webhooks.rotate_secret(endpoint_id=endpoint.pk, overlap_hours=1, user=people["manager"], door="test")
    delivery.prune()
    assert endpoint.secrets.count() == 2
    delivery.prune(now=timezone.now() + 2 * HOUR)
    assert endpoint.secrets.get().valid_until is None
