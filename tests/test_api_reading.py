"""What goes out: every list and every row, page by page, cut down, and only what has changed."""

import json
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from approvals import scopes
from approvals.models import ApprovalRequest, AuditEvent
from journeys.models import Assessment, Customer, Finding, Intervention, JourneyState, Signal
from tests.api import Caller, problem, token_of
from tests.runs import run_pipeline

pytestmark = pytest.mark.django_db

# Every list, with the field that is its row's key.
LISTS = {
    "customers": "customer_id",
    "journey-states": "id",
    "signals": "signal_id",
    "assessments": "id",
    "suppressed": "id",
    "interventions": "intervention_id",
    "executions": "id",
    "outcomes": "outcome_id",
    "runs": "id",
    "findings": "id",
    "reports": "run_id",
    "approval-requests": "id",
    "decisions": "id",
    "audit-events": "sequence",
}


@pytest.fixture
def caller(lived_in) -> Caller:
    """May read everything, as a program. A second run has found things under way."""
    run_pipeline()
    owner = get_user_model().objects.create_superuser("reader")
    return Caller(token_of(owner, *(scope for scope in scopes.known() if scope.endswith(":read")))[1])


def walk(caller: Caller, path: str, most: int = 10_000) -> list[dict]:
    """All rows of a list, or so many, by following `next`."""
    rows = []
    while path and len(rows) < most:
        answer = caller.get(path)
        assert answer.status_code == 200, answer.content
        page = json.loads(answer.content)
        rows += page["results"]
        path = page["next"] and page["next"].removeprefix("http://testserver")
    return rows


def test_every_list_has_rows_and_every_row_its_own_address(caller):
    for name in LISTS:
        rows = walk(caller, name)
        assert rows
        for row in rows[:3]:
            whole = json.loads(caller.get(f"{name}/{row[LISTS[name]]}").content)
            assert row.items() <= whole.items()


def test_pages_of_one_row_each_give_every_row_once(caller):
    for name in LISTS:
        key = LISTS[name]
        whole = [row[key] for row in walk(caller, f"{name}?limit=200")][:15]
        assert [row[key] for row in walk(caller, f"{name}?limit=1", most=len(whole))] == whole
        assert len(set(whole)) == len(whole)


def queries(caller: Caller, path: str) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        caller.get(path)
    return [query["sql"] for query in captured]


def test_a_list_takes_as_many_queries_for_many_rows_as_for_one(caller):
    caller.get("customers")  # notes that the token was used
    for name in LISTS:
        for_one, for_many = (len(queries(caller, f"{name}?limit={limit}")) for limit in (1, 200))
        assert for_one == for_many <= 6, name


def test_nothing_is_counted(caller):
    for name in LISTS:
        assert not [sql for sql in queries(caller, name) if "COUNT(" in sql]


def test_only_the_fields_that_are_asked_for_go_out(caller):
    for name in LISTS:
        key = LISTS[name]
        row = json.loads(caller.get(f"{name}?fields={key}&limit=1").content)["results"][0]
        assert row.keys() == {key}
        assert json.loads(caller.get(f"{name}/{row[key]}?fields={key}").content) == row


def test_fields_may_be_named_one_by_one_too(caller):
    row = json.loads(caller.get("customers/C004?fields=name&fields=customer_id,owner").content)
    assert row.keys() == {"customer_id", "name", "owner"}


def test_what_has_not_changed_is_not_sent_again(caller):
    for name in LISTS:
        for path in (name, f"{name}/{walk(caller, name)[0][LISTS[name]]}"):
            first = caller.get(path)
            again = caller.get(path, **{"If-None-Match": first["ETag"]})
            assert (again.status_code, again.content) == (304, b"")
            assert again["ETag"] == first["ETag"]
            assert caller.get(path, **{"If-None-Match": '"another", W/"one"'}).status_code == 200
            assert caller.get(path, **{"If-None-Match": f'"another", W/{first["ETag"]}'}).status_code == 304


def test_what_has_changed_is_sent_again(caller):
    etag = caller.get("customers/C001")["ETag"]
    Customer.objects.filter(pk="C001").update(name="Anew")
    answer = caller.get("customers/C001", **{"If-None-Match": etag})
    assert answer.status_code == 200
    assert answer["ETag"] != etag


def test_no_shared_cache_may_keep_an_answer(caller):
    answer = caller.get("customers")
    assert answer["Cache-Control"] == "private, no-cache"
    assert {"Authorization", "Cookie"} <= set(answer["Vary"].split(", "))


def test_head_tells_the_same_without_the_body(caller):
    answer = caller.client.head("/api/v1/customers", headers=caller.headers)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer["ETag"] == caller.get("customers")["ETag"]


# ---- filters and order


FILTERED = [
    ("customers?segment=SMB", "segment", "SMB"),
    ("customers?customer_id=C004", "customer_id", "C004"),
    ("customers?do_not_contact=false", "do_not_contact", False),
    ("journey-states?customer_id=C004", "customer_id", "C004"),
    ("journey-states?open=true", "left_on", None),
    ("signals?customer_id=C004", "customer_id", "C004"),
    ("assessments?risk_tier=medium", "risk_tier", "medium"),
    ("assessments?disposition=proposed", "disposition", "proposed"),
    ("interventions?status=pending", "status", "pending"),
    ("interventions?customer_id=C005", "customer_id", "C005"),
    ("executions?status=with_owner", "status", "with_owner"),
    ("outcomes?outcome=resolved", "outcome", "resolved"),
    ("runs?status=succeeded", "status", "succeeded"),
    ("findings?kind=orphan_signal", "kind", "orphan_signal"),
    ("findings?status=open", "status", "open"),
    ("approval-requests?status=pending", "status", "pending"),
    ("approval-requests?concerning=C004", "concerning", "C004"),
    ("approval-requests?kind=intervention", "kind", "intervention"),
    ("decisions?authority=policy", "authority", "policy"),
    ("decisions?verdict=approved", "verdict", "approved"),
    ("audit-events?concerning=C004", "concerning", "C004"),
]


def test_a_filter_gives_the_rows_that_fit_and_no_others(caller):
    for path, field, value in FILTERED:
        rows = walk(caller, path)
        assert rows, path
        assert {row[field] for row in rows} == {value}
        whole = walk(caller, path.partition("?")[0])
        assert sum(row[field] == value for row in whole) == len(rows)


@pytest.mark.parametrize("name", ["assessments", "suppressed", "findings", "interventions"])
def test_what_belongs_to_a_run_is_found_by_it(caller, name):
    runs = {row["run_id"] for row in walk(caller, name)} - {None}
    assert runs
    for run in runs:
        assert {row["run_id"] for row in walk(caller, f"{name}?run_id={run}")} == {run}
    assert walk(caller, f"{name}?run_id={max(runs) + 100}") == []


def test_what_a_run_proposed_comes_by_priority_and_page_by_page_each_once(caller):
    run = max(row["run_id"] for row in walk(caller, "interventions") if row["run_id"])
    rows = walk(caller, f"interventions?run_id={run}&limit=1")
    assert len(rows) > 1
    assert [row["intervention_id"] for row in rows] == [
        row["intervention_id"]
        for row in sorted(rows, key=lambda row: (-row["priority_score"], row["intervention_id"]))
    ]
    assert len({row["intervention_id"] for row in rows}) == len(rows)


@pytest.mark.parametrize("only", ["kind=test", "status=approved", "kind=test&status=approved"])
def test_of_what_has_ended_or_may_have_the_latest_request_stands_first(caller, only):
    asked((score, age, timezone.now()) for score, age in [(1.0, 5), (9.0, 1), (5.0, 3), (7.0, 3)])
    found = walk(caller, f"approval-requests?{only}&limit=3")
    assert [row["subject_key"] for row in found if row["kind"] == "test"] == ["1", "3", "2", "0"]


def test_without_a_filter_requests_come_by_their_numbers_the_latest_first(caller):
    asked((score, 0, None) for score in (1.0, 9.0, 5.0))
    numbers = [row["id"] for row in walk(caller, "approval-requests?limit=2")]
    assert numbers == sorted(numbers, reverse=True)
    assert len(numbers) > 3


def test_only_what_waits_comes_by_priority(caller):
    told = problem(caller.get("approval-requests?ordering=priority&status=approved"), 400, "bad-query")
    assert "status=pending" in told["detail"]


@pytest.mark.parametrize("path", [path for path, key in LISTS.items() if key.endswith("_id")][:-1])
def test_an_id_that_is_text_is_found_in_the_list_whatever_stands_in_it(caller, path):
    """One with a slash stands in no path."""
    key = LISTS[path]
    row = walk(caller, path)[0]
    assert [found[key] for found in walk(caller, f"{path}?{key}={row[key]}")] == [row[key]]
    assert walk(caller, f"{path}?{key}=a%2Fb") == []


def test_an_order_that_needs_a_filter_says_so(caller):
    told = problem(caller.get("signals?ordering=-detected_at"), 400, "bad-query")
    assert "customer_id" in told["detail"]
    days = [row["detected_at"] for row in walk(caller, "signals?ordering=detected_at&customer_id=C004")]
    assert days == sorted(days)


def test_what_a_request_is_about_is_asked_with_its_kind(caller):
    row = ApprovalRequest.objects.get(concerning="C004")
    problem(caller.get(f"approval-requests?subject_key={row.subject_key}"), 400, "bad-query")
    found = walk(caller, f"approval-requests?kind={row.kind}&subject_key={row.subject_key}")
    assert [request["id"] for request in found] == [row.pk]


def test_what_nobody_can_decide_is_asked_for_among_what_waits(caller):
    ApprovalRequest.objects.update(unroutable=True)
    rows = walk(caller, "approval-requests?unroutable=true")
    assert {row["status"] for row in rows} == {"pending"}
    problem(caller.get("approval-requests?unroutable=false"), 400, "bad-query")


def test_a_cursor_goes_with_its_own_order_only(caller):
    page = json.loads(caller.get("customers?limit=1").content)
    cursor = page["next"].partition("cursor=")[2].partition("&")[0]
    assert caller.get(f"customers?limit=1&cursor={cursor}").status_code == 200
    problem(caller.get(f"customers?ordering=-customer_id&cursor={cursor}"), 400, "bad-query")
    problem(caller.get(f"runs?cursor={cursor}"), 400, "bad-query")


def test_a_row_that_goes_meanwhile_takes_no_other_off_the_next_page(caller):
    page = json.loads(caller.get("signals?limit=2").content)
    Signal.objects.filter(pk__in=[row["signal_id"] for row in page["results"]]).delete()
    following = json.loads(caller.get(page["next"].removeprefix("http://testserver")).content)["results"]
    assert following[0]["signal_id"] == Signal.objects.order_by("pk").first().pk


def asked(facts) -> list[ApprovalRequest]:
    """Requests, each of a priority, an age in microseconds, and with the moment of its end, or None."""
    ApprovalRequest.objects.filter(kind="test").delete()
    now = timezone.now()
    rows = [
        ApprovalRequest(
            kind="test", subject_key=str(number), title="x", payload={}, fingerprint="0" * 64,
            permission="x.y", proposer="machine", proposed_by_key="x", proposed_by_name="x",
            execute_within_hours=1, remind_at=now, decision_due_at=now, expires_at=now,
            priority_score=score, requested_at=now - timedelta(microseconds=age),
            status="approved" if ended else "pending", decided_at=ended,
        )
        for number, (score, age, ended) in enumerate(facts)
    ]  # fmt: skip
    return ApprovalRequest.objects.bulk_create(rows)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    scores=st.lists(
        st.tuples(st.sampled_from([0.0, 0.1, 1 / 3, 38.5, 100.0]), st.integers(0, 2)), min_size=0, max_size=9
    ),
    limit=st.integers(1, 4),
)
def test_pages_in_an_order_with_ties_give_every_row_once(caller, scores, limit):
    """By priority, then the older one, then the higher number: columns that go both ways, and floats."""
    rows = asked((score, age, None) for score, age in scores)
    expected = sorted(rows, key=lambda row: (-row.priority_score, row.requested_at, -int(row.subject_key)))
    found = walk(caller, f"approval-requests?kind=test&status=pending&limit={limit}")
    assert [row["subject_key"] for row in found] == [row.subject_key for row in expected]


# ---- what stands in the rows


def test_an_assessment_tells_what_its_score_is_made_of(caller):
    row = walk(caller, "assessments?customer_id=C004")[0]
    assert sum(row["contributions"].values()) == pytest.approx(row["overall_risk_score"], abs=0.001)


def test_what_was_suppressed_tells_why(caller):
    rows = walk(caller, "suppressed")
    assert all(row["suppression_reason"] and row["detail"] for row in rows)


def test_money_goes_out_as_a_text_with_its_cents(caller):
    row = json.loads(caller.get("customers/C004").content)
    assert (row["account_value"], row["currency"]) == ("42000.00", "USD")


def test_what_is_not_known_is_null(caller):
    Customer.objects.filter(pk="C004").update(account_value=None, tenure_months=None)
    row = json.loads(caller.get("customers/C004").content)
    assert (row["account_value"], row["tenure_months"]) == (None, None)


def test_a_request_comes_with_what_would_be_done_its_evidence_and_its_decisions(caller):
    row = ApprovalRequest.objects.get(concerning="C005")
    told = json.loads(caller.get(f"approval-requests/{row.pk}").content)
    assert told["payload"] == row.payload
    assert told["evidence"] == row.evidence
    assert [decision["decided_by"] for decision in told["decisions"]] == ["approver2"]
    assert told["decisions"][0]["ends"] is True


def test_a_page_of_requests_leaves_the_evidence_to_the_requests_own_page(caller):
    row = walk(caller, "approval-requests")[0]
    assert not {"payload", "evidence", "decisions"} & row.keys()


def test_a_decision_tells_whose_word_it_was_and_why(caller):
    row = next(row for row in walk(caller, "decisions?authority=policy"))
    assert row["decided_by"].startswith("policy ")
    assert row["reason"]


def test_the_trail_tells_what_happened_in_a_sentence(caller):
    row = walk(caller, "audit-events?concerning=C005")[0]
    assert row["sentence"]
    assert row["hash"] == AuditEvent.objects.get(pk=row["sequence"]).hash


def test_without_the_permission_for_the_trail_one_reads_ones_own(lived_in, people):
    caller = Caller(token_of(people["approver2"], "audit:read")[1])
    rows = walk(caller, "audit-events")
    assert rows
    assert {row["actor_key"] for row in rows} == {f"user:{people['approver2'].pk}"}
    somebody_elses = AuditEvent.objects.exclude(actor_key=f"user:{people['approver2'].pk}").first()
    problem(caller.get(f"audit-events/{somebody_elses.pk}"), 404, "not-found")


def test_a_signal_of_a_customer_whom_nobody_knows_is_there_under_the_id_it_came_with(caller):
    orphan = Signal.objects.orphaned().get()
    assert [row["signal_id"] for row in walk(caller, f"signals?customer_id={orphan.customer_id}")] == [
        orphan.pk
    ]


def test_what_the_lists_are_about_is_there(lived_in):
    """Or the tests above would say nothing."""
    for model in (Assessment, Finding, Intervention, JourneyState):
        assert model.objects.exists()
