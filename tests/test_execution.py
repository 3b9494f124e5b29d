"""Carrying out what was approved: what stops it, and that it happens once."""

import email
import email.policy
import json
from datetime import timedelta

import pytest
from django.utils import timezone
from django_q.models import OrmQ
from standardwebhooks import Webhook

from approvals.audit import AuditEvent
from approvals.models import ApprovalRequest
from approvals.rules import NoStandingApproval, Verdict
from approvals.services import expire_overdue
from journeys import executors
from journeys.domain.policy import PUBLISHED
from journeys.domain.vocabulary import Channel
from journeys.models import Customer, Execution, ExecutionSwitch, Intervention, Signal
from journeys.services import execution, policies
from tests.acting import approve, decide, let_the_grace_pass, words_about
from tests.runs import run_pipeline
from tests.servers import BREAK, HANG, SECRET

pytestmark = pytest.mark.django_db

GAPS = PUBLISHED.execution.retry_gaps_seconds


@pytest.fixture
def approved(people, sample_run):
    """C004's mail, approved."""
    return approve("C004", people["approver"])


def execute(intervention):
    return execution.execute(intervention_id=intervention.pk)


def now_of(intervention):
    return Intervention.objects.get(pk=intervention.pk)


def last_reason(intervention):
    return AuditEvent.objects.filter(subject_key=intervention.pk).order_by("sequence").last().reason


def let_time_pass(intervention):
    """Until after the next try is due."""
    Execution.objects.filter(intervention=intervention).update(retry_at=timezone.now())


def lapsed(intervention, reason):
    assert execute(intervention) is None
    row = now_of(intervention)
    return (row.status, row.request.status) == ("lapsed", "lapsed") and reason in last_reason(intervention)


def test_what_was_approved_is_what_is_sent(approved, live, mailbox):
    done = execute(approved)
    payload = approved.request.payload
    [envelope] = mailbox.envelopes
    message = email.message_from_bytes(envelope.content, policy=email.policy.default)
    assert envelope.rcpt_tos == [payload["recipient"]] == ["office@northbeck.example"]
    assert message["Subject"] == payload["subject"]
    assert message.get_content().split() == payload["body"].split()
    assert message["Message-ID"].startswith(f"<{done.idempotency_key}@")
    row = now_of(approved)
    assert (row.status, done.status, done.mode, done.attempts) == ("executed", "done", "live", 1)
    assert row.ended_at
    assert done.finished_at
    assert words_about(approved) == [
        "request.opened",
        "request.approved",
        "execution.claimed",
        "execution.finished",
    ]


def test_twice_is_the_same_as_once(approved, live, mailbox):
    assert execute(approved)
    assert execute(approved) is None
    assert execution.execute_due() == 1  # C001's, which the policy approved
    assert [envelope.rcpt_tos for envelope in mailbox.envelopes].count(["office@northbeck.example"]) == 1


def test_nothing_happens_before_a_decision_nor_after_a_refusal(sample_run, people, live, mailbox):
    pending = Intervention.objects.get(customer_id="C004")
    assert execute(pending) is None
    decide(pending.request, people["approver"], Verdict.REJECTED, "Not now.")
    assert execute(pending) is None
    assert mailbox.envelopes == []


def test_a_row_made_to_look_approved_is_not_carried_out(sample_run, live, mailbox):
    forged = Intervention.objects.get(customer_id="C004")
    Intervention.objects.filter(pk=forged.pk).update(status="approved")
    with pytest.raises(NoStandingApproval):
        execute(forged)
    assert mailbox.envelopes == []
    assert not Execution.objects.filter(intervention=forged).exists()


def test_one_row_that_breaks_does_not_hold_up_the_others(sample_run, live, mailbox):
    let_the_grace_pass()
    Intervention.objects.filter(customer_id="C004").update(status="approved")
    with pytest.raises(ExceptionGroup):
        execution.execute_due()
    assert [envelope.rcpt_tos for envelope in mailbox.envelopes] == [["hello@birchandbarrow.example"]]


def test_without_a_switch_everything_is_done_but_the_sending(approved, mailbox):
    done = execute(approved)
    assert (done.status, done.mode, done.detail) == ("done", "record_only", "Record only: nothing was sent.")
    assert now_of(approved).status == "executed"
    assert words_about(approved)[-1] == "execution.recorded"
    assert mailbox.envelopes == []


def test_what_is_switched_off_waits_untouched_and_goes_out_once_it_is_on(approved, live, mailbox):
    ExecutionSwitch.objects.update(mode="off")
    assert execute(approved) is None
    assert execution.execute_due() == 0
    assert (now_of(approved).status, approved.request.used_at) == ("approved", None)
    ExecutionSwitch.objects.update(mode="live")
    assert execution.execute_due() == 2


def test_what_waited_too_long_expires_and_is_never_sent(approved, live, mailbox):
    ApprovalRequest.objects.filter(pk=approved.request.pk).update(execute_by=timezone.now())
    assert execute(approved) is None
    assert now_of(approved).status == "approved"
    expire_overdue(actor=execution.WORKER)
    assert now_of(approved).status == "expired"
    assert execute(approved) is None
    assert mailbox.envelopes == []


def test_a_customer_who_must_not_be_contacted_any_more_is_not(approved, live, mailbox):
    Customer.objects.filter(pk="C004").update(do_not_contact=True)
    assert lapsed(approved, "do not contact")
    assert mailbox.envelopes == []
    assert approved.request.used_at is None


def test_a_hold_put_on_after_the_approval_stops_it(approved, live, mailbox):
    Customer.objects.filter(pk="C004").update(hold_until="2025-02-01")
    assert lapsed(approved, "on hold")
    assert mailbox.envelopes == []


def test_an_address_changed_after_the_approval_stops_it(approved, live, mailbox):
    Customer.objects.filter(pk="C004").update(email="somebody@else.example")
    assert lapsed(approved, "It was approved for office@northbeck.example")
    assert mailbox.envelopes == []


def test_evidence_altered_after_the_approval_stops_it(approved, live, mailbox):
    Signal.objects.filter(pk="S004").update(signal_strength=0.1)
    assert lapsed(approved, "S004")
    assert mailbox.envelopes == []


@pytest.mark.parametrize("field", ["body", "recipient", "customer_id"])
def test_a_payload_changed_after_the_approval_is_not_sent(approved, live, mailbox, field):
    request = approved.request
    ApprovalRequest.objects.filter(pk=request.pk).update(payload=request.payload | {field: "C001"})
    assert lapsed(approved, "no longer what was approved")
    assert mailbox.envelopes == []


def test_a_row_changed_after_the_approval_is_not_carried_out(approved, live, mailbox):
    Intervention.objects.filter(pk=approved.pk).update(channel="none")
    assert lapsed(approved, "no longer what was approved")
    assert mailbox.envelopes == []


def test_two_customers_with_one_address_get_one_mail_in_the_capped_days(
    sample, people, live, mailbox, settings
):
    settings.DEBUG = True
    Customer.objects.filter(pk="C001").update(email="office@northbeck.example")
    run_pipeline()
    first, second = Intervention.objects.get(customer_id="C001"), approve("C004", people["approver"])
    assert execute(first)
    assert lapsed(second, "was contacted on")
    assert len(mailbox.envelopes) == 1


def test_an_address_that_may_have_had_a_mail_waits_until_a_person_knows(
    sample, people, live, bad_mail_server, settings
):
    settings.DEBUG = True
    Customer.objects.filter(pk="C001").update(email="office@northbeck.example")
    run_pipeline()
    first, second = Intervention.objects.get(customer_id="C001"), approve("C004", people["approver"])
    with bad_mail_server(MESSAGE=BREAK) as server:
        unknown = execute(first)
        assert execute(second) is None
        assert now_of(second).status == "approved"
    assert len(server.messages) == 1
    execution.end_uncertain(
        execution_id=unknown.pk, user=people["operator"], went_out=True, note="They have it.", door="test"
    )
    assert lapsed(second, "was contacted on")


def test_what_surely_did_not_go_out_is_tried_again_after_growing_gaps_and_then_given_up(
    approved, live, bad_mail_server
):
    waited = []
    with bad_mail_server(RCPT="451 later") as server:
        for attempt in range(1, len(GAPS) + 1):
            tried = execute(approved)
            assert (tried.status, tried.attempts, now_of(approved).status) == (
                "retrying",
                attempt,
                "approved",
            )
            assert execute(approved) is None  # a doubled bell comes too early
            waited.append((tried.retry_at - tried.claimed_at).total_seconds())
            let_time_pass(approved)
        last = execute(approved)
        assert (last.status, last.attempts, last.retry_at) == ("failed", len(GAPS) + 1, None)
        assert execute(approved) is None
    assert all(gap <= wait < gap * 1.1 + 2 for gap, wait in zip(GAPS, waited, strict=True))
    assert server.messages == []
    assert now_of(approved).status == "failed"
    assert words_about(approved)[2:] == ["execution.claimed", "execution.refused"] * len(GAPS) + [
        "execution.claimed",
        "execution.failed",
    ]
    assert "451 later" in last_reason(approved)


def test_a_second_try_that_succeeds_ends_it(approved, live, bad_mail_server, mailbox, mail_to, settings):
    good_port = settings.EMAIL_PORT
    with bad_mail_server(GREETING=BREAK):
        assert execute(approved).status == "retrying"
    mail_to(good_port)
    let_time_pass(approved)
    done = execute(approved)
    assert (done.status, done.attempts) == ("done", 2)
    assert len(mailbox.envelopes) == 1


def test_a_final_no_is_not_tried_again(approved, live, bad_mail_server):
    with bad_mail_server(RCPT="550 no such box"):
        assert execute(approved).status == "failed"
    assert now_of(approved).status == "failed"
    assert execution.execute_due() == 1  # C001's
    assert "550 no such box" in Execution.objects.get(intervention=approved).detail


@pytest.mark.parametrize("how", [BREAK, HANG])
def test_what_may_have_gone_out_is_never_tried_again(approved, live, bad_mail_server, how):
    with bad_mail_server(MESSAGE=how) as server:
        assert execute(approved).status == "unknown"
        assert execute(approved) is None
        Execution.objects.update(claimed_at=timezone.now() - timedelta(days=1))
        assert execution.execute_due() == 1  # C001's
    to_c004 = [message for message in server.messages if b"office@northbeck" in message]
    assert len(to_c004) == 1
    row = now_of(approved)
    assert (row.status, row.ended_at, words_about(row)[-1]) == ("unknown", None, "execution.unknown")


def test_a_channel_that_breaks_in_an_unforeseen_way_may_have_sent(approved, live, monkeypatch, caplog):
    def broken(payload, key):
        raise KeyError("nobody thought of this")

    monkeypatch.setitem(executors.CHANNELS, Channel.EMAIL, broken)
    assert execute(approved).status == "unknown"
    assert "nobody thought of this" in caplog.text
    assert now_of(approved).status == "unknown"


def test_a_worker_that_dies_while_it_sends_leaves_a_row_that_is_seen_and_never_sent_again(
    approved, live, monkeypatch, mailbox
):
    def die(payload, key):
        executors.send_email(payload, key)
        raise SystemExit("killed")  # as the queue does to a task past its time

    monkeypatch.setitem(executors.CHANNELS, Channel.EMAIL, die)
    with pytest.raises(SystemExit):
        execute(approved)
    monkeypatch.undo()
    now = timezone.now()
    assert execute(approved) is None
    Intervention.objects.exclude(pk=approved.pk).delete()
    assert execution.execute_due() == 0
    assert len(mailbox.envelopes) == 1
    assert now_of(approved).status == "executing"
    assert not execution.stuck(now).exists()
    assert execution.stuck(now + execution.STUCK_AFTER).get().intervention == approved


def test_a_retry_past_the_time_of_its_approval_is_given_up(approved, live, bad_mail_server, mailbox):
    with bad_mail_server(RCPT="451 later"):
        execute(approved)
    ApprovalRequest.objects.filter(pk=approved.request.pk).update(execute_by=timezone.now())
    let_time_pass(approved)
    assert execute(approved) is None
    assert now_of(approved).status == "failed"
    assert Execution.objects.get(intervention=approved).status == "failed"
    assert "past its time" in last_reason(approved)
    assert "451 later" in last_reason(approved)


def test_a_wish_that_arrives_between_two_tries_counts(approved, live, bad_mail_server):
    with bad_mail_server(RCPT="451 later") as server:
        execute(approved)
        Customer.objects.filter(pk="C004").update(do_not_contact=True)
        let_time_pass(approved)
        assert lapsed(approved, "do not contact")
    assert server.messages == []
    closed = Execution.objects.get(intervention=approved)
    assert (closed.status, closed.attempts, closed.retry_at) == ("failed", 1, None)


def test_the_sweep_finds_what_no_bell_announced(approved, live, mailbox):
    OrmQ.objects.all().delete()
    assert execution.execute_due() == 2
    assert now_of(approved).status == "executed"
    assert execution.execute_due() == 0


def test_a_webhook_gets_what_was_approved_signed_and_once(sample, people, live, receiver, settings):
    actions = PUBLISHED.model_dump(mode="json")
    actions["actions"]["usage_review_checkin"]["channel"] = "webhook"
    policy = policies.add_policy(name="by webhook", document=actions, created_by="manager")
    decide(
        policies.propose_activation(policy=policy, user=people["manager"], reason="Try it.", door="test"),
        people["manager2"],
    )
    with receiver() as server:
        run_pipeline()
        intervention = approve("C004", people["approver"])
        done = execute(intervention)
        assert execute(intervention) is None
    [(_, headers, body)] = server.requests
    Webhook(SECRET).verify(body, headers)
    assert json.loads(body)["data"] == intervention.request.payload
    assert headers["webhook-id"] == done.idempotency_key
    assert now_of(intervention).status == "executed"
