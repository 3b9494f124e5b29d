"""The mail of the month: who gets it, once, and what it says."""

import email
import email.policy
from datetime import date

import pytest
from django.test import Client

from approvals import postbox, services
from approvals.models import Notice, Preferences
from journeys import monthly
from journeys.models import PipelineRun
from tests.runs import run_pipeline

pytestmark = pytest.mark.django_db

PREFERENCES = "/admin/approvals/preferences/"
FIRST = date(2025, 2, 1)


@pytest.fixture
def readers(people):
    for user in people.values():
        user.email = f"{user.get_username()}@desk.example"
        user.save(update_fields=["email"])
    return people


@pytest.fixture
def month(readers, sample, monkeypatch):
    """The sample, run on the last day of a month; today is the first of the next."""
    run = run_pipeline(date(2025, 1, 31))
    monkeypatch.setattr(monthly, "today", lambda: FIRST)
    return run


def told() -> list[str]:
    return sorted(Notice.objects.filter(kind="report").values_list("recipient__username", flat=True))


def letters(mailbox) -> list:
    return [email.message_from_bytes(one.content, policy=email.policy.default) for one in mailbox.envelopes]


def test_managers_get_the_report_of_the_month_just_ended_once(month, mailbox):
    assert monthly.send_report_of_the_month() == 2
    assert monthly.send_report_of_the_month() == 0
    assert told() == ["manager", "manager2"]
    assert postbox.send_due() == 2
    assert postbox.send_due() == 0
    assert len(mailbox.envelopes) == 2


def test_it_says_takeaways_statuses_and_where_the_whole_report_is_in_both_forms(month, mailbox):
    monthly.send_report_of_the_month()
    postbox.send_due()
    letter = letters(mailbox)[0]
    assert letter["Subject"] == "What January 2025 was worth"
    plain, html = (letter.get_body((form,)).get_content() for form in ("plain", "html"))
    assert html.startswith("<!doctype html>")
    for text in (plain, html):
        assert f"/pipelinerun/{month.pk}/report/" in text
        assert PREFERENCES in text
        assert "Orphaned signals" in text
        assert "Business:" in text
    for takeaway in month.report["takeaways"]:
        assert takeaway in plain
    assert "- Runs finished: 100.0 % (exceeded)" in plain


def test_who_opted_out_gets_none_and_who_asked_for_it_gets_one(month, readers):
    services.choose_monthly_report(user=readers["manager"], wanted=False)
    services.choose_monthly_report(user=readers["approver"], wanted=True)
    monthly.send_report_of_the_month()
    assert told() == ["approver", "manager2"]


def test_who_may_not_read_reports_gets_none_however_much_they_want_it(month, readers):
    services.choose_monthly_report(user=readers["approver"], wanted=True)
    readers["approver"].groups.clear()
    monthly.send_report_of_the_month()
    assert "approver" not in told()


def test_a_worker_that_stood_still_on_the_first_catches_up_within_a_week(month, monkeypatch):
    monkeypatch.setattr(monthly, "today", lambda: date(2025, 2, 8))
    assert monthly.send_report_of_the_month() == 0
    monkeypatch.setattr(monthly, "today", lambda: date(2025, 2, 7))
    assert monthly.send_report_of_the_month() == 2


def test_without_a_run_in_the_month_nothing_is_sent(month, monkeypatch):
    monkeypatch.setattr(monthly, "today", lambda: date(2025, 3, 1))
    assert monthly.send_report_of_the_month() == 0


def test_the_latest_run_of_the_month_counts_and_none_of_the_new_month(month):
    run_pipeline(date(2025, 1, 20))
    run_pipeline(FIRST)
    monthly.send_report_of_the_month()
    assert f"/pipelinerun/{month.pk}/report/" in Notice.objects.first().facts["text"]


def test_automatic_approval_for_testing_in_any_run_of_the_month_is_said_first(month, mailbox):
    earlier = run_pipeline(date(2025, 1, 20))
    PipelineRun.objects.filter(pk=earlier.pk).update(auto_approve_for_testing=True)
    monthly.send_report_of_the_month()
    postbox.send_due()
    plain = letters(mailbox)[0].get_body(("plain",)).get_content()
    assert plain.startswith("AUTOMATIC APPROVAL FOR TESTING WAS ON")
    html = letters(mailbox)[0].get_body(("html",)).get_content()
    assert html.index("AUTOMATIC APPROVAL") < html.index("<h1>")


def test_what_others_wrote_is_escaped_in_the_mail(month, sample):
    report = month.report
    report["takeaways"][0] = "<script>x</script> is first."
    PipelineRun.objects.filter(pk=month.pk).update(report=report)
    monthly.send_report_of_the_month()
    facts = Notice.objects.first().facts
    assert "<script>" not in facts["html"]
    assert "<script>x</script> is first." in facts["text"]


def test_everybody_chooses_for_themselves_on_their_own_page(people):
    client = Client()
    client.force_login(people["manager"])
    assert "The monthly report" in client.get(PREFERENCES).content.decode()
    for value, kept in (("no", False), ("yes", True), ("", None)):
        client.post(f"{PREFERENCES}choose-monthly-report/", {"monthly_report": value})
        assert Preferences.objects.get(user=people["manager"]).monthly_report is kept
    assert client.get(f"{PREFERENCES}choose-monthly-report/").status_code == 405
