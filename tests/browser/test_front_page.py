"""The front page and the settings, as the browser shows them."""

import pytest

from journeys.services import switches
from tests.browser.test_approver import SCREENS

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def test_times_are_the_browsers_from_the_first_page_on_until_another_zone_is_chosen(morning, visit):
    approver = visit(timezone_id="Asia/Tokyo")
    approver.log_in("approver")
    assert "Times are in Asia/Tokyo" in approver.page.inner_text(".foot")
    approver.page.click(".foot a")
    approver.page.select_option("#choose-time-zone-time_zone", "America/New_York")
    approver.picture("settings")
    approver.page.click("button:has-text('Use it')")
    approver.page.wait_for_selector("text=Times are told in America/New York from now on.")
    approver.go("/admin/")
    assert "Times are in America/New York" in approver.page.inner_text(".foot")


def test_the_big_stop_asks_once_more_and_then_stops(morning, visit):
    manager = visit()
    manager.log_in("manager")
    assert not manager.page.is_visible("text=Yes, stop everything now")
    manager.page.click("summary:has-text('Stop everything')")
    manager.page.fill("#stop-reason", "The texts are wrong.")
    manager.picture("home-stop")
    assert switches.current("all") == "live"
    manager.page.click("text=Yes, stop everything now")
    manager.page.wait_for_selector("text=Execution is stopped.")
    assert switches.current("all") == "off"
    manager.go("/admin/")
    assert "Starting again takes two people" in manager.page.inner_text(".stop")
    manager.picture("home-stopped")


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("who", ["operator", "approver", "manager", "auditor"])
def test_each_front_page_is_quiet_and_fits(morning, visit, screen, who):
    person = visit(**SCREENS[screen])
    person.log_in(who)
    person.picture(f"{screen}-home-{who}")
    assert not person.scrolls_sideways()
    person.page.click("summary:has-text('More')")
    assert not person.scrolls_sideways(), "with the menu open"
    if who != "auditor":
        person.page.keyboard.press("Escape")
        person.page.click("summary:has-text('Stop everything')")
        assert not person.scrolls_sideways(), "with the stop open"
