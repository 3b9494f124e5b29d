"""Locks are taken in one order, so that no two transactions wait for each other: the request, what it is
about, the head of the audit. PostgreSQL ends one of two that do; SQLite lets one writer in at a time."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from approvals import services
from approvals.models import ApprovalRequest, AuditEvent, Notice
from approvals.rules import Actor, Verdict
from approvals.services import notices
from journeys import pipeline
from journeys.domain.vocabulary import SwitchScope
from journeys.models import (
    Customer,
    ExecutionSwitch,
    Intervention,
    JourneyState,
    Outcome,
    PipelineRun,
    Signal,
)
from journeys.records import CustomerRecord
from journeys.services import intake, outcomes, proposals, switches, wishes
from journeys.services.orphans import link_orphan
from tests.acting import decide, forget, together, waiting
from tests.runs import SAMPLE_DAY, run_pipeline

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite lets one writer in at a time"),
]

DEADLINE = 20
HEAD = '"approvals_audithead"'
IN_MY_WAY = (
    "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
)


def meanwhile(first: Callable[[], object], second: Callable[[], object], *, before: str = HEAD) -> list:
    """Take the first as far as its first statement that names `before`, the second from there on until it
    waits for the first or is done, and then both to their ends. Returns what each returned, or the exception.
    """
    held_up, done = threading.Event(), threading.Event()

    def let_the_other_come(execute, sql, *arguments):
        if before in sql and not held_up.is_set():
            held_up.set()
            until = time.monotonic() + DEADLINE
            while not (done.is_set() or _stands_in_the_way()):
                assert time.monotonic() < until, "The other neither waits nor ends."
                time.sleep(0.01)
        return execute(sql, *arguments)

    def as_far_as_that() -> object:
        with connection.execute_wrapper(let_the_other_come):
            return first()

    def from_there() -> object:
        assert held_up.wait(DEADLINE), "The first does not come as far."
        try:
            return second()
        finally:
            done.set()

    return together(as_far_as_that, from_there)


def _stands_in_the_way() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(IN_MY_WAY)
        return cursor.fetchone()[0] > 0


def both_end(first: Callable[[], object], second: Callable[[], object], **told) -> None:
    answers = meanwhile(first, second, **told)
    assert not [answer for answer in answers if isinstance(answer, Exception)], answers


def new_signal(customer_id: str, kind: str = "low_product_usage", strength: float = 0.2) -> None:
    Signal.objects.create(
        signal_id=f"N-{customer_id}-{kind}",
        customer_id=customer_id,
        signal_type=kind,
        signal_strength=strength,
        detected_at=datetime(2025, 1, 14, tzinfo=UTC),
    )


def another_action(*customer_ids: str) -> None:
    """What is known of them calls for something else than what waits."""
    JourneyState.objects.filter(customer_id__in=customer_ids).update(
        journey_stage="engagement", state_entered_at=date(2024, 10, 12)
    )
    Signal.objects.filter(customer_id__in=customer_ids).delete()
    for customer_id in customer_ids:
        new_signal(customer_id, "inactivity_warning", 0.9)


def reject(request: ApprovalRequest, user) -> Callable:
    return lambda: decide(request, user, Verdict.REJECTED, reason="They have called us already.")


def by_hand(customer_id: str, user) -> Callable:
    return lambda: proposals.propose(
        customer_id=customer_id,
        action="reengagement_campaign",
        subject="",
        body="",
        reason="They asked for it.",
        user=user,
        door="test",
    )


def status_of(request: ApprovalRequest) -> str:
    return ApprovalRequest.objects.get(pk=request.pk).status


# ---- a run, and what else is done with the same customers


@pytest.mark.parametrize("decided", ["C004", "C005"])
def test_a_run_that_replaces_two_requests_leaves_the_one_that_is_decided_meanwhile(
    people, sample_run, decided
):
    another_action("C004", "C005")
    requests = {key: waiting(key) for key in ("C004", "C005")}
    both_end(reject(requests.pop(decided), people["approver"]), run_pipeline)
    [replaced] = requests.values()
    assert status_of(replaced) == "superseded"
    assert ApprovalRequest.objects.filter(concerning=decided, status="superseded").count() == 0


@pytest.mark.parametrize("decided", ["C004", "C005"])
def test_a_run_that_refreshes_one_request_and_replaces_another_waits_for_whoever_decides(
    people, sample_run, decided
):
    new_signal("C004")
    another_action("C005")
    both_end(reject(waiting(decided), people["approver"]), run_pipeline)
    assert AuditEvent.objects.filter(word="request.rejected", concerning=decided).count() == 1


def test_a_run_that_refreshes_a_request_waits_for_whoever_proposes_by_hand_for_another(people, sample_run):
    """Both begin something with the same customer: only one can."""
    new_signal("C004")
    forget(waiting("C005"))

    both_end(by_hand("C005", people["operator"]), run_pipeline)
    assert Intervention.objects.open().get(customer_id="C005").origin == "person"
    assert waiting("C004").revision == 2


def test_a_run_waits_for_nobody_who_sets_when_its_customer_may_be_contacted(people, sample, settings):
    settings.DEBUG = True

    def leave_alone():
        return wishes.set_wish(
            customer_id="C004",
            do_not_contact=True,
            hold_until=None,
            reason="They asked us to.",
            user=people["operator"],
            door="test",
        )

    both_end(leave_alone, run_pipeline)
    assert Customer.objects.get(pk="C004").do_not_contact


def test_who_corrects_a_stage_waits_for_whoever_looks_at_the_customer_in_one_order(people, sample):
    intake.record_signal(
        signal_id="N1",
        customer_id="C004",
        signal_type="usage_drop",
        signal_strength=0.9,
        detected_at=timezone.now(),
    )

    def correct():
        state = JourneyState.objects.get(customer_id="C004")
        intake.enter_stage(
            customer_id="C004",
            journey_stage=state.journey_stage,
            state_entered_at=state.state_entered_at,
            days_in_state=3,
        )

    both_end(correct, pipeline.look_at_marked, before='"journeys_mark"')
    # The second looked at what was corrected meanwhile.
    assert [run.status for run in PipelineRun.objects.all()] == ["succeeded", "succeeded"]


# ---- what does not come from a run


def test_a_person_and_another_system_tell_of_one_intervention_at_the_same_moment(people, sample_run):
    """C001's was carried out by being recorded."""
    intervention = Intervention.objects.get(customer_id="C001")
    Intervention.objects.filter(pk=intervention.pk).update(status="executed")

    def by_person():
        return outcomes.record_outcome(
            intervention_id=intervention.pk,
            outcome="resolved",
            resolution_time_days=2.0,
            csat_delta=None,
            churn_risk_delta=None,
            estimated_revenue_saved=None,
            human_override=None,
            measured_at=SAMPLE_DAY,
            user=people["operator"],
            door="test",
        )

    def by_system():
        return intake.save_outcome(
            outcome_id="CRM-1",
            intervention_id=intervention.pk,
            outcome="resolved",
            measured_at=SAMPLE_DAY,
        )

    both_end(by_person, by_system)
    assert Outcome.objects.filter(intervention=intervention).count() == 2


def test_two_who_stop_execution_wait_for_each_other_in_one_order(people):
    """The second withdraws what was asked for between the two."""
    ExecutionSwitch.objects.create(scope=SwitchScope.ALL, mode="record_only", changed_by="a test")

    def stop(user) -> None:
        switches.stop(scope=SwitchScope.ALL, user=user, door="test")

    def ask_and_stop():
        switches.set_mode(
            scope=SwitchScope.ALL, mode="live", user=people["manager"], reason="Ready.", door="test"
        )
        stop(people["approver"])

    answers = meanwhile(lambda: stop(people["operator"]), ask_and_stop)
    assert answers[0] is None
    assert isinstance(answers[1], switches.Unchanged)
    assert switches.current(SwitchScope.ALL) == "off"


def test_two_who_tell_of_what_nobody_can_decide_wait_for_each_other_in_one_order(people, big, monkeypatch):
    """Beyond the first twenty it is one mail to each, which both put off."""
    monkeypatch.setattr(notices, "SINGLY", 0)
    for user in people.values():
        user.email = f"{user.get_username()}@desk.example"
        user.save(update_fields=["email"])
    ask_nobody("first")

    def change():
        services.change(
            request_id=big.pk,
            fingerprint=big.fingerprint,
            changes={"subject": "Monday?"},
            user=people["manager"],
            door="test",
        )

    both_end(change, lambda: ask_nobody("second"))
    assert ApprovalRequest.objects.filter(unroutable=True).count() == 3
    assert Notice.objects.count() == 2


def ask_nobody(key: str) -> None:
    now = timezone.now()
    terms = services.Terms(
        permission="approvals.nobody_has_this",
        remind_at=now + timedelta(hours=3),
        decision_due_at=now + timedelta(hours=4),
        expires_at=now + timedelta(days=3),
        execute_within_hours=48,
    )
    new = services.NewRequest(kind="test", subject_key=key, title="Call them", payload={}, terms=terms)
    services.open_requests([new], proposer=Actor(key="machine:test", name="a test", door="test"))


def test_customers_are_taken_in_while_somebody_links_a_signal_of_one_to_another(people, sample_run):
    batch = [CustomerRecord(customer_id="C003", name="Another name"), CustomerRecord(customer_id="C999")]
    both_end(
        lambda: intake.take(batch, at_once=True),
        lambda: link_orphan(
            signal_id="S009",
            customer_id="C003",
            note="They signed as C999 before the merger.",
            user=people["operator"],
            door="test",
        ),
        before='UPDATE "journeys_finding"',
    )
