"""The page of a customer: why they were not contacted, what waits for whom, when they may be contacted."""

import re
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from approvals.models import AuditEvent
from approvals.rules import Verdict
from journeys.models import Assessment, Customer, Signal
from journeys.services.intake import save_customer
from journeys.services.orphans import link_orphan
from journeys.services.wishes import set_wish
from tests.acting import decide, waiting
from tests.desk import check_html, client_of
from tests.runs import SAMPLE_DAY, run_pipeline

pytestmark = pytest.mark.django_db


def page(customer_id: str) -> str:
    return f"/admin/journeys/customer/{customer_id}/change/"


def html_of(user, customer_id: str) -> str:
    html = client_of(user).get(page(customer_id)).content.decode()
    check_html(html)
    return html


def text(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def hold(people, days: int | None = 10, **wish) -> None:
    until = timezone.now().date() + timedelta(days=days) if days is not None else None
    wish = {"do_not_contact": False, "hold_until": until, "reason": "Their audit."} | wish
    set_wish(customer_id="C003", user=people["operator"], door="test", **wish)


# -- when they may be contacted


@pytest.mark.parametrize("who", ["approver", "auditor"])
def test_who_may_not_end_a_wish_is_not_offered_it_and_is_refused(sample, people, who):
    hold(people)
    client = client_of(people[who])
    html = client.get(page("C003")).content.decode()
    assert 'id="end-wish"' not in html
    assert "Leave alone until" in html
    refused = client.post("/admin/journeys/customer/C003/end-wish/", {"reason": "It is over."})
    assert refused.status_code == 403
    assert Customer.objects.get(pk="C003").hold_until is not None


def test_a_wish_is_ended_with_a_reason_and_only_once(sample, people):
    hold(people, do_not_contact=True)
    client = client_of(people["operator"])
    address = "/admin/journeys/customer/C003/end-wish/"
    assert client.post(address, {"reason": " "}).status_code == 200
    html = client.post(address, {"reason": "The audit is over."}, follow=True).content.decode()
    assert "may be contacted again" in html
    customer = Customer.objects.get(pk="C003")
    assert (customer.do_not_contact, customer.hold_until) == (False, None)
    assert AuditEvent.objects.filter(word="customer.hold").first().after == "may be contacted"
    assert 'id="end-wish"' not in html
    assert "is set so already" in client.post(address, {"reason": "Again."}).content.decode()


def test_the_page_says_until_when_why_who_set_it_and_when(sample, people):
    hold(people)
    html = text(html_of(people["auditor"], "C003"))
    until = timezone.now().date() + timedelta(days=10)
    assert f"Leave alone until {until.day} {until:%b %Y} , that day included" in html
    assert "Their audit." in html
    assert "Set by operator, just now" in html


def test_a_hold_that_is_over_is_told_as_over_and_marks_nothing(sample, people):
    hold(people)
    Customer.objects.filter(pk="C003").update(hold_until=timezone.now().date() - timedelta(days=1))
    client = client_of(people["operator"])
    html = client.get(page("C003")).content.decode()
    assert "and that is over" in html
    assert "leave alone until" not in html
    assert 'id="end-wish"' not in html
    assert "on hold until" not in client.get("/admin/journeys/customer/").content.decode()


def test_a_hold_lasts_through_its_last_day(sample, people):
    hold(people, days=0)
    assert "leave alone until" in html_of(people["operator"], "C003")


def test_what_came_from_outside_is_not_told_as_somebodys_word(sample, people):
    hold(people)
    save_customer(customer_id="C003", do_not_contact=True)
    html = html_of(people["operator"], "C003")
    assert "Do not contact." in html
    assert "Set by operator" not in html
    assert "came with the customer" in html


# -- what is under way, and what was


def test_a_pending_one_stands_first_with_whose_decision_and_until_when(sample_run, people):
    html = html_of(people["operator"], "C004")
    assert html.index("Under way") < html.index("Risk .") < html.index("What was done before")
    told = text(html)
    assert "It waits for approver, approver2, manager or 1 more" in told
    assert "it expires in" in told
    assert f"/admin/approvals/approvalrequest/{waiting('C004').pk}/change/" in html


def test_an_ended_one_stands_among_the_past_with_what_came_of_it(sample_run, people):
    call_command("loaddata", "sample_history", verbosity=0)
    decide(waiting("C004"), people["approver"], Verdict.REJECTED, "They were called.")
    told = text(html_of(people["operator"], "C004"))
    before = told[told.index("What was done before") :]
    assert "Rejected by approver Other: “They were called.”" in before
    assert "Nothing. The last run" in told


def test_why_not_is_told_run_by_run_and_equal_runs_are_one_line(sample_run, people):
    for days in (1, 2, 3):
        run_pipeline(SAMPLE_DAY + timedelta(days=days))
    told = text(html_of(people["operator"], "C003"))
    assert "since 15 Jan 2025 4 runs Below the confidence needed" in told


def test_long_lists_are_cut_and_lead_to_the_rest(sample, people):
    run_pipeline()
    for turn in range(10):
        hold(people, days=None if turn % 2 else 10)
        run_pipeline()
    Signal.objects.bulk_create(
        Signal(
            signal_id=f"X{n}",
            customer_id="C003",
            signal_type="usage_drop",
            signal_strength=0.5,
            detected_at=timezone.now(),
        )
        for n in range(11)
    )
    client = client_of(people["operator"])
    response = client.get(page("C003"))
    context = response.context
    assert len(context["lines"]) <= 8
    assert len(context["signals"]) == 10
    assert context["more_signals"]
    for address in context["all"].values():
        listed = client.get(address).context["cl"].result_list
        assert {row.customer_id for row in listed} <= {"C003"}
    concluded = client.get(context["all"]["assessment"]).context["cl"].result_list
    assert len(concluded) == Assessment.objects.filter(customer="C003").count()


# -- the score and the trail


def test_the_line_begins_with_the_second_day_and_its_table_says_the_same(sample_run, people):
    assert "score-chart" not in html_of(people["operator"], "C001")
    run_pipeline(SAMPLE_DAY + timedelta(days=5))
    response = client_of(people["operator"]).get(page("C001"))
    assert "score-chart" in response.content.decode()
    assert response.context["steps"]


def test_a_signal_that_was_linked_counts_from_then_on(sample_run, people):
    link_orphan(signal_id="S009", customer_id="C003", note="Theirs.", user=people["operator"], door="test")
    run_pipeline(SAMPLE_DAY + timedelta(days=1))
    steps = client_of(people["operator"]).get(page("C003")).context["steps"]
    assert any("negative sentiment .90" in step["happenings"] for step in steps)
    assert steps[0]["change"].startswith("+")


def test_the_trail_of_the_customer_stands_there_and_the_whole_of_it_is_the_auditors(sample_run, people):
    hold(people)
    told = html_of(people["operator"], "C003")
    assert "operator changed when" in told
    assert "The whole trail" not in told
    assert "auditevent/?concerning=C003" in html_of(people["auditor"], "C003")


def test_names_and_reasons_are_shown_as_text(sample, people):
    Customer.objects.filter(pk="C003").update(name="<img src=x>", owner="<b>me</b>")
    hold(people, reason="<script>alert(1)</script>")
    run_pipeline()
    html = html_of(people["operator"], "C003")
    assert "<img" not in html
    assert "<b>me" not in html
    assert "<script>alert" not in html


def test_the_page_costs_the_same_whatever_the_history_and_stays_light(sample_run, people):
    client = client_of(people["operator"])
    client.get(page("C004"))

    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            client.get(page("C004"))
        return len(queries)

    run_pipeline()
    before = cost()
    for days in range(6):
        run_pipeline(SAMPLE_DAY + timedelta(days=days))
    after = cost()
    assert after <= before <= 45
    assert len(client.get(page("C004")).content) < 60_000
