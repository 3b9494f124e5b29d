"""Whom a run over what changed or is due looks at, and what it counts."""

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

import pytest
from django.db.models import F

from approvals import services
from approvals.models import ApprovalRequest
from approvals.rules import Verdict
from journeys import pipeline
from journeys.days import today
from journeys.domain.vocabulary import Action
from journeys.models import (
    Assessment,
    Customer,
    Finding,
    Intervention,
    JourneyState,
    Mark,
    PipelineRun,
    PortfolioSnapshot,
)
from journeys.records import CustomerRecord, InterventionRecord, SignalRecord
from journeys.services import execution, intake, proposals, wishes
from tests.acting import decide
from tests.runs import planned_run, run_pipeline

pytestmark = pytest.mark.django_db


def look() -> set[str]:
    """Whom a run over what changed or is due looks at today."""
    seen = set()
    planned = planned_run(today(), changed_only=True)
    assert planned.changed_only
    pipeline.run(planned, on_case=lambda case, _: seen.add(case.customer.customer_id))
    return seen


def test_where_nothing_happened_nobody_is_looked_at(settled):
    assert look() == set()
    run = PipelineRun.objects.latest("pk")
    assert (run.status, run.counts["customers"], run.counts["not_looked_at"]) == ("succeeded", 0, 10)


def test_what_waits_is_looked_at_the_next_day_and_then_when_something_happens(settled):
    waiting = set(ApprovalRequest.objects.pending().values_list("concerning", flat=True))
    run_pipeline(today())
    again = Assessment.objects.current().filter(customer__in=waiting)
    assert {row.suppression_reason for row in again} == {"already_pending"}
    assert all(row.due_on is None or row.due_on > today() + timedelta(days=1) for row in again)


def set_a_wish(people):
    wishes.set_wish(
        customer_id="C003",
        do_not_contact=True,
        hold_until=None,
        reason="They said so.",
        user=people["operator"],
        door="test",
    )


def propose_by_hand(people):
    proposals.propose(
        customer_id="C003",
        action=Action.GENERAL_CHECKIN,
        subject="",
        body="",
        reason="It is time.",
        user=people["operator"],
        door="test",
    )


def reject_for_bad_timing(people):
    request = ApprovalRequest.objects.get(concerning="C005")
    later = {"leave_alone_until": today() + timedelta(days=5)}
    decide(request, people["approver"], Verdict.REJECTED, "Not now.", category="bad_timing", days=later)


def expire(people):
    ApprovalRequest.objects.filter(concerning="C005").update(expires_at=F("requested_at"))
    services.expire_overdue(actor=pipeline.WORKER)


def approve(people):
    decide(ApprovalRequest.objects.get(concerning="C005"), people["manager"], reason="So be it.")


def change(people):
    request = ApprovalRequest.objects.get(concerning="C005")
    services.change(
        request_id=request.pk,
        fingerprint=request.fingerprint,
        changes={"subject": "A word about your plan"},
        user=people["manager"],
        reason="Better so.",
        door="test",
    )


def import_history(people):
    moment = datetime.combine(today(), time(0), UTC)
    record = InterventionRecord(
        intervention_id="H1", customer_id="C003", recommended_action="general_checkin", generated_at=moment
    )
    intake.take([record])


def import_a_value(people):
    intake.take([CustomerRecord(customer_id="C003", account_value=Decimal(44_000))])


def receive_a_value(people):
    intake.take([CustomerRecord(customer_id="C003", account_value=Decimal(44_000))], at_once=True)


def a_newcomer(people):
    Customer.objects.create(customer_id="C003b")
    JourneyState.objects.create(customer_id="C003b", journey_stage="support", state_entered_at=today())


@pytest.mark.parametrize(
    ("happens", "whom"),
    [
        (set_a_wish, "C003"),
        (propose_by_hand, "C003"),
        (reject_for_bad_timing, "C005"),
        (approve, "C005"),
        (expire, "C005"),
        (change, "C005"),
        (import_history, "C003"),
        (import_a_value, "C003"),
        (receive_a_value, "C003"),
        (a_newcomer, "C003b"),
    ],
)
def test_whoever_something_happened_to_is_looked_at_once(
    settled, people, happens, whom, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        happens(people)
    assert look() == {whom}
    assert look() == set()
    assert not Mark.objects.exists()


def test_a_mail_counts_for_everybody_who_has_that_address(
    settled, people, django_capture_on_commit_callbacks
):
    Customer.objects.filter(pk="C003").update(email=Customer.objects.get(pk="C004").email)
    with django_capture_on_commit_callbacks(execute=True):
        decide(ApprovalRequest.objects.get(concerning="C004"), people["approver"])
        execution.execute_due()
    done = set(Intervention.objects.filter(status="executed").values_list("customer_id", flat=True))
    assert "C004" in done
    assert look() == done | {"C003"}


def test_what_is_open_is_looked_at_on_the_next_day_and_who_is_due_on_theirs(settled):
    open_ones = set(Intervention.objects.open().values_list("customer_id", flat=True))
    due = Assessment.objects.current().filter(due_on=today() + timedelta(days=1))
    assert open_ones
    assert open_ones <= set(due.values_list("customer_id", flat=True))
    Assessment.objects.current().filter(customer="C007").update(due_on=today())
    assert look() == {"C007"}


@pytest.mark.parametrize("why", ["never", "another policy", "an earlier day", "a later day in between"])
def test_where_nothing_less_will_do_everybody_is_looked_at(settled, policy_with, why):
    as_of = today()
    if why == "never":
        PipelineRun.objects.update(status="failed")
    elif why == "another policy":
        policy_with({}, name="other")
    elif why == "an earlier day":
        as_of -= timedelta(days=1)
    else:
        before = today() - timedelta(days=30)
        PipelineRun.objects.update(as_of=before)
        Assessment.objects.update(as_of=before)
        run_pipeline(today(), customer_id="C003")
        as_of -= timedelta(days=1)
    run = run_pipeline(as_of, changed_only=True)
    assert (run.changed_only, run.counts["customers"]) == (False, 10)


def test_for_one_customer_there_is_no_such_choice(sample):
    with pytest.raises(pipeline.BadScope):
        planned_run(customer_id="C003", changed_only=True)


def test_the_portfolio_is_counted_once_a_day_and_then_as_after_a_run_over_everybody(settled):
    assert PortfolioSnapshot.objects.get().run == settled
    look()
    assert PortfolioSnapshot.objects.get().run == settled
    again = PipelineRun.objects.latest("pk")
    assert again.report is None
    assert {step["name"] for step in again.steps if step["status"] == "skipped"} == {
        "outcome_tracking", "kpi_calculation", "roi_calculation", "report_generation"
    }  # fmt: skip
    Assessment.objects.update(as_of=today() - timedelta(days=1))
    PipelineRun.objects.update(as_of=today() - timedelta(days=1))
    PortfolioSnapshot.objects.update(as_of=today() - timedelta(days=1))
    look()
    daily = PipelineRun.objects.latest("pk")
    everybody = run_pipeline(today())
    assert daily.counts["customers"] < 10
    for figures in ("cells", "protected"):
        assert getattr(daily.snapshot, figures) == getattr(everybody.snapshot, figures)
    kpis = [
        {row["name"]: (row["value"], row["denominator"]) for row in run.results["kpis"]}
        for run in (daily, everybody)
    ]
    for of_a_run in ("evaluation_seconds_per_1000", "runs_finished"):
        assert kpis[0].pop(of_a_run) != kpis[1].pop(of_a_run)
    assert kpis[0] == kpis[1]
    assert daily.report["portfolio"]["customers"] == 10
    assert daily.report["portfolio"]["by_tier"] == everybody.report["portfolio"]["by_tier"]


def test_the_daily_run_looks_at_everybody_every_so_many_days(settled, settings):
    settings.FULL_RUN_DAYS = 7
    for days, changed_only in ((1, True), (6, True), (7, False)):
        day = today() - timedelta(days=days)
        PipelineRun.objects.filter(changed_only=False).update(as_of=day)
        Assessment.objects.update(as_of=day)
        pipeline.run_daily()
        queued = PipelineRun.objects.get(status="queued")
        assert queued.changed_only == changed_only
        queued.delete()


def test_workers_together_look_at_the_same_ones(settled, people, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        set_a_wish(people)
        receive_a_value(people)
        a_newcomer(people)
    queued = pipeline.queue(planned_run(today(), changed_only=True))
    while PipelineRun.objects.get(pk=queued.pk).status in ("queued", "running"):
        pipeline.run_queued(queued.pk)
        pipeline.work(queued.pk)
    run = PipelineRun.objects.get(pk=queued.pk)
    assert (run.status, run.counts["customers"]) == ("succeeded", 2)
    assert not Mark.objects.exists()


def received(signal_id: str, customer_id: str, detected_at: datetime) -> None:
    intake.take(
        [
            SignalRecord(
                signal_id=signal_id,
                customer_id=customer_id,
                signal_type="usage_drop",
                signal_strength=0.5,
                detected_at=detected_at,
            )
        ],
        at_once=True,
    )


def test_it_finds_and_counts_the_signals_of_nobody_we_know(sample):
    day = today()
    received("N1", "NOBODY", datetime.combine(day, time(0), UTC))
    run_pipeline(day)
    received("N2", "NOBODY", datetime.combine(day, time(1), UTC))
    received("N3", "NOBODY", datetime.combine(day - timedelta(days=200), time(1), UTC))
    PortfolioSnapshot.objects.all().delete()  # so that it takes stock
    run = run_pipeline(day, changed_only=True)
    assert run.changed_only
    found = Finding.objects.filter(kind="orphan_signal", detail__contains="NOBODY")
    assert set(found.values_list("subject", flat=True)) == {"N1", "N2", "N3"}
    assert run.counts["signals"]["orphaned"] == 2


def test_it_finds_the_signals_that_lie_ahead(sample):
    day = today()
    run_pipeline(day)
    received("A1", "C004", datetime.combine(day + timedelta(days=30), time(1), UTC))
    assert run_pipeline(day, changed_only=True).changed_only
    assert Finding.objects.get(kind="future_signal").subject == "A1"
