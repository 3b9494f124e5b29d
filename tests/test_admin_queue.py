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


@pytest.mark.parametrize("query", [{"status": "approved"}, {"status": "all", "kind": "policy_activation"}])
def test_what_has_ended_stands_with_the_latest_first(people, query):
    now = timezone.now()
    for place, row in enumerate(open_some(3)):
        age = timedelta(hours=(place + 1) % 3)
        ApprovalRequest.objects.filter(pk=row.pk).update(
            status="approved", decided_at=now, requested_at=now - age
        )
    html = client_of(people["approver"]).get(QUEUE, query).content.decode()
    assert html.index("Request 2") < html.index("Request 0") < html.index("Request 1")


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


VIEWS = ["", "mine", "due", "high", "unroutable", "expired"]


@pytest.fixture
def one_for_each_view(people):
    """Ten requests: one is due, two have a high value, of which the approver may decide one, one can be
    decided by nobody, and two expired, one of them long ago."""
    rows = open_some(10)
    of = [ApprovalRequest.objects.filter(pk=row.pk) for row in rows]
    now = timezone.now()
    ApprovalRequest.objects.update(decision_due_at=now + timedelta(days=2), risk_tier="medium")
    of[0].update(decision_due_at=now - timedelta(hours=1))
    of[1].update(heightened=True, risk_tier="high")
    of[2].update(heightened=True, value_at_stake=Decimal(500_000))
    of[3].update(unroutable=True, permission="approvals.nobody_has_this")
    of[4].update(status="expired", expires_at=now - timedelta(days=2), decided_at=now)
    of[5].update(status="expired", expires_at=now - timedelta(days=8), decided_at=now)
    return rows


def shown_at(client, address: str) -> tuple[set[str], dict[str, str], list[str]]:
    """The rows of a page of the queue, the links of its views with their figures, and the current ones."""
    context = client.get(f"{QUEUE}{address}").context
    links = {link.query_string: link.figure for link in context["views"]}
    current = [link.label for link in context["views"] if link.current]
    return {row.concerning for row in context["cl"].result_list}, links, current


def test_the_saved_views_hold_what_they_say(one_for_each_view, people):
    client = client_of(people["approver"])
    held = {view: shown_at(client, f"?view={view}" if view else "")[0] for view in VIEWS}
    pending = {row.concerning for row in one_for_each_view} - {"Q004", "Q005"}
    assert held == {
        "": pending,
        "mine": pending - {"Q002", "Q003"},
        "due": {"Q000"},
        "high": {"Q001", "Q002"},
        "unroutable": {"Q003"},
        "expired": {"Q004"},
    }


@pytest.mark.parametrize("narrowed", ["", "risk_tier=high", "q=Q00", "q=Q001&risk_tier=high", "q=nobody"])
def test_a_view_counts_what_its_link_leads_to_with_search_and_filters_kept(
    one_for_each_view, people, narrowed
):
    client = client_of(people["approver"])
    _, links, current = shown_at(client, f"?{narrowed}")
    assert current == ["All waiting"]
    assert len(links) == len(VIEWS)
    for link, figure in links.items():
        assert all(part in link for part in narrowed.split("&"))
        rows, same_links, _ = shown_at(client, link)
        assert figure == str(len(rows)), link
        assert same_links == links


def test_the_current_view_is_marked_and_search_and_filters_stay_in_it(one_for_each_view, people):
    client = client_of(people["approver"])
    html = client.get(QUEUE, {"view": "high", "risk_tier": "high"}).content.decode()
    assert html.count('aria-current="page"') == 2
    assert 'aria-current="page">High value <span' in html
    assert '<input type="hidden" name="view" value="high">' in html
    assert '<input type="hidden" name="risk_tier" value="high">' in html
    assert '<a class="clear" href="?view=high">' in html
    check_html(html)


def test_a_status_of_ones_own_takes_the_view_back_and_the_other_way_round(one_for_each_view, people):
    client = client_of(people["approver"])
    html = client.get(QUEUE, {"view": "expired"}).content.decode()
    assert "Status: <b>Expired</b>" in html
    assert 'href="?status=approved"' in html
    assert "<h1>Expired this week</h1>" in html
    rows, links, current = shown_at(client, "?status=all&risk_tier=medium")
    assert len(rows) == 9
    assert current == []
    assert "?risk_tier=medium&view=due" in links


def test_the_figures_above_the_list_are_those_of_the_view(one_for_each_view, people):
    response = client_of(people["approver"]).get(QUEUE, {"view": "high"})
    assert response.context["counts"].startswith("2 requests, $501,000 a year at stake; none due today")


def test_an_empty_view_says_so_in_its_own_words(people):
    client = client_of(people["approver"])
    assert "Nothing waits for you." in client.get(QUEUE, {"view": "mine"}).content.decode()
    html = client.get(QUEUE, {"view": "unroutable", "q": "Q"}).content.decode()
    assert "No request of this view matches." in html
    assert client.get(QUEUE, {"view": "no-such-view"}).status_code == 200


def test_who_decides_nothing_is_not_told_what_is_theirs(one_for_each_view, people):
    labels = [link.label for link in client_of(people["auditor"]).get(QUEUE).context["views"]]
    assert "Mine to decide" not in labels
    assert "Nobody can decide" in labels


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_of_fifty_rows_costs_at_most_twelve_queries(people, view):
    open_some(60)
    ApprovalRequest.objects.update(heightened=True, unroutable=True, decision_due_at=timezone.now())
    if view == "expired":
        now = timezone.now()
        ApprovalRequest.objects.update(status="expired", expires_at=now, decided_at=now)
    client = client_of(people["approver"])
    with CaptureQueriesContext(connection) as queries:
        response = client.get(QUEUE, {"view": view} if view else {})
    assert len(response.context["cl"].result_list) == 50
    assert len(queries) <= 12


def test_the_page_of_a_request_leads_on_by_a_link(sample_run, people):
    first, second = ApprovalRequest.objects.pending().by_priority()
    client = client_of(people["approver"])
    html = client.get(f"{QUEUE}{first.pk}/change/").content.decode()
    assert f'<a href="{QUEUE}{second.pk}/change/" rel="next">' in html
    check_html(html)


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
