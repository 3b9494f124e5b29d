"""The report of a run: what it counts, and what it says it does not know."""

import itertools
from collections import Counter
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from approvals.models import ApprovalRequest, Decision
from journeys import reports
from journeys.models import (
    Assessment,
    Finding,
    Intervention,
    Outcome,
    Signal,
)
from journeys.reports.outcomes import ExactSum
from tests.by_hand import AS_OF, a_customer, an_assessment, an_execution, an_intervention, an_outcome, run_row
from tests.runs import run_pipeline

pytestmark = pytest.mark.django_db


@pytest.fixture
def history_run():
    """The sample with its history, run on the day for which the figures were published."""
    call_command("loaddata", "sample", "sample_history", verbosity=0)
    return run_pipeline(AS_OF)


def parts(figure) -> tuple:
    return figure["value"], figure["numerator"], figure["denominator"]


# What it counts


def test_the_sample_with_its_history_gives_the_published_figures(history_run):
    outcomes = history_run.report["outcomes"]
    assert (outcomes["interventions"], outcomes["with_outcome"], outcomes["open"]) == (8, 6, 2)
    assert parts(outcomes["resolved"]) == (2 / 6, 2, 6)
    assert parts(outcomes["days_to_resolve"]) == (4.25, 17, 4)
    assert parts(outcomes["csat_change"]) == (4 / 6, 4, 6)
    assert parts(outcomes["churn_risk_change"]) == (-0.8 / 6, -0.8, 6)
    (saved,) = outcomes["revenue_saved"]
    assert (Decimal(saved["value"]), saved["denominator"]) == (4800, 6)
    assert parts(outcomes["overridden"]) == (1 / 6, 1, 6)


def test_the_published_figures_stand_in_both_renderings(history_run):
    markdown = reports.render_markdown(history_run.report)
    html = reports.render_html(history_run.report)
    for text in ("2 of 6", "4.25", "17 ÷ 4", "+0.67", "4 ÷ 6", "−0.80 ÷ 6", "4,800 USD", "1 of 6"):
        assert text in markdown
        assert text in html


def test_every_outcome_figure_is_that_of_an_independent_count(history_run):
    outcomes = history_run.report["outcomes"]
    latest = {}
    for row in sorted(Outcome.objects.all(), key=lambda row: (row.measured_at, row.recorded_at)):
        if row.measured_at <= AS_OF:
            latest[row.intervention_id] = row
    rows = list(latest.values())
    for name, field in (
        ("days_to_resolve", "resolution_time_days"),
        ("csat_change", "csat_delta"),
        ("churn_risk_change", "churn_risk_delta"),
    ):
        measured = [getattr(row, field) for row in rows if getattr(row, field) is not None]
        assert outcomes[name]["numerator"] == pytest.approx(sum(measured))
        assert outcomes[name]["denominator"] == len(measured)
    assert outcomes["resolved"]["numerator"] == sum(row.outcome == "resolved" for row in rows)
    assert outcomes["overridden"]["numerator"] == sum(bool(row.human_override) for row in rows)
    assert {row["outcome"]: row["count"] for row in outcomes["by_outcome"]} == Counter(
        row.outcome for row in rows
    )
    assert Decimal(outcomes["revenue_saved"][0]["value"]) == sum(row.estimated_revenue_saved for row in rows)


def test_the_portfolio_is_counted_by_stage_and_tier(sample_run):
    portfolio = sample_run.report["portfolio"]
    rows = list(sample_run.assessments.all())
    expected = Counter((row.journey_stage, row.risk_tier) for row in rows)
    counted = {
        (row["journey_stage"], tier): row[tier]
        for row in portfolio["by_stage"]
        for tier in ("high", "medium", "low")
    }
    assert Counter(counted) - Counter() == expected
    assert portfolio["assessed"] == len(rows) == sum(portfolio["by_tier"].values()) == 10
    assert portfolio["signals"] == {"received": 12, "matched": 11, "orphaned": 1}


def test_those_at_risk_stand_by_risk_with_the_first_reasons(sample_run):
    at_risk = sample_run.report["at_risk"]
    assert (at_risk["total"], at_risk["more"]) == (4, 0)
    assert [row["customer_id"] for row in at_risk["rows"]] == ["C004", "C005", "C010", "C001"]
    first = at_risk["rows"][0]
    assert (first["overall_risk_score"], first["risk_tier"], first["churn_risk_score"]) == (
        0.502,
        "medium",
        0.685,
    )
    assert first["reasons"] == sample_run.assessments.get(customer="C004").risk_factors[:3]


def test_who_was_at_risk_as_the_portfolio_was_counted_and_is_not_any_more_is_not_told_of(sample_run):
    assert sum(sample_run.report["portfolio"]["by_tier"][tier] for tier in ("high", "medium")) > 0
    Assessment.objects.update(risk_tier="low")
    report = reports.build(sample_run)
    assert report["at_risk"] == {"total": 0, "rows": [], "more": 0}
    assert "None" in report["takeaways"][0]


def test_of_two_equal_risks_the_larger_account_comes_first_and_an_unknown_value_last():
    run = run_row()
    for name, value in (("small", 1000), ("unknown", None), ("large", 9000)):
        an_assessment(run, customer=a_customer(name=name, account_value=value))
    assert [row["name"] for row in reports.build(run)["at_risk"]["rows"]] == ["large", "small", "unknown"]


def test_a_long_list_says_how_many_more_there_are():
    run = run_row()
    for number in range(23):
        an_assessment(run, score=number / 100)
    report = reports.build(run)
    assert (len(report["at_risk"]["rows"]), report["at_risk"]["more"]) == (12, 11)
    assert "… and 11 more customers." in reports.render_markdown(report)


def test_what_a_run_proposed_says_who_decides(sample_run):
    proposed = sample_run.report["proposed"]
    assert (proposed["total"], proposed["by_person"], proposed["by_policy"]) == (3, 2, 1)
    deciders = {row["customer_id"]: row["authority"] for row in proposed["rows"]}
    assert deciders == {"C001": "policy", "C004": None, "C005": None}


def test_what_was_held_back_is_counted_by_reason(history_run):
    suppressed = history_run.report["suppressed"]
    rows = history_run.assessments.filter(disposition="suppressed")
    assert suppressed["total"] == rows.count() > 0
    assert {row["reason"]: row["count"] for row in suppressed["by_reason"]} == Counter(
        rows.values_list("suppression_reason", flat=True)
    )


def test_what_waits_is_counted_with_its_value_and_its_oldest(sample_run):
    pending = sample_run.report["pending"]
    rows = list(ApprovalRequest.objects.filter(status="pending"))
    assert pending["total"] == len(rows) == 2
    assert pending["value_at_stake"] == [{"currency": "USD", "amount": "80000.00", "count": 2}]
    oldest = min(row.requested_at for row in rows)
    assert datetime.fromisoformat(pending["oldest_requested_at"]) == oldest.replace(microsecond=0)
    assert [row["customer_id"] for row in pending["rows"]] == ["C004", "C005"]


def test_what_is_late_to_be_decided_is_counted_and_shown(sample_run):
    ApprovalRequest.objects.filter(concerning="C005").update(
        decision_due_at=timezone.now() - timedelta(hours=1), value_at_stake=None
    )
    report = reports.build(sample_run)
    assert (report["pending"]["overdue"], report["pending"]["value_unknown"]) == (1, 1)
    assert "42,000 USD, 1 account of unknown value" in reports.render_markdown(report)


def test_what_people_said_of_the_policys_own_decisions_is_counted(sample_run):
    assert reports.build(sample_run)["reviewed"] == {"agreed": 0, "disagreed": 0, "waiting": 0}
    ApprovalRequest.objects.filter(concerning="C005").update(
        kind="policy_review", status="rejected", decided_at=timezone.now()
    )
    report = reports.build(sample_run)
    assert report["reviewed"] == {"agreed": 0, "disagreed": 1, "waiting": 0}
    assert "0 agreed with, 1 not" in reports.render_markdown(report)


def test_executions_are_counted_where_they_stand_and_record_only_is_not_called_sent():
    run = run_row()
    an_execution(an_intervention(status="executed"))
    an_execution(an_intervention(status="executed"), mode="record_only")
    an_execution(an_intervention(status="failed"), status="failed")
    an_execution(an_intervention(status="unknown"), status="unknown")
    an_execution(an_intervention(status="approved"), status="retrying")
    an_intervention(status="approved")
    an_intervention(status="recorded")
    late, soon = timezone.now() - timedelta(days=1), timezone.now() + timedelta(days=1)
    an_execution(an_intervention(status="executing"), status="with_owner", due_at=late)
    an_execution(an_intervention(status="executing"), status="with_owner", due_at=soon)
    an_execution(an_intervention(status="executing"), status="claimed")
    report = reports.build(run)
    assert report["executed"] == {
        "live": 1,
        "record_only": 1,
        "without_execution": 0,
        "recorded": 1,
        "waiting": 1,
        "retrying": 1,
        "under_way": 1,
        "with_owner": 2,
        "overdue": 1,
        "failed": 1,
        "unknown": 1,
        "imported": 0,
    }
    assert sum(report["executed"].values()) - 1 == Intervention.objects.count()
    text = reports.render_markdown(report)
    assert "| Carried out on record only: nothing was sent | 1 |" in text
    assert "1 result is unknown, 1 execution has failed, 1 task is overdue" in text


def test_findings_are_counted_by_kind_with_examples(sample_run):
    found = sample_run.report["findings"]
    rows = Finding.objects.filter(status="open")
    assert {row["kind"]: row["count"] for row in found["by_kind"]} == Counter(
        rows.values_list("kind", flat=True)
    )
    examples = {row["kind"]: [one["subject"] for one in row["examples"]] for row in found["by_kind"]}
    assert examples["orphan_signal"] == ["S009"]
    assert examples["illegal_move"] == ["C009"]
    assert examples["days_mismatch"] == sorted(examples["days_mismatch"])


# Which outcomes count


def test_the_latest_outcome_of_an_intervention_counts_and_none_measured_later():
    intervention = an_intervention()
    now = timezone.now()
    an_outcome(intervention, outcome="no_response", measured_at=AS_OF - timedelta(days=3))
    an_outcome(intervention, outcome="no_action_needed", recorded_at=now - timedelta(hours=1))
    an_outcome(intervention, outcome="resolved", recorded_at=now)
    an_outcome(intervention, outcome="monitor_only", measured_at=AS_OF + timedelta(days=1))
    outcomes = reports.build(run_row())["outcomes"]
    assert outcomes["by_outcome"] == [{"outcome": "resolved", "count": 1}]


def test_only_what_was_done_by_the_day_of_the_run_counts():
    an_outcome(an_intervention(as_of=AS_OF + timedelta(days=1)))
    for status in ("failed", "rejected", "pending"):
        an_outcome(an_intervention(status=status))
    for status in ("executed", "recorded", "imported"):
        an_outcome(an_intervention(status=status))
    outcomes = reports.build(run_row())["outcomes"]
    assert (outcomes["interventions"], outcomes["with_outcome"]) == (3, 3)


def test_revenue_is_never_added_across_currencies():
    for currency, saved in (("EUR", "10.10"), ("USD", "20.20"), ("EUR", "0.05")):
        an_outcome(
            an_intervention(customer=a_customer(currency=currency)), estimated_revenue_saved=Decimal(saved)
        )
    saved = reports.build(run_row())["outcomes"]["revenue_saved"]
    assert [(row["currency"], row["value"], row["denominator"]) for row in saved] == [
        ("EUR", "10.15", 2),
        ("USD", "20.20", 1),
    ]


def test_sums_are_exact_whatever_the_order():
    recorded = [1e16, 0.1, -1e16, 0.2, 1e-9]
    totals = set()
    for order in itertools.permutations(recorded):
        total = ExactSum()
        for amount in order:
            total.add(amount)
        totals.add(total.total)
    assert totals == {Decimal("0.300000001")}


# What it does not know


def figures_of(outcomes) -> list[dict]:
    names = ("resolved", "days_to_resolve", "csat_change", "churn_risk_change", "overridden")
    return [*(outcomes[name] for name in names), *outcomes["revenue_saved"]]


def test_an_empty_portfolio_is_reported_as_not_known():
    report = reports.build(run_row())
    assert {parts(figure) for figure in figures_of(report["outcomes"])} == {(None, None, 0)}
    assert report["takeaways"][0] == "No customer was assessed, so nothing is known about the risk."
    assert "not known" in reports.render_markdown(report)
    assert "Nobody was assessed." in reports.render_html(report)


def test_without_an_outcome_nothing_is_zero():
    an_intervention()
    report = reports.build(run_row())
    assert report["outcomes"]["open"] == 1
    assert {figure["value"] for figure in figures_of(report["outcomes"])} == {None}
    text = reports.render_markdown(report)
    for title in ("Resolved", "Days to resolve, mean", "Revenue saved, as reported"):
        assert f"- {title}: **not known**" in text
    assert "What came of 1 intervention is not known yet: none has an outcome on record." in text
    assert any("days to resolve" in gap for gap in report["not_known"])


def test_an_outcome_that_does_not_state_a_figure_does_not_count_as_zero():
    an_outcome(an_intervention(), csat_delta=3.0)
    an_outcome(an_intervention())
    outcomes = reports.build(run_row())["outcomes"]
    assert parts(outcomes["csat_change"]) == (3.0, 3.0, 1)
    assert parts(outcomes["resolved"]) == (1.0, 2, 2)
    assert outcomes["overridden"]["value"] is None


def test_a_portfolio_of_one_customer_without_a_value():
    run = run_row(counts={"customers": 1})
    an_assessment(run, customer=a_customer(customer_id="ONE", name="", account_value=None))
    report = reports.build(run)
    text = reports.render_markdown(report)
    assert report["takeaways"][0].startswith("1 of 1 customer assessed is at medium or high risk")
    assert "| ONE (value not known) |" in text
    assert "The account value of 1 assessed customer." in report["not_known"]


def test_effect_and_return_are_named_as_not_measured(history_run):
    gaps = " ".join(history_run.report["not_known"])
    assert "nobody was held out" in gaps
    assert "return on investment" in gaps


def test_customers_without_a_stage_are_named_as_not_known():
    run = run_row(counts={"customers": 3})
    an_assessment(run)
    assert "The risk of 2 customers without an open journey state." in reports.build(run)["not_known"]


# About one customer


def test_a_run_on_one_customer_is_about_that_customer_alone(history_run):
    report = run_pipeline(AS_OF, customer_id="C003").report
    assert [row["customer_id"] for row in report["at_risk"]["rows"]] == ["C003"]
    assert report["at_risk"]["total"] == 0
    assert report["outcomes"]["interventions"] == 0
    of_c001 = run_pipeline(AS_OF, customer_id="C001").report
    assert of_c001["outcomes"]["interventions"] == of_c001["outcomes"]["resolved"]["numerator"] == 1
    assert {one["subject"] for row in of_c001["findings"]["by_kind"] for one in row["examples"]} <= {
        "C001",
        *Signal.objects.filter(customer_id="C001").values_list("pk", flat=True),
    }
    assert "Report on customer C001" in reports.render_markdown(of_c001)


# What is said first


def test_automatic_approval_for_testing_is_said_before_anything_else(settings):
    settings.DEBUG = True
    call_command("loaddata", "sample", verbosity=0)
    run = run_pipeline(date(2025, 1, 15), auto_approve_for_testing=True)
    approved = Decision.objects.filter(authority="auto_approval_for_testing").count()
    assert run.report["auto_approval"] == {"on": True, "approved_in_run": approved, "standing": approved}
    assert approved > 0
    assert reports.render_markdown(run.report).startswith("**AUTOMATIC APPROVAL FOR TESTING WAS ON")
    html = reports.render_html(run.report)
    assert html.index("AUTOMATIC APPROVAL FOR TESTING WAS ON") < html.index("<h1>")


def test_an_automatic_approval_that_still_stands_is_said_first_in_later_reports(settings):
    settings.DEBUG = True
    call_command("loaddata", "sample", verbosity=0)
    run_pipeline(date(2025, 1, 15), auto_approve_for_testing=True)
    later = run_pipeline(date(2025, 1, 16))
    assert later.report["auto_approval"]["on"] is False
    assert reports.render_markdown(later.report).startswith("**AUTOMATIC APPROVAL FOR TESTING decided")
    ApprovalRequest.objects.update(status="lapsed", decided_at=timezone.now())
    assert "AUTOMATIC APPROVAL" not in reports.render_markdown(reports.build(later)).splitlines()[0]


def test_the_number_of_queries_does_not_depend_on_the_number_of_customers():
    def queries(customers: int) -> int:
        run = run_row()
        for _ in range(customers):
            customer = an_assessment(run).customer
            an_outcome(an_intervention(customer=customer))
        with CaptureQueriesContext(
            connection,
        ) as captured:
            reports.build(run)
        return len(captured)

    assert queries(1) == queries(40) < 30


def test_the_portfolio_is_counted_by_segment_too(sample_run):
    rows = {row["segment"]: row for row in sample_run.report["portfolio"]["by_segment"]}
    found = Counter(
        (row.customer.segment, row.risk_tier)
        for row in Assessment.objects.filter(run=sample_run).select_related("customer")
    )
    assert {
        (of, tier): number
        for of, row in rows.items()
        for tier, number in row.items()
        if tier != "segment" and number
    } == dict(found)
    assert "Mid-Market" in reports.render_markdown(sample_run.report)


def test_next_steps_have_names_counts_and_dates(sample_run):
    steps = reports.build(sample_run)["next_steps"]
    request = ApprovalRequest.objects.pending().by_priority().first()
    due = request.decision_due_at
    assert f"Decide 2 interventions, first: {request.title}, by {due.day} {due:%b %Y}." in steps
    assert any(step.startswith("Mend ") for step in steps)
    text = reports.render_markdown(reports.build(sample_run))
    assert "## What to do next" in text


def test_next_steps_name_those_new_at_risk_and_what_is_stuck():
    first, last = run_row(), run_row()
    for name in ("Ames", "Bell", "Cole", "Dunn"):
        customer = a_customer(name=name)
        an_assessment(first, customer=customer, tier="low")
        an_assessment(last, customer=customer, tier="high")
    an_intervention(status="unknown")
    an_intervention(status="failed")
    steps = reports.build(last)["next_steps"]
    assert "Look at Ames, Bell, Cole and 1 more customer, new at risk since last time." in steps
    assert "Find out what became of 1 execution whose result is unknown." in steps
    assert "See why 1 execution failed." in steps
