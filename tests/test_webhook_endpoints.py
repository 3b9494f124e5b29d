"""Endpoints: who adds and changes them, what takes a second person, and the pages for it."""

import os
import re
import subprocess
import sys
import time
from datetime import timedelta

import pytest
from django.utils import timezone
from standardwebhooks import Webhook

from approvals import delivery, outbox
from approvals.models import (
    ApprovalRequest,
    AuditEvent,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookMessage,
    WebhookSecret,
)
from approvals.rules import (
    AlreadyDecided,
    NotAuthorised,
    NotFound,
    OwnRequest,
    ReasonNeeded,
    Refusal,
    Stale,
    Verdict,
)
from approvals.services import webhooks
from approvals.services.webhooks import BadAddress, SwitchedOff, Unchanged
from tests import hooks
from tests.acting import decide, together
from tests.desk import check_html, client_of
from tests.hooks import SOMEWHERE
from tests.pages import ROOT
from tests.servers import free_port

pytestmark = pytest.mark.django_db

PAGES = "/admin/approvals/webhookendpoint/"
LOG = "/admin/approvals/webhookdelivery/"
SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]+")


@pytest.fixture
def endpoint(people):
    return hooks.add(people, events=["approval.decided", "run.finished"])[0]


def by(people, name="manager"):
    return {"user": people[name], "door": "test"}


def add(people, name="manager", **fields):
    fields = {"url": SOMEWHERE, "events": ["run.finished"], "reason": "It wants to know."} | fields
    return webhooks.add_endpoint(**fields, **by(people, name))


def choose(people, endpoint, events, name="manager", reason="It wants to."):
    return webhooks.choose_events(endpoint_id=endpoint.pk, events=events, reason=reason, **by(people, name))


def disable(people, endpoint, reason="Enough."):
    webhooks.disable(endpoint_id=endpoint.pk, reason=reason, **by(people))


def now_of(endpoint):
    row = WebhookEndpoint.objects.get(pk=endpoint.pk)
    return row.enabled, row.events


def sent(endpoint, state="failed", number=1, at=None):
    at = at or timezone.now()
    messages = outbox.write("run.finished", [{}] * number, at=at, to=[endpoint.pk])
    rows = WebhookDelivery.objects.filter(message__in=messages)
    rows.update(state=state, next_try_at=None, finished_at=at, attempts=10)
    return list(rows)


# ---- adding


def test_an_endpoint_is_off_until_a_second_person_has_confirmed_it(people):
    endpoint, secret, request = add(people)
    assert now_of(endpoint) == (False, [])
    assert request.payload["url"] == SOMEWHERE
    decide(request, people["manager2"])
    assert now_of(endpoint) == (True, ["run.finished"])
    assert Webhook(secret)


def test_nobody_confirms_what_they_asked_for(people):
    endpoint, _, request = add(people)
    with pytest.raises(OwnRequest):
        decide(request, people["manager"])
    with pytest.raises(NotAuthorised):
        decide(request, people["approver"])
    assert now_of(endpoint) == (False, [])


def test_what_is_rejected_stays_off_and_can_be_asked_again(people):
    endpoint, _, request = add(people)
    decide(request, people["manager2"], Verdict.REJECTED, reason="Whose is it?")
    assert now_of(endpoint) == (False, [])
    decide(choose(people, endpoint, ["run.finished"]), people["manager2"])
    assert now_of(endpoint) == (True, ["run.finished"])


@pytest.mark.parametrize(
    "url",
    [
        "", "crm.example", "ftp://crm.example/", "http://crm.example/hooks", "https://", "https://:443/",
        "https://user:pass@crm.example/", "https://crm.example/#part", "https://crm.example:99999/",
        "https://crm.example/a b", "https://crm.example/\r\nHost: else", "https://crm.exämple/",
        "https://127.0.0.1/", "https://10.1.2.3/hooks", "https://[::1]/", "https://[::ffff:10.0.0.1]/",
        "https://169.254.169.254/latest/meta-data", f"https://crm.example/{'x' * 500}",
    ],
)  # fmt: skip
def test_an_address_that_is_none_or_inside_is_refused(people, url):
    with pytest.raises(BadAddress):
        add(people, url=url)
    assert not WebhookEndpoint.objects.exists()


def test_inside_the_networks_that_are_named_an_address_needs_no_tls(people, settings):
    settings.WEBHOOK_ENDPOINTS_INSIDE = hooks.LOOPBACK
    assert add(people, url="http://127.0.0.1:8300/hooks")
    with pytest.raises(BadAddress):
        add(people, url="http://10.0.0.1/hooks")


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"name": "operator"}, NotAuthorised),
        ({"name": "approver"}, NotAuthorised),
        ({"name": "auditor"}, NotAuthorised),
        ({"reason": " "}, ReasonNeeded),
        ({"events": []}, Refusal),
        ({"events": ["run.finished", "no.such"]}, Refusal),
    ],
)
def test_what_is_refused_leaves_nothing_behind(people, fields, error):
    with pytest.raises(error):
        add(people, **fields)
    assert not WebhookEndpoint.objects.exists()
    assert not ApprovalRequest.objects.exists()
    assert not AuditEvent.objects.filter(kind=webhooks.KIND).exists()


def test_a_copy_of_the_database_holds_no_secret(people, settings):
    endpoint, secret, _ = add(people)
    row = endpoint.secrets.get()
    assert row.text == secret
    assert secret.removeprefix("whsec_") not in f"{row.salt} {row.digest}"
    settings.SECRET_KEY = "another-" * 8
    with pytest.raises(Exception, match="SECRET_KEY was changed"):
        _ = WebhookSecret.objects.get().text


# ---- changing


def test_more_events_wait_for_a_second_person_and_fewer_do_not(people, endpoint):
    more = choose(people, endpoint, ["approval.decided", "run.finished", "outcome.recorded"])
    assert now_of(endpoint) == (True, ["approval.decided", "run.finished"])
    assert choose(people, endpoint, ["run.finished"]) is None
    assert now_of(endpoint) == (True, ["run.finished"])
    more.refresh_from_db()
    assert more.status == "superseded"


def test_other_events_in_the_same_number_are_more(people, endpoint):
    assert choose(people, endpoint, ["run.finished", "outcome.recorded"]).status == "pending"
    assert now_of(endpoint)[1] == ["approval.decided", "run.finished"]


def test_switching_off_takes_one_and_switching_on_two(people, endpoint):
    disable(people, endpoint)
    assert now_of(endpoint)[0] is False
    request = choose(people, endpoint, ["run.finished"])
    assert now_of(endpoint)[0] is False
    decide(request, people["manager2"])
    assert now_of(endpoint) == (True, ["run.finished"])


def test_what_was_asked_before_it_was_switched_off_is_not_confirmed_after(people, endpoint):
    request = choose(people, endpoint, ["outcome.recorded"])
    disable(people, endpoint)
    with pytest.raises(AlreadyDecided):
        decide(request, people["manager2"])
    assert now_of(endpoint)[0] is False


def test_what_is_confirmed_is_what_was_asked_for_as_it_stood(people, endpoint):
    request = choose(people, endpoint, ["outcome.recorded"])
    WebhookEndpoint.objects.update(revision=99)
    with pytest.raises(Stale):
        decide(request, people["manager2"])
    request.refresh_from_db()
    assert request.status == "pending"


def test_nothing_is_changed_that_stands_so_already(people, endpoint):
    with pytest.raises(Unchanged):
        choose(people, endpoint, ["run.finished", "approval.decided"])
    disable(people, endpoint)
    with pytest.raises(Unchanged):
        disable(people, endpoint)
    with pytest.raises(NotFound):
        webhooks.disable(endpoint_id=999, reason="Enough.", **by(people))


def test_two_changes_do_not_wait_at_once(people, endpoint):
    choose(people, endpoint, ["outcome.recorded"])
    with pytest.raises(Refusal, match="waits for confirmation already"):
        choose(people, endpoint, ["approval.expired"], name="manager2")


@pytest.mark.django_db(transaction=True)
def test_switching_off_wins_over_whatever_is_confirmed_at_the_same_moment(people, endpoint):
    for _ in range(5):
        request = choose(people, endpoint, ["outcome.recorded", "run.finished"])
        answers = together(
            lambda: disable(people, endpoint), lambda request=request: decide(request, people["manager2"])
        )
        assert answers[0] is None
        assert now_of(endpoint)[0] is False
        assert not isinstance(answers[1], Exception) or isinstance(answers[1], AlreadyDecided)
        decide(choose(people, endpoint, ["run.finished"]), people["manager2"])


def test_every_change_is_on_record(people, endpoint):
    webhooks.rotate_secret(endpoint_id=endpoint.pk, overlap_hours=24, **by(people))
    webhooks.send_test(endpoint_id=endpoint.pk, **by(people))
    disable(people, endpoint)
    told = AuditEvent.objects.filter(kind=webhooks.KIND, word__startswith="webhook.").order_by("sequence")
    assert [event.sentence for event in told] == [
        "manager added the webhook to crm.example",
        "manager2 changed the webhook to crm.example: on, told of 2 kinds of events",
        "manager changed the webhook to crm.example: a new secret, the old one for 24 h",
        "manager changed the webhook to crm.example: a test was sent",
        "manager changed the webhook to crm.example: off",
    ]


@pytest.mark.parametrize("hours", [-1, 24 * 7 + 1])
def test_an_old_secret_does_not_go_on_for_ever(people, endpoint, hours):
    with pytest.raises(Refusal):
        webhooks.rotate_secret(endpoint_id=endpoint.pk, overlap_hours=hours, **by(people))
    assert endpoint.secrets.count() == 1


def test_rotating_again_shortens_an_overlap_and_never_lengthens_it(people, endpoint):
    for hours in (1, 48):
        webhooks.rotate_secret(endpoint_id=endpoint.pk, overlap_hours=hours, **by(people))
    oldest, middle, newest = endpoint.secrets.order_by("pk")
    assert oldest.valid_until < timezone.now() + timedelta(hours=2)
    assert timezone.now() + timedelta(hours=47) < middle.valid_until
    assert newest.valid_until is None


# ---- again


def test_a_replay_is_the_same_message(people, settings):
    with hooks.listening(people, settings) as (receiver, endpoint, secret):
        [row] = sent(endpoint, state="delivered")
        webhooks.replay(delivery_id=row.pk, **by(people))
        delivery.deliver_due()
    assert len(hooks.arrived(receiver, secret)) == 1
    assert receiver.requests[0][1]["webhook-id"] == row.message_id
    row.refresh_from_db()
    assert (row.state, row.attempts) == ("delivered", 1)


def test_what_failed_since_a_time_is_sent_again_and_nothing_else(people, endpoint):
    now = timezone.now()
    sent(endpoint, at=now - timedelta(hours=5))
    sent(endpoint, state="delivered")
    wanted = sent(endpoint, number=3)
    since = {"endpoint_id": endpoint.pk, "since": now - timedelta(hours=1)}
    assert webhooks.replay_failed(**since, **by(people)) == 3
    waiting = WebhookDelivery.objects.filter(state="waiting")
    assert {row.pk for row in waiting} == {row.pk for row in wanted}
    with pytest.raises(Unchanged):
        webhooks.replay_failed(**since, **by(people))


def test_what_is_still_being_tried_is_not_sent_beside_it(people, endpoint):
    for state in ("waiting", "sending"):
        [row] = sent(endpoint, state=state)
        with pytest.raises(AlreadyDecided):
            webhooks.replay(delivery_id=row.pk, **by(people))


def test_to_an_endpoint_that_is_off_nothing_is_sent_again_nor_tried(people, endpoint):
    [row] = sent(endpoint)
    disable(people, endpoint)
    with pytest.raises(SwitchedOff):
        webhooks.replay(delivery_id=row.pk, **by(people))
    with pytest.raises(SwitchedOff):
        webhooks.replay_failed(endpoint_id=endpoint.pk, since=timezone.now(), **by(people))
    with pytest.raises(SwitchedOff):
        webhooks.send_test(endpoint_id=endpoint.pk, **by(people))


def test_only_who_manages_endpoints_has_anything_sent(people, endpoint):
    [row] = sent(endpoint)
    for act in (
        lambda who: webhooks.replay(delivery_id=row.pk, **who),
        lambda who: webhooks.replay_failed(endpoint_id=endpoint.pk, since=timezone.now(), **who),
        lambda who: webhooks.send_test(endpoint_id=endpoint.pk, **who),
        lambda who: webhooks.rotate_secret(endpoint_id=endpoint.pk, overlap_hours=1, **who),
        lambda who: webhooks.disable(endpoint_id=endpoint.pk, reason="No.", **who),
    ):
        with pytest.raises(NotAuthorised):
            act(by(people, "operator"))
    assert not WebhookDelivery.objects.filter(state="waiting").exists()


# ---- pages


def test_the_secret_is_shown_once(people):
    client = client_of(people["manager"])
    form = {"url": SOMEWHERE, "events": ["run.finished"], "reason": "It wants to know."}
    page = client.post(f"{PAGES}add/", form, follow=True)
    [secret] = set(SECRET.findall(page.content.decode()))
    endpoint = WebhookEndpoint.objects.get()
    assert endpoint.secrets.get().text == secret
    for url in (PAGES, f"{PAGES}{endpoint.pk}/change/"):
        assert not SECRET.search(client.get(url).content.decode())
    rotated = client.post(f"{PAGES}{endpoint.pk}/rotate/", {"overlap_hours": 24}, follow=True)
    [other] = set(SECRET.findall(rotated.content.decode()))
    assert other != secret
    told = " ".join(f"{event.sentence} {event.reason}" for event in AuditEvent.objects.all())
    assert secret not in told


def test_what_was_refused_comes_back_with_what_was_typed(people):
    form = {"url": "http://crm.example/hooks", "events": ["run.finished"], "reason": "It wants to know."}
    page = client_of(people["manager"]).post(f"{PAGES}add/", form).content.decode()
    assert "has to begin with https" in page
    assert "http://crm.example/hooks" in page
    assert not WebhookEndpoint.objects.exists()


def test_an_endpoint_can_be_followed_from_the_form_to_the_receiver(people, settings):
    with hooks.listening(people, settings, events=["approval.requested"]) as (receiver, endpoint, secret):
        client = client_of(people["manager"])
        page = f"{PAGES}{endpoint.pk}/"
        assert client.post(f"{page}test/").status_code == 302
        delivery.deliver_due()
        assert hooks.arrived(receiver, secret)[0]["type"] == "ping"
        html = client.get(f"{page}change/").content.decode()
        assert "Delivered" in html
        check_html(html)
        row = WebhookDelivery.objects.get()
        html = client.get(f"{LOG}{row.pk}/change/").content.decode()
        assert row.message_id in html
        check_html(html)
        assert client.post(f"{LOG}{row.pk}/replay/").status_code == 302
        delivery.deliver_due()
        assert len(receiver.requests) == 2
        assert client.post(f"{page}disable/", {"reason": "Enough."}).status_code == 302
        assert "Enough." in client.get(f"{page}change/").content.decode()


def test_the_second_person_sees_what_goes_where(people):
    request = add(people, events=["run.finished", "outcome.recorded"])[2]
    page = f"/admin/approvals/approvalrequest/{request.pk}/change/"
    html = client_of(people["manager2"]).get(page).content.decode()
    assert SOMEWHERE in html
    assert html.count("<b>told</b>") == 2
    check_html(html)


def test_the_log_is_narrowed_down_by_endpoint_state_and_event(people, endpoint):
    other = hooks.add(people, url="https://desk.example/")[0]
    [failed], [delivered] = sent(endpoint), sent(other, state="delivered")
    outbox.write("ping", [{}], at=timezone.now(), to=[endpoint.pk])
    client = client_of(people["auditor"])

    def shown(query):
        html = client.get(f"{LOG}?{query}").content.decode()
        check_html(html)
        return {int(pk) for pk in re.findall(rf"{LOG}(\d+)/change/", html)}

    assert len(shown("")) == 3
    assert shown("state=failed") == {failed.pk}
    assert shown(f"endpoint={other.pk}") == {delivered.pk}
    assert len(shown("type=ping")) == 1
    assert shown("endpoint=x") == set()


def test_lists_take_few_queries_however_long(people, endpoint, django_assert_max_num_queries):
    for number in range(8):
        sent(hooks.add(people, url=f"https://crm{number}.example/")[0], number=10)
    client = client_of(people["manager"])
    for url in (PAGES, LOG, f"{PAGES}{endpoint.pk}/change/"):
        with django_assert_max_num_queries(12):
            client.get(url)


def test_what_a_receiver_answers_is_shown_and_not_run(people, settings):
    says = b"<script>alert(1)</script>"
    with hooks.listening(people, settings, answer=500, says=says) as (_, endpoint, _):
        webhooks.send_test(endpoint_id=endpoint.pk, **by(people))
        delivery.deliver_due()
    row = WebhookDelivery.objects.get()
    html = client_of(people["manager"]).get(f"{LOG}{row.pk}/change/").content.decode()
    assert "&lt;script&gt;alert(1)" in html
    check_html(html)


# ---- the documentation


def test_the_receiver_in_the_documentation_works(people, settings, tmp_path):
    settings.WEBHOOK_ENDPOINTS_INSIDE = hooks.LOOPBACK
    port = free_port()
    code = (ROOT / "docs" / "webhooks.md").read_text().split("```python\n")[1].split("```")[0]
    program = tmp_path / "receiver.py"
    program.write_text(code.replace("8300", str(port)))
    endpoint, secret = hooks.add(people, f"http://127.0.0.1:{port}/")
    receiver = subprocess.Popen(
        [sys.executable, str(program)],
        env=os.environ | {"SECRET": secret},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        webhooks.send_test(endpoint_id=endpoint.pk, **by(people))
        for _ in range(50):
            WebhookDelivery.objects.filter(state="waiting").update(next_try_at=timezone.now())
            delivery.deliver_due()
            if WebhookDelivery.objects.get().state == "delivered":
                break
            time.sleep(0.1)
            WebhookDelivery.objects.update(attempts=0)
        webhooks.replay(delivery_id=WebhookDelivery.objects.get().pk, **by(people))
        delivery.deliver_due()
        assert WebhookDelivery.objects.get().state == "delivered"
    finally:
        receiver.terminate()
        printed = receiver.communicate(timeout=10)[0]
    assert printed.splitlines() == [f"ping {{'endpoint_id': {endpoint.pk}}}"]
    assert WebhookMessage.objects.count() == 1
