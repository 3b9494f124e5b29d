"""What the tests of the admin share: a client per person, and what holds for every page."""

import re

from django.test import Client

from approvals.models import ApprovalRequest, AuditEvent, Decision

QUEUE = "/admin/approvals/approvalrequest/"


def client_of(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


def page_of(request: ApprovalRequest) -> str:
    return f"{QUEUE}{request.pk}/change/"


def page_at(model: str, key) -> str:
    """Of a row of the app journeys."""
    return f"/admin/journeys/{model}/{key}/change/"


def decide_at(request: ApprovalRequest) -> str:
    return f"{QUEUE}{request.pk}/decide/"


def on_record() -> tuple:
    """Everything that a decision would move."""
    statuses = ApprovalRequest.objects.order_by("pk").values_list("pk", "status", "decided_at")
    return tuple(statuses), Decision.objects.count(), AuditEvent.objects.count()


def check_html(html: str) -> None:
    """What the Content-Security-Policy would block, and anything from elsewhere."""
    assert not re.search(r"\sstyle\s*=", html), "an inline style"
    assert "<style" not in html
    assert not re.search(r"<script(?![^>]*\ssrc=)", html), "an inline script"
    assert not re.search(r"<[^>]+\son[a-z]+\s*=", html), "an inline handler"
    for address in re.findall(r"(?:src|href|action)=\"([^\"]*)\"", html):
        assert not re.match(r"(?:[a-z]+:)?//|javascript:|data:", address), f"{address} is elsewhere"
