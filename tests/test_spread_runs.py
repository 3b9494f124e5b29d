"""A run over the portfolio that all workers carry out together: cut, claimed, taken over, finished once."""

import threading
import time
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from django_q.models import OrmQ

from approvals.invariants import broken
from approvals.models import ApprovalRequest, AuditEvent
from approvals.rules import Authority
from journeys import pipeline
from journeys.models import Assessment, Customer, Intervention, JourneyState, PipelineRun, RunRange, Signal
from journeys.models.runs import HEARTBEAT_LIMIT
from journeys.pipeline import looking, ranges, together
from journeys.pipeline.totals import Totals
from journeys.services import policies
from tests.acting import together as at_the_same_time
from tests.runs import planned_run, run_pipeline

pytestmark = pytest.mark.django_db

CAP = 4
LIKE_C001 = 12


@pytest.fixture
def portfolio(sample, settings, monkeypatch):
    """The sample, and twelve more like C001, whose matter is small enough for the policy alone. They differ
    in their value, and so in how urgent they are: P12 comes first. The policy may decide four. A turn lasts
    as long as there are ranges."""
    monkeypatch.setattr(together, "TURN", 600.0)
    settings.DEBUG = True
    settings.RANGE_SIZE = 5
    rows = Customer.objects.get(pk="C001"), JourneyState.objects.get(customer_id="C001", left_on=None)
    signals = list(Signal.objects.filter(customer_id="C001"))
    for number in range(1, LIKE_C001 + 1):
        key = f"P{number:02}"
        customer, state = rows
        customer.pk, customer.account_value, customer.email = key, 2_000 + 1_000 * number, f"{key}@a.example"
        customer.save(force_insert=True)
        state.pk, state.customer_id = None, key
        state.save(force_insert=True)
        for signal in signals:
            signal.pk, signal.customer_id = f"{key}-{signal.signal_type}", key
            signal.save(force_insert=True)
    policy = policies.in_force()
    policy.document = policy.document | {"authority": {"max_per_run": CAP}}
    policy.save(update_fields=["document"])


def begun(**wishes) -> PipelineRun:
    """A queued run that a worker has cut into ranges, and that nobody has looked at yet."""
    queued = pipeline.queue(planned_run(**wishes))
    pipeline.start(queued, pipeline.expected(queued))
    together._cut(together._context(queued))
    OrmQ.objects.all().delete()
    queued.refresh_from_db()
    return queued


def look_at(run: PipelineRun, claim: ranges.Claim) -> None:
    looking.look_at(together._context(run), claim.part, claim)


def concluded() -> dict[str, dict]:
    """By customer: what a run came to, without keys, times and texts of its own."""
    assessed = ("as_of", "overall_risk_score", "risk_tier", "recommended_action", "disposition")
    proposed = ("recommended_action", "status", "channel", "person_reasons", "priority_score", "authority")
    return {
        "assessed": {
            row.customer_id: [getattr(row, name) for name in assessed] for row in Assessment.objects.all()
        },
        "proposed": {
            row.customer_id: [getattr(row, name) for name in proposed] for row in Intervention.objects.all()
        },
        "decided": dict(ApprovalRequest.objects.values_list("concerning", "decisions__authority")),
    }


def time_passes(run: PipelineRun, by: timedelta = ranges.SILENCE) -> None:
    long_ago = timezone.now() - by - timedelta(seconds=1)
    RunRange.objects.filter(run=run, status="claimed").update(beat_at=long_ago)
    PipelineRun.objects.filter(pk=run.pk).update(heartbeat_at=long_ago)


def test_of_more_than_its_cap_the_policy_decides_the_most_urgent_of_all(portfolio):
    run = run_pipeline()
    by_policy = ApprovalRequest.objects.filter(decisions__authority=Authority.POLICY)
    assert set(by_policy.values_list("concerning", flat=True)) == {"P12", "P11", "P10", "C001"}
    capped = Intervention.objects.filter(person_reasons=["policy_cap"]).values_list("customer_id", flat=True)
    assert set(capped) == {f"P{number:02}" for number in range(1, 10)}
    assert (run.counts["by_policy"], run.counts["proposed"]) == (CAP, LIKE_C001 + 3)


def test_one_range_or_many_come_to_the_same(portfolio, settings):
    settings.RANGE_SIZE = 1000
    run_pipeline()
    by_policy = ApprovalRequest.objects.filter(decisions__authority=Authority.POLICY)
    assert set(by_policy.values_list("concerning", flat=True)) == {"P12", "P11", "P10", "C001"}


def test_a_queued_run_is_carried_out_in_turns_and_finished_once(portfolio, monkeypatch):
    monkeypatch.setattr(together, "TURN", -1.0)  # one range a turn
    queued = pipeline.queue(planned_run())
    assert queued.spread
    pipeline.run_queued(queued.pk)
    turns = 1
    while PipelineRun.objects.get().status == "running":
        assert RunRange.objects.filter(status="done").count() == turns
        assert OrmQ.objects.exists()
        pipeline.work(queued.pk)
        turns += 1
    run = PipelineRun.objects.get()
    # Five ranges of the portfolio, and one of those whom the policy may decide.
    assert turns == 7
    assert (run.status, run.counts["customers"]) == ("succeeded", 10 + LIKE_C001)
    assert run.counts["proposed"] == Intervention.objects.count() == LIKE_C001 + 3
    assert next(step["in"] for step in run.steps if step["name"] == "data_loading") == 10 + LIKE_C001
    assert not RunRange.objects.exists()
    for _ in range(3):
        pipeline.work(queued.pk)
    assert AuditEvent.objects.filter(word="run.finished").count() == 1
    assert broken() == []


def test_workers_together_come_to_what_one_process_alone_does(portfolio):
    with transaction.atomic():
        counts, alone = run_pipeline().counts, concluded()
        transaction.set_rollback(True)
    run = begun()
    while claim := ranges.claim(run):
        look_at(run, claim)
    pipeline.work(run.pk)
    run.refresh_from_db()
    assert run.counts == counts
    assert concluded() == alone


def test_a_range_is_claimed_once(portfolio):
    run = begun()
    claims = []
    while claim := ranges.claim(run):
        claims.append(claim)
    assert len({claim.range_id for claim in claims}) == len(claims) == 5
    assert {claim.part.alone for claim in claims} == {False}


def test_who_has_time_left_takes_the_next_range_in_the_transaction_that_writes_one(portfolio):
    run = begun()
    claim = ranges.claim(run, until=time.monotonic() + 60)
    numbers = []
    while claim:
        numbers.append(RunRange.objects.get(pk=claim.range_id).number)
        look_at(run, claim)
        statuses = list(RunRange.objects.order_by("number").values_list("status", flat=True))
        assert statuses == (["done"] * len(numbers) + ["claimed"] + ["waiting"] * 5)[:5]
        claim = claim.following
    assert numbers == [0, 1, 2, 3, 4]


def test_who_has_no_time_left_or_whose_run_is_cancelled_takes_no_other_range(portfolio):
    run = begun()
    late = ranges.claim(run)
    look_at(run, late)
    assert late.following is None
    in_time = ranges.claim(run, until=time.monotonic() + 60)
    pipeline.cancel(run.pk, actor=pipeline.SCHEDULE)
    look_at(run, in_time)
    assert in_time.following is None
    assert RunRange.objects.filter(status="waiting").count() == 3


def test_what_is_rolled_back_takes_no_range_along(portfolio):
    run = begun()
    claim = ranges.claim(run, until=time.monotonic() + 60)
    with transaction.atomic():
        claim.done(Totals(), [])
        transaction.set_rollback(True)
    assert RunRange.objects.filter(status="claimed").count() == 1
    look_at(run, claim)
    assert RunRange.objects.filter(status="claimed").count() == 1
    assert claim.following.range_id != claim.range_id


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite lets one writer in at a time")
@pytest.mark.django_db(transaction=True)
def test_a_range_that_somebody_has_in_hand_is_passed_over_and_not_waited_for(portfolio):
    run = begun()
    held, go_on = threading.Event(), threading.Event()

    def hold_the_first() -> None:
        with transaction.atomic():
            list(RunRange.objects.select_for_update().filter(number=0))
            held.set()
            go_on.wait(30)
        connection.close()

    other = threading.Thread(target=hold_the_first)
    other.start()
    try:
        assert held.wait(30)
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '2s'")
        assert RunRange.objects.get(pk=ranges.claim(run).range_id).number == 1
    finally:
        go_on.set()
        other.join()
        with connection.cursor() as cursor:
            cursor.execute("RESET lock_timeout")


def test_whoever_only_was_slow_writes_nothing_once_another_has_taken_over(portfolio):
    run = begun()
    slow = ranges.claim(run)
    time_passes(run)
    quick = ranges.claim(run)
    assert (quick.range_id, quick.part) == (slow.range_id, slow.part)
    with pytest.raises(ranges.Lost):
        look_at(run, slow)
    assert not Assessment.objects.exists()
    look_at(run, quick)
    with pytest.raises(ranges.Lost):
        look_at(run, slow)
    assert Assessment.objects.count() == 5


def test_a_dead_worker_s_range_is_taken_over_and_nothing_is_missing_or_twice(portfolio):
    run = begun()
    ranges.claim(run)
    pipeline.work(run.pk)
    run.refresh_from_db()
    assert run.status == "running"  # somebody has a range, for all that is known
    pipeline.take_over()
    assert not OrmQ.objects.exists()
    time_passes(run)
    pipeline.take_over()
    assert OrmQ.objects.count() == 1
    pipeline.work(run.pk)
    run.refresh_from_db()
    assert (run.status, run.counts["customers"]) == ("succeeded", 10 + LIKE_C001)
    assert Assessment.objects.filter(run=run).count() == 10 + LIKE_C001
    assert broken() == []


def test_who_dies_before_the_ranges_are_cut_is_taken_over_as_well(portfolio):
    queued = pipeline.queue(planned_run())
    pipeline.start(queued, pipeline.expected(queued))
    time_passes(queued)
    OrmQ.objects.all().delete()
    pipeline.take_over()
    assert OrmQ.objects.count() == 1
    pipeline.work(queued.pk)
    assert PipelineRun.objects.get().status == "succeeded"


def test_who_dies_while_summing_up_is_taken_over_and_the_run_ends_once(portfolio, monkeypatch):
    class Killed(BaseException):
        """No more than a kill does it let anybody tidy up."""

    def dies(run):
        raise Killed

    run = begun()
    with monkeypatch.context() as patch:
        patch.setattr(pipeline.steps.reports, "build", dies)
        with pytest.raises(Killed):
            pipeline.work(run.pk)
    pipeline.work(run.pk)
    run.refresh_from_db()
    assert run.status == "running"  # its finisher has shown itself just now
    time_passes(run, HEARTBEAT_LIMIT)
    pipeline.work(run.pk)
    run.refresh_from_db()
    assert run.status == "succeeded"
    assert run.report
    assert AuditEvent.objects.filter(word="run.finished").count() == 1


def test_a_range_that_breaks_ends_the_run_at_its_step(portfolio, monkeypatch):
    score_risk = pipeline.cases.score_risk

    def breaks_at_one(case, rules):
        if case.customer.customer_id == "P03":
            raise ValueError("A hole in the floor.")
        score_risk(case, rules)

    monkeypatch.setattr(pipeline.cases, "score_risk", breaks_at_one)
    run = begun()
    with pytest.raises(pipeline.RunFailed, match="risk_scoring"):
        pipeline.work(run.pk)
    run.refresh_from_db()
    assert (run.status, run.error) == ("failed", "risk_scoring: A hole in the floor.")
    # The ranges before it are written, and the row says how many customers these are.
    assert Assessment.objects.count() == 10
    assert next(step["in"] for step in run.steps if step["name"] == "data_loading") == 10
    pipeline.work(run.pk)
    assert Assessment.objects.count() == 10


def test_a_cancelled_run_ends_with_what_is_in_hand_and_says_what_was_done(portfolio):
    run = begun()
    in_hand = ranges.claim(run)
    pipeline.cancel(run.pk, actor=pipeline.WORKER)
    assert ranges.claim(run) is None
    pipeline.work(run.pk)
    run.refresh_from_db()
    assert run.status == "running"  # one range is in somebody's hands
    look_at(run, in_hand)
    pipeline.work(run.pk)
    run.refresh_from_db()
    assert run.status == "cancelled"
    assert (run.counts["customers"], run.counts["expected"]) == (5, 10 + LIKE_C001)
    assert Assessment.objects.count() == 5
    assert not RunRange.objects.exists()


def test_what_came_in_between_the_two_looks_is_minded(portfolio):
    run = begun()
    for _ in range(5):
        look_at(run, ranges.claim(run))
    Customer.objects.filter(pk="P12").update(do_not_contact=True)
    pipeline.work(run.pk)
    run.refresh_from_db()
    assert not Intervention.objects.filter(customer_id="P12").exists()
    row = Assessment.objects.get(customer_id="P12")
    assert (row.disposition, row.suppression_reason) == ("suppressed", "do_not_contact")
    assert run.counts["suppressed_by"] == {"do_not_contact": 1}
    assert run.counts["by_policy"] == CAP - 1
    assert broken() == []


def test_the_second_look_is_cut_once_however_late_another_comes_by(portfolio):
    run = begun()
    for _ in range(5):
        look_at(run, ranges.claim(run))
    late = together._context(PipelineRun.objects.get())
    assert ranges.cut_second_look(run, most=CAP) == 1
    assert together._cut_second_look(late)
    with pytest.raises(IntegrityError), transaction.atomic():
        ranges.cut_second_look(run, most=CAP)


def test_nobody_sums_up_while_the_second_look_that_another_cut_is_in_hand(portfolio, monkeypatch):
    run = begun()
    for _ in range(5):
        look_at(run, ranges.claim(run))
    are_done = ranges.are_done

    def another_cuts_it_just_then(of):
        monkeypatch.setattr(ranges, "are_done", are_done)
        ranges.cut_second_look(run, most=CAP)
        in_hand.append(ranges.claim(run))
        return True

    in_hand = []
    monkeypatch.setattr(ranges, "are_done", another_cuts_it_just_then)
    pipeline.work(run.pk)
    run.refresh_from_db()
    assert run.status == "running"
    look_at(run, *in_hand)
    pipeline.work(run.pk)
    run.refresh_from_db()
    assert run.status == "succeeded"
    assert run.counts["proposed"] == Intervention.objects.count() == LIKE_C001 + 3
    assert broken() == []


def test_a_run_that_approves_automatically_stays_with_one_worker(portfolio):
    queued = pipeline.queue(planned_run(auto_approve_for_testing=True))
    assert not queued.spread
    pipeline.run_queued(queued.pk)
    assert PipelineRun.objects.get().counts["auto_approved"] == 11


@pytest.mark.django_db(transaction=True)
def test_many_hands_at_the_same_moment_cut_once_claim_once_and_finish_once(portfolio):
    queued = pipeline.queue(planned_run())
    pipeline.start(queued, pipeline.expected(queued))
    for _ in range(10):
        at_the_same_time(*[lambda: pipeline.work(queued.pk)] * 4)
        if PipelineRun.objects.get().status != "running":
            break
    run = PipelineRun.objects.get()
    assert (run.status, run.counts["customers"]) == ("succeeded", 10 + LIKE_C001)
    assert Assessment.objects.count() == 10 + LIKE_C001
    assert run.counts["proposed"] == Intervention.objects.count() == LIKE_C001 + 3
    assert AuditEvent.objects.filter(word="run.finished").count() == 1
    assert broken() == []
