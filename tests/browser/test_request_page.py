"""The request page on one screen, and what becomes of what one types."""

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.utils import timezone

from approvals import services
from approvals.models import ApprovalRequest, Delegation
from approvals.rules import Verdict
from approvals.services.authority import propose_limit
from approvals.services.membership import propose_membership
from journeys.models import Customer, Signal
from journeys.services import policies, proposals, switches
from tests.acting import PASSWORD, waiting
from tests.browser.conftest import SEEN
from tests.desk import on_record, page_of
from tests.runs import run_pipeline

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PARAGRAPH = (
    "We noticed over the last weeks that several people of your team have not opened the product, while "
    "others work in it every day. That can have many reasons, and none of them has to be a bad one; but we "
    "would rather ask than guess, and we would like to hear from you what is in the way."
)
LONG = "\n\n".join(["Hello Alpine Foods,", *[PARAGRAPH] * 9, "Best regards,\nInes Okafor"])
WIDE = {"viewport": {"width": 1440, "height": 900}}


@pytest.fixture
def asked(live_server, people, sample, live, settings) -> ApprovalRequest:
    """The sample's run, so that C004's mail waits with what speaks against it."""
    settings.DEBUG = True
    run_pipeline()
    return waiting("C004")


@pytest.fixture
def long_mail(asked, people) -> ApprovalRequest:
    """A long mail that names somebody else, shortly before a renewal, after good news that nobody weighed."""
    Customer.objects.create(customer_id="C042", name="Alpine Foods", email="ops@alpine-foods.example")
    Customer.objects.filter(pk="C003").update(
        name="Northwind Traders",
        renewal_date=timezone.now().date() + timedelta(days=20),
        account_value=90_000,
    )
    row = proposals.propose(
        customer_id="C003",
        action="engagement_checkin",
        subject="Shall we look at how the team is getting on?",
        body=LONG,
        reason="They sounded tired on the phone, and nobody has called them since the turn of the year.",
        user=people["operator"],
        door="test",
    )
    Signal.objects.create(
        signal_id="S700",
        customer_id="C003",
        signal_type="usage_recovery",
        signal_strength=0.7,
        detected_at=timezone.now(),
    )
    return row.request


def inside(page, selector: str) -> bool:
    return page.locator(selector).evaluate(SEEN)


def open_page(visit, name: str, request: ApprovalRequest, **screen):
    person = visit(**screen)
    person.log_in(name)
    person.go(page_of(request))
    return person


WAYS = ("approved", "with_changes", "ask_for_changes", "rejected")


def test_the_decision_and_what_speaks_against_it_are_on_one_screen_with_a_long_mail(long_mail, visit):
    approver = open_page(visit, "approver", long_mail, **WIDE)
    page = approver.page
    assert page.locator("#against li").count() >= 3
    for way in WAYS:
        page.check(f"[value={way}]")
        assert page.evaluate("scrollY") == 0
        for selector in ("#against", "#decide .go", *(f"label:has([value={other}])" for other in WAYS)):
            assert inside(page, selector), f"{way}: {selector}"
        approver.picture(f"request-long-{way}")
    page.select_option("#decide-category", "bad_timing")
    assert inside(page, "#decide-day_leave_alone_until")
    assert inside(page, "#decide .go")


def test_a_long_mail_is_there_to_its_last_word(long_mail, visit):
    page = open_page(visit, "approver", long_mail, **WIDE).page
    text = page.locator(".mail .text")
    assert text.inner_text().count(PARAGRAPH) == 9
    assert text.evaluate("(element) => element.scrollHeight <= element.clientHeight + 1")
    last = page.locator(".mail .text p").last
    last.scroll_into_view_if_needed()
    assert last.evaluate(SEEN)
    # However far one has read, the decision is beside it.
    assert inside(page, "#decide .go")
    assert inside(page, "label:has([value=approved])")


def test_the_decision_is_on_one_screen_where_it_asks_for_the_most(asked, long_mail, visit, people):
    """After a decision, so with its message; several people, a password, and on whose behalf."""
    now = timezone.now()
    Delegation.objects.create(
        delegator=people["manager2"], delegate=people["manager"], starts_at=now, ends_at=now + timedelta(1)
    )
    ApprovalRequest.objects.filter(pk=long_mail.pk).update(
        heightened=True,
        people_needed=2,
        value_at_stake=150_000,
        priority_score=asked.priority_score - 0.1,
        moved=["The stage moved."],
    )
    services.claim(request_id=long_mail.pk, user=people["manager2"], door="test")
    manager = open_page(visit, "manager", asked, **WIDE)
    manager.page.check("[value=approved]")
    manager.page.click("#decide .go")
    manager.page.wait_for_selector(".messages .success")
    assert long_mail.title in manager.page.inner_text("h1")
    manager.page.check("[value=rejected]")
    manager.page.select_option("#decide-category", "bad_timing")
    assert manager.page.evaluate("scrollY") == 0
    for selector in (
        "#against",
        "#decide .go",
        "#decide-password",
        *(f"label:has([value={way}])" for way in WAYS),
    ):
        assert inside(manager.page, selector), selector
    manager.picture("request-most")


def test_each_way_shows_what_it_takes_and_nothing_else(asked, visit):
    page = open_page(visit, "approver", asked).page
    shown = {
        "#decide-category": {"rejected"},
        "#decide-change_body": {"with_changes"},
        "text=whoever may propose by hand": {"ask_for_changes"},
    }
    for way in (None, *WAYS):
        if way:
            page.check(f"[value={way}]")
        for selector, ways in shown.items():
            assert page.locator(selector).is_visible() == (way in ways), f"{way}: {selector}"
    page.select_option("#decide-category", "other")
    assert not page.locator("#decide-day_leave_alone_until").is_visible()
    page.select_option("#decide-category", "bad_timing")
    assert page.locator("#decide-day_leave_alone_until").is_visible()


def test_a_rejection_for_bad_timing_leaves_the_customer_alone(asked, visit):
    page = open_page(visit, "approver", asked).page
    until = timezone.now().date() + timedelta(days=30)
    page.check("[value=rejected]")
    page.select_option("#decide-category", "bad_timing")
    page.fill("#decide-day_leave_alone_until", until.isoformat())
    page.fill("#decide-reason", "They move house.")
    page.click("#decide .go")
    page.wait_for_selector(f"text=Rejected: {asked.title}")
    assert Customer.objects.get(pk="C004").hold_until == until


def test_a_day_that_is_no_longer_shown_is_not_sent(asked, visit):
    page = open_page(visit, "approver", asked).page
    page.check("[value=rejected]")
    page.select_option("#decide-category", "bad_timing")
    page.fill("#decide-day_leave_alone_until", "2999-12-31")
    page.select_option("#decide-category", "other")
    page.fill("#decide-reason", "Not so.")
    page.click("#decide .go")
    page.wait_for_selector(f"text=Rejected: {asked.title}")
    assert Customer.objects.get(pk="C004").hold_until is None


def test_a_text_is_changed_where_it_stands_and_left_to_somebody_else(asked, visit):
    page = open_page(visit, "approver", asked).page
    page.check("[value=with_changes]")
    page.fill("#decide-change_body", "Shall we talk?")
    page.fill("#decide-reason", "Shorter.")
    page.click("#decide .go")
    page.wait_for_selector("text=Changed; somebody else has to decide it now")
    assert waiting("C004").payload["body"] == "Shall we talk?"


def test_without_the_script_all_four_ways_work(asked, visit):
    page = open_page(visit, "approver", asked, java_script_enabled=False).page
    page.check("[value=with_changes]")
    page.fill("#decide-change_subject", "Shall we talk?")
    page.click("#decide .go")
    page.wait_for_selector("text=Changed; somebody else has to decide it now")
    assert waiting("C004").payload["subject"] == "Shall we talk?"


# -- what was typed


def end_session(page) -> None:
    """As the server forgets it; the browser does not know."""
    Session.objects.all().delete()


def log_in_again(page, name: str) -> None:
    page.wait_for_selector("#login-form")
    page.fill("#id_username", name)
    page.fill("#id_password", PASSWORD)
    page.press("#id_password", "Enter")
    page.wait_for_selector("details.menu")


def test_a_session_that_ends_while_one_types_loses_no_text(asked, visit):
    approver = open_page(visit, "approver", asked)
    page, before = approver.page, on_record()
    page.check("[value=with_changes]")
    page.fill("#decide-change_body", "A long text of my own.")
    page.fill("#decide-reason", "I thought about it for long.")
    end_session(page)
    page.click("#decide .go")
    page.wait_for_selector("#login-form")
    assert "Your session had ended, so nothing was recorded." in page.inner_text("main")
    assert "What you had typed is kept in this tab" in page.inner_text("main")
    approver.picture("session-ended")
    log_in_again(page, "approver")
    assert page.url.endswith(page_of(asked))
    assert on_record() == before
    assert page.input_value("#decide-reason") == "I thought about it for long."
    assert page.input_value("#decide-change_body") == "A long text of my own."
    assert "What you had typed is here again; nothing was recorded." in page.inner_text("#decision")
    assert page.locator("#decide input[type=radio]:checked").count() == 0
    approver.picture("session-restored")
    page.check("[value=with_changes]")
    page.click("#decide .go")
    page.wait_for_selector("text=Changed; somebody else has to decide it now")
    assert waiting("C004").payload["body"] == "A long text of my own."
    # What was taken is kept no longer.
    assert page.evaluate("Object.keys(sessionStorage).filter((key) => key.startsWith('cjo.typed.'))") == []


def test_whoever_logs_in_instead_sees_nothing_of_it(asked, visit):
    page = open_page(visit, "approver", asked).page
    page.fill("#decide-reason", "My own thought.")
    end_session(page)
    page.check("[value=approved]")
    page.click("#decide .go")
    log_in_again(page, "approver2")
    assert page.input_value("#decide-reason") == ""
    assert page.evaluate("Object.keys(sessionStorage).filter((key) => key.startsWith('cjo.typed.'))") == []


def test_logging_out_leaves_nothing_of_it_behind(asked, visit):
    page = open_page(visit, "approver", asked).page
    page.fill("#decide-reason", "My own thought.")
    page.click("details.menu:not(.more) summary")
    page.click("#logout-form button")
    page.wait_for_selector("text=Logged out")
    assert page.evaluate("Object.keys(sessionStorage).filter((key) => key.startsWith('cjo.typed.'))") == []


def test_a_login_in_another_tab_loses_no_text_either(asked, visit):
    """It gives the browser another token: the form of the first tab has the old one."""
    approver = open_page(visit, "approver", asked)
    page, before = approver.page, on_record()
    page.fill("#decide-reason", "I thought about it for long.")
    page.check("[value=approved]")
    other = approver.context.new_page()
    other.goto(f"{approver.site}/admin/login/?next=/admin/")
    approver.context.clear_cookies(name="sessionid")
    other.goto(f"{approver.site}/admin/login/?next=/admin/")
    log_in_again(other, "approver")
    approver.expected.append("403")
    page.click("#decide .go")
    page.wait_for_selector("text=This page was out of date")
    assert "What you had typed is kept in this tab" in page.inner_text("main")
    approver.picture("session-other-tab")
    page.click("text=Back to the page")
    page.wait_for_selector("#decide")
    assert on_record() == before
    assert page.input_value("#decide-reason") == "I thought about it for long."


def test_a_refusal_keeps_the_text_and_the_page_can_be_loaded_again(asked, visit):
    page = open_page(visit, "approver", asked).page
    page.check("[value=rejected]")
    page.fill("#decide-reason", "I thought about it for long.")
    page.click("#decide .go")
    page.wait_for_selector("text=A rejection needs a category")
    assert page.input_value("#decide-reason") == "I thought about it for long."
    assert page.url.endswith(page_of(asked))
    page.reload()
    assert page.input_value("#decide-reason") == "I thought about it for long."
    page.click("text=Discard it")
    assert page.input_value("#decide-reason") == ""
    page.reload()
    assert page.input_value("#decide-reason") == ""
    assert page.locator(".kept").count() == 0


def test_where_it_was_decided_meanwhile_the_text_is_shown_all_the_same(asked, visit, people):
    page = open_page(visit, "approver", asked).page
    page.fill("#decide-reason", "I thought about it for long.")
    services.decide(
        request_id=asked.pk, verdict=Verdict.APPROVED, fingerprint=asked.fingerprint,
        user=people["approver2"], door="test",
    )  # fmt: skip
    page.reload()
    assert "What you had typed has no place here any more" in page.inner_text("main")
    assert "I thought about it for long." in page.inner_text(".kept")


def test_what_one_types_in_any_other_form_of_the_desk_is_kept_too(asked, visit):
    operator = visit()
    operator.log_in("operator")
    operator.go("/admin/journeys/customer/C003/change/")
    operator.page.click("summary:has-text('Propose an intervention')")
    operator.page.select_option("#propose-action", "engagement_checkin")
    operator.page.fill("#propose-reason", "They have been quiet.")
    end_session(operator.page)
    operator.page.click("button:has-text('Propose')")
    log_in_again(operator.page, "operator")
    assert operator.page.url.endswith("/admin/journeys/customer/C003/change/")
    assert operator.page.locator("#propose-reason").is_visible()
    assert operator.page.input_value("#propose-reason") == "They have been quiet."


# -- every kind of request, on every screen


@pytest.mark.parametrize("screen", ["wide", "dark", "phone"])
def test_every_kind_of_request_fits(asked, long_mail, visit, people, screen):
    common = {"user": people["operator"], "door": "test"}
    document = policies.in_force().document
    document["escalation"]["account_value"] = 20000.0
    policy = policies.add_policy(name="careful", document=document, created_by="test")
    kinds = {
        "mail": asked,
        "long": long_mail,
        "task": waiting("C005"),
        "policy": policies.propose_activation(
            policy=policy, user=people["manager2"], reason="Look closer.", door="test"
        ),
        "limit": propose_limit(
            name="approvers", group="Approvers", max_value=50_000, reason="Too much.", **common
        ),
        "membership": propose_membership(
            user_name="operator", group="Approvers", member=True, reason="We are few.", **common
        ),
    }
    switches.set_mode(scope="channel", value="email", mode="off", reason="Wait.", **common)
    kinds["switch"] = switches.set_mode(scope="channel", value="email", mode="live", reason="On.", **common)
    manager = visit(
        **{
            "wide": WIDE,
            "dark": {"color_scheme": "dark"},
            "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True},
        }[screen]
    )
    manager.log_in("manager")
    for name, request in kinds.items():
        manager.go(page_of(request))
        assert manager.page.locator("#decide .go").count() == 1, name
        assert not manager.scrolls_sideways(), f"{name} scrolls sideways"
        if screen != "phone":
            assert inside(manager.page, "#decide .go"), name
        else:
            manager.page.click("text=To the decision")
            assert inside(manager.page, "label:has([value=rejected])"), name
        manager.picture(f"{screen}-request-{name}")
