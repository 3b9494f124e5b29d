"""Without a mouse: the Tab key reaches everything, shows where it is, and gets out again."""

import pytest

from approvals.models import ApprovalRequest
from tests.desk import QUEUE, page_of
from tests.runs import run_pipeline

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

# What has the focus: a name for it, whether it lies in the window, and whether a line is drawn around it.
STOP = """() => {
  const here = document.activeElement;
  if (here === document.body) return null;
  const box = here.getBoundingClientRect();
  const drawn = (element) => {
    const style = element && getComputedStyle(element);
    return style && style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  };
  return {
    name: `${here.tagName} ${here.id || here.textContent.trim().slice(0, 40)}`,
    inside: box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0,
    drawn: drawn(here) || drawn(here.closest("label")),
    marked: Boolean(here.dataset.stop),
    now: (here.dataset.stop = "1"),
  };
}"""
# All that can be used, but for what is folded away, and the others of a group of which one has had the focus.
USABLE = """() => [...document.querySelectorAll("a[href], button, input, select, textarea, summary")]
  .filter((found) => found.checkVisibility() && !found.disabled && found.tabIndex >= 0 && !found.dataset.stop)
  .filter((found) => found.type !== "radio" || !document.querySelector(`[name=${found.name}][data-stop]`))
  .map((found) => found.outerHTML.slice(0, 120))"""


@pytest.fixture
def request_page(live_server, people, sample, live, settings) -> str:
    settings.DEBUG = True
    run_pipeline()
    return page_of(ApprovalRequest.objects.pending().by_priority()[0])


@pytest.mark.parametrize("screen", [{}, {"viewport": {"width": 390, "height": 844}}], ids=["wide", "narrow"])
@pytest.mark.parametrize("page", ["home", "queue", "request", "customer"])
def test_the_tab_key_reaches_everything_and_shows_where_it_is(request_page, visit, page, screen):
    address = {
        "home": "/admin/",
        "queue": QUEUE,
        "request": request_page,
        "customer": "/admin/journeys/customer/C004/change/",
    }[page]
    approver = visit(**screen)
    approver.log_in("approver")
    approver.go(address)
    stops = []
    for _ in range(300):
        approver.page.keyboard.press("Tab")
        stop = approver.page.evaluate(STOP)
        if stop is None or stop["marked"]:
            break
        stops.append(stop)
    assert len(stops) > 8
    assert "Skip to the content" in stops[0]["name"]
    assert [stop["name"] for stop in stops if not stop["inside"]] == []
    assert [stop["name"] for stop in stops if not stop["drawn"]] == []
    assert approver.page.evaluate(USABLE) == []
