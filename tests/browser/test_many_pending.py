"""The queue with five thousand pending: it opens, moves, pages and filters as it does with five."""

import pytest
from django.contrib.auth import get_user_model

from approvals import queue
from approvals.models import ApprovalRequest
from journeys.bench.world import Size, fill
from tests.browser.conftest import PASSWORD
from tests.desk import QUEUE, page_of

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

PENDING = 5_000


@pytest.fixture
def page(live_server, visit):
    fill(Size(requests=PENDING + 1_000, pending=PENDING))
    approver = get_user_model().objects.get(username="approver")
    approver.set_password(PASSWORD)
    approver.save()
    visitor = visit(viewport={"width": 1280, "height": 800})
    visitor.log_in("approver")
    visitor.go(QUEUE)
    visitor.picture("queue-5000")
    assert not visitor.scrolls_sideways()
    return visitor.page


def shown(page) -> list[str]:
    return page.locator("#result_list a.what").evaluate_all("(links) => links.map((link) => link.pathname)")


def addresses(requests) -> list[str]:
    return [page_of(request) for request in requests]


def test_the_queue_with_five_thousand_pending_is_used_like_any_other(page):
    pending = ApprovalRequest.objects.pending().by_priority()
    assert pending.count() >= PENDING
    assert f"{pending.count():,} requests" in page.inner_text("main .sub")
    assert shown(page) == addresses(pending[:50])
    # The page itself, compressed.
    assert page.evaluate("performance.getEntriesByType('navigation')[0].transferSize") < 40_000

    for key in "jjjk":
        page.keyboard.press(key)
    assert page.evaluate("document.activeElement.pathname") == page_of(pending[1])
    for _ in range(60):
        page.keyboard.press("j")
    assert page.evaluate("document.activeElement.pathname") == page_of(pending[49])
    page.click(".pages a:has-text('2')")
    page.wait_for_url("**p=2")
    assert shown(page) == addresses(pending[50:100])
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:not(:text('Waiting'))")
    assert page_of(pending[50]) in page.url
    page.keyboard.press("Escape")
    page.wait_for_url("**p=2")


def test_views_filters_and_search_narrow_five_thousand_down(page):
    user = get_user_model().objects.get(username="approver")
    mine = queue.decidable_by(user)
    page.click(".views a:has-text('Mine to decide')")
    page.wait_for_url("**view=mine")
    assert f"{mine.count():,}" in page.inner_text(".views a[aria-current]")
    page.click("details.filter summary:has-text('Risk')")
    page.click("details.filter[open] a:has-text('Medium')")
    page.wait_for_url("**risk_tier=medium**")
    assert "view=mine" in page.url
    assert shown(page) == addresses(mine.filter(risk_tier="medium")[:50])
    found = ApprovalRequest.objects.pending().by_priority()[4_000]
    page.goto(page.url.partition("?")[0])
    page.fill("#searchbar", found.concerning)
    page.press("#searchbar", "Enter")
    page.wait_for_url(f"**q={found.concerning}**")
    assert shown(page) == addresses([found])
