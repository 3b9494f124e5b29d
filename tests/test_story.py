"""Why a customer was not contacted, run by run, in words; and how each intervention stands."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from approvals import services as gate
from approvals.rules import RejectionCategory, Verdict
from journeys import pipeline, story
from journeys.domain.vocabulary import InterventionStatus
from journeys.models import Assessment, Customer, Intervention, JourneyState, PipelineRun
from journeys.services import execution, switches
from journeys.services.intake import record_signal
from journeys.services.wishes import set_wish
from tests.acting import approve, decide, forget, waiting
from tests.runs import SAMPLE_DAY, run_pipeline

pytestmark = pytest.mark.django_db


def lines(customer_id: str) -> list[story.Line]:
    return story.why_not_contacted(Customer.objects.get(pk=customer_id))


def told(customer_id: str) -> list[tuple[str, int]]:
    return [(line.heading, line.runs) for line in lines(customer_id)]


def fate(customer_id: str) -> story.Fate:
    intervention = Intervention.objects.get(customer_id=customer_id)
    return story.fates([intervention])[intervention.pk]


# -- run by run


def test_runs_that_concluded_alike_are_one_line_with_the_days_and_the_number(sample_run, people):
    for days in range(1, 5):
        run_pipeline(SAMPLE_DAY + timedelta(days=days))
    waits, proposed = lines("C004")
    assert (waits.heading, waits.runs) == ("Already waiting for a decision", 4)
    assert (waits.since, waits.until) == (SAMPLE_DAY + timedelta(days=1), SAMPLE_DAY + timedelta(days=4))
    assert (proposed.heading, proposed.runs) == ("Waits for a decision", 1)
    assert proposed.since == proposed.until == SAMPLE_DAY


def test_the_latest_stands_first_and_a_reason_that_comes_back_is_a_line_of_its_own(sample_run, people):
    held = {"customer_id": "C004", "user": people["operator"], "door": "test", "reason": "Audit."}
    set_wish(do_not_contact=True, hold_until=None, **held)
    run_pipeline()
    set_wish(do_not_contact=False, hold_until=None, **held)
    run_pipeline()
    set_wish(do_not_contact=True, hold_until=None, **held)
    run_pipeline()
    assert [heading for heading, _ in told("C004")] == [
        "Do not contact",
        "Already waiting for a decision",
        "Do not contact",
        "Waits for a decision",
    ]
    assert "marked “do not contact”" in lines("C004")[0].detail


def test_below_the_confidence_says_how_far(sample_run):
    line = lines("C003")[0]
    assert line.heading == "Below the confidence needed"
    assert "so nothing is proposed" in line.detail
    assert line.action == ""


def test_the_detail_is_that_of_the_latest_run(sample_run, people):
    held = {"customer_id": "C004", "do_not_contact": False, "user": people["operator"], "door": "test"}
    today = timezone.now().date()
    for days in (10, 20):
        set_wish(hold_until=today + timedelta(days=days), reason="Audit.", **held)
        run_pipeline()
    line = lines("C004")[0]
    assert (line.heading, line.runs) == ("On hold", 2)
    assert str((today + timedelta(days=20)).day) in line.detail


def test_who_had_no_stage_was_no_part_of_the_run(sample, people):
    JourneyState.objects.filter(customer_id="C003").delete()
    run_pipeline()
    line = lines("C003")[0]
    assert line.heading == "Not part of the run"
    assert "no stage" in line.detail
    assert line.assessment_id is None


def test_runs_before_the_customer_came_say_nothing(sample_run, people):
    Customer.objects.create(customer_id="X1")
    JourneyState.objects.create(
        customer_id="X1", journey_stage="engagement", state_entered_at=SAMPLE_DAY - timedelta(days=3)
    )
    assert told("X1") == []
    run_pipeline()
    assert sum(runs for _, runs in told("X1")) == 1


def test_a_run_without_a_row_concluded_what_the_one_before_did(sample_run, people):
    """A run keeps only what changed."""
    later = [run_pipeline(SAMPLE_DAY + timedelta(days=days)) for days in (1, 2)]
    Assessment.objects.filter(run__in=later, customer="C003").delete()
    assert told("C003") == [("Below the confidence needed", 3)]


def test_a_run_that_broke_off_says_nothing_about_whom_it_did_not_reach(sample_run, people):
    broken = run_pipeline()
    Assessment.objects.filter(run=broken).delete()
    PipelineRun.objects.filter(pk=broken.pk).update(status="failed")
    assert told("C003") == [("The run broke off", 1), ("Below the confidence needed", 1)]


def test_runs_over_other_customers_are_left_out(sample_run, people):
    run_pipeline(customer_id="C005")
    assert told("C003") == [("Below the confidence needed", 1)]
    assert sum(runs for _, runs in told("C005")) == 2


def test_a_run_over_what_came_in_counts_for_those_whom_it_looked_at(sample_run, people):
    record_signal(
        signal_id="X1",
        customer_id="C003",
        signal_type="usage_drop",
        signal_strength=0.1,
        detected_at=timezone.now() - timedelta(hours=1),
    )
    pipeline.look_at_marked()
    assert sum(runs for _, runs in told("C003")) == 2
    assert sum(runs for _, runs in told("C004")) == 1


def test_a_run_that_was_cancelled_says_nothing_about_whom_it_did_not_reach(sample_run, people):
    cancelled = run_pipeline()
    Assessment.objects.filter(run=cancelled).delete()
    PipelineRun.objects.filter(pk=cancelled.pk).update(status="cancelled")
    assert told("C003") == [("The run was cancelled", 1), ("Below the confidence needed", 1)]


def test_without_a_run_there_is_nothing_to_say(sample):
    assert lines("C003") == []


def test_it_costs_the_same_whatever_the_number_of_runs(sample_run, people):
    with CaptureQueriesContext(connection) as few:
        lines("C004")
    once = len(few)  # a run empties the log of queries
    for _ in range(4):
        run_pipeline()
    with CaptureQueriesContext(connection) as many:
        lines("C004")
    assert len(many) == once <= 12


# -- how an intervention stands


def test_a_rejection_names_who_what_and_why(sample_run, people):
    decide(
        waiting("C004"),
        people["approver"],
        Verdict.REJECTED,
        "They were called on Monday.",
        category=RejectionCategory.ALREADY_HANDLED,
    )
    line = lines("C004")[0]
    assert line.heading == "Rejected by approver"
    assert line.detail == "Already handled: “They were called on Monday.”"
    assert line.intervention_id == Intervention.objects.get(customer_id="C004").pk
    assert line.action == "usage_review_checkin"


def test_what_nobody_decided_in_time_is_no_rejection(sample_run, people):
    forget(waiting("C004"))
    assert fate("C004").heading == "Expired"
    assert "Nobody decided in time" in fate("C004").detail


def test_what_was_approved_and_came_too_late_says_so(sample_run, people):
    approve("C004", people["approver"])
    Intervention.objects.filter(customer_id="C004").update(status=InterventionStatus.EXPIRED)
    assert "not carried out in time" in fate("C004").detail


def test_an_approved_one_waits_for_its_grace(sample_run, people, live):
    decide(waiting("C004"), people["approver"])
    assert fate("C004").heading == "Approved, not carried out yet"
    assert "can be revoked until then" in fate("C004").detail


def test_while_execution_is_off_an_approved_one_waits(sample_run, people, live):
    approve("C004", people["approver"])
    switches.stop(scope="channel", value="email", user=people["manager"], reason="Smoke.", door="test")
    assert fate("C004").detail.startswith("Execution is off")


def test_record_only_is_no_contact(sample_run, people):
    intervention = approve("C004", people["approver"])
    execution.execute(intervention_id=intervention.pk)
    assert fate("C004").heading == "Put on record only"
    assert "nothing was sent" in fate("C004").detail
    assert fate("C004").tone != "low"


def test_what_went_out_is_a_contact(sample_run, people, live, mailbox):
    intervention = approve("C004", people["approver"])
    execution.execute(intervention_id=intervention.pk)
    assert (fate("C004").heading, fate("C004").tone) == ("Contacted by e-mail", "low")


def test_a_task_is_with_its_owner_until_it_is_done(sample_run, people, live):
    Customer.objects.filter(pk="C005").update(owner="operator")
    forget(waiting("C005"))
    run_pipeline()
    decide(waiting("C005"), people["approver"])
    intervention = Intervention.objects.open().get(customer_id="C005")
    execution.execute(intervention_id=intervention.pk)
    intervention.refresh_from_db()
    stands = story.fates([intervention])[intervention.pk]
    assert stands.heading == "With operator, as a task"
    assert "due" in stands.detail


def test_a_revoked_approval_names_who_and_why(sample_run, people):
    decide(waiting("C004"), people["approver"])
    request = Intervention.objects.get(customer_id="C004").request
    gate.revoke(request_id=request.pk, user=people["approver"], reason="Wrong text.", door="test")
    assert fate("C004").heading == "Revoked by approver"
    assert fate("C004").detail == "“Wrong text.”"


@pytest.mark.parametrize("status", list(InterventionStatus))
def test_every_status_reads_as_a_sentence(sample_run, people, status):
    Intervention.objects.filter(customer_id="C004").update(status=status)
    stands = fate("C004")
    assert stands.heading
    assert "_" not in stands.heading


# -- what an open one waits for


def test_a_pending_one_says_whose_decision_it_waits_for_and_until_when(sample_run, people):
    awaited = story.awaited(Intervention.objects.get(customer_id="C004"))
    assert awaited.whose == "approver, approver2, manager or 1 more"
    assert awaited.request == waiting("C004")


def test_who_proposed_it_is_not_among_those_who_decide(sample_run, people):
    request = waiting("C004")
    type(request).objects.filter(pk=request.pk).update(editors=[f"user:{people['approver'].pk}"])
    assert "approver," not in story.awaited(Intervention.objects.get(customer_id="C004")).whose


def test_what_nobody_can_decide_says_so(sample_run, people):
    for name in ("approver", "approver2", "manager", "manager2"):
        people[name].is_active = False
        people[name].save(update_fields=["is_active"])
    assert story.awaited(Intervention.objects.get(customer_id="C004")).whose == ""


def test_one_that_is_sent_back_waits_for_its_proposer(sample_run, people):
    request = waiting("C004")
    gate.ask_for_changes(
        request_id=request.pk,
        fingerprint=request.fingerprint,
        user=people["manager"],
        note="Shorter.",
        door="test",
    )
    assert story.awaited(Intervention.objects.get(customer_id="C004")).returned == "Shorter."


def test_what_is_approved_waits_for_nobodys_decision(sample_run, people):
    decide(waiting("C004"), people["approver"])
    assert story.awaited(Intervention.objects.get(customer_id="C004")) is None
