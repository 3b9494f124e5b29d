"""The front page of whoever decides: what is theirs, and what came of their decisions."""

import re

import pytest
from django.utils import timezone

from approvals import services
from approvals.models import ApprovalRequest
from approvals.rules import Actor, Verdict
from journeys.models import Customer
from journeys.services import execution, outcomes, proposals, switches
from tests.acting import approve, decide, let_the_grace_pass, waiting
from tests.front_page import HOUR, card, headings, home
from tests.runs import run_pipeline
from tests.test_admin_queue import open_some

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("worker_alive")]


def fresh(request: ApprovalRequest) -> ApprovalRequest:
    return ApprovalRequest.objects.get(pk=request.pk)


# ---- for whoever decides


def test_the_most_pressing_of_ones_own_stands_first_with_what_is_at_stake(sample_run, people):
    text = card(home(people["approver"]), "Yours to decide")
    assert text.startswith("Yours to decide 2 requests, $80,000 a year at stake")
    assert text.index("Usage review check-in for") < text.index("Support manager follow-up for")


def test_what_one_proposed_oneself_is_not_to_decide_but_waits_for_somebody_else(sample_run, people):
    proposals.propose(
        customer_id="C003", action="engagement_checkin", subject="", body="", reason="They asked.",
        user=people["approver"], door="test",
    )  # fmt: skip
    html = home(people["approver"])
    title = waiting("C003").title
    assert title not in card(html, "Yours to decide")
    assert title in card(html, "Proposed by you, waiting for somebody else")
    assert title in card(home(people["approver2"]), "Yours to decide")


def test_what_one_is_reviewing_is_told_with_its_end_and_not_afterwards(waits, people):
    services.claim(request_id=waits.pk, user=people["approver"], door="test")
    until = fresh(waits).claimed_until
    told = f"You are reviewing {waits.title} until {until:%H:%M} UTC"
    assert told in card(home(people["approver"]), "Yours to decide")
    assert "You are reviewing" not in home(people["approver2"])
    ApprovalRequest.objects.filter(pk=waits.pk).update(claimed_until=timezone.now())
    assert "You are reviewing" not in home(people["approver"])


def test_who_stands_in_for_somebody_finds_what_they_would_decide(waits, people):
    now = timezone.now()
    assert "Yours to decide" not in headings(home(people["auditor"]))
    services.delegate(
        delegator=people["approver"], to=people["auditor"], starts_at=now, ends_at=now + HOUR, reason="",
        door="test",
    )  # fmt: skip
    text = card(home(people["auditor"]), "Yours to decide")
    assert waits.title in text
    assert "in place of approver" in text


def test_what_is_due_within_a_day_stands_soonest_first_with_what_is_left(people):
    rows = open_some(7)
    now = timezone.now()
    for hours, row in zip((23, 3, 2, 1, 30, 0.5, 40), rows, strict=True):
        ApprovalRequest.objects.filter(pk=row.pk).update(decision_due_at=now + hours * HOUR)
    text = card(home(people["approver"]), "Due soon")
    soonest = [rows[5], rows[3], rows[2], rows[1], rows[0]]
    assert re.findall(r"Request \d+", text) == [row.title for row in soonest]
    assert "29 min" in text


def test_where_nothing_is_due_soon_the_next_is_named(people):
    [row] = open_some(1)
    ApprovalRequest.objects.update(decision_due_at=timezone.now() + 50 * HOUR)
    text = card(home(people["approver"]), "Due soon")
    assert "Nothing of yours is due within a day" in text
    assert row.title in text


def test_where_nothing_waits_it_says_what_comes_next(people):
    html = home(people["approver"])
    assert "Nothing waits for you. New requests come with the next run" in card(html, "Yours to decide")
    assert "You have decided nothing yet" in card(html, "What your last decisions led to")
    assert "Due soon" not in headings(html)


def test_a_proposal_that_was_sent_back_asks_for_an_answer(waits, people):
    request = proposals.propose(
        customer_id="C003", action="engagement_checkin", subject="", body="", reason="They asked.",
        user=people["operator"], door="test",
    ).request  # fmt: skip
    services.ask_for_changes(
        request_id=request.pk, fingerprint=request.fingerprint, user=people["approver"], note="Shorter.",
        door="test",
    )  # fmt: skip
    html = home(people["operator"])
    assert "Shorter." in card(html, "Sent back to you")
    assert headings(html)[0] == "Sent back to you"
    assert "Proposed by you, waiting for somebody else" not in headings(html)
    assert "Sent back to you" not in headings(home(people["approver2"]))


# ---- what came of one's decisions


def led_to(user) -> str:
    return card(home(user), "What your last decisions led to")


def test_an_approval_waits_with_its_time_and_then_tells_what_happened(waits, people, live, mailbox):
    decide(waits, people["approver"])
    assert "waits to be carried out 47 h" in led_to(people["approver"])
    let_the_grace_pass()
    execution.execute_due()
    assert "executed not known yet" in led_to(people["approver"])
    outcomes.record_outcome(
        intervention_id=waits.subject_key, outcome="resolved", measured_at=timezone.now().date(),
        resolution_time_days=None, csat_delta=None, churn_risk_delta=None, estimated_revenue_saved=None,
        human_override=None, user=people["operator"], door="test",
    )  # fmt: skip
    assert "executed Resolved" in led_to(people["approver"])


def test_on_record_only_is_not_called_sent(waits, people):
    decide(waits, people["approver"])
    let_the_grace_pass()
    execution.execute_due()
    assert "put on record only, nothing was sent" in led_to(people["approver"])


def test_what_was_handed_to_the_owner_is_with_the_owner(people, sample, live, settings):
    settings.DEBUG = True
    Customer.objects.filter(pk="C005").update(owner="operator")
    run_pipeline()
    execution.execute(intervention_id=approve("C005", people["approver"]).pk)
    assert "a task, with operator" in led_to(people["approver"])


def test_a_rejection_leads_to_nothing(waits, people):
    decide(waits, people["approver"], Verdict.REJECTED, reason="They left.")
    assert "Rejected not done –" in led_to(people["approver"])


def test_what_was_taken_back_and_what_expired_are_told_apart(waits, people):
    decide(waits, people["approver"])
    services.revoke(request_id=waits.pk, user=people["approver2"], reason="They called.", door="test")
    assert "taken back: nothing was done" in led_to(people["approver"])
    other = waiting("C005")
    decide(other, people["approver"])
    ApprovalRequest.objects.filter(pk=other.pk).update(execute_by=timezone.now())
    services.expire_overdue(actor=Actor(key="machine:test", name="a test", door="test"))
    text = led_to(people["approver"])
    assert "expired: it was not carried out in time" in text
    assert "taken back: nothing was done" in text


def test_an_approval_that_lapsed_says_so(waits, people, live):
    decide(waits, people["approver"])
    let_the_grace_pass()
    Customer.objects.filter(pk="C004").update(email="other@elsewhere.example")
    execution.execute_due()
    assert "lapsed: the facts had moved" in led_to(people["approver"])


def test_one_of_two_waits_for_the_other_and_is_void_after_a_change(big, people):
    password = "a-long-password"
    decide(big, people["manager"], reason="Yes.", password=password)
    assert "waits for somebody else too" in led_to(people["manager"])
    services.change(
        request_id=big.pk, fingerprint=big.fingerprint, changes={"body": "Short."}, reason="Shorter.",
        user=people["manager2"], door="test",
    )  # fmt: skip
    assert "void: it was changed since" in led_to(people["manager"])


def test_a_change_of_the_rules_is_in_force(people):
    switches.set_mode(
        scope="all", value="", mode="live", user=people["operator"], reason="Ready.", door="test"
    )
    request = ApprovalRequest.objects.get()
    decide(request, people["manager"])
    assert f"{request.title} just now Approved in force" in led_to(people["manager"])


def test_only_ones_own_decisions_and_the_last_eight(people):
    for row in open_some(10):
        decide(row, people["approver"], Verdict.REJECTED, reason="No.")
    assert re.findall(r"Request \d+", led_to(people["approver"])) == [f"Request {n}" for n in range(9, 1, -1)]
    assert "You have decided nothing yet" in led_to(people["approver2"])
