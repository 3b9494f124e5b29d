"""The queue: what it shows, in which order, how it is narrowed down, and what it costs."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from approvals import queue, shown
from approvals.models import ApprovalRequest
from approvals.rules import Actor, Refusal, Verdict
from approvals.services import Facets, NewRequest, Terms, check_may_decide, decide, open_requests
from journeys.models import Customer
from tests.desk import QUEUE, check_html, client_of
from tests.runs import run_pipeline

pytestmark = pytest.mark.django_db

MACHINE = Actor(key="machine:test", name="a machine", door="test")


def open_some(number: int, **facets) -> list[ApprovalRequest]:
    """Requests of a kind that shows nothing but itself."""
    now = timezone.now()
    first = ApprovalRequest.objects.count()
    return open_requests(
        [
            NewRequest(
                kind="policy_activation",
                subject_key=f"test-{first + place}",
                concerning=f"Q{first + place:03}",
                title=f"Request {first + place}",
                payload={"number": first + place},
                facets=Facets(
                    **{"value_at_stake": Decimal(1000), "currency": "USD", "priority_score": float(place)}
                    | facets
                ),
                terms=Terms(
                    remind_at=now + timedelta(hours=2),
                    decision_due_at=now + timedelta(hours=3),
                    expires_at=now + timedelta(days=3),
                    execute_within_hours=48,
                ),
            )
            for place in range(number)
        ],
        proposer=MACHINE,
    )


def test_the_queue_shows_what_is_pending_most_urgent_first(sample_run, people):
    html = client_of(people["approver"]).get(QUEUE).content.decode()
    assert html.index("Usage review check-in for") < html.index("Support manager follow-up for")
    assert "Proactive outreach" not in html.split("<tbody>")[1]
    assert "medium .50" in html
    assert "$42,000" in html
    assert "2 requests, $80,000 a year at stake" in html
    check_html(html)


def test_the_queue_says_what_was_decided_when_asked_for_it(sample_run, people):
    html = client_of(people["approver"]).get(QUEUE, {"status": "approved"}).content.decode()
    assert "Proactive outreach for" in html
    assert "Usage review check-in for" not in html


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"q": "C004"}, {"C004"}),
        ({"q": "C00"}, {"C004", "C005"}),
        ({"q": "004"}, set()),
        ({"risk_tier": "medium"}, {"C004", "C005"}),
        ({"risk_tier": "high"}, set()),
        ({"action": "usage_review_checkin"}, {"C004"}),
        ({"segment": "Mid-Market"}, {"C004", "C005"}),
        ({"kind": "policy_activation"}, set()),
        ({"status": "all"}, {"C001", "C004", "C005"}),
        ({"status": "all", "q": "C001"}, {"C001"}),
    ],
)
def test_filters_and_search_stand_in_the_url(sample_run, people, query, found):
    response = client_of(people["approver"]).get(QUEUE, query)
    assert {row.concerning for row in response.context["cl"].result_list} == found


def test_a_request_is_found_by_its_number(sample_run, people):
    request = ApprovalRequest.objects.get(concerning="C005")
    response = client_of(people["approver"]).get(QUEUE, {"q": f"#{request.pk}"})
    assert [row.pk for row in response.context["cl"].result_list] == [request.pk]
    huge = client_of(people["approver"]).get(QUEUE, {"q": "9" * 40})
    assert huge.status_code == 200


def test_an_empty_queue_says_what_to_do_next(people):
    html = client_of(people["approver"]).get(QUEUE).content.decode()
    assert "The queue is empty" in html
    assert "?status=approved" in html
    html = client_of(people["approver"]).get(QUEUE, {"q": "nobody"}).content.decode()
    assert "No request matches" in html


def test_fifty_rows_cost_as_many_queries_as_one(people):
    client = client_of(people["approver"])
    counts = []
    for number in (1, 59):
        open_some(number)
        with CaptureQueriesContext(connection) as queries:
            response = client.get(QUEUE)
        counts.append(len(queries))
    assert len(response.context["cl"].result_list) == 50
    assert counts[0] == counts[1] <= 12


def test_nothing_can_be_added_changed_or_deleted_from_the_queue(sample_run, people):
    root = people["manager"]
    root.is_superuser = True
    root.save(update_fields=["is_superuser"])
    client = client_of(root)
    request = ApprovalRequest.objects.get(concerning="C004")
    response = client.get(QUEUE)
    assert b"delete_selected" not in response.content
    assert (
        client.post(QUEUE, {"action": "delete_selected", "_selected_action": request.pk}).status_code == 405
    )
    for address in ("add/", f"{request.pk}/delete/", f"{request.pk}/history/"):
        assert client.get(f"{QUEUE}{address}").status_code == 404
    assert client.post(f"{QUEUE}{request.pk}/change/", {"status": "approved"}).status_code == 405
    assert ApprovalRequest.objects.get(pk=request.pk).status == "pending"


def test_money_of_several_currencies_is_not_added_up(people):
    open_some(2)
    open_some(1, currency="EUR", value_at_stake=Decimal("500.50"))
    html = client_of(people["approver"]).get(QUEUE).content.decode()
    assert "3 requests, €500.50 and $2,000 a year at stake; " in html


def test_a_script_in_a_name_is_only_text(sample, people, settings):
    Customer.objects.filter(pk="C004").update(name="<script>alert(1)</script>")
    settings.DEBUG = True
    run_pipeline()
    client = client_of(people["approver"])
    request = ApprovalRequest.objects.get(concerning="C004")
    for address in (
        QUEUE,
        f"{QUEUE}{request.pk}/change/",
        "/admin/",
        "/admin/journeys/customer/C004/change/",
    ):
        html = client.get(address).content.decode()
        assert "<script>alert" not in html
        assert "&lt;script&gt;alert(1)" in html
        check_html(html)


@pytest.mark.parametrize("who", ["operator", "approver", "manager", "auditor"])
def test_what_the_queue_offers_somebody_is_what_the_gate_lets_them_decide(sample_run, people, who):
    open_some(1, value_at_stake=Decimal("100000"))
    open_some(1, value_at_stake=Decimal("100000.01"))
    open_some(1, value_at_stake=None)
    own = open_some(1)[0]
    ApprovalRequest.objects.filter(pk=own.pk).update(proposed_by_key=f"user:{people[who].pk}")
    user = type(people[who]).objects.get(pk=people[who].pk)
    allowed = set()
    for request in ApprovalRequest.objects.pending():
        try:
            check_may_decide(request, user)
            allowed.add(request.pk)
        except Refusal:
            continue
    assert set(queue.decidable_by(user).values_list("pk", flat=True)) == allowed
    assert bool(allowed) == (who in ("approver", "manager"))


def test_the_next_one_is_the_next_in_the_order_of_the_queue(people):
    low, middle, high = open_some(3)
    approver = people["approver"]
    assert queue.next_after(high, approver) == middle
    assert queue.next_after(low, approver) == high
    assert queue.place(middle) == (2, 3)
    for request in (low, high):
        decide(
            request_id=request.pk,
            verdict=Verdict.REJECTED,
            category="other",
            fingerprint=request.fingerprint,
            user=approver,
            door="test",
            reason="No.",
        )
    assert queue.next_after(middle, approver) is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (30, "less than a minute"),
        (24 * 60, "24 min"),
        (110 * 60, "1 h 50 min"),
        (3 * 3600, "3 h"),
        (30 * 3600, "30 h"),
        (95 * 86400, "95 days"),
    ],
)
def test_spans_read_as_people_say_them(seconds, text):
    assert shown.span(timedelta(seconds=seconds)) == text


def test_parts_are_rounded_so_that_they_add_up_as_shown():
    parts = {"a": 0.1333, "b": 0.2504, "c": 0.0423, "d": 0.0764}
    rounded = shown.adding_up(parts)
    assert round(sum(rounded.values()), 3) == round(sum(parts.values()), 3)
    assert all(abs(rounded[name] - parts[name]) < 0.001 for name in parts)


def test_an_unknown_value_is_never_shown_as_nothing():
    assert shown.money(None, "USD") == "not known"
    assert shown.score(None) == "not known"
    assert shown.score(0.0) == ".00"
    assert shown.money(Decimal("1200.5"), "CHF") == "CHF 1,200.50"
