"""What the tests of the front page share."""

import re
from datetime import timedelta
from html import unescape

from django.contrib.auth import get_user_model
from django.utils import timezone

from journeys.models import Heartbeat
from tests.desk import check_html, client_of

HOUR = timedelta(hours=1)
# What each role finds on its page on a quiet day, from top to bottom.
QUIET = {
    "operator": [
        "Needs a person", "Last runs over all customers", "The big stop", "The worker", "What came in wrong",
    ],
    "approver": ["Yours to decide", "What your last decisions led to", "Due soon", "The big stop"],
    "manager": [
        "Yours to decide", "The portfolio", "Needs a person", "What your last decisions led to",
        "Last runs over all customers", "Due soon", "The big stop", "The queue of everybody",
        "What the policy did alone today", "The worker",
    ],
    "auditor": [
        "Changes of the rules that wait for a second person", "The trail", "The audit’s chain",
        "What must always hold",
    ],
}  # fmt: skip


def beat(ago: timedelta) -> None:
    Heartbeat.objects.update_or_create(name="worker", defaults={"beat_at": timezone.now() - ago})


def home(user) -> str:
    answer = client_of(user).get("/admin/")
    assert answer.status_code == 200
    html = answer.content.decode()
    check_html(html)
    return html


def headings(html: str) -> list[str]:
    return [unescape(text).split(":")[0] for text in re.findall(r"<h2>(.*?)</h2>", html)]


def card(html: str, heading: str) -> str:
    """What one card says, as text."""
    cards = re.findall(r"<section.*?</section>", html, re.S)
    [found] = [text for text in cards if f"<h2>{heading}" in text]
    text = " ".join(unescape(re.sub(r"<[^>]+>", " ", found)).split())
    return re.sub(r" (?=[,.:;])", "", text)


def staff(name: str, **fields):
    return get_user_model().objects.create_user(name, password="a-long-password", is_staff=True, **fields)
