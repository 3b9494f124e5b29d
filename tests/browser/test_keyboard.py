"""The queue and the request page without a mouse; and that no key decides anything by itself."""

import pytest

from approvals.models import ApprovalRequest, Decision
from tests.desk import QUEUE, on_record, page_of
from tests.runs import run_pipeline

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def first(live_server, people, sample, live, settings) -> ApprovalRequest:
    """The most urgent of the sample's two pending requests."""
    settings.DEBUG = True
    run_pipeline()
    return ApprovalRequest.objects.pending().by_priority()[0]


@pytest.fixture
def page(first, visit):
    """An approver's, on the queue."""
    approver = visit()
    approver.log_in("approver")
    approver.go(QUEUE)
    return approver.page


def press(page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def focused(page) -> str:
    return page.evaluate("document.activeElement.id || document.activeElement.textContent")


def said(page) -> str:
    return page.text_content("#said")


def test_an_approver_moves_opens_and_approves_by_keyboard_only(first, page):
    press(page, "j", "j")
    assert focused(page) != first.title
    assert said(page).startswith("2 of 2. ")
    press(page, "k")
    assert focused(page) == first.title
    press(page, "Enter")
    page.wait_for_selector("#decide")
    press(page, "a")
    assert page.is_checked("input[value=approved]")
    assert focused(page) == "decide-reason"
    page.keyboard.type("Ask them; their usage is down.")
    press(page, "Control+Enter")
    asked = page.inner_text("#confirm")
    assert "Approve?" in asked
    assert first.title in asked
    assert "their usage is down" in asked
    assert not Decision.objects.filter(request=first).exists()
    press(page, "Enter")
    page.wait_for_selector(f"text=Approved: {first.title}")
    decision = Decision.objects.get(request=first)
    assert decision.verdict == "approved"
    assert decision.reason == "Ask them; their usage is down."


def test_no_single_key_decides_or_sends_anything(first, page):
    address = page.url.removesuffix(QUEUE) + page_of(first)
    page.goto(address)
    before = on_record()  # That the page was opened is on record already.
    for key in [*"abcdefghijklmopqrstuvwxyz", "Enter", "Space", "Delete", "?"]:
        press(page, key)
        page.goto(address)
        assert on_record() == before, key


def test_a_key_that_is_held_down_answers_no_question(first, page):
    press(page, "j", "Enter")
    page.wait_for_selector("#decide")
    press(page, "a", "Tab")
    page.focus("#decide button[type=submit]")
    for _ in range(5):
        page.keyboard.down("Enter")
    assert page.locator("#confirm[open]").count() == 1
    page.keyboard.up("Enter")
    assert ApprovalRequest.objects.get(pk=first.pk).status == "pending"
    press(page, "Escape")
    assert page.locator("#confirm[open]").count() == 0
    assert page.locator("#decide button[type=submit]").is_enabled()


def test_keys_rest_while_one_types_and_with_modifiers(first, page):
    page.fill("#searchbar", "")
    page.focus("#searchbar")
    page.keyboard.type("jkx?")
    assert page.input_value("#searchbar") == "jkx?"
    assert page.locator("dialog[open]").count() == 0
    press(page, "Escape", "Control+j", "Alt+j", "Shift+J")
    assert said(page) == ""
    press(page, "j")
    assert focused(page) == first.title


def test_every_way_asks_with_the_name_and_what_was_typed(first, page):
    before = on_record()
    press(page, "j", "Enter")
    page.wait_for_selector("#decide")
    for key, fill, asked in (
        ("a", {"#decide-reason": "Ask them."}, ["Approve?", "Ask them."]),
        ("c", {"#decide-reason": "Shorter, please."}, ["Ask for changes?", "Shorter, please."]),
        ("e", {"#decide-change_body": "Shall we talk?"}, ["With changes?", "Changed: Text"]),
        (
            "r",
            {"#decide-day_leave_alone_until": "2999-12-31"},
            ["Reject?", "What is wrong: Bad timing", "Leave the customer alone until: 2999-12-31"],
        ),
    ):
        press(page, key)
        if key == "r":
            page.select_option("#decide-category", "bad_timing")
        for field, text in fill.items():
            page.fill(field, text)
        press(page, "Control+Enter")
        confirm = page.inner_text("#confirm")
        assert first.title in confirm
        for words in asked:
            assert words in confirm
        press(page, "Escape", "Escape")
    assert Decision.objects.count() == before[1]
    assert ApprovalRequest.objects.get(pk=first.pk).status == "pending"


def test_who_answers_no_is_back_where_they_were_and_two_escapes_leave_the_field(first, page):
    press(page, "j", "Enter")
    page.wait_for_selector("#decide")
    press(page, "a")
    page.fill("#decide-reason", "Ask them.")
    press(page, "Control+Enter", "Escape")
    assert focused(page) == "decide-reason"
    press(page, "Control+Enter", "Escape", "Escape", "c")
    assert page.input_value("#decide-reason") == "Ask them."
    assert page.locator("#decide input[name=verdict][value=ask_for_changes]").is_checked()


def test_selecting_and_rejecting_several_asks_with_their_names(first, page):
    press(page, "x")
    assert "Move to a request first" in said(page)
    press(page, "j", "x", "j", "x")
    assert said(page).startswith("Selected: ")
    assert "2 selected" in page.inner_text("details.act-decide-several > summary")
    press(page, "d")
    page.select_option("#decide-several select[name=verdict]", "rejected")
    page.select_option("#decide-several select[name=category]", "bad_timing")
    page.fill("#decide-several textarea", "They were called yesterday.")
    press(page, "Control+Enter")
    asked = page.inner_text("#confirm")
    assert "Reject these 2?" in asked
    assert first.title in asked
    press(page, "Enter")
    page.wait_for_selector("text=Rejected 2 of 2.")


def test_the_other_keys_lead_to_what_stands_on_the_page(first, page):
    press(page, "j", "Enter")
    page.wait_for_selector("#decide")
    press(page, "r")
    assert page.is_checked("input[value=rejected]")
    assert focused(page) == "decide-category"
    press(page, "Escape", "c")
    assert page.is_checked("input[value=ask_for_changes]")
    assert focused(page) == "decide-reason"
    press(page, "Escape", "e")
    assert page.is_checked("input[value=with_changes]")
    assert focused(page) == "decide-change_body"
    press(page, "Escape", "u")
    assert first.title in page.inner_text("#confirm")
    press(page, "Enter")
    page.wait_for_selector("text=You are reviewing this for 15 minutes")
    press(page, "n")
    page.wait_for_url(lambda address: page_of(first) not in address)
    assert page.inner_text("h1") != first.title


def test_escape_goes_back_to_the_queue_as_it_was_but_loses_no_text(first, page):
    page.goto(f"{page.url}?view=mine&risk_tier=medium")
    press(page, "j", "Enter")
    page.wait_for_selector("#decide")
    press(page, "a")
    page.keyboard.type("Half a")
    press(page, "Escape", "Escape")
    assert "would be lost" in page.inner_text("#said")
    press(page, "n")
    assert page.inner_text("h1") == first.title
    page.fill("#decide-reason", "")
    press(page, "Escape", "Escape")
    page.wait_for_selector("#result_list")
    assert page.url.endswith("?view=mine&risk_tier=medium")
    press(page, "j")
    assert focused(page) == first.title


def test_the_list_of_keys_opens_closes_and_turns_them_off(page):
    press(page, "?")
    assert "previous request" in page.inner_text("#keys[open]")
    press(page, "Escape")
    assert page.locator("#keys[open]").count() == 0
    page.click("[data-keys]")
    page.uncheck("#keys-on")
    page.click("#keys [data-close]")
    press(page, "j")
    assert said(page) == ""
    page.reload()
    press(page, "j", "?")
    assert said(page) == ""
    assert page.locator("dialog[open]").count() == 0
    page.click("[data-keys]")
    page.check("#keys-on")
    press(page, "Escape", "j")
    assert said(page).startswith("1 of 2")


def test_without_the_script_everything_stands_on_the_page(first, visit):
    approver = visit(java_script_enabled=False)
    approver.log_in("approver")
    approver.go(f"{QUEUE}?view=mine")
    assert approver.page.locator(".keys:visible, dialog:visible").count() == 0
    approver.page.click(f"text={first.title}")
    approver.page.check("input[value=approved]")
    approver.page.click("button:has-text('Decide')")
    approver.page.wait_for_selector("text=Approved:")
    assert Decision.objects.get(request=first).verdict == "approved"
