"""What a person ends: the owner's task, and what nobody can be certain of."""

from datetime import timedelta

import pytest
from django.utils import timezone

from approvals.audit import AuditEvent
from approvals.rules import (
    AlreadyDecided,
    NotAuthorised,
    NotFound,
    ReasonNeeded,
    WorkingHours,
    working_deadline,
)
from journeys.domain.policy import PUBLISHED
from journeys.models import Customer, Execution, Intervention
from journeys.services import execution
from journeys.services.execution import StillRunning
from tests.acting import approve, words_about
from tests.servers import BREAK

pytestmark = pytest.mark.django_db


@pytest.fixture
def task(sample_run, people, live, mailbox):
    """C005's task, with its owner, who is the operator."""
    handed = execution.execute(intervention_id=approve("C005", people["approver"]).pk)
    assert mailbox.envelopes == []
    return handed


@pytest.fixture
def unknown(sample_run, people, live, bad_mail_server):
    """C004's mail, of which nobody knows whether it went out."""
    with bad_mail_server(MESSAGE=BREAK):
        return execution.execute(intervention_id=approve("C004", people["approver"]).pk)


@pytest.fixture
def stuck(unknown):
    """The same, as it is left by a worker that died."""
    Execution.objects.filter(pk=unknown.pk).update(status="claimed")
    Intervention.objects.filter(pk=unknown.intervention_id).update(status="executing")
    unknown.refresh_from_db()
    return unknown


def finish(task, user, done=True, note=""):
    return execution.finish_task(execution_id=task.pk, user=user, done=done, note=note, door="test")


def end(row, user, went_out, note="I asked them."):
    return execution.end_uncertain(
        execution_id=row.pk, user=user, went_out=went_out, note=note, door="test", address="127.0.0.1"
    )


def age(row, by):
    Execution.objects.filter(pk=row.pk).update(claimed_at=timezone.now() - by)


def unmoved(row):
    fresh = Execution.objects.get(pk=row.pk)
    return (fresh.status, fresh.finished_at) == (row.status, None)


def test_a_task_is_handed_to_the_owner_until_working_hours_have_passed(task):
    intervention = task.intervention
    assert (task.status, task.assignee, intervention.status) == ("with_owner", "operator", "executing")
    assert task.finished_at is None
    monday_to_friday = WorkingHours(frozenset(range(5)), 8, 18, "UTC")
    due = working_deadline(task.claimed_at, PUBLISHED.clocks.task_due_working_hours, monday_to_friday)
    assert abs(task.due_at - due) < timedelta(seconds=5)
    assert words_about(intervention)[-1] == "execution.with_owner"


def test_a_task_is_not_stuck_but_can_be_overdue(task):
    assert not execution.stuck(timezone.now() + timedelta(days=365)).exists()
    assert not execution.overdue_tasks(task.due_at - timedelta(seconds=1)).exists()
    assert execution.overdue_tasks(task.due_at).get() == task


def test_only_the_owner_and_those_who_may_end_executions_end_a_task(task, people):
    for name in ("approver", "auditor"):
        with pytest.raises(NotAuthorised, match="for operator"):
            finish(task, people[name])
    people["operator"].is_active = False
    with pytest.raises(NotAuthorised):
        finish(task, people["operator"])
    assert unmoved(task)
    assert finish(task, people["manager"]).status == "done"


def test_a_task_that_is_done_counts_from_then(task, people):
    done = finish(task, people["operator"], note="We spoke for an hour.")
    intervention = Intervention.objects.get(pk=task.intervention_id)
    assert (done.status, done.detail, intervention.status) == ("done", "We spoke for an hour.", "executed")
    assert done.finished_at == intervention.ended_at
    last = AuditEvent.objects.filter(subject_key=intervention.pk).order_by("sequence").last()
    assert (last.word, last.after, last.actor_key) == ("task.done", "done", f"user:{people['operator'].pk}")


def test_an_impossible_task_needs_a_reason_and_has_failed(task, people):
    with pytest.raises(ReasonNeeded):
        finish(task, people["operator"], done=False, note="  ")
    assert unmoved(task)
    assert finish(task, people["operator"], done=False, note="They have left.").status == "failed"
    assert Intervention.objects.get(pk=task.intervention_id).status == "failed"


def test_a_task_is_ended_once(task, people):
    finish(task, people["operator"])
    with pytest.raises(AlreadyDecided):
        finish(task, people["operator"], done=False, note="Or not?")
    assert words_about(task.intervention).count("task.done") == 1


def test_a_task_of_nobody_is_for_those_who_may_end_executions(sample, people, live, settings):
    from tests.runs import run_pipeline

    settings.DEBUG = True
    Customer.objects.filter(pk="C005").update(owner="")
    run_pipeline()
    task = execution.execute(intervention_id=approve("C005", people["approver"]).pk)
    assert task.assignee == ""
    with pytest.raises(NotAuthorised, match="for nobody"):
        finish(task, people["approver"])


def test_who_found_out_that_it_went_out_says_so(unknown, people):
    ended = end(unknown, people["operator"], went_out=True)
    intervention = Intervention.objects.get(pk=unknown.intervention_id)
    assert (ended.status, ended.detail, intervention.status) == ("done", "I asked them.", "executed")
    assert ended.finished_at == intervention.ended_at
    last = AuditEvent.objects.filter(subject_key=intervention.pk).order_by("sequence").last()
    assert (last.word, last.before, last.after) == ("execution.ended", "unknown", "executed")
    assert (last.reason, last.actor_key) == ("I asked them.", f"user:{people['operator'].pk}")


def test_who_found_out_that_it_did_not_go_out_lets_the_next_run_ask_again(unknown, people):
    assert end(unknown, people["operator"], went_out=False).status == "failed"
    assert Intervention.objects.get(pk=unknown.intervention_id).status == "failed"
    assert execution.execute(intervention_id=unknown.intervention_id) is None


def test_what_is_uncertain_is_ended_once_with_permission_and_a_reason(unknown, people):
    with pytest.raises(NotAuthorised):
        end(unknown, people["approver"], went_out=True)
    with pytest.raises(ReasonNeeded):
        end(unknown, people["operator"], went_out=True, note=" ")
    with pytest.raises(NotFound):
        execution.end_uncertain(
            execution_id=0, user=people["operator"], went_out=True, note="What?", door="test"
        )
    assert unmoved(unknown)
    end(unknown, people["operator"], went_out=True)
    with pytest.raises(AlreadyDecided):
        end(unknown, people["manager"], went_out=False)


def test_a_claim_is_a_workers_for_ten_minutes_and_a_persons_after_that(stuck, people):
    age(stuck, execution.STUCK_AFTER - timedelta(seconds=30))
    with pytest.raises(StillRunning):
        end(stuck, people["operator"], went_out=False)
    age(stuck, execution.STUCK_AFTER)
    assert end(stuck, people["operator"], went_out=False).status == "failed"


def test_a_task_with_its_owner_is_not_uncertain(task, people):
    age(task, timedelta(days=3))
    with pytest.raises(AlreadyDecided):
        end(task, people["operator"], went_out=True)


def test_what_a_person_ended_stands_when_the_attempt_comes_back_after_all(
    sample_run, people, live, monkeypatch, caplog
):
    from journeys import executors
    from journeys.domain.vocabulary import Channel

    intervention = approve("C004", people["approver"])

    def slow(payload, key):
        row = Execution.objects.get(intervention=intervention)
        age(row, execution.STUCK_AFTER)
        end(row, people["operator"], went_out=False)
        return executors.Receipt("It went out at last.")

    monkeypatch.setitem(executors.CHANNELS, Channel.EMAIL, slow)
    assert execution.execute(intervention_id=intervention.pk).status == "failed"
    assert "It went out at last." in caplog.text
