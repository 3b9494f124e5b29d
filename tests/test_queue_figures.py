"""The queue's figures: every one against the rows, whose they are to see, and what is not known."""

import csv
import io
import itertools
import math
from collections import Counter, defaultdict
from datetime import UTC, timedelta
from random import Random
from statistics import median_low

import pytest
from django.contrib.auth import get_user_model
from django.core.cache import cache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from approvals import charts, services, sheets
from approvals.charts import Series
from approvals.figures import AGES, _pace, queue_figures
from approvals.models import ApprovalRequest, AuditEvent, Decision, user_key
from approvals.rules import Authority, Verdict
from tests.acting import decide, waiting
from tests.desk import QUEUE, check_html, client_of

pytestmark = pytest.mark.django_db

PAGE = f"{QUEUE}figures/"
NOW = timezone.now().replace(microsecond=0)
_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def counted_anew():
    """The page keeps its figures for a minute; the accounts of the next test have the same numbers."""
    yield
    cache.clear()


def a_request(**values) -> ApprovalRequest:
    number = next(_numbers)
    defaults = {
        "kind": "intervention", "subject_key": f"s{number}", "title": f"Request {number}", "payload": {},
        "fingerprint": f"f{number}", "proposer": "machine", "proposed_by_key": "machine:pipeline",
        "permission": "approvals.decide_approvalrequest", "requested_at": NOW - timedelta(hours=5),
        "remind_at": NOW, "decision_due_at": NOW + timedelta(hours=1), "expires_at": NOW + timedelta(days=3),
        "execute_within_hours": 48, "action": "general_checkin", "risk_score": 0.5,
    }  # fmt: skip
    if values.get("status", "pending") != "pending":
        defaults["decided_at"] = NOW
    return ApprovalRequest.objects.create(**defaults | values)


def a_decision(request: ApprovalRequest, took: timedelta, **values) -> Decision:
    """Written down as it would have been recorded; the request keeps its status."""
    number = next(_numbers)
    event = AuditEvent.objects.create(
        sequence=1_000_000 + number, at=NOW, word="request.approved", actor_key="x", door="test",
        kind=request.kind, subject_key=request.subject_key, detail_digest="", previous_hash="", hash="",
    )  # fmt: skip
    defaults = {"verdict": "approved", "authority": "person", "actor_key": "user:1"}
    return Decision.objects.create(
        request=request,
        event=event,
        fingerprint=request.fingerprint,
        decided_at=request.requested_at + took,
        **defaults | values,
    )


def a_history(seed: int, number: int = 120) -> list[Decision]:
    """Decisions of every sort over the last hundred days."""
    random, decisions = Random(seed), []
    for _ in range(number):
        decided_at = NOW - timedelta(minutes=random.randint(1, 100 * 24 * 60))
        took = timedelta(seconds=random.randint(0, 200_000))
        request = a_request(
            requested_at=decided_at - took,
            status="approved",
            kind=random.choice(["intervention"] * 6 + ["policy_review"]),
            proposer=random.choice(["machine"] * 5 + ["person"]),
            action=random.choice(["general_checkin", "monitor_only", "proactive_outreach"]),
            risk_score=random.choice([None, 0.0, 0.3, 0.699, 0.7, 0.95, 1.0]),
            editors=random.choice([[], [], [], ["user:9"]]),
        )
        authority = random.choice(["person"] * 4 + ["policy", "auto_approval_for_testing"])
        decisions.append(
            a_decision(
                request,
                took,
                verdict=random.choice(["approved", "rejected"]) if authority == "person" else "approved",
                authority=authority,
                actor_key=random.choice(["user:1", "user:2"]) if authority == "person" else "policy:p 1",
                ends=authority != "person" or random.random() < 0.9,
            )
        )
    return decisions


def word_of(decision: Decision) -> str:
    if decision.authority != "person":
        return "by_policy" if decision.authority == "policy" else "by_testing"
    if decision.verdict == "rejected":
        return "rejected"
    return "changed" if decision.request.editors else "approved"


def minutes_of(decision: Decision) -> int:
    return int((decision.decided_at - decision.request.requested_at).total_seconds()) // 60


def told(tallies: dict) -> Counter:
    """{(group, word): number}, without what is 0."""
    names = ("approved", "changed", "rejected", "expired", "by_policy", "by_testing")
    return Counter(
        {
            (key, name): getattr(tally, name)
            for key, tally in tallies.items()
            for name in names
            if getattr(tally, name)
        }
    )


def ninetieth(values: list[int]) -> int:
    return sorted(values)[math.ceil(0.9 * len(values)) - 1]


def as_csv(client, name: str, **query) -> list[dict]:
    answer = client.get(PAGE, {"csv": name, **query})
    assert answer.status_code == 200
    return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))


# -- the figures, against the rows


@pytest.mark.parametrize("kind", ["", "intervention", "policy_review"])
@pytest.mark.parametrize("days", [30, 90])
def test_time_to_decide_is_what_the_rows_say(days, kind):
    decisions = [
        row
        for row in a_history(1)
        if row.authority == "person"
        and row.ends
        and row.decided_at > NOW - timedelta(days=days)
        and kind in ("", row.request.kind)
    ]
    found = queue_figures(now=NOW, days=days, kind=kind)
    minutes = [minutes_of(row) for row in decisions]
    assert found.pace.decided == len(minutes)
    assert (found.pace.median, found.pace.ninetieth) == (median_low(minutes), ninetieth(minutes))
    by_week = defaultdict(list)
    for row in decisions:
        on = row.decided_at.astimezone(UTC).date()
        by_week[on - timedelta(days=on.weekday())].append(minutes_of(row))
    assert {week.begins for week in found.weeks} >= by_week.keys()
    for week in found.weeks:
        values = by_week.get(week.begins, [])
        assert week.pace.decided == len(values)
        assert week.pace.median == (median_low(values) if values else None)
        assert week.pace.ninetieth == (ninetieth(values) if values else None)


def test_decisions_by_action_and_score_band_are_what_the_rows_say():
    decisions = [row for row in a_history(2) if row.ends and row.decided_at > NOW - timedelta(days=90)]
    mine = [
        row for row in decisions if row.request.kind == "intervention" and row.request.proposer == "machine"
    ]
    found = queue_figures(now=NOW, days=90).verdicts
    assert told(found.by_action) == Counter((row.request.action, word_of(row)) for row in mine)

    def band(score: float | None) -> int | None:
        return None if score is None else min(9, [score >= n / 10 for n in range(11)].index(False) - 1)

    scores = [(row, row.request.risk_score) for row in mine]
    assert told(found.by_band) == Counter(
        (9 if score == 1.0 else band(score), word_of(row)) for row, score in scores
    )
    assert told({"": found.total}) == Counter(("", word_of(row)) for row in mine)
    assert found.others == sum(row.authority == "person" and row not in mine for row in decisions)


@pytest.mark.parametrize("only", ["", "user:2"])
def test_decisions_by_person_count_everybodys_own_words(only):
    decisions = [
        row
        for row in a_history(3)
        if row.authority == "person" and row.decided_at > NOW - timedelta(days=90)
        and only in ("", row.actor_key)
    ]  # fmt: skip
    found = queue_figures(now=NOW, days=90, only=only).people
    assert told({person.key: person.tally for person in found}) == Counter(
        (row.actor_key, word_of(row)) for row in decisions
    )
    for person in found:
        minutes = [minutes_of(row) for row in decisions if row.actor_key == person.key]
        assert (person.pace.median, person.pace.ninetieth) == (median_low(minutes), ninetieth(minutes))


def test_what_waits_is_counted_by_its_age_and_whether_it_is_late():
    random = Random(4)
    for _ in range(60):
        age = timedelta(minutes=random.randint(0, 14 * 24 * 60))
        a_request(
            requested_at=NOW - age,
            decision_due_at=NOW + timedelta(hours=random.choice([-2, 2])),
            returned_at=random.choice([None, None, NOW]),
        )
    a_request(requested_at=NOW - timedelta(days=99), status="approved")
    rows = list(ApprovalRequest.objects.filter(status="pending"))
    found = queue_figures(now=NOW, days=30).age
    ages = sorted(NOW - row.requested_at for row in rows)
    expected = Counter()
    for row in rows:
        place = next(
            place for place, (end, _) in enumerate(AGES) if end is None or NOW - row.requested_at < end
        )
        expected[AGES[place][1], row.decision_due_at < NOW] += 1
    assert {(bucket.label, False): bucket.in_time for bucket in found.ages if bucket.in_time} | {
        (bucket.label, True): bucket.late for bucket in found.ages if bucket.late
    } == expected
    assert (found.waiting, found.late) == (60, sum(row.decision_due_at < NOW for row in rows))
    assert found.returned == sum(row.returned_at is not None for row in rows)
    assert NOW - found.oldest.requested_at == ages[-1]
    assert found.median == sorted(ages, reverse=True)[59 // 2]


@given(st.dictionaries(st.integers(0, 5000), st.integers(1, 50), min_size=1))
def test_half_and_nine_in_ten_are_values_that_occurred_and_divide_the_rest_so(minutes):
    pace = _pace(Counter(minutes))
    values = sorted(value for value, number in minutes.items() for _ in range(number))
    assert (pace.median, pace.ninetieth) == (median_low(values), ninetieth(values))


# -- what counts as what


def test_what_expired_undecided_is_no_refusal_and_what_was_approved_is_decided():
    a_request(status="expired", expires_at=NOW - timedelta(days=1))
    a_request(status="expired", expires_at=NOW - timedelta(days=31))
    a_request(status="superseded", expires_at=NOW - timedelta(days=1))
    late = a_request(status="expired", expires_at=NOW - timedelta(days=1))
    a_decision(late, timedelta(hours=1))
    total = queue_figures(now=NOW, days=30).verdicts.total
    assert (total.expired, total.approved, total.rejected) == (1, 1, 0)
    assert (total.decided, total.override_share) == (1, 0.0)


def test_people_and_the_policy_are_counted_apart_through_the_services(people, sample_run):
    """C001 went by the policy; C004 is rejected; C005 is changed by one and approved by another."""
    refused = waiting("C004")
    decide(refused, people["approver"], Verdict.REJECTED, "Not now.")
    change = waiting("C005")
    services.change(
        request_id=change.pk, fingerprint=change.fingerprint, changes={"body": "Shorter."},
        user=people["approver"], reason="Too long.", door="test",
    )  # fmt: skip
    decide(waiting("C005"), people["approver2"])
    found = queue_figures(now=timezone.now() + timedelta(seconds=1), days=30)
    total = found.verdicts.total
    assert (total.approved, total.changed, total.rejected, total.by_policy) == (0, 1, 1, 1)
    assert (total.overridden, total.decided, total.override_share) == (2, 2, 1.0)
    assert {person.name: person.tally.decided for person in found.people} == {"approver": 1, "approver2": 1}


def test_of_two_who_approve_both_count_and_the_request_once(people, big):
    for name in ("manager", "manager2"):
        decide(waiting("C004"), people[name], reason="It is worth it.", password="a-long-password")
    found = queue_figures(now=timezone.now() + timedelta(seconds=1), days=30)
    assert found.verdicts.total.approved == found.pace.decided == 1
    assert {person.name: person.tally.approved for person in found.people} == {"manager": 1, "manager2": 1}


def test_what_nobody_decided_is_not_known():
    found = queue_figures(now=NOW, days=30)
    assert (found.pace.decided, found.pace.median, found.pace.ninetieth) == (0, None, None)
    assert found.verdicts.total.override_share is None
    assert (found.age.waiting, found.age.oldest, found.age.median) == (0, None, None)
    assert found.people == ()


def test_an_automatic_approval_for_testing_is_neither_a_persons_nor_the_policys(people, sample):
    a_decision(a_request(), timedelta(0), authority=Authority.AUTO_APPROVAL_FOR_TESTING, actor_key="auto:p")
    rows = as_csv(client_of(people["auditor"]), "by-action")
    assert [row["Automatically, for testing"] for row in rows] == ["1"]
    assert (rows[0]["By the policy alone"], rows[0]["Decided by people"]) == ("0", "0")


# -- the page


def test_an_auditor_sees_everybody_and_the_others_themselves_alone(people):
    for name in ("approver", "approver2"):
        a_decision(a_request(), timedelta(hours=2), actor_key=user_key(people[name]))
    seen = {}
    for name in ("auditor", "approver", "operator"):
        client = client_of(people[name])
        html = client.get(PAGE).content.decode()
        check_html(html)
        seen[name] = html
        shared = "by-person" if name == "auditor" else "own"
        hidden = "own" if name == "auditor" else "by-person"
        assert client.get(PAGE, {"csv": hidden}).status_code == 404
        assert [row["Person"] for row in as_csv(client, shared)] == {
            "auditor": ["approver", "approver2"],
            "approver": ["approver"],
            "operator": ["operator"],
        }[name]
    assert "Decisions by person" in seen["auditor"]
    assert "Your own decisions" in seen["approver"]
    assert "approver2" not in seen["approver"]
    assert "You have decided nothing in this window" in seen["operator"]


def test_the_page_is_for_those_who_may_see_the_queue_and_is_linked_from_it(people):
    nobody = get_user_model().objects.create_user("nobody", password="a-long-password", is_staff=True)
    for query in ({}, {"csv": "waiting"}):
        assert client_of(nobody).get(PAGE, query).status_code == 403
    client = client_of(people["approver"])
    assert client.post(PAGE).status_code == 405
    assert f'href="{PAGE}"' in client.get(QUEUE).content.decode()


def test_window_and_kind_are_chosen_in_the_address_and_nonsense_is_passed_over(people):
    a_decision(a_request(requested_at=NOW - timedelta(days=60)), timedelta(hours=1))
    client = client_of(people["auditor"])
    assert sum(int(row["Decided by people"]) for row in as_csv(client, "time-to-decide")) == 0
    assert sum(int(row["Decided by people"]) for row in as_csv(client, "time-to-decide", days=90)) == 1
    narrowed = as_csv(client, "time-to-decide", days=90, kind="policy_review")
    assert sum(int(row["Decided by people"]) for row in narrowed) == 0
    assert {row["kind"] for row in narrowed} == {"policy_review"}
    for query in ({"days": "7"}, {"days": "x"}, {"days": "9" * 5000}, {"kind": "<b>"}):
        answer = client.get(PAGE, query)
        assert answer.context["days"] == 30
        assert answer.context["kind"] == ""
    assert client.get(PAGE, {"csv": "no-such-table"}).status_code == 404


def test_the_files_have_the_figures_of_the_page(people):
    a_history(5)
    a_request()
    client = client_of(people["auditor"])
    now = timezone.now()
    found = queue_figures(now=now, days=90)
    rows = as_csv(client, "by-action", days=90)
    assert sum(int(row["Rejected"]) for row in rows) == found.verdicts.total.rejected
    assert sum(int(row["By the policy alone"]) for row in rows) == found.verdicts.total.by_policy
    assert "Outreach" not in {row["Action"] for row in rows}
    assert "Proactive outreach" in {row["Action"] for row in rows}
    bands = [row["Risk score"] for row in as_csv(client, "by-score-band", days=90)]
    assert bands[0] == ".0 to .1"
    assert bands[-2:] == [".9 to 1.0", "not known"]
    assert len(bands) == 11
    waits = as_csv(client, "waiting")
    assert [row["Together"] for row in waits] == ["0", "0", "1", "0", "0", "0", "0", "0"]
    html = client.get(PAGE, {"days": 90}).content.decode()
    check_html(html)
    assert html.count('<svg class="chart"') == 5
    assert "></desc>" not in html
    assert len(html) < 60_000


def test_they_are_counted_once_a_minute_for_each_who_may_see_the_same_and_the_page_says_as_of_when(people):
    def shown(name: str):
        with CaptureQueriesContext(connection) as queries:
            found = client_of(people[name]).get(PAGE).context["found"]
        return found, sum("approvals_decision" in query["sql"] for query in queries)

    a_decision(a_request(), timedelta(hours=2), actor_key=user_key(people["approver"]))
    first, _ = shown("auditor")
    a_decision(a_request(), timedelta(hours=2), actor_key=user_key(people["approver"]))
    assert shown("auditor") == (first, 0)
    assert [person.tally.decided for person in shown("approver")[0].people] == [2]
    cache.clear()
    anew, _ = shown("auditor")
    assert anew.until > first.until
    assert [person.tally.decided for person in anew.people] == [2]


def test_an_empty_queue_says_so_in_words(people):
    html = client_of(people["approver"]).get(PAGE).content.decode()
    check_html(html)
    assert "Nothing waits for a decision." in html
    assert "how long it takes is not known" in html
    assert "No recommendation ended in this window." in html
    assert "None" not in html


def test_the_page_costs_no_query_per_row(people):
    def cost() -> int:
        cache.clear()
        with CaptureQueriesContext(connection) as queries:
            assert client.get(PAGE, {"days": 90}).status_code == 200
        return len(queries)

    client = client_of(people["auditor"])
    a_history(6, 10)
    few = cost()
    a_history(7, 60)
    assert cost() <= min(few, 14)


# -- tables and charts, whatever the figures


@given(st.text(max_size=20) | st.integers() | st.none() | st.floats(allow_nan=False))
def test_no_text_in_a_file_begins_a_formula_and_every_cell_comes_back(value):
    sheet = sheets.Sheet(name="x", columns=(sheets.words("=A"), sheets.Column("B")), rows=[(value, 1)])
    head, row = csv.reader(io.StringIO("".join(sheet.csv_lines()), newline=""))
    assert head == ["'=A", "B"]
    if isinstance(value, str):
        assert not row[0].startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
        assert row[0] in (value, f"'{value}")
    else:
        assert row[0] == ("not known" if value is None else str(value))


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), min_size=1, max_size=20))
def test_bars_and_columns_stay_within_the_chart_and_in_proportion(figures):
    rows = [(f"row {number}", pair) for number, pair in enumerate(figures)]
    series = (Series("c1", "one"), Series("c2", "two"))
    most = max(sum(pair) for pair in figures)
    drawn = charts.bars(rows, series)
    for (_, pair), row in zip(rows, drawn.rows, strict=True):
        assert len(row.parts) == sum(figure > 0 for figure in pair)
        width = sum(part.width for part in row.parts)
        assert width <= 100.01
        if most:
            assert abs(width - sum(pair) / most * 100) < 0.01
        assert all(0 <= part.y <= drawn.height for part in row.parts)
    for column in charts.columns(rows, series).columns:
        assert all(part.x >= 0 and part.x + part.width <= 100.01 for part in column.parts)
        assert all(0 <= part.y <= 150.1 for part in column.parts)


@given(st.lists(st.none() | st.integers(0, 10**9), min_size=2, max_size=20))
def test_a_line_has_a_dot_for_each_known_figure_and_a_gap_for_an_unknown_one(figures):
    points = [(number, f"day {number}", (figure,)) for number, figure in enumerate(figures)]
    drawn = charts.lines(points, (Series("c1", "one"),))
    (line,) = drawn.lines
    assert len(line.dots) == sum(figure is not None for figure in figures)
    assert sum(len(stroke.split()) - 1 for stroke in line.strokes) == sum(
        a is not None and b is not None for a, b in itertools.pairwise(figures)
    )
    assert all(0 <= dot.x <= 100 and 0 <= dot.y <= drawn.bottom for dot in line.dots)


@given(st.integers(0, 10**15) | st.decimals(0, 10**12, places=2))
def test_the_scale_of_a_chart_is_no_less_than_its_highest_figure_and_not_much_more(figure):
    top = charts.round_up(figure)
    assert top >= figure
    assert top <= max(2, figure * 2)
    assert top % 2 == 0
