"""The channel webhook against receivers on loopback that accept, refuse, redirect, hang and break off."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from approvals.posting import signature_headers
from journeys.executors import MaybeSent, NotSent, post_webhook
from tests.servers import BREAK, HANG, SECRET, free_port


def payload(settings, **fields):
    return {
        "customer_id": "C004",
        "recipient": settings.WEBHOOK_URL,
        "subject": "Grüße",
        "body": "…",
    } | fields


def not_sent(settings, **fields):
    with pytest.raises(NotSent) as caught:
        post_webhook(payload(settings, **fields), "iv-1")
    return caught.value


def test_the_payload_arrives_signed_under_its_own_id(receiver, settings):
    with receiver() as server:
        receipt = post_webhook(payload(settings), "iv-1")
    assert receipt.detail == "The receiver answered 200."
    [(path, headers, body)] = server.requests
    assert path == "/hooks/journeys?source=cjo"
    assert headers["webhook-id"] == "iv-1"
    document = Webhook(SECRET).verify(body, headers)
    assert document == {"type": "intervention.approved", "id": "iv-1", "data": payload(settings)}


def test_every_attempt_is_the_same_message_to_the_byte(receiver, settings):
    with receiver() as server:
        post_webhook(payload(settings), "iv-1")
        post_webhook(payload(settings), "iv-1")
    first, second = server.requests
    assert first[2] == second[2]
    assert first[1]["webhook-id"] == second[1]["webhook-id"]


def test_an_altered_body_does_not_verify(receiver, settings):
    with receiver() as server:
        post_webhook(payload(settings), "iv-1")
    [(_, headers, body)] = server.requests
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body.replace(b"C004", b"C005"), headers)


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=9))])
def test_the_time_is_signed_rightly_whatever_its_zone(zone):
    body = json.dumps({"a": 1})
    at = datetime.now(zone)
    headers = signature_headers(secrets=[SECRET], message_id="iv-1", at=at, body=body)
    assert Webhook(SECRET).verify(body, headers) == {"a": 1}


def test_without_an_address_or_a_secret_nothing_goes_out(settings):
    settings.WEBHOOK_URL, settings.WEBHOOK_SECRET = "", ""
    assert not_sent(settings).permanent
    settings.WEBHOOK_URL = f"http://127.0.0.1:{free_port()}/"
    assert not_sent(settings).permanent


def test_an_address_other_than_the_one_in_the_settings_is_not_called(receiver, settings):
    with receiver() as server:
        elsewhere = not_sent(settings, recipient=settings.WEBHOOK_URL.replace("/hooks", "/other"))
    assert elsewhere.permanent
    assert server.requests == []


def test_a_receiver_that_is_not_there_was_sent_nothing(settings):
    settings.WEBHOOK_URL, settings.WEBHOOK_SECRET = f"http://127.0.0.1:{free_port()}/", SECRET
    assert not not_sent(settings).permanent


def test_over_tls_a_receiver_that_cannot_prove_who_it_is_gets_nothing(receiver, settings):
    with receiver() as server:
        settings.WEBHOOK_URL = settings.WEBHOOK_URL.replace("http:", "https:")
        assert not not_sent(settings).permanent
    assert server.requests == []


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_done(receiver, settings, status):
    with receiver(answer=status):
        assert str(status) in post_webhook(payload(settings), "iv-1").detail


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_receiver_in_trouble_is_asked_again(receiver, settings, status):
    with receiver(answer=status):
        assert not not_sent(settings).permanent


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413, 422])
def test_a_receiver_that_says_no_is_not_asked_again(receiver, settings, status):
    with receiver(answer=status, says=b"no such hook") as server:
        refusal = not_sent(settings)
    assert refusal.permanent
    assert refusal.detail == f"The receiver answered {status}: no such hook"
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(receiver, settings, status):
    with receiver(answer=status, headers={"Location": "/elsewhere"}) as server:
        assert not_sent(settings).permanent
    assert [path for path, _, _ in server.requests] == ["/hooks/journeys?source=cjo"]


@pytest.mark.parametrize("how", [BREAK, HANG])
def test_a_receiver_that_never_answers_may_have_taken_it(receiver, settings, how):
    with receiver(answer=how) as server, pytest.raises(MaybeSent):
        post_webhook(payload(settings), "iv-1")
    assert len(server.requests) == 1


def test_a_long_answer_is_quoted_and_not_read_to_its_end(receiver, settings):
    with receiver(answer=400, says=b"x" * 50_000_000):
        assert len(not_sent(settings).detail) < 300
