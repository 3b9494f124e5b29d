"""What an experiment may say: the effect against those held out, and when it is said."""

import pytest
from django.utils import timezone

from journeys import reports
from journeys.domain.policy import load
from journeys.models import (
    Assignment,
    Customer,
    Measurement,
)
from journeys.services.measuring import measure_due
from tests.by_hand import (
    AS_OF,
    a_customer,
    an_execution,
    an_intervention,
    assigned,
    days,
    run_row,
)
from tests.worth import kpi, results_of

pytestmark = pytest.mark.django_db


def an_experiment(treated: tuple[int, int], held_out: tuple[int, int], *, planned: int) -> None:
    """(left, of) in each arm, all of whom entered long ago."""
    entered = AS_OF - days(200)
    for arm, (left, of) in (("treated", treated), ("held_out", held_out)):
        for number in range(of):
            gone = entered + days(10) if number < left else None
            customer = a_customer(account_value=100, churned_on=gone)
            row = assigned(customer, arm=arm, on=entered, planned=planned, segment="SMB")
            Measurement.objects.create(
                assignment=row,
                customer=customer,
                checkpoint_days=90,
                since=entered,
                until=entered + days(90),
                churned_on=gone,
                negative_signals=0,
                positive_signals=0,
                run=row.run,
            )


GOING_ON = load({"holdout": {"share": 0.1}})


def the_effect() -> dict:
    (found,) = results_of(run_row(), GOING_ON)["effects"]
    return found


@pytest.mark.parametrize(
    ("treated", "verdict"), [((2, 60), "helps"), ((50, 60), "harms"), ((20, 60), "inconclusive")]
)
def test_once_the_planned_number_is_there_an_experiment_says_what_it_found(treated, verdict):
    an_experiment(treated, (13, 40), planned=100)
    found = the_effect()
    assert (found["final"], found["verdict"]) == (True, verdict)
    (group,) = found["by_segment"]
    assert group["difference"] == found["left"]["difference"]


def test_before_the_planned_number_nothing_is_said_however_clear_it_looks():
    an_experiment((2, 60), (30, 40), planned=101)
    found = the_effect()
    assert (found["final"], found["verdict"]) == (False, "collecting")
    assert found["left"]["difference"]["high"] < 0


def test_who_comes_after_the_planned_number_changes_no_verdict():
    an_experiment((2, 60), (30, 40), planned=100)
    before = the_effect()
    an_experiment((40, 40), (0, 10), planned=5)
    after = the_effect()
    assert (after["left"], after["verdict"]) == (before["left"], before["verdict"])
    assert after["complete"] == 150


def test_an_experiment_that_ended_early_is_inconclusive(policy_with):
    an_experiment((2, 60), (30, 40), planned=1000)
    policy = policy_with({"holdout": {"share": 0.1, "experiment": "first", "ends_on": "2024-12-01"}})
    (found,) = results_of(run_row(policy=policy))["effects"]
    assert (found["over"], found["verdict"]) == (True, "inconclusive")
    report = reports.build(run_row(policy=policy, results=results_of(run_row(policy=policy))))
    assert "ended after 100 customers, before the 1,000" in reports.render_markdown(report)


def test_small_groups_get_no_interval():
    an_experiment((2, 60), (10, 29), planned=1000)
    (group,) = the_effect()["by_segment"]
    assert group["difference"] is None
    assert (group["treated"]["of"], group["held_out"]["of"]) == (60, 29)


def test_who_was_contacted_all_the_same_stays_in_the_arm_and_is_counted():
    an_experiment((1, 5), (1, 5), planned=1000)
    held = Assignment.objects.filter(arm="held_out").first()
    row = an_intervention(customer=held.customer, status="executed", as_of=held.assigned_on)
    an_execution(row)
    found = the_effect()
    assert found["reached"] == {"treated": 0, "held_out": 1}
    assert found["left"]["held_out"]["of"] == 5


def test_what_was_corrected_counts_as_corrected():
    an_experiment((0, 5), (1, 5), planned=1000)
    Customer.objects.filter(churned_on__isnull=False).update(churned_on=AS_OF)
    run = run_row()
    measure_due(run, run.policy.rules)
    assert the_effect()["left"]["held_out"]["count"] == 0


def test_the_measured_value_is_of_the_treated_who_were_executed_and_only_after_a_verdict():
    an_experiment((2, 60), (30, 40), planned=101)
    moment = timezone.now()
    for row in Assignment.objects.filter(arm="treated")[:3]:
        made = an_intervention(
            customer=row.customer,
            status="executed",
            origin="machine",
            generated_at=moment,
            ended_at=moment,
        )
        an_execution(made)
    assert results_of(run_row(), GOING_ON)["roi"]["measured"]["value"] is None
    Assignment.objects.update(planned=100)
    results = results_of(run_row(), GOING_ON)
    measured = results["roi"]["measured"]
    fall = 30 / 40 - 2 / 60
    assert (measured["customers"], measured["account_value"]) == (3, 300.0)
    assert measured["value"] == pytest.approx(300 * fall, abs=0.01)
    assert measured["low"] < measured["value"] < measured["high"]
    assert kpi(results, "revenue_preserved_measured")["value"] == pytest.approx(fall, abs=1e-5)
