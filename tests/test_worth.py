"""What a run stores of what it was worth: every figure against an independent count of the rows."""

import json
from collections import Counter, defaultdict
from datetime import date, timedelta
from decimal import Decimal
from importlib import import_module
from types import SimpleNamespace

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from approvals.models import ApprovalRequest, Decision
from approvals.services.viewing import note_viewed
from journeys import reports
from journeys.domain.effect import Share, difference_of_shares
from journeys.domain.kpis import KPIS
from journeys.models import (
    Assessment,
    Assignment,
    Customer,
    Execution,
    Intervention,
    Measurement,
    Outcome,
    PipelineRun,
    Signal,
)
from journeys.reports import worth
from tests import acting
from tests.by_hand import (
    AS_OF,
    a_customer,
    an_assessment,
    an_execution,
    an_intervention,
    an_outcome,
    days,
    run_row,
)
from tests.runs import SAMPLE_DAY, run_pipeline
from tests.worth import kpi, results_of

pytestmark = pytest.mark.django_db


def parts(row: dict) -> tuple:
    return row["value"], row["numerator"], row["denominator"]


# The published figures


def test_the_sample_with_its_history_gives_the_published_figures(db):
    call_command("loaddata", "sample", "sample_history", verbosity=0)
    run = run_pipeline(AS_OF)
    assert parts(kpi(run.results, "resolved_share")) == (2 / 6, 2, 6)
    assert parts(kpi(run.results, "time_to_resolution_days")) == (4.25, 17, 4)
    assert kpi(run.results, "revenue_preserved_reported")["numerator"] == 4800
    assert parts(kpi(run.results, "orphaned_share")) == (1 / 12, 1, 12)
    window = kpi(run.results, "resolved_share")["window"]
    assert window == {"from": "2024-12-22", "until": "2025-01-20"}
    assert run.report["worth"] == run.results


def test_the_steps_kpi_and_roi_do_their_work_and_say_what_they_counted(sample_run):
    steps = {step["name"]: step for step in sample_run.steps}
    assert steps["kpi_calculation"]["status"] == steps["roi_calculation"]["status"] == "done"
    assert steps["kpi_calculation"]["in"] > steps["kpi_calculation"]["out"] > 0
    stored = PipelineRun.objects.get(pk=sample_run.pk).results
    assert stored == sample_run.results == json.loads(json.dumps(stored, allow_nan=False))
    assert [row["name"] for row in stored["kpis"]] == list(KPIS)
    for row in stored["kpis"]:
        assert {"name", "tier", "value", "numerator", "denominator", "target", "status", "window"} <= set(row)


def test_a_run_on_one_customer_has_no_figures_of_the_portfolio(sample_run):
    run = run_pipeline(customer_id="C001")
    assert run.results == {}
    assert "a run on one customer has none" in reports.render_markdown(run.report)


# Against independent counts, on a demo that was lived through by the services


def independently(run: PipelineRun) -> dict[str, tuple[float, float]]:
    """Numerator and denominator of each KPI that is counted from rows, by plain loops over all rows."""
    rules = run.policy.rules
    until, since = run.as_of, run.as_of - days(rules.kpis.window_days)
    everything = list(Intervention.objects.select_related("customer"))
    in_window = [row for row in everything if since < row.as_of <= until]
    proposed = [row for row in in_window if row.origin != "imported"]
    done = [row for row in in_window if row.status in ("executed", "recorded", "imported")]
    asked = {row.subject_key: row for row in ApprovalRequest.objects.filter(kind="intervention")}
    ended = {row.request_id: row for row in Decision.objects.filter(ends=True)}
    by_people = [
        (asked[row.pk], ended[asked[row.pk].pk])
        for row in proposed
        if row.pk in asked and getattr(ended.get(asked[row.pk].pk), "authority", "") == "person"
    ]
    outcomes = {}
    for row in Outcome.objects.order_by("measured_at", "recorded_at"):
        if row.measured_at <= until:
            outcomes[row.intervention_id] = row
    machine = [row for row in proposed if row.origin == "machine"]
    waited = [
        (row.generated_at - row.signals_received_at).total_seconds() / 3600
        for row in machine
        if row.signals_received_at
    ]
    first_window = [
        row
        for row in everything
        if row.status in ("executed", "recorded", "imported")
        and since - days(30) < row.as_of <= until - days(30)
    ]

    def repeated(row) -> bool:
        later = [
            other
            for other in everything
            if other.customer_id == row.customer_id
            and other.status in ("executed", "recorded", "imported")
            and (other.as_of, other.pk) > (row.as_of, row.pk)
        ]
        return any(other.as_of <= row.as_of + days(30) for other in later)

    tickets = defaultdict(list)
    for signal in Signal.objects.filter(signal_type__in=["support_ticket_spike", "repeat_support_tickets"]):
        if signal.detected_at.date() >= since - days(90):
            tickets[signal.customer_id].append(signal.detected_at.date())
    truth = rules.outcomes.truth_days
    rejected = [
        row
        for row in everything
        if row.status == "rejected" and since - days(truth) < row.as_of <= until - days(truth)
    ]
    stayed = [
        row
        for row in rejected
        if not (row.customer.churned_on and row.as_of < row.customer.churned_on <= row.as_of + days(truth))
    ]
    measured = [
        row
        for row in Measurement.objects.select_related("assignment")
        if row.checkpoint_days == rules.outcomes.proxy_days
        and since < row.until <= until
        and row.replaced_at is None
    ]
    recovering = [
        row
        for row in measured
        if row.intervention_id and row.health_before in ("at_risk", "critical") and row.health_after
    ]

    def falls(arm: str) -> list[float]:
        return [
            row.churn_before - row.churn_after
            for row in measured
            if row.assignment
            and row.assignment.arm == arm
            and None not in (row.churn_before, row.churn_after)
        ]

    due = ("segment", "account_value", "tenure_months", "owner", "email", "renewal_date")
    customers = list(Customer.objects.all())
    with_days = [outcomes[row.pk].resolution_time_days for row in done if row.pk in outcomes]
    with_days = [number for number in with_days if number is not None]
    expired = [row for row in proposed if row.pk in asked and asked[row.pk].status == "expired"]
    undecided = [row for row in expired if asked[row.pk].pk not in ended]
    decided = [row for row in proposed if row.pk in asked and asked[row.pk].pk in ended]
    return {
        "data_completeness": (
            sum(getattr(row, name) not in (None, "") for row in customers for name in due),
            len(customers) * 6,
        ),
        "signal_to_queue_hours": (sum(waited), len(waited)),
        "escalation_share": (sum(row.requires_human_approval for row in machine), len(machine)),
        "override_share": (
            sum(end.verdict == "rejected" or bool(request.editors) for request, end in by_people),
            len(by_people),
        ),
        "expired_share": (len(undecided), len(undecided) + len(decided)),
        "time_to_decide_hours": (
            sum((end.decided_at - request.requested_at).total_seconds() / 3600 for request, end in by_people),
            len(by_people),
        ),
        "time_to_resolution_days": (sum(with_days), len(with_days)),
        "resolved_share": (
            sum(outcomes[row.pk].outcome == "resolved" for row in done if row.pk in outcomes),
            sum(row.pk in outcomes for row in done),
        ),
        "repeat_share": (sum(map(repeated, first_window)), len(first_window)),
        "proactive_share": (
            sum(not any(day <= row.as_of for day in tickets[row.customer_id]) for row in done),
            len(done),
        ),
        "stage_recovery_share": (sum(row.health_after == "healthy" for row in recovering), len(recovering)),
        "rejections_right_share": (len(stayed), len(rejected)),
        "churn_risk_fall_treated": (sum(falls("treated")), len(falls("treated"))),
        "churn_risk_fall_held_out": (sum(falls("held_out")), len(falls("held_out"))),
    }


def test_every_figure_of_a_run_is_that_of_an_independent_count(lived):
    results = lived.results
    for name, (numerator, denominator) in independently(lived).items():
        row = kpi(results, name)
        assert row["denominator"] == denominator, name
        assert (row["numerator"] or 0) == pytest.approx(numerator), name
        assert denominator == 0 or row["value"] == pytest.approx(numerator / denominator), name
    # The demo is worth comparing with only where something was counted.
    counted = [name for name, (_, denominator) in independently(lived).items() if denominator]
    assert len(counted) >= 12


def test_the_value_at_risk_counts_each_customer_once_and_no_currency_with_another(lived):
    for currency in ("USD", "EUR"):
        rated = Assessment.objects.filter(run=lived, customer__currency=currency).select_related("customer")
        values = {row.customer_id: row.customer.account_value for row in rated}
        risky = {row.customer_id for row in rated if row.risk_tier in ("high", "medium")}
        row = kpi(lived.results, "revenue_at_risk_share", currency)
        known = {key: value for key, value in values.items() if value is not None}
        assert Decimal(str(row["denominator"])) == sum(known.values())
        assert Decimal(str(row["numerator"])) == sum(value for key, value in known.items() if key in risky)


def test_cost_and_reported_value_are_of_the_same_executed_interventions(lived):
    money, rules = lived.results["roi"], lived.policy.rules.roi
    executed = {}
    for row in Intervention.objects.filter(status="executed").select_related("execution", "customer"):
        day = row.as_of + (row.ended_at - row.generated_at)
        if lived.as_of - days(30) < day <= lived.as_of:
            executed[row.pk] = row
    live = {key: row for key, row in executed.items() if row.execution.mode == "live"}
    reviews = Decision.objects.filter(authority="person", request__subject_key__in=executed).count()
    sends = sum(rules.channel_cost[row.channel] for row in live.values())
    assert (money["executed"], money["sent"]) == (len(executed), len(live))
    assert money["record_only"] == len(executed) - len(live)
    # Nobody opened anything in the demo's past: each review counts with the whole cap.
    assert (money["reviews"], money["reviews_unseen"]) == (reviews, reviews)
    assert money["costs"]["total"] == pytest.approx(reviews * 30 + sends + rules.infrastructure_per_month)
    saved = Counter()
    for row in Outcome.objects.filter(intervention__in=executed, estimated_revenue_saved__isnull=False):
        sent = row.intervention_id in live
        saved[executed[row.intervention_id].customer.currency, sent] += row.estimated_revenue_saved
    # Where nothing was reported of what was sent, nothing is known.
    told = float(saved["USD", True]) if ("USD", True) in saved else None
    assert money["reported"]["value"] == told
    assert {(row["currency"], row["sent"]): row["value"] for row in money["left_out"]} == {
        key: float(value) for key, value in saved.items() if key != ("USD", True)
    }
    cost = money["costs"]["total"]
    assert money["reported"]["roi"] == pytest.approx((money["reported"]["value"] - cost) / cost)
    assert kpi(lived.results, "cost_per_case")["value"] == pytest.approx(cost / len(executed))


def test_the_rows_behind_a_figure_add_up_to_it(lived):
    scope = worth.scope_of(lived, lived.policy.rules)
    for name, rows in worth.ROWS.items():
        listed = list(rows(scope).listed(1000))
        row = kpi(lived.results, name)
        assert (len(listed), sum(one.part for one in listed)) == (
            row["denominator"],
            pytest.approx(row["numerator"] or 0),
        ), name


def test_the_effect_is_that_of_an_independent_count_over_the_arms(lived):
    (found,) = lived.results["effects"]
    truth = lived.policy.rules.outcomes.truth_days
    arms = {arm: [0, 0] for arm in ("treated", "held_out")}
    for row in Assignment.objects.select_related("customer"):
        last = row.assigned_on + days(truth)
        if last <= lived.as_of:
            left = row.customer.churned_on
            arms[row.arm][0] += bool(left and row.assigned_on < left <= last)
            arms[row.arm][1] += 1
    for arm, (count, of) in arms.items():
        assert (found["left"][arm]["count"], found["left"][arm]["of"]) == (count, of)
    assert found["entered"] == dict(Counter(Assignment.objects.values_list("arm", flat=True)))
    expected = difference_of_shares(Share(*arms["treated"]), Share(*arms["held_out"]))
    assert found["left"]["difference"]["low"] == pytest.approx(expected.low, abs=1e-6)
    assert (found["verdict"], found["final"]) == ("collecting", False)


def test_overrides_and_playbooks_are_those_of_independent_counts(lived):
    learnt = lived.results["learning"]
    decided, overruled = Counter(), Counter()
    for end in Decision.objects.filter(ends=True, authority="person").select_related("request"):
        if end.request.kind == "intervention":
            decided[end.request.action] += 1
            overruled[end.request.action] += end.verdict == "rejected" or bool(end.request.editors)
    by_action = {row["key"]: row for row in learnt["overrides"] if row["by"] == "action"}
    assert {key: row["decided"] for key, row in by_action.items()} == decided
    assert {key: row["overruled"] for key, row in by_action.items()} == {
        key: overruled[key] for key in decided
    }
    runs, success = Counter(), defaultdict(lambda: [0, 0])
    for row in Intervention.objects.filter(status__in=["executed", "recorded", "imported"]):
        key = row.recommended_action, row.customer.segment
        runs[key] += 1
        last = row.outcomes.order_by("measured_at", "recorded_at").last()
        if last:
            success[key][0] += last.outcome in ("resolved", "improved_engagement")
            success[key][1] += 1
    assert {(row["action"], row["segment"]): row["runs"] for row in learnt["playbooks"]} == runs
    assert {(row["action"], row["segment"]): row["success"] for row in learnt["playbooks"]} == {
        key: success[key] for key in runs
    }


def test_calibration_counts_who_left_after_the_score_by_band(lived):
    learnt = lived.results["learning"]["calibration"]
    then = PipelineRun.objects.filter(as_of=date.fromisoformat(learnt["of"]), scope="portfolio").last()
    counted = defaultdict(lambda: [0, 0])
    rows = Assessment.objects.filter(run__lte=then).select_related("customer").order_by("run_id")
    for row in {row.customer_id: row for row in rows}.values():
        left = row.customer.churned_on
        if left is None or left > then.as_of:
            band = min(9, int(round(row.churn_risk_score * 1000) // 100))
            counted[band][0] += bool(left and left <= then.as_of + days(learnt["days"]))
            counted[band][1] += 1
    assert [(row["count"], row["of"]) for row in learnt["bands"]] == [
        tuple(counted[band]) for band in sorted(counted)
    ]


# What is not known


def unknown(results: dict) -> set[str]:
    return {row["name"] for row in results["kpis"] if row["value"] is None}


def test_of_nothing_nothing_is_known_and_nothing_is_0():
    results = results_of(run_row())
    assert unknown(results) == set(KPIS) - {"runs_finished"}
    assert {row["status"] for row in results["kpis"] if row["value"] is None} == {"not_known"}
    assert results["headlines"]["business"] == "not_known"
    assert results["roi"]["costs"] is None
    assert results["effects"] == results["learning"]["suggestions"] == []
    report = reports.build(run_row(results=results))
    for text in (reports.render_markdown(report), reports.render_html(report)):
        assert "nobody was held out" in text
        assert "cost, value and return are not known" in text


def test_of_one_customer_without_a_value_no_value_is_claimed():
    run = run_row()
    an_assessment(run, customer=a_customer(account_value=None, name=""))
    results = results_of(run, customers=1)
    assert kpi(results, "revenue_at_risk_share")["value"] is None
    assert kpi(results, "data_completeness")["value"] == 0.0
    assert reports.render_markdown(reports.build(run_row(results=results)))


def test_where_no_value_of_those_at_risk_is_known_it_is_not_0_that_is_at_risk():
    run = run_row()
    an_assessment(run, customer=a_customer(account_value=None), tier="high")
    an_assessment(run, customer=a_customer(account_value=900), tier="low")
    assert parts(kpi(results_of(run), "revenue_at_risk_share")) == (None, None, 900)
    an_assessment(run, customer=a_customer(account_value=100), tier="medium")
    assert parts(kpi(results_of(run), "revenue_at_risk_share")) == (0.1, 100, 1000)


def test_without_an_outcome_nothing_is_resolved_and_nothing_is_unresolved():
    an_intervention()
    results = results_of(run_row())
    assert parts(kpi(results, "resolved_share")) == (None, None, 0)
    assert kpi(results, "proactive_share")["denominator"] == 1


def test_a_proposal_waited_for_the_last_of_the_signals_that_it_rests_on_whatever_these_say_later(sample):
    now = timezone.now()
    for hours, row in enumerate(Signal.objects.order_by("pk"), start=2):
        Signal.objects.filter(pk=row.pk).update(received_at=now - timedelta(hours=hours))
    first = run_pipeline()
    rows = list(Intervention.objects.exclude(triggered_by_signals=[]))
    for row in rows:
        rests_on = Signal.objects.filter(pk__in=row.triggered_by_signals)
        assert row.signals_received_at == max(signal.received_at for signal in rests_on)
    hours, _, proposed = parts(kpi(first.results, "signal_to_queue_hours"))
    assert (hours > 2, proposed) == (True, len(rows))
    Signal.objects.update(received_at=timezone.now())  # corrected since
    Intervention.objects.update(triggered_by_signals=[])  # and brought up to date
    second = run_pipeline()
    assert parts(kpi(second.results, "signal_to_queue_hours"))[::2] == (hours, proposed)


def test_of_what_was_proposed_before_it_was_kept_it_is_looked_up_once(sample_run):
    kept = list(Intervention.objects.order_by("pk").values_list("pk", "signals_received_at"))
    assert any(received for _, received in kept)
    Intervention.objects.update(signals_received_at=None)
    migration = import_module("journeys.migrations.0014_when_signals_were_received")
    migration.fill(apps, SimpleNamespace(connection=connection))
    assert list(Intervention.objects.order_by("pk").values_list("pk", "signals_received_at")) == kept


def test_a_signal_received_only_after_it_was_proposed_is_not_what_it_waited_for(sample):
    Signal.objects.update(received_at=timezone.now() + timedelta(hours=1))
    run = run_pipeline()
    assert Intervention.objects.exists()
    assert parts(kpi(run.results, "signal_to_queue_hours"))[2] == 0


def test_of_several_outcomes_of_an_intervention_the_latest_counts_once():
    first, second = (an_intervention(customer=a_customer(account_value=1000)) for _ in range(2))
    for back, outcome in ((4, "no_response"), (2, "improved_engagement"), (0, "resolved")):
        an_outcome(
            first,
            outcome=outcome,
            measured_at=AS_OF - days(back),
            resolution_time_days=back + 1,
            estimated_revenue_saved=100 + back,
        )
    an_outcome(second, outcome="no_response", resolution_time_days=5, estimated_revenue_saved=50)
    results = results_of(run_row())
    assert parts(kpi(results, "resolved_share")) == (0.5, 1, 2)
    assert parts(kpi(results, "time_to_resolution_days")) == (3.0, 6, 2)
    assert parts(kpi(results, "revenue_preserved_reported")) == (0.075, 150, 2000)


def test_where_nobody_is_on_record_as_having_left_no_rejection_was_right():
    an_intervention(status="rejected", as_of=AS_OF - days(90))
    assert kpi(results_of(run_row()), "rejections_right_share")["value"] is None
    a_customer(churned_on=AS_OF)
    assert parts(kpi(results_of(run_row()), "rejections_right_share")) == (1.0, 1, 1)


def test_what_went_through_on_record_only_saved_nothing():
    customer = a_customer(account_value=1000)
    moment = timezone.now()
    row = an_intervention(
        customer=customer, status="executed", origin="machine", generated_at=moment, ended_at=moment
    )
    execution = an_execution(row, mode="record_only")
    an_outcome(row, estimated_revenue_saved=500)
    results = results_of(run_row())
    assert results["roi"]["reported"]["value"] is None
    assert kpi(results, "revenue_preserved_reported")["value"] is None
    assert "nothing was sent" in reports.render_markdown(reports.build(run_row(results=results)))
    Execution.objects.filter(pk=execution.pk).update(mode="live")
    results = results_of(run_row())
    assert results["roi"]["reported"]["value"] == 500
    assert parts(kpi(results, "revenue_preserved_reported")) == (0.5, 500, 1000)


def test_a_target_that_the_policy_leaves_out_leaves_the_headline_too(policy_with):
    policy = policy_with({"kpis": {"targets": {"runs_finished": 0.9}}})
    results = results_of(run_row(policy=policy))
    assert results["headlines"] == {
        "operational": "exceeded",
        "effectiveness": "not_known",
        "business": "not_known",
    }


# What it rests on


def test_a_review_takes_from_the_opening_by_who_decided_to_the_decision(people, sample_run, live):
    request = acting.waiting("C005")
    note_viewed(request, user=people["approver2"], door="test")
    note_viewed(request, user=people["approver"], door="test")
    done = acting.approve("C005", people["approver"])
    end = Decision.objects.get(request=request)
    opened = timezone.now() - end.decided_at
    assert opened < timedelta(minutes=5)
    row = Intervention.objects.get(pk=done.pk)
    Intervention.objects.filter(pk=row.pk).update(status="executed", ended_at=row.generated_at)
    an_execution(row)
    money = results_of(run_row(as_of=SAMPLE_DAY))["roi"]
    assert (money["reviews"], money["reviews_unseen"]) == (1, 0)
    assert 0 <= money["review_minutes"] < 1
    assert money["costs"]["channel"] == 20.0


# How it is shown


def test_the_report_can_be_had_as_json(sample_run, capsys):
    call_command("report", format="json")
    report = json.loads(capsys.readouterr().out)
    assert report == PipelineRun.objects.get(pk=sample_run.pk).report
    assert report["worth"]["kpis"][0]["name"] == "runs_finished"
