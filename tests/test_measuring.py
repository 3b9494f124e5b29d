"""What a run measures some days after an execution, and after somebody was held out."""

from datetime import date, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from approvals.models import ApprovalRequest
from journeys.models import Customer, Intervention, Measurement, Outcome, Signal
from journeys.services import intake
from journeys.services.measuring import measure_due
from tests.by_hand import DAY, a_customer, an_assessment, an_execution, an_intervention, assigned, run_row
from tests.runs import run_pipeline

pytestmark = pytest.mark.django_db

NOON = timezone.make_aware(timezone.datetime(2025, 6, 1, 12))


def executed(customer=None, *, as_of=DAY, days_later=0, **values) -> Intervention:
    """Carried out so many days after it was proposed."""
    row = an_intervention(
        status="executed",
        origin="machine",
        customer=customer or a_customer(account_value=1000),
        as_of=as_of,
        generated_at=NOON,
        ended_at=NOON + timedelta(days=days_later),
        **values,
    )
    an_execution(row)
    return row


def measure(as_of: date, **values):
    run = run_row(as_of=as_of, **values)
    return measure_due(run, run.policy.rules)


def after(days: int) -> date:
    return DAY + timedelta(days=days)


def only() -> Measurement:
    return Measurement.objects.get()


def test_nothing_is_measured_before_its_day_and_each_checkpoint_once():
    executed()
    assert measure(after(6)) == (0, 0)
    assert measure(after(7)) == (1, 0)
    assert measure(after(7)) == (0, 0)
    assert measure(after(200)) == (2, 0)
    assert sorted(Measurement.objects.values_list("checkpoint_days", flat=True)) == [7, 30, 90]


def test_the_days_are_counted_from_the_execution_on_the_interventions_own_calendar():
    executed(days_later=2)
    assert measure(after(8)) == (0, 0)
    assert measure(after(9)) == (1, 0)
    assert (only().since, only().until) == (after(2), after(9))


@pytest.mark.parametrize("status", ["imported", "recorded", "rejected", "failed", "approved", "expired"])
def test_only_what_was_carried_out_here_is_measured(status):
    an_intervention(status=status, as_of=DAY)
    assert measure(after(100)) == (0, 0)


def test_those_held_out_are_measured_by_the_same_days_and_the_same_measure():
    assigned()
    assert measure(after(30)) == (2, 0)
    assert set(Measurement.objects.values_list("since", "until", "assignment__arm")) == {
        (DAY, after(7), "held_out"),
        (DAY, after(30), "held_out"),
    }


def test_score_and_stage_are_those_that_runs_saw_on_both_sides_of_the_days():
    customer = a_customer(account_value=1000)
    for days, churn, stage, health in (
        (-9, 0.9, "support", "critical"),
        (0, 0.6, "support", "at_risk"),
        (3, 0.5, "support", "at_risk"),
        (7, 0.4, "retention", "healthy"),
        (8, 0.1, "engagement", "healthy"),
    ):
        row = an_assessment(
            run_row(as_of=after(days)),
            customer=customer,
            as_of=after(days),
            journey_stage=stage,
            stage_health=health,
        )
        type(row).objects.filter(pk=row.pk).update(churn_risk_score=churn)
    executed(customer)
    measure(after(20))
    row = only()
    assert (row.churn_before, row.churn_after) == (0.6, 0.4)
    assert (row.stage_before, row.stage_after) == ("support", "retention")
    assert (row.health_before, row.health_after) == ("at_risk", "healthy")


@pytest.mark.parametrize(
    ("ended", "after_30"), [(False, pytest.approx(0.1 + 0.2 * 11 / 14, abs=1e-3)), (True, None)]
)
def test_what_holds_on_unwritten_was_seen_by_each_run_with_the_days_that_had_passed(ended, after_30):
    """A run keeps only what changed. Three days in support are 3/14 of full friction, which weighs 0.2."""
    customer = a_customer(account_value=1000)
    an_assessment(run_row(as_of=DAY), customer=customer, as_of=DAY, is_current=not ended)
    executed(customer)
    run_row(as_of=after(29))
    measure(after(30))
    of_7, of_30 = Measurement.objects.order_by("checkpoint_days")
    assert (of_7.churn_before, of_7.churn_after) == (0.1, None)  # no run looked within these days
    assert (of_30.churn_before, of_30.churn_after) == (0.1, after_30)


def test_what_ended_only_after_the_days_had_held_within_them():
    """Measured late: by then another conclusion holds, which says nothing of those days."""
    customer = a_customer(account_value=1000)
    an_assessment(run_row(as_of=DAY), customer=customer, as_of=DAY, is_current=False)
    executed(customer)
    run_row(as_of=after(5))
    an_assessment(run_row(as_of=after(8)), customer=customer, as_of=after(8), journey_stage="retention")
    measure(after(20))
    assert (only().stage_before, only().stage_after) == ("support", "support")
    assert only().churn_after == pytest.approx(0.1 + 0.2 * 4 / 14, abs=0.05)


def test_what_no_run_saw_is_not_known():
    executed()
    measure(after(7))
    assert (only().churn_before, only().churn_after, only().stage_after) == (None, None, "")


def test_signals_are_counted_after_the_day_and_up_to_the_last():
    customer = a_customer()
    for number, (days, kind) in enumerate(
        [
            (0, "usage_drop"),
            (1, "usage_drop"),
            (7, "negative_sentiment"),
            (8, "usage_drop"),
            (3, "usage_recovery"),
            (3, "low_product_usage"),
        ]
    ):
        moment = timezone.make_aware(timezone.datetime(2025, 1, 1, 23, 59)) + timedelta(days=days)
        Signal.objects.create(
            signal_id=f"M{number}",
            customer=customer,
            signal_type=kind,
            signal_strength=0.5,
            detected_at=moment,
        )
    executed(customer)
    measure(after(7))
    assert (only().negative_signals, only().positive_signals) == (2, 1)


def test_leaving_and_renewing_count_within_the_days_only():
    inside, on_the_day, late = (
        a_customer(churned_on=after(days), renewed_on=after(days)) for days in (7, 0, 8)
    )
    for customer in (inside, on_the_day, late):
        executed(customer)
    measure(after(7))
    found = {row.customer_id: (row.churned_on, row.renewed_on) for row in Measurement.objects.all()}
    assert found == {
        inside.pk: (after(7), after(7)),
        on_the_day.pk: (None, None),
        late.pk: (None, None),
    }


def test_the_value_before_is_that_of_the_request_and_the_one_after_the_customers():
    customer = a_customer(account_value=900)
    row = executed(customer)
    template = {"title": "x", "payload": {}, "fingerprint": "f", "permission": "p", "execute_within_hours": 1}
    names = ("remind_at", "decision_due_at", "expires_at", "decided_at")
    moments = dict.fromkeys(names, timezone.now())
    ApprovalRequest.objects.create(
        kind="intervention",
        subject_key=row.pk,
        status="approved",
        value_at_stake=1000,
        proposer="machine",
        proposed_by_key="m",
        proposed_by_name="m",
        **template,
        **moments,
    )
    measure(after(7))
    assert (only().value_before, only().value_after) == (1000, 900)


# What becomes known late, or is corrected


def test_a_departure_that_is_told_late_replaces_what_was_measured_and_that_stays():
    customer = a_customer()
    executed(customer)
    measure(after(7))
    Customer.objects.filter(pk=customer.pk).update(churned_on=after(5))
    assert measure(after(8)) == (0, 1)
    before, now = Measurement.objects.order_by("pk")
    assert (before.churned_on, before.replaced_at is None) == (None, False)
    assert (now.churned_on, now.replaced_at) == (after(5), None)
    assert (now.since, now.until, now.negative_signals) == (before.since, before.until, 0)
    assert measure(after(9)) == (0, 0)


@pytest.mark.parametrize("corrected", [None, after(3), after(60)])
def test_a_departure_that_is_taken_back_or_moved_is_corrected_too(corrected):
    customer = a_customer(churned_on=after(5))
    executed(customer)
    measure(after(7))
    Customer.objects.filter(pk=customer.pk).update(churned_on=corrected)
    assert measure(after(8)) == (0, 1)
    standing = Measurement.objects.get(replaced_at=None)
    assert standing.churned_on == (corrected if corrected == after(3) else None)


def test_a_run_on_one_customer_measures_and_corrects_nobody_else():
    mine, other = a_customer(), a_customer()
    executed(mine)
    executed(other)
    assert measure(after(7), customer_id=mine.pk, scope="customer") == (1, 0)
    assert only().customer_id == mine.pk


def test_an_imported_outcome_that_is_corrected_keeps_what_it_said_before():
    intervention = an_intervention(status="imported", as_of=DAY)
    given = {"outcome_id": "O1", "intervention_id": intervention.pk, "measured_at": "2025-01-05"}
    intake.save_outcome(**given, outcome="no_response", estimated_revenue_saved="100.50")
    intake.save_outcome(**given, outcome="no_response")
    assert Outcome.objects.get().earlier == []
    intake.save_outcome(
        **given | {"measured_at": "2025-01-09"}, outcome="resolved", estimated_revenue_saved="7"
    )
    row = Outcome.objects.get()
    assert (row.outcome, row.estimated_revenue_saved) == ("resolved", 7)
    (earlier,) = row.earlier
    assert earlier.pop("replaced_at")
    assert earlier == {
        "outcome": "no_response",
        "estimated_revenue_saved": "100.50",
        "measured_at": "2025-01-05",
    }


def test_the_pipeline_measures_by_itself_and_says_nothing_of_what_has_no_outcome(sample, settings):
    settings.DEBUG = True
    run_pipeline()
    done = Intervention.objects.get(customer="C001")
    Intervention.objects.filter(pk=done.pk).update(status="executed", ended_at=done.generated_at)
    an_execution(done, mode="record_only")
    run = run_pipeline(date(2025, 1, 30))
    row = Measurement.objects.get(customer="C001")
    assert row.checkpoint_days == 7
    assert row.churn_before == 0.469
    # That a run has measured is no outcome: nobody has said yet what came of it.
    assert run.report["outcomes"]["with_outcome"] == 0


def test_the_number_of_queries_does_not_grow_with_each_customer():
    def queries(number: int, as_of: date) -> int:
        for _ in range(number):
            executed(as_of=as_of)
            assigned(on=as_of)
        with CaptureQueriesContext(connection) as captured:
            measure(as_of + timedelta(days=7))
        measure(as_of + timedelta(days=90))
        return len(captured)

    assert queries(2, DAY) == queries(40, DAY + timedelta(days=400))
