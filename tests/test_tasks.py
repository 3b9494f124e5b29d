"""The queue is a bell: what comes twice, late or never changes nothing. Through the queue's own rows, worker
and monitor."""

from datetime import UTC, datetime, time, timedelta

import pytest
from django.core.management.sql import emit_post_migrate_signal
from django.utils import timezone
from django_q.models import Failure, OrmQ, Schedule, Success
from django_q.scheduler import scheduler
from django_q.tasks import async_task

from approvals.models import ApprovalRequest
from journeys import pipeline, tasks
from journeys.models import Heartbeat, Intervention, PipelineRun
from journeys.services import upkeep
from tests.acting import approve, drain
from tests.runs import planned_run

pytestmark = pytest.mark.django_db
# The queue's worker closes connections as it goes, which nothing survives but what was committed.
committing = pytest.mark.django_db(transaction=True)


@pytest.fixture
def approved(no_grace, sample_run, people):
    """C004's mail, approved and rung; C001's has been sent already."""
    OrmQ.objects.all().delete()
    Intervention.objects.filter(customer_id="C001").update(status="executed")
    return approve("C004", people["approver"])


def status(intervention):
    return Intervention.objects.get(pk=intervention.pk).status


def bells():
    return [row.func() for row in OrmQ.objects.all()]


def install_afresh():
    Schedule.objects.all().delete()
    tasks.install_schedules()


# ---- the bell


@committing
def test_an_approval_rings_and_the_worker_sends(approved, live, mailbox):
    assert bells() == ["journeys.tasks.execute"]
    drain()
    assert status(approved) == "executed"
    assert len(mailbox.envelopes) == 1
    assert not OrmQ.objects.exists()
    assert Success.objects.count() == 1


@committing
def test_a_bell_that_rings_five_times_sends_one_mail(approved, live, mailbox):
    for _ in range(4):
        async_task("journeys.tasks.execute", approved.pk)
    drain()
    assert len(mailbox.envelopes) == 1
    assert Success.objects.count() == 5


@committing
def test_a_bell_for_what_was_never_approved_changes_nothing(sample_run, live, mailbox):
    OrmQ.objects.all().delete()
    pending = Intervention.objects.get(customer_id="C004")
    async_task("journeys.tasks.execute", pending.pk)
    async_task("journeys.tasks.execute", "iv-which-there-is-not")
    drain()
    assert status(pending) == "pending"
    assert mailbox.envelopes == []


@committing
def test_a_lost_bell_is_made_good_by_the_sweep(approved, live, mailbox):
    OrmQ.objects.all().delete()
    async_task("journeys.tasks.sweep")
    drain()
    assert status(approved) == "executed"
    assert len(mailbox.envelopes) == 1


@committing
def test_a_task_that_fails_stays_in_the_queue_and_is_told(sample_run, live, mailbox):
    OrmQ.objects.all().delete()
    forged = Intervention.objects.get(customer_id="C004")
    Intervention.objects.filter(pk=forged.pk).update(status="approved")
    async_task("journeys.tasks.execute", forged.pk)
    drain()
    assert OrmQ.objects.count() == 1
    assert "No approval stands" in Failure.objects.get().result


# ---- the sweep


def test_the_sweep_shows_that_the_worker_lives(db):
    tasks.sweep()
    first = Heartbeat.objects.get(name="worker").beat_at
    tasks.sweep()
    assert Heartbeat.objects.get(name="worker").beat_at > first


def test_the_sweep_expires_what_passed_its_clock(approved, mailbox):
    ApprovalRequest.objects.update(execute_by=timezone.now(), expires_at=timezone.now())
    tasks.sweep()
    assert status(approved) == "expired"
    assert Intervention.objects.get(customer_id="C005").status == "expired"
    assert mailbox.envelopes == []


def test_a_part_of_the_sweep_that_breaks_does_not_hold_up_the_others(approved, live, mailbox, monkeypatch):
    def break_down():
        raise RuntimeError("It broke.")

    monkeypatch.setattr(upkeep, "_expire", break_down)
    with pytest.raises(ExceptionGroup) as caught:
        tasks.sweep()
    assert str(caught.value.exceptions[0]) == "It broke."
    assert Heartbeat.objects.filter(name="worker").exists()
    assert status(approved) == "executed"


# ---- the runs


@committing
def test_a_queued_run_is_carried_out_by_the_worker_once(sample):
    queued = pipeline.queue(planned_run())
    async_task("journeys.tasks.run_pipeline", queued.pk)
    drain()
    assert PipelineRun.objects.get().status == "succeeded"
    assert Intervention.objects.count() == 3


@committing
def test_the_daily_run_runs_today(sample):
    async_task("journeys.tasks.daily_run")
    drain()
    assert PipelineRun.objects.get().status == "queued"
    drain()
    run = PipelineRun.objects.get()
    assert (run.status, run.as_of) == ("succeeded", timezone.now().astimezone(UTC).date())


# ---- the schedules


def test_the_schedules_are_there_after_a_migration(db):
    assert set(Schedule.objects.values_list("name", flat=True)) == set(tasks.SCHEDULES)
    Schedule.objects.all().delete()
    emit_post_migrate_signal(verbosity=0, interactive=False, db="default")
    assert set(Schedule.objects.values_list("name", flat=True)) == set(tasks.SCHEDULES)


def test_installing_again_mends_a_schedule_and_leaves_its_next_run(db):
    install_afresh()
    later = timezone.now() + timedelta(hours=3)
    Schedule.objects.filter(name="daily run").update(next_run=later, func="builtins.print")
    tasks.install_schedules()
    daily = Schedule.objects.get(name="daily run")
    assert (daily.next_run, daily.func) == (later, "journeys.tasks.daily_run")
    assert Schedule.objects.count() == len(tasks.SCHEDULES)


def test_the_first_daily_run_is_not_at_once_but_at_its_hour(db):
    install_afresh()
    first = Schedule.objects.get(name="daily run").next_run
    assert first.timetz() == time(5, tzinfo=UTC)
    assert Schedule.objects.get(name="daily review").next_run.timetz() == time(6, tzinfo=UTC)
    assert timedelta(0) < first - timezone.now() <= timedelta(days=1)
    assert Schedule.objects.get(name="sweep").next_run <= timezone.now()


@pytest.mark.parametrize(("hour", "day"), [(0, 1), (4, 1), (5, 2), (23, 2)])
def test_the_next_of_an_hour_lies_ahead(hour, day):
    now = datetime(2025, 1, 1, hour, tzinfo=UTC)
    assert tasks.next_at(time(5, tzinfo=UTC), now) == datetime(2025, 1, day, 5, tzinfo=UTC)


@committing
def test_what_falls_due_is_put_in_the_queue_with_the_time_it_needs(db):
    install_afresh()
    Schedule.objects.update(next_run=timezone.now() - timedelta(seconds=1))
    scheduler()
    queued = {row.func(): row.task.get("timeout") for row in OrmQ.objects.all()}
    assert queued["journeys.tasks.sweep"] == 240
    assert queued["journeys.tasks.daily_run"] == pipeline.RUN_TIMEOUT
    assert queued.keys() == {definition["func"] for definition in tasks.SCHEDULES.values()}
    assert all(row.next_run > timezone.now() for row in Schedule.objects.all())
    scheduler()
    assert OrmQ.objects.count() == len(tasks.SCHEDULES)
