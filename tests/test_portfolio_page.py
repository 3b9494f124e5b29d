"""The portfolio's page: every figure against the rows, what is not known, and what it costs to show it."""

import csv
import io
from collections import Counter, defaultdict
from datetime import timedelta
from decimal import Decimal
from random import Random

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext

from approvals import shown
from journeys import pipeline
from journeys.models import Assessment, Customer, Outcome, PipelineRun, PortfolioSnapshot
from journeys.reports import portfolio, snapshots
from tests.desk import check_html, client_of
from tests.portfolios import AS_OF, a_customer, a_run, an_outcome, assess, carried_out, finish, record_only
from tests.runs import planned_run, run_pipeline

pytestmark = pytest.mark.django_db

PAGE = "/admin/journeys/assessment/portfolio/"
RISEN = f"{PAGE}risen/"
TIERS = ("high", "medium", "low")
RANK = {"low": 0, "medium": 1, "high": 2}


def a_portfolio(seed: int, customers: int = 60) -> list[Customer]:
    """Some values are not known, some segments and stages are nobody's words, two currencies."""
    random = Random(seed)
    return [
        a_customer(
            segment=random.choice(["SMB", "Mid-Market", "Enterprise", "", "Public"]),
            currency=random.choice(["USD", "EUR"]),
            account_value=random.choice([None, Decimal(random.randint(0, 9_999_999)) / 100]),
        )
        for _ in range(customers)
    ]


def a_random_run(customers: list[Customer], seed: int, as_of=AS_OF) -> PipelineRun:
    """Nine in ten are assessed."""
    random, run = Random(seed), a_run(as_of)
    for customer in customers:
        if random.random() < 0.9:
            stage = random.choice(["onboarding", "support", "retention", "limbo"])
            score = round(random.random(), 3)
            assess(run, {customer: random.choice(TIERS)}, stage=stage, overall_risk_score=score)
    finish(run)
    return run


def rows_of(run: PipelineRun) -> list[Assessment]:
    return list(Assessment.objects.filter(run=run).select_related("customer"))


def segment_of(row: Assessment) -> str:
    return row.customer.segment if row.customer.segment in ("SMB", "Mid-Market", "Enterprise") else ""


def as_csv(client, name: str, page: str = PAGE, **query) -> list[dict]:
    answer = client.get(page, {"csv": name, **query})
    assert answer.status_code == 200
    return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))


@pytest.fixture
def manager(people):
    return client_of(people["manager"])


# -- the figures, against the rows


@pytest.mark.parametrize("segment", [None, "SMB", "Enterprise", ""])
def test_risk_by_stage_and_segment_is_what_the_rows_say(segment):
    run = a_random_run(a_portfolio(1), 2)
    found = portfolio.latest(segment=segment)
    rows = [row for row in rows_of(run) if segment in (None, segment_of(row))]
    assert found.run == run
    known = ("onboarding", "engagement", "support", "retention", "escalation")
    expected = Counter(
        (row.journey_stage if row.journey_stage in known else "", row.risk_tier) for row in rows
    )
    shown = {
        (row.name, tier): getattr(row, tier) for row in found.by_stage for tier in TIERS if getattr(row, tier)
    }
    assert shown == expected
    assert found.tiers.assessed == len(rows)
    by_segment = Counter((segment_of(row), row.risk_tier) for row in rows_of(run))
    assert by_segment == {
        (row.name, tier): getattr(row, tier)
        for row in found.by_segment
        for tier in TIERS
        if getattr(row, tier)
    }


@pytest.mark.parametrize("segment", [None, "Mid-Market"])
def test_revenue_at_risk_counts_each_customer_once_and_each_currency_for_itself(segment):
    run = a_random_run(a_portfolio(3), 4)
    expected: defaultdict = defaultdict(lambda: [Decimal(0), Decimal(0), 0, 0])
    for row in rows_of(run):
        if segment not in (None, segment_of(row)):
            continue
        sums, value = expected[row.customer.currency], row.customer.account_value
        sums[1] += value or 0
        if row.risk_tier != "low":
            sums[0] += value or 0
            sums[2 if value is not None else 3] += 1
    for sums in expected.values():
        if sums[3] and not sums[2]:
            sums[0] = None  # nothing is known of anybody at risk
    found = portfolio.latest(segment=segment).revenue
    assert [row.currency for row in found] == sorted(expected)
    assert {row.currency: [row.at_risk, row.total, row.valued, row.unvalued] for row in found} == expected


def test_revenue_nobody_knows_is_not_nothing(manager):
    customers = [a_customer(currency="CHF") for _ in range(2)]
    run = a_run()
    assess(run, dict.fromkeys(customers, "high"))
    finish(run)
    (row,) = portfolio.latest().revenue
    assert (row.at_risk, row.share, row.unvalued) == (None, None, 2)
    html = manager.get(PAGE).content.decode()
    assert "not known" in html
    assert "2 at risk of unknown value" in html
    assert as_csv(manager, "revenue")[0]["At risk"] == "not known"


def test_a_finished_run_keeps_its_figures_whatever_becomes_of_the_customers():
    customer = a_customer(account_value=100, segment="SMB")
    run = a_run()
    assess(run, {customer: "high"})
    finish(run)
    Customer.objects.update(account_value=999, segment="Enterprise", currency="EUR")
    (row,) = portfolio.latest().revenue
    assert (row.currency, row.at_risk) == ("USD", 100)
    assert [tiers.high for tiers in portfolio.latest().by_segment] == [1, 0, 0]


@pytest.mark.parametrize("segment", [None, "SMB", ""])
def test_movement_is_from_the_tier_of_the_run_before_to_that_of_now(segment):
    customers = a_portfolio(5)
    before = a_random_run(customers, 6, AS_OF - timedelta(days=7))
    now = a_random_run(customers, 7)
    then, later = ({row.customer_id: row.risk_tier for row in rows_of(run)} for run in (before, now))
    segments = {row.customer_id: segment_of(row) for run in (before, now) for row in rows_of(run)}
    ids = [pk for pk in then.keys() | later.keys() if segment in (None, segments[pk])]
    expected = Counter((then.get(pk, ""), later.get(pk, "")) for pk in ids)
    movement = portfolio.latest(segment=segment).movement
    assert movement.since == before
    assert movement.counts == expected
    both = [(RANK[then[pk]], RANK[later[pk]], pk) for pk in ids if pk in then and pk in later]
    assert movement.up == sum(b > a for a, b, _ in both)
    assert movement.down == sum(b < a for a, b, _ in both)
    assert movement.unmoved == sum(b == a for a, b, _ in both)
    assert {row.customer_id for row in movement.risen} == {pk for a, b, pk in both if b > a}
    risks = [row.risk for row in movement.risen]
    assert risks == sorted(risks, reverse=True)


def test_those_who_are_kept_by_name_are_the_ones_at_the_highest_risk(monkeypatch):
    monkeypatch.setattr(snapshots, "RISEN_KEPT", 2)
    first, second = a_run(AS_OF - timedelta(days=1)), a_run()
    customers = [a_customer() for _ in range(9)]
    assess(first, dict.fromkeys(customers, "low"))
    finish(first)
    for place, customer in enumerate(customers):
        assess(second, {customer: "high"}, overall_risk_score=0.7 + place / 100)
    finish(second)
    risen = portfolio.latest().movement.risen
    assert [row.customer_id for row in risen] == [customers[8].pk, customers[7].pk]


def test_of_many_who_rose_the_first_of_each_segment_are_kept_by_name(manager):
    few = [a_customer(segment="SMB") for _ in range(2)]
    many = [a_customer(segment="Enterprise") for _ in range(snapshots.RISEN_KEPT + 3)]
    first, second = a_run(AS_OF - timedelta(days=1)), a_run()
    assess(first, dict.fromkeys(few + many, "low"))
    finish(first)
    assess(second, dict.fromkeys(few, "medium"), overall_risk_score=0.45)
    assess(second, dict.fromkeys(many, "high"), overall_risk_score=0.8)
    finish(second)
    movement = portfolio.latest().movement
    assert movement.up == len(few) + len(many)
    assert Counter(row.segment for row in movement.risen) == {"SMB": 2, "Enterprise": snapshots.RISEN_KEPT}
    assert "these are the 100 at the highest risk" in manager.get(RISEN).content.decode()
    assert len(as_csv(manager, "risen", RISEN)) == 2 + snapshots.RISEN_KEPT
    narrowed = manager.get(RISEN, {"segment": "SMB"}).content.decode()
    assert "2 rose" in narrowed
    assert "at the highest risk" not in narrowed


def test_the_first_run_has_nothing_to_compare_with(manager):
    run = a_run()
    assess(run, {a_customer(): "high"})
    finish(run)
    assert portfolio.latest().movement is None
    assert "There is one run so far" in manager.get(PAGE).content.decode()
    assert "Nobody's risk rose, as far as is known" in manager.get(RISEN).content.decode()


def test_the_trend_has_the_last_run_of_each_day_of_ninety():
    customers = a_portfolio(8, 20)
    a_random_run(customers, 9, AS_OF - timedelta(days=90))
    runs = [a_random_run(customers, 10 + n, AS_OF - timedelta(days=89 - 30 * n)) for n in range(2)]
    a_random_run(customers, 20)
    last = a_random_run(customers, 21)
    trend = portfolio.latest(segment="SMB").trend
    assert [day.run_id for day in trend] == [runs[0].pk, runs[1].pk, last.pk]
    for day in trend:
        of_day = [row for row in rows_of(PipelineRun(pk=day.run_id)) if segment_of(row) == "SMB"]
        assert day.tiers.at_risk == sum(row.risk_tier != "low" for row in of_day)
        for revenue in day.revenue:
            values = [
                row.customer.account_value or 0
                for row in of_day
                if row.risk_tier == "high" and row.customer.currency == revenue.currency
            ]
            assert revenue.high == sum(values)


def test_a_run_on_an_earlier_day_does_not_become_the_present():
    customer = a_customer()
    now, past = a_run(), a_run(AS_OF - timedelta(days=30))
    assess(now, {customer: "low"})
    finish(now)
    assess(past, {customer: "high"})
    finish(past)
    found = portfolio.latest()
    assert found.run == now
    assert [day.run_id for day in found.trend] == [past.pk, now.pk]


# -- what the pipeline keeps


def test_a_run_over_the_portfolio_keeps_what_it_amounts_to(sample):
    first = run_pipeline()
    second = run_pipeline()
    assert second.snapshot.since == first
    found = portfolio.latest()
    assert (found.run, found.tiers.assessed) == (second, 10)
    assert found.tiers.at_risk == second.counts["at_risk"]
    assert found.movement.unmoved == 10


def test_only_a_portfolio_run_that_succeeded_and_wrote_counts(sample):
    run_pipeline(customer_id="C004")
    pipeline.run(planned_run(dry_run=True))
    assert not PortfolioSnapshot.objects.exists()
    run = run_pipeline()
    PipelineRun.objects.filter(pk=run.pk).update(status="failed")
    assert portfolio.latest() is None


# -- what was protected


def test_value_protected_counts_a_customer_once_by_the_latest_outcome_of_each_intervention():
    kept, lost, unknown = (a_customer(account_value=value) for value in (100, 50, None))
    euro = a_customer(account_value=7, currency="EUR")
    for customer in (kept, kept, euro, unknown):
        an_outcome(carried_out(customer, tier="medium"), "improved_engagement")
    turned = carried_out(lost)
    an_outcome(turned, "resolved", AS_OF - timedelta(days=9))
    an_outcome(turned, "no_response", AS_OF - timedelta(days=1))
    record_only(turned)
    carried_out(lost)
    found = snapshots.protected(AS_OF)
    assert found == {
        "days": 90,
        "interventions": 5,
        "record_only": 1,
        "open": 1,
        "customers": 4,
        "positive": 3,
        "value_unknown": 1,
        "revenue": [
            {"currency": "EUR", "customers": 1, "value": "7.00", "of_customers": 1, "of_value": "7.00"},
            {"currency": "USD", "customers": 1, "value": "100.00", "of_customers": 2, "of_value": "150.00"},
        ],
    }


@pytest.mark.parametrize(
    ("intervention", "outcome"),
    [
        ({"tier": "low"}, {}),
        ({"tier": ""}, {}),
        ({"status": "approved"}, {}),
        ({"status": "imported"}, {}),
        ({}, {"measured_at": AS_OF - timedelta(days=90)}),
        ({}, {"measured_at": AS_OF + timedelta(days=1)}),
    ],
)
def test_value_protected_is_of_what_was_carried_out_at_risk_and_measured_in_the_window(intervention, outcome):
    an_outcome(carried_out(a_customer(account_value=1), **intervention), **outcome)
    assert snapshots.protected(AS_OF)["interventions"] == 0


def test_value_protected_is_not_known_without_outcomes_and_labelled_as_reported(manager):
    customer = a_customer(account_value=12_000)
    run = a_run()
    assess(run, {customer: "high"})
    an_outcome(carried_out(customer), measured_at=AS_OF + timedelta(days=1))
    finish(run)
    html = manager.get(PAGE).content.decode()
    assert "No outcome was recorded in the 90 days up to 10 Mar 2025" in html
    Outcome.objects.update(measured_at=AS_OF)
    again = a_run()
    assess(again, {customer: "high"})
    finish(again)
    html = manager.get(PAGE).content.decode()
    assert "Value protected, as reported" in html
    assert "of $12,000: 1 of 1 customers" in html
    assert "nobody has measured whether it came of what was done" in html


# -- the page


def test_before_the_first_run_the_page_says_what_to_do(manager):
    for page in (PAGE, RISEN):
        answer = manager.get(page)
        assert answer.status_code == 200
        check_html(answer.content.decode())
    assert "Nothing is known about the portfolio yet" in manager.get(PAGE).content.decode()
    assert manager.get(PAGE, {"csv": "by-stage"}).status_code == 200


def test_every_chart_has_words_for_those_who_do_not_see_it_and_its_table(manager):
    customers = a_portfolio(30)
    a_random_run(customers, 31, AS_OF - timedelta(days=7))
    a_random_run(customers, 32)
    html = manager.get(PAGE).content.decode()
    check_html(html)
    assert "Portfolio</a>" in html
    assert html.count('<svg class="chart"') == html.count('role="img"') == 6
    assert html.count("<desc") == 6
    assert "<desc id=" in html
    assert "></desc>" not in html
    assert html.count("As a table</summary>") == 6
    for name in ("by-stage", "by-segment", "revenue", "movement", "over-time", "revenue-over-time-USD"):
        assert f"csv={name}" in html
        assert as_csv(manager, name)


def test_the_file_has_the_figures_of_the_page_with_run_and_day(manager):
    customers = a_portfolio(40)
    a_random_run(customers, 41, AS_OF - timedelta(days=7))
    run = a_random_run(customers, 42)
    answer = manager.get(PAGE, {"csv": "by-stage", "segment": "SMB"})
    assert answer.streaming
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"] == 'attachment; filename="by-stage.csv"'
    found = portfolio.latest(segment="SMB")
    rows = as_csv(manager, "by-stage", segment="SMB")
    assert [(int(row["High"]), int(row["Assessed"])) for row in rows] == [
        (row.high, row.assessed) for row in found.by_stage
    ]
    assert {(row["run"], row["as of"], row["of segment"]) for row in rows} == {
        (str(run.pk), "2025-03-10", "SMB")
    }
    assert {row["At risk, 0 to 1"] for row in rows if row["Assessed"] == "0"} == {"not known"}
    moves = as_csv(manager, "movement", segment="SMB")
    assert sum(int(row[f"To {tier}"]) for row in moves for tier in TIERS) == found.tiers.assessed
    (euro, usd) = as_csv(manager, "revenue")
    assert (euro["Currency"], usd["Currency"]) == ("EUR", "USD")
    assert Decimal(usd["At risk"]) == portfolio.latest().revenue[1].at_risk


def test_a_name_cannot_begin_a_formula_in_the_file(manager):
    names = ["=1+1", "+1", "-1", "@x", "Plain, “Ltd”"]
    customers = [a_customer(name=name, owner="\t=2") for name in names]
    first, second = a_run(AS_OF - timedelta(days=1)), a_run()
    assess(first, dict.fromkeys(customers, "low"))
    finish(first)
    assess(second, dict.fromkeys(customers, "high"))
    finish(second)
    rows = as_csv(manager, "risen", RISEN)
    assert [row["Name"] for row in rows] == ["'=1+1", "'+1", "'-1", "'@x", "Plain, “Ltd”"]
    assert {row["Owner"] for row in rows} == {"'\t=2"}
    assert rows[0]["Value a year"] == "not known"
    assert "=1+1" in manager.get(RISEN).content.decode()


@pytest.mark.parametrize("page", [PAGE, RISEN])
def test_the_page_is_for_those_who_may_see_what_runs_concluded(people, page):
    run = a_run()
    assess(run, {a_customer(): "high"})
    finish(run)
    nobody = get_user_model().objects.create_user("nobody", password="a-long-password", is_staff=True)
    assert client_of(nobody).get(page).status_code == 403
    assert client_of(nobody).get(page, {"csv": "by-stage"}).status_code == 403
    assert "Portfolio</a>" not in client_of(nobody).get("/admin/").content.decode()
    for client in (client_of(people[name]) for name in ("operator", "approver", "manager", "auditor")):
        assert client.get(page).status_code == 200
        assert client.post(page).status_code == 405


def test_who_may_not_see_customers_gets_no_links_to_them():
    customer = a_customer(name="Kestrel")
    first, second = a_run(AS_OF - timedelta(days=1)), a_run()
    assess(first, {customer: "low"})
    finish(first)
    assess(second, {customer: "high"})
    finish(second)
    reader = get_user_model().objects.create_user("reader", password="a-long-password", is_staff=True)
    reader.user_permissions.add(Permission.objects.get(codename="view_assessment"))
    html = client_of(reader).get(RISEN).content.decode()
    assert "Kestrel" in html
    assert "/admin/journeys/customer/" not in html


@pytest.mark.parametrize("query", [{"segment": "Nobody's"}, {"segment": "<b>"}, {"csv": "no-such-table"}])
def test_an_address_that_asks_for_what_is_not_there_does_no_harm(manager, query):
    run = a_run()
    assess(run, {a_customer(segment="SMB"): "high"})
    finish(run)
    answer = manager.get(PAGE, query)
    assert answer.status_code == (404 if "csv" in query else 200)
    assert "<b>" not in answer.content.decode().split("Risk by stage")[0].split("</header>")[0]


def test_the_page_costs_the_same_for_ten_and_for_many_and_reads_no_assessments(manager):
    def cost(page: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            assert manager.get(page).status_code == 200
        assert not [query for query in queries if "journeys_assessment" in query["sql"]]
        return len(queries)

    customers = a_portfolio(50, 5)
    a_random_run(customers, 51, AS_OF - timedelta(days=2))
    few = cost(PAGE), cost(RISEN)
    customers += a_portfolio(52, 150)
    a_random_run(customers, 53, AS_OF - timedelta(days=1))
    a_random_run(customers, 54)
    assert cost(PAGE) <= max(few[0], 12)
    assert cost(RISEN) <= max(few[1], 12)


# -- the manager's front page


def test_the_front_page_tells_managers_and_only_them_how_the_portfolio_stands(people):
    home = {name: client_of(people[name]) for name in ("operator", "approver", "manager", "auditor")}
    assert "before the first run over all customers" in home["manager"].get("/admin/").content.decode()
    customers = a_portfolio(60)
    a_random_run(customers, 61, AS_OF - timedelta(days=7))
    a_random_run(customers, 62)
    found = portfolio.latest()
    for name, client in home.items():
        html = client.get("/admin/").content.decode()
        check_html(html)
        assert ("<h2>The portfolio</h2>" in html) == (name == "manager")
    html = home["manager"].get("/admin/").content.decode()
    assert f"of {found.tiers.assessed} assessed, {found.tiers.high} at high risk" in html
    assert (
        f'aria-label="From {found.trend[0].tiers.at_risk} on 3 Mar 2025 to {found.tiers.at_risk} on' in html
    )
    for row in found.revenue:
        assert shown.money(row.at_risk, row.currency) in html
    assert "no outcome in 90 days" in html
    assert f"{found.movement.up} whose risk rose" in html


def test_the_front_page_says_of_the_value_protected_that_it_was_reported(people):
    customer, lost = a_customer(account_value=9_000), a_customer(account_value=1_000)
    an_outcome(carried_out(customer))
    an_outcome(carried_out(lost), "no_response")
    run = a_run()
    assess(run, {customer: "high"})
    finish(run)
    html = client_of(people["manager"]).get("/admin/").content.decode()
    assert "of $10,000: 1 of 2 customers" in html
    assert "Value protected is what was reported, not what was measured." in html


def test_a_manager_who_may_not_see_assessments_sees_nothing_of_the_portfolio(people):
    Group.objects.get(name="Managers").permissions.remove(Permission.objects.get(codename="view_assessment"))
    assert "The portfolio" not in client_of(people["manager"]).get("/admin/").content.decode()
