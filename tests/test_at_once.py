"""What is received is looked at at once: marked, rung for, evaluated by a run of its own."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection
from django.utils import timezone
from django_q.models import OrmQ

from approvals.models import ApprovalRequest
from approvals.rules import Status
from approvals.services import actor_of
from journeys import pipeline
from journeys.models import (
    Assessment,
    Bell,
    Finding,
    Intervention,
    Mark,
    PipelineRun,
    PolicyAllowance,
    Signal,
)
from journeys.services import allowance, intake, marks, upkeep
from tests.acting import decide, drain, together, waiting

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def portfolio(people, sample):
    """The sample's customers, with nothing queued, marked or proposed."""
    OrmQ.objects.all().delete()
    Mark.objects.all().delete()


def signal(number: int = 1, customer_id: str = "C004", **changed) -> None:
    fields = {
        "signal_id": f"X{number}",
        "customer_id": customer_id,
        "signal_type": "usage_drop",
        "signal_strength": 0.9,
        "detected_at": timezone.now(),
    }
    intake.record_signal(**fields | changed)


def test_a_signal_reaches_the_queue_by_one_task(portfolio):
    signal()
    assert OrmQ.objects.count() == 1
    drain()
    assert waiting("C004").proposed_by_name == "the pipeline"
    assert not Mark.objects.exists()
    run = PipelineRun.objects.get(scope="marked")
    assert run.status == "succeeded"
    assert run.counts["customers"] == 1
    assert {step["name"] for step in run.steps if step["status"] == "skipped"} >= {
        "outcome_tracking",
        "report_generation",
    }


def test_a_burst_is_one_bell_and_one_run(portfolio):
    for number in range(20):
        signal(number, customer_id=f"C00{1 + number % 5}")
    assert OrmQ.objects.count() == 1
    drain()
    assert PipelineRun.objects.filter(scope="marked").count() == 1
    assert Assessment.objects.count() == 5


def test_what_is_known_already_marks_nobody(portfolio):
    signal()
    drain()
    known = Signal.objects.get(pk="X1")
    signal(detected_at=known.detected_at)
    assert not Mark.objects.exists()
    assert not OrmQ.objects.exists()


def test_a_stage_and_a_value_mark_the_customer_too(portfolio):
    intake.save_customer(customer_id="C001", account_value=99_000)
    intake.enter_stage(customer_id="C002", journey_stage="support", state_entered_at=timezone.now().date())
    assert set(Mark.objects.values_list("pk", flat=True)) == {"C001", "C002"}


def test_what_is_imported_in_bulk_is_left_to_the_run(portfolio):
    records = [
        intake.SignalRecord(
            signal_id="I1",
            customer_id="C001",
            signal_type="usage_drop",
            signal_strength=0.5,
            detected_at=timezone.now(),
        )
    ]
    intake.take(records)
    assert not Mark.objects.exists()


def test_what_arrives_later_refreshes_the_pending_request(portfolio):
    signal(1)
    drain()
    first = waiting("C004")
    signal(2, signal_type="negative_sentiment", signal_strength=1.0)
    drain()
    second = waiting("C004")
    assert ApprovalRequest.objects.filter(concerning="C004", status=Status.PENDING).count() == 1
    assert "X2" in [row[0] for row in second.payload["evidence"]]
    assert second.fingerprint != first.fingerprint


def test_a_signal_of_an_unknown_customer_is_kept_and_harms_nothing(portfolio):
    signal(customer_id="NOBODY")
    drain()
    assert Signal.objects.filter(pk="X1").exists()
    assert not Mark.objects.exists()
    assert not Assessment.objects.exists()


def test_that_nobody_knows_the_customer_is_found_at_once(portfolio):
    signal(customer_id="NOBODY")
    finding = Finding.objects.get(kind="orphan_signal")
    assert (finding.subject, finding.detail) == ("X1", "There is no customer NOBODY.")


def test_what_comes_while_a_run_looks_stays_marked(portfolio, monkeypatch):
    signal(1)
    load = pipeline.cases.load

    def load_and_receive(*arguments, **named):
        loaded = load(*arguments, **named)
        if not Signal.objects.filter(pk="X2").exists():
            signal(2)
        return loaded

    monkeypatch.setattr(pipeline.cases, "load", load_and_receive)
    tokens = marks.claim(10)
    pipeline._look_at(tokens)
    assert Mark.objects.get().claimed_until is None
    pipeline.look_at_marked()
    assert not Mark.objects.exists()
    assert "X2" in [row[0] for row in waiting("C004").payload["evidence"]]


def test_the_mark_is_taken_off_before_the_audit_is_held(portfolio):
    """Whoever links a signal marks first and records then: the other way round here, each would wait for
    the other."""
    signal()
    statements = []

    def heard(execute, sql, *arguments):
        statements.append(sql)
        return execute(sql, *arguments)

    with connection.execute_wrapper(heard):
        pipeline._look_at(marks.claim(10))
    taken_off, held = (
        next(place for place, sql in enumerate(statements) if words in sql)
        for words in ('DELETE FROM "journeys_mark"', '"approvals_audithead"')
    )
    assert taken_off < held


def test_two_workers_never_look_at_the_same_mark(portfolio):
    for number in range(30):
        signal(number, customer_id=f"U{number}")
    claimed = together(*[lambda: marks.claim(10)] * 5)
    keys = [key for tokens in claimed for key in tokens]
    assert len(keys) == len(set(keys)) == 30


def test_a_mark_of_a_worker_that_died_is_found_by_the_sweep(portfolio):
    signal()
    OrmQ.objects.all().delete()  # the task is lost with its worker
    marks.claim(10)
    upkeep.ring_for_unheard()
    assert not OrmQ.objects.exists()
    long_ago = timezone.now() - timedelta(minutes=5)
    Mark.objects.update(marked_at=long_ago, claimed_until=long_ago)
    upkeep.ring_for_unheard()
    drain()
    assert waiting("C004")


def test_a_bell_that_got_lost_is_rung_again_by_the_sweep(portfolio):
    signal()
    OrmQ.objects.all().delete()
    assert Bell.objects.get().rung
    signal(2)
    assert not OrmQ.objects.exists()
    Mark.objects.update(marked_at=timezone.now() - timedelta(minutes=5))
    upkeep.ring_for_unheard()
    assert OrmQ.objects.count() == 1


def test_a_customer_at_whom_a_run_breaks_holds_up_no_other(portfolio, monkeypatch):
    signal(1, customer_id="C001")
    signal(2, customer_id="C004")
    evaluate = pipeline.cases.evaluate_state

    def break_at_one(case, *arguments):
        if case.customer.customer_id == "C001":
            raise ValueError("broken")
        return evaluate(case, *arguments)

    monkeypatch.setattr(pipeline.cases, "evaluate_state", break_at_one)
    drain()
    assert waiting("C004")
    assert Mark.objects.get().customer_id == "C001"
    assert PipelineRun.objects.filter(scope="marked", status="failed").exists()


def test_a_run_and_an_event_at_once_never_propose_twice(portfolio):
    def run_all():
        call_command("run_pipeline", stdout=StringIO())

    def look():
        for number in range(5):
            signal(number, customer_id="C004")
            pipeline.look_at_marked()

    for answer in together(run_all, look):
        assert answer is None
    assert Intervention.objects.open().filter(customer_id="C004").count() == 1
    assert ApprovalRequest.objects.pending().filter(concerning="C004").count() == 1


def test_a_decision_between_is_not_undone(portfolio, people):
    signal(1)
    drain()
    decide(waiting("C004"), people["approver"])
    signal(2)
    drain()
    assert not ApprovalRequest.objects.pending().filter(concerning="C004").exists()
    concluded = Assessment.objects.filter(customer_id="C004").latest("pk")
    assert concluded.suppression_reason in ("in_progress", "cool_down")


def test_the_policy_s_cap_is_the_day_s_for_all_events_together(portfolio):
    today = timezone.now().date()
    allowance.take(today, 99, most=100)
    allowance.take(today, 1, most=100)
    with pytest.raises(IntegrityError):
        allowance.take(today, 1, most=100)
    assert PolicyAllowance.objects.get().used == 100


def test_a_run_is_cancelled_between_two_ranges_and_says_what_was_done(portfolio, settings, people):
    settings.RANGE_SIZE = 3
    planned = pipeline.plan_run(policy=pipeline.in_force(), actor=pipeline.WORKER)

    def cancel_after_the_first(customers):
        if planned.cancelled_at is None and customers >= 3:
            pipeline.cancel(planned.pk, actor=actor_of(people["operator"], door="test"))

    pipeline.run(planned, on_progress=cancel_after_the_first)
    run = PipelineRun.objects.get()
    assert (run.status, run.cancelled_by) == ("cancelled", "operator")
    assert 3 <= run.counts["customers"] < 10
    assert Assessment.objects.count() <= run.counts["customers"]
    assert run.finished_at


def test_a_queued_run_is_cancelled_before_it_begins(portfolio):
    queued = pipeline.queue(pipeline.plan_run(policy=pipeline.in_force(), actor=pipeline.WORKER))
    pipeline.cancel(queued.pk, actor=pipeline.WORKER)
    drain()
    assert PipelineRun.objects.get().status == "cancelled"
    assert not Assessment.objects.exists()


def test_what_has_ended_cannot_be_cancelled(portfolio):
    run = pipeline.run(pipeline.plan_run(policy=pipeline.in_force(), actor=pipeline.WORKER))
    with pytest.raises(pipeline.NotRunning, match="succeeded"):
        pipeline.cancel(run.pk, actor=pipeline.WORKER)
    with pytest.raises(pipeline.NotFound):
        pipeline.cancel(12345, actor=pipeline.WORKER)


def test_a_dry_run_of_a_worker_leaves_its_counts_and_nothing_else(portfolio):
    signal()
    OrmQ.objects.all().delete()
    planned = pipeline.plan_run(policy=pipeline.in_force(), actor=pipeline.WORKER, dry_run=True)
    pipeline.queue(planned)
    drain()
    assert not PipelineRun.objects.exists()
    run = PipelineRun.with_dry_runs.get()
    assert run.status == "succeeded"
    assert run.counts["proposed"] > 0
    assert not Assessment.objects.exists()
    assert not Intervention.objects.filter(run=run).exists()
