"""The page of results, and the rows behind each figure."""

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

pytestmark = pytest.mark.django_db


def page(client, user, query: str = "") -> str:
    client.force_login(user)
    return client.get(f"/admin/journeys/assignment/results/{query}").content.decode()


def named(name: str):
    return get_user_model().objects.get(username=name)


def test_the_results_page_shows_what_the_latest_run_stored(client, lived):
    client.force_login(named("approver"))
    with CaptureQueriesContext(connection) as captured:
        text = page(client, named("approver"))
    assert len(captured) <= 20
    assert "Collecting" in text
    assert "Proactive" in text
    assert "never added" in text
    assert len(text) < 60_000
    for address in ("?kpi=override_share", "?kpi=revenue_at_risk_share", ""):
        assert "The rows behind it" in page(client, named("approver"), f"rows/{address}")


def test_a_figure_without_a_list_of_its_own_rows_says_which_wider_list_its_link_opens(client, lived):
    client.force_login(named("operator"))
    for kpi, query, words in (
        ("data_completeness", "customer/", "All customers, as they stand now"),
        ("orphaned_share", "finding/?kind=orphan_signal", "of unknown customers, of whatever day"),
        ("revenue_at_risk_share", "customer/?tier=medium", "those without a known value too"),
        ("roi_reported", "intervention/?status=executed", "All executed interventions, of whatever day"),
    ):
        html = client.get(reverse("admin:journeys_assignment_rows"), {"kpi": kpi}).content.decode()
        assert f'href="/admin/journeys/{query}"' in html
        assert words in html
        assert client.get(f"/admin/journeys/{query}").status_code == 200


def test_only_auditors_see_who_overruled(client, lived):
    assert "<td>Person</td>" in page(client, named("auditor"))
    assert "<td>Person</td>" not in page(client, named("manager"))


def test_before_any_run_the_page_says_so(people, client, db):
    assert "Nothing was measured yet" in page(client, people["auditor"])
