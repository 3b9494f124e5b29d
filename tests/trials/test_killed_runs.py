"""Two clusters carry out a run over the portfolio together and are killed again and again: the run ends once,
and its rows are those of a run that nobody disturbed."""

import random
from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone
from django_q.models import OrmQ
from django_q.tasks import async_task

from approvals.invariants import broken
from approvals.models import AuditEvent
from journeys import pipeline
from journeys.models import Assessment, Customer, Intervention, JourneyState, PipelineRun, RunRange, Signal
from journeys.models.runs import HEARTBEAT_LIMIT
from journeys.pipeline.store import disposition_of
from tests.runs import planned_run
from tests.trials import portfolio
from tests.trials.cluster import Cluster, wait_until
from tests.trials.rounds import rounds

pytestmark = [pytest.mark.trial, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

EACH_ROUND = 240
RANGE = 12
MOST = 30


@pytest.fixture
def start(started):
    return partial(started, Cluster, mail_port=1, RANGE_SIZE=str(RANGE))


def arrive(number: int) -> None:
    """Customers of whom some are a person's to decide, some the policy's, and some nobody's. Their ids lie
    among those who are there already."""
    chance = random.Random(number)
    today = timezone.now().date()
    keys = [f"{key:06}-{number}" for key in chance.sample(range(10**6), EACH_ROUND)]
    Customer.objects.bulk_create(
        Customer(
            customer_id=key,
            name=f"Customer {key}",
            email=f"{key}@customers.example",
            segment="SMB",
            account_value=chance.choice([2_000, 9_000, 30_000, 80_000]),
        )
        for key in keys
    )
    JourneyState.objects.bulk_create(
        JourneyState(
            customer_id=key,
            journey_stage="engagement",
            state_entered_at=today - timedelta(days=chance.choice([5, 60])),
        )
        for key in keys
    )
    Signal.objects.bulk_create(
        Signal(
            signal_id=f"{key}-{kind}",
            customer_id=key,
            signal_type=kind,
            signal_strength=chance.choice([0.3, 0.6, 0.7]),
            detected_at=timezone.now() - timedelta(days=2),
        )
        for key in keys
        for kind in chance.sample(["usage_drop", "negative_sentiment", "support_escalation"], 2)
    )


def foreseen() -> dict[str, tuple]:
    """What a run that nobody disturbs comes to, by customer."""
    told = {}

    def note(case, intervention):
        if case.state is None:
            return
        disposition, reason, _ = disposition_of(case)
        proposed = intervention and (intervention.status, tuple(intervention.person_reasons))
        told[case.customer.customer_id] = (case.risk.overall, str(disposition), str(reason), proposed)

    pipeline.run(planned_run(timezone.now().date(), dry_run=True), on_case=note)
    return told


def concluded(run: PipelineRun) -> dict[str, tuple]:
    """By customer: what holds after the run, and what it proposed."""
    proposed = {
        row.customer_id: (row.status, tuple(row.person_reasons))
        for row in Intervention.objects.filter(run=run)
    }
    return {
        row.customer_id: (
            row.overall_risk_score,
            row.disposition,
            row.suppression_reason,
            proposed.get(row.customer_id),
        )
        for row in Assessment.objects.current()
    }


def a_long_time_passes(run: PipelineRun) -> None:
    """Claims grow old, the queue hands out again what was never acknowledged, and the sweep is due."""
    long_ago = timezone.now() - HEARTBEAT_LIMIT - timedelta(seconds=1)
    RunRange.objects.filter(run=run, status=RunRange.Status.CLAIMED).update(beat_at=long_ago)
    PipelineRun.objects.filter(pk=run.pk, status="running").update(heartbeat_at=long_ago)
    OrmQ.objects.update(lock=timezone.now() - timedelta(seconds=1))
    async_task("journeys.tasks.sweep")


def disturb(run: PipelineRun, clusters: list[Cluster], start, chance: random.Random) -> tuple[int, int]:
    """Kill one cluster or both, somewhere among the ranges or while one of them sums up, and start another.
    Returns how many were killed, and how many ranges they had in hand."""
    done = RunRange.objects.filter(run=run, status=RunRange.Status.DONE)
    enough = done.count() + chance.randrange(1, EACH_ROUND // RANGE)
    wait_until(lambda: done.count() >= enough or is_over(run))
    places = chance.choice([(0,), (1,), (0, 1)])
    for place in places:
        clusters[place].kill()
        clusters[place] = start()
    in_hand = RunRange.objects.filter(run=run, status=RunRange.Status.CLAIMED).count()
    if not is_over(run):
        a_long_time_passes(run)
    return len(places), in_hand


def is_over(run: PipelineRun) -> bool:
    return not PipelineRun.objects.filter(pk=run.pk, status__in=["queued", "running"]).exists()


def test_a_run_of_two_clusters_comes_to_the_same_whoever_is_killed(start, tell, settings):
    settings.RANGE_SIZE = RANGE
    # What the policy approves must not be carried out before the trial is over: the next round would find
    # that it has moved on since it was foreseen.
    portfolio.in_force_with(authority={"max_per_run": MOST}, clocks={"grace_seconds": 24 * 3600})
    times, killed, taken_over = rounds(50), 0, 0
    chance = random.Random(7)
    clusters = [start(), start()]
    for number in range(times):
        arrive(number)
        expected = foreseen()
        run = pipeline.queue(planned_run(timezone.now().date()))
        for _ in range(2):
            died, in_hand = disturb(run, clusters, start, chance)
            killed, taken_over = killed + died, taken_over + in_hand
        wait_until(partial(is_over, run))
        run.refresh_from_db()
        assert run.status == "succeeded", run.error
        assert concluded(run) == expected
        assert run.counts["customers"] == len(expected)
        assert AuditEvent.objects.filter(word="run.finished", subject_key=str(run.pk)).count() == 1
        assert list(broken()) == []
    assert not RunRange.objects.exists()
    assert any(proposed == ("approved", ()) for *_, proposed in concluded(run).values())
    tell(times, f"{killed} clusters killed, {taken_over} ranges taken over; every run as foreseen")
