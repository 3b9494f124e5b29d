"""An approver's morning: forty requests, from the login to an empty queue, by mouse and by keyboard alone.

Eight of the forty are wrong. The approver knows nothing but what stands on the pages, looks at each without
scrolling, rejects where something speaks against it, and approves the others.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from approvals import services
from approvals.models import ApprovalRequest, Decision
from journeys.demo.words import address, company_name
from journeys.domain.vocabulary import Segment
from journeys.models import Customer
from journeys.records import CustomerRecord, SignalRecord, StateRecord
from journeys.services import intake
from tests.acting import PASSWORD, waiting
from tests.browser.conftest import SEEN, Visitor
from tests.runs import run_pipeline

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

REQUESTS = 40
ENOUGH = {"viewport": {"width": 1440, "height": 900}}


# -- what waits


def customer_id(number: int) -> str:
    return f"M{number:03d}"


def days_ago(days: int) -> date:
    return timezone.now().date() - timedelta(days=days)


def arrive() -> None:
    """Forty customers of one kind, of whose usage a person has to think something."""
    profiles, states, signals = [], [], []
    for number in range(1, REQUESTS + 1):
        name, its = company_name(number, Segment.MID_MARKET), {"customer_id": customer_id(number)}
        profiles.append(
            CustomerRecord(
                name=name,
                email=address(name, "office"),
                owner="operator",
                segment=Segment.MID_MARKET.value,
                account_value=Decimal(31_000 + 500 * number),
                currency="USD",
                **its,
            )
        )
        states.append(
            StateRecord(journey_stage="engagement", state_entered_at=days_ago(90 + number % 9), **its)
        )
        signals += [
            signal(number, kind, days) for kind, days in (("usage_drop", 18), ("inactivity_warning", 14))
        ]
    for records in (profiles, states, signals):
        assert all(isinstance(answer, intake.Taken) for answer in intake.take(records))


def signal(number: int, kind: str, days: int) -> SignalRecord:
    return SignalRecord(
        signal_id=f"{customer_id(number)}-{kind}",
        customer_id=customer_id(number),
        signal_type=kind,
        signal_strength=0.6,
        detected_at=datetime.combine(days_ago(days), datetime.min.time(), tzinfo=UTC),
        source="automated",
    )


# -- what is wrong with some of it: each is brought about before the run, or after it, and seen by its words


class Flaw(NamedTuple):
    """`seen` stands on the page, and no other request's page has it; `category` is for the rejection."""

    what: str
    category: str
    seen: str
    before: Callable[[int], object] = lambda number: None
    after: Callable[[int], object] = lambda number: None


def name_of(number: int) -> str:
    return Customer.objects.get(pk=customer_id(number)).name


def mail_address_of_somebody_else(number: int) -> None:
    other = Customer.objects.get(pk=customer_id(number + 1))
    intake.save_customer(customer_id=customer_id(number), email=other.email.replace("office", "info"))


def text_for_somebody_else(number: int) -> None:
    """A colleague changed the text, and had another customer in mind."""
    request = waiting(customer_id(number))
    services.change(
        request_id=request.pk,
        fingerprint=request.fingerprint,
        changes={"body": request.payload["body"].replace(name_of(number), name_of(number + 1))},
        reason="Warmer.",
        user=get_user_model().objects.get(username="approver2"),
        door="test",
    )


def subject_for_somebody_else(number: int) -> None:
    request = waiting(customer_id(number))
    services.change(
        request_id=request.pk,
        fingerprint=request.fingerprint,
        changes={"subject": f"How is it going at {name_of(number + 1)}?"},
        reason="Shorter.",
        user=get_user_model().objects.get(username="approver2"),
        door="test",
    )


def good_news(number: int) -> None:
    intake.take([signal(number, "usage_recovery", 2)])


def news_since(number: int) -> None:
    intake.take([signal(number, "positive_sentiment", 1)])


def contact(number: int, action: str, days: int) -> None:
    intake.save_imported_intervention(
        intervention_id=f"OLD-{number}",
        customer_id=customer_id(number),
        recommended_action=action,
        generated_at=days_ago(days),
    )


def success(number: int) -> None:
    contact(number, "engagement_checkin", 13)
    intake.save_outcome(
        outcome_id=f"OUT-{number}",
        intervention_id=f"OLD-{number}",
        outcome="resolved",
        measured_at=days_ago(3),
    )


FLAWS = {
    3: Flaw(
        "wrong customer's text", "wrong_customer", "names another customer", after=text_for_somebody_else
    ),
    8: Flaw(
        "wrong customer's text", "wrong_customer", "names another customer", after=subject_for_somebody_else
    ),
    14: Flaw(
        "wrong customer's address",
        "wrong_customer",
        "that of another customer",
        before=mail_address_of_somebody_else,
    ),
    17: Flaw("contrary evidence", "evidence_wrong", "speaks for the customer", before=good_news),
    22: Flaw("contrary evidence", "evidence_wrong", "Noticed since this was asked", after=news_since),
    27: Flaw("contrary evidence", "already_handled", "It may be done already", before=success),
    33: Flaw(
        "repeated contact",
        "bad_timing",
        "The customer was contacted 16 days ago",
        before=lambda number: contact(number, "usage_review_checkin", 16),
    ),
    38: Flaw(
        "repeated contact",
        "bad_timing",
        "The customer was contacted 4 days ago",
        before=lambda number: contact(number, "general_checkin", 4),
    ),
}


@pytest.fixture
def forty(live_server, people, live, settings) -> list[ApprovalRequest]:
    settings.DEBUG = True
    arrive()
    for number, flaw in FLAWS.items():
        flaw.before(number)
    run_pipeline(timezone.now().date())
    for number, flaw in FLAWS.items():
        flaw.after(number)
    requests = list(ApprovalRequest.objects.pending().by_priority())
    assert len(requests) == REQUESTS
    return requests


# -- the approver


def weigh(approver: Visitor) -> Flaw | None:
    """What is seen to speak against the request, without scrolling; None where nothing does."""
    page = approver.page
    assert page.evaluate("scrollY") == 0
    found = page.locator("#against p, #against li")
    for sentence in found.all():
        assert sentence.evaluate(SEEN), f"{page.inner_text('h1')}: {sentence.inner_text()}"
    told = " ".join(found.all_inner_texts())
    matching = [flaw for flaw in FLAWS.values() if flaw.seen in told]
    assert bool(matching) == bool(told), f"{page.inner_text('h1')}: {told}"
    assert page.locator("#decide .go").evaluate(SEEN)
    return matching[0] if matching else None


def decided() -> dict[str, tuple[str, str]]:
    """By customer: verdict and category, of all that the approver decided."""
    rows = Decision.objects.filter(actor_key=f"user:{get_user_model().objects.get(username='approver').pk}")
    return {row.request.concerning: (row.verdict, row.category) for row in rows.select_related("request")}


def expected() -> dict[str, tuple[str, str]]:
    right = {customer_id(number): ("approved", "") for number in range(1, REQUESTS + 1)}
    return right | {customer_id(number): ("rejected", flaw.category) for number, flaw in FLAWS.items()}


def go_through(approver: Visitor, decide: Callable[[Flaw | None], None]) -> Sequence[str]:
    """Decide one after the other, until the queue comes. Gives the titles in the order in which they came."""
    titles = []
    while approver.page.locator("#decide").count():
        titles.append(approver.page.inner_text("h1"))
        assert len(titles) <= REQUESTS
        decided_here = approver.page.url
        decide(weigh(approver))
        approver.page.wait_for_url(lambda address, left=decided_here: address != left)
        approver.page.wait_for_selector(".messages .success")
    return titles


def check_the_end(approver: Visitor, forty: list[ApprovalRequest], titles: Sequence[str]) -> None:
    assert "nothing waits for a decision" in approver.page.inner_text("main")
    assert titles == [request.title for request in forty]
    assert decided() == expected()
    assert not ApprovalRequest.objects.pending().exists()


def test_a_morning_by_mouse(forty, visit):
    approver = visit(**ENOUGH)
    approver.log_in("approver")
    page = approver.page
    page.click("nav >> text=Queue")
    page.wait_for_selector("#result_list")
    assert page.locator("#result_list tbody tr").count() == REQUESTS
    page.click(f"a.what:has-text({forty[0].title!r})")
    page.wait_for_selector("#decide")

    def decide(flaw: Flaw | None) -> None:
        if flaw is None:
            page.click("#decide label:has([value=approved])")
        else:
            approver.picture(f"morning-{flaw.what}")
            page.click("#decide label:has([value=rejected])")
            page.select_option("#decide-category", flaw.category)
            page.fill("#decide-reason", f"{flaw.what.capitalize()}.")
        page.click("#decide .go")

    titles = go_through(approver, decide)
    check_the_end(approver, forty, titles)
    approver.picture("morning-end")


def test_a_morning_by_keyboard_alone(forty, visit):
    approver = visit(**ENOUGH)
    page = approver.page
    approver.go("/admin/")
    press = page.keyboard.press
    # The field for the name has the focus already.
    page.keyboard.type("approver")
    press("Tab")
    page.keyboard.type(PASSWORD)
    press("Enter")
    page.wait_for_selector("details.menu")
    tab_to(page, "Queue")
    press("Enter")
    page.wait_for_selector("#result_list")
    page.wait_for_load_state()  # the keys are heard from then on
    press("j")
    press("Enter")
    page.wait_for_selector("#decide")
    page.wait_for_load_state()

    def decide(flaw: Flaw | None) -> None:
        press("r" if flaw else "a")
        if flaw:
            # The focus is on what is wrong; a menu takes the beginning of what it offers.
            page.keyboard.type(page.locator(f"#decide-category option[value={flaw.category}]").inner_text())
            press("Tab")
            if page.evaluate("document.activeElement.type") == "date":
                tab_to(page, "", "#decide-reason")
            page.keyboard.type(f"{flaw.what.capitalize()}.")
        press("Control+Enter")
        asked = page.inner_text("#confirm[open]")
        assert page.inner_text("h1") in asked
        assert ("Reject" if flaw else "Approve") in asked
        press("Enter")

    titles = go_through(approver, decide)
    check_the_end(approver, forty, titles)


def tab_to(page, text: str, selector: str = "") -> None:
    """By the Tab key, as often as it takes."""
    for _ in range(30):
        page.keyboard.press("Tab")
        here = "document.activeElement"
        if page.evaluate(
            f"{here}.matches({selector!r})" if selector else f"{here}.textContent.startsWith({text!r})"
        ):
            return
    raise AssertionError(f"{text or selector} is not reached by Tab.")
