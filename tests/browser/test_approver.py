"""An approver's way through the site, as the browser sees it."""

import email
import email.policy
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model

from approvals.models import ApprovalRequest
from journeys.services.execution import execute_due
from tests.acting import let_the_grace_pass
from tests.browser.conftest import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def sent_mails(folder: Path) -> list:
    """What the file backend wrote; it ends each mail with a line of dashes."""
    texts = [path.read_bytes().partition(b"\n" + b"-" * 79)[0] for path in sorted(folder.glob("*.log"))]
    return [email.message_from_bytes(text, policy=email.policy.default) for text in texts]


def test_the_approver_approves_and_the_mail_is_really_sent(morning, visit):
    request = ApprovalRequest.objects.get(concerning="C004")
    approver = visit()
    approver.log_in("approver")
    approver.picture("home-approver")
    approver.page.click("nav >> text=Queue")
    approver.page.wait_for_selector("#result_list")
    approver.picture("queue")
    approver.page.click(f"text={request.title}")
    approver.page.wait_for_selector("text=Your decision")
    assert request.payload["recipient"] in approver.page.inner_text("main")
    assert approver.page.locator("input[type=radio]:checked").count() == 0
    approver.picture("request")
    approver.page.check("input[value=approved]")
    approver.page.fill("#decide-reason", "Their usage is down; let us ask.")
    approver.page.click("button:has-text('Decide')")
    approver.page.wait_for_selector(f"text=Approved: {request.title}")
    assert "Support manager follow-up" in approver.page.inner_text("h1")
    let_the_grace_pass()
    assert execute_due() >= 1
    mail = next(mail for mail in sent_mails(morning) if mail["To"] == request.payload["recipient"])
    assert mail["Subject"] == request.payload["subject"]
    assert mail.get_content().strip() == request.payload["body"].strip()
    approver.go(f"/admin/approvals/approvalrequest/{request.pk}/change/")
    assert "The mail system accepted it." in approver.page.inner_text("main")
    approver.picture("request-decided")


@pytest.mark.parametrize("superuser", [False, True])
def test_what_the_operator_proposed_the_operator_cannot_approve(morning, visit, superuser):
    get_user_model().objects.filter(username="operator").update(is_superuser=superuser)
    operator = visit()
    operator.log_in("operator")
    operator.go("/admin/journeys/customer/C003/change/")
    operator.page.click("summary:has-text('Propose an intervention')")
    operator.page.select_option("#propose-action", "engagement_checkin")
    operator.page.fill("#propose-reason", "They have been quiet.")
    operator.page.click("button:has-text('Propose')")
    operator.page.wait_for_selector("text=You cannot decide this")
    operator.picture("request-own")
    assert operator.page.locator("button:has-text('Decide')").count() == 0
    assert ApprovalRequest.objects.get(concerning="C003").status == "pending"
    approver = visit()
    approver.log_in("approver")
    approver.go(operator.page.url.removeprefix(operator.site))
    assert approver.page.locator("button:has-text('Decide')").count() == 1


def test_two_people_on_one_request_and_the_second_keeps_the_text(morning, visit):
    request = ApprovalRequest.objects.get(concerning="C004")
    first, second = visit(), visit()
    for person, name in ((first, "approver"), (second, "approver2")):
        person.log_in(name)
        person.go(f"/admin/approvals/approvalrequest/{request.pk}/change/")
    first.page.check("input[value=approved]")
    first.page.click("button:has-text('Decide')")
    first.page.wait_for_selector("text=Approved:")
    second.page.check("input[value=rejected]")
    second.page.select_option("select[name=category]", "bad_timing")
    second.page.fill("#decide-reason", "They were called yesterday.")
    second.page.click("button:has-text('Decide')")
    second.page.wait_for_selector("text=already approved (by approver")
    assert "They were called yesterday." in second.page.inner_text("main")
    second.picture("request-second")


PAGES = {
    "home": "/admin/",
    "queue": "/admin/approvals/approvalrequest/",
    "requests": "/admin/approvals/approvalrequest/?status=all",
    "trail": "/admin/approvals/auditevent/",
    "decisions": "/admin/approvals/decision/",
    "limits": "/admin/approvals/authoritylimit/",
    "customers": "/admin/journeys/customer/",
    "customer": "/admin/journeys/customer/C004/change/",
    "stages": "/admin/journeys/journeystate/",
    "signals": "/admin/journeys/signal/",
    "signal": "/admin/journeys/signal/S009/change/",
    "policies": "/admin/journeys/policy/",
    "runs": "/admin/journeys/pipelinerun/",
    "report": "/admin/journeys/pipelinerun/report/",
    "assessments": "/admin/journeys/assessment/",
    "interventions": "/admin/journeys/intervention/",
    "imported": "/admin/journeys/intervention/I001/change/",
    "executions": "/admin/journeys/execution/",
    "execution": "/admin/journeys/executionswitch/",
    "findings": "/admin/journeys/finding/",
    "outcomes": "/admin/journeys/outcome/",
    "users": "/admin/auth/user/",
    "user": "/admin/auth/user/add/",
    "password": "/admin/password_change/",
}
SCREENS = {
    "wide": {},
    "dark": {"color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True},
    "dark-phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "color_scheme": "dark"},
}


# Of each the first in its list is opened.
ONES = {
    "request": "/admin/approvals/approvalrequest/",
    "decided request": "/admin/approvals/approvalrequest/?status=approved",
    "event": "/admin/approvals/auditevent/",
    **{
        name: f"/admin/journeys/{name}/"
        for name in (
            "customer",
            "pipelinerun",
            "policy",
            "assessment",
            "intervention",
            "execution",
            "finding",
        )
    },
}


@pytest.fixture
def every_page(morning, visit):
    """`every_page(screen)`: somebody who may see everything opens every page; gives them, and its name."""
    get_user_model().objects.filter(username="manager").update(is_superuser=True)
    let_the_grace_pass()
    execute_due()

    def walk(**screen) -> Iterator[tuple[Visitor, str]]:
        manager = visit(**screen)
        manager.go("/admin/")
        yield manager, "login"
        manager.log_in("manager")
        for name, address in PAGES.items():
            manager.go(address)
            yield manager, name
        for name, address in ONES.items():
            manager.go(address)
            manager.page.click("#result_list tbody a >> nth=0")
            manager.page.wait_for_selector("main h1")
            yield manager, f"one-{name}"

    return walk


@pytest.mark.parametrize("screen", SCREENS)
def test_every_page_is_quiet_and_fits(every_page, screen):
    for manager, name in every_page(**SCREENS[screen]):
        assert manager.page.locator("main").count() == 1, name
        manager.picture(f"{screen}-{name}")
        assert not manager.scrolls_sideways(), f"{name} scrolls sideways"


@pytest.mark.parametrize("screen", SCREENS)
def test_axe_finds_nothing_serious_on_any_page(every_page, screen):
    """The policy of the pages would block a style that axe sets; what they themselves do is heard above."""
    found = {
        name: findings
        for manager, name in every_page(**SCREENS[screen], bypass_csp=True)
        if (findings := manager.barriers())
    }
    assert found == {}


@pytest.mark.parametrize("screen", ["wide", "dark"])
@pytest.mark.parametrize("name", ["approver", "operator", "auditor"])
def test_axe_finds_nothing_serious_on_anybodys_front_page(morning, visit, name, screen):
    person = visit(**SCREENS[screen], bypass_csp=True)
    person.log_in(name)
    person.picture(f"{screen}-home-{name}")
    assert person.barriers() == []
