"""What is measured of the desk's pages, on a small database; the large one is for `manage.py bench_pages`."""

import gzip

import pytest
from django.test import override_settings

from approvals.models import ApprovalRequest, Decision
from journeys.bench.pages import SETTINGS, Measured, pages, weigh
from journeys.bench.world import Size, fill
from journeys.models import Customer, Intervention
from tests.desk import QUEUE, client_of

LISTS = ("queue", "trail", "decisions", "customers", "runs", "interventions", "executions", "outcomes")

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def measured() -> dict[str, Measured]:
    """By page and user."""
    with override_settings(**SETTINGS):
        fill(Size(requests=1_200, pending=150))
        return {(row.page, row.user): row for row in (weigh(page, times=1) for page in pages())}


def test_every_page_opens_and_keeps_to_what_the_desk_allows_itself(measured):
    assert Customer.objects.filter(pk__startswith="N").count() == 150
    assert ApprovalRequest.objects.count() >= 1_200
    assert Decision.objects.count() > 700
    assert Intervention.objects.filter(status="executed", execution__isnull=True).count() == 0
    lists = [row for row in measured.values() if row.page.split(",")[0].split(" ")[0] in LISTS]
    assert len(lists) > 20
    assert {row.page: row.queries for row in lists if row.queries > 12} == {}
    assert {row.page: row.kilobytes for row in measured.values() if row.kilobytes >= 60} == {}


def test_pages_and_their_media_are_compressed(people, settings):
    client = client_of(people["approver"])
    for address in (QUEUE, "/static/cjo/desk.css"):
        response = client.get(address, headers={"accept-encoding": "gzip"})
        assert response.headers["Content-Encoding"] == "gzip", address
        assert gzip.decompress(response.getvalue())
        assert "Content-Encoding" not in client.get(address).headers
