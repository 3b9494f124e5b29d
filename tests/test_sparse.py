"""What a run writes of its conclusions: those that are other than what held. Of each customer one holds."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from journeys.cases import Span
from journeys.invariants import _runs_that_do_not_add_up
from journeys.models import Assessment, Customer, JourneyState, PipelineRun, Policy, Signal
from journeys.pipeline import changes, looking
from journeys.services.policies import add_policy
from tests.runs import SAMPLE_DAY, run_pipeline

pytestmark = pytest.mark.django_db


def held() -> dict[str, Assessment]:
    return {row.customer_id: row for row in Assessment.objects.current()}


def days(number: int) -> date:
    return SAMPLE_DAY + timedelta(days=number)


def written(run: PipelineRun) -> set[str]:
    return set(run.assessments.values_list("customer_id", flat=True))


def a_signal(customer_id: str, day: date, kind: str = "usage_drop", strength: float = 0.5) -> Signal:
    return Signal.objects.create(
        signal_id=f"T{Signal.objects.count()}",
        customer_id=customer_id,
        signal_type=kind,
        signal_strength=strength,
        detected_at=datetime.combine(day, time(12), UTC),
    )


def another_policy() -> None:
    Policy.objects.update(active=False)
    added = add_policy(name="other", document={}, created_by="a test")
    Policy.objects.filter(pk=added.pk).update(active=True)


@pytest.fixture
def debug(settings):
    settings.DEBUG = True


def test_a_run_writes_only_what_is_other_than_what_held(sample, debug):
    first = run_pipeline()
    assert len(written(first)) == 10
    assert first.counts["unchanged"] == 0
    second = run_pipeline()
    # What was proposed is under way now; of the others the same holds.
    assert written(second) == {"C001", "C004", "C005"}
    assert second.counts["unchanged_by"] == {"below_confidence": 7}
    third = run_pipeline()
    assert written(third) == set()
    assert third.counts["customers"] == third.counts["unchanged"] == 10
    assert third.counts["unchanged_by"] == {
        "below_confidence": 7,
        "already_pending": 2,
        "in_progress": 1,
    }
    assert third.counts["suppressed"] == 3
    assert not list(_runs_that_do_not_add_up())


def test_of_each_customer_one_holds_and_it_is_the_last_that_was_written(sample, debug):
    runs = [run_pipeline(days(number)) for number in range(6)]
    assert len(held()) == 10
    for customer_id, row in held().items():
        mine = Assessment.objects.filter(customer=customer_id).order_by("pk")
        assert row == mine.last()
        assert row.held_until_run is None
        followed = [later.run_id for later in mine[1:]]
        assert [earlier.held_until_run for earlier in mine][:-1] == followed
    assert sum(run.counts["customers"] for run in runs) > Assessment.objects.count()


def test_days_alone_write_nothing_until_they_cross_a_line(sample, debug):
    """C009 is a healthy customer in engagement, of 30 days."""
    run_pipeline()
    row = held()["C009"]
    until = row.due_on
    assert until > days(1)
    day = SAMPLE_DAY
    while day < until - timedelta(days=1):
        day += timedelta(days=1)
        run_pipeline(day, customer_id="C009")
    assert held()["C009"] == row
    assert held()["C009"].as_of == SAMPLE_DAY
    # Another health, another tier, or a signal that leaves: the day comes at which something is written.
    for _ in range(60):
        day += timedelta(days=1)
        run_pipeline(day, customer_id="C009")
    assert held()["C009"] != row


@pytest.mark.parametrize(
    "change",
    [
        lambda: a_signal("C003", SAMPLE_DAY),
        lambda: Customer.objects.filter(pk="C003").update(account_value=90_000),
        lambda: JourneyState.objects.filter(customer="C003").update(journey_stage="retention"),
        lambda: another_policy(),
    ],
    ids=["a signal", "the value", "the stage", "the policy"],
)
def test_what_is_received_writes_a_new_one(sample, debug, change):
    run_pipeline()
    change()
    assert "C003" in written(run_pipeline())


def test_without_a_stage_nothing_holds_any_more(sample, debug):
    run_pipeline()
    JourneyState.objects.filter(customer="C003").update(left_on=SAMPLE_DAY)
    run = run_pipeline()
    assert "C003" not in held()
    assert run.counts["not_assessed"] == 1
    assert Assessment.objects.get(customer="C003").held_until_run == run.pk
    JourneyState.objects.create(customer_id="C003", journey_stage="support", state_entered_at=SAMPLE_DAY)
    run_pipeline()
    assert held()["C003"].journey_stage == "support"


def test_a_run_of_an_earlier_day_leaves_what_holds_alone(sample, debug):
    run_pipeline(days(10))
    now = held()
    past = run_pipeline()
    assert held() == now
    assert len(written(past)) == 10
    assert set(past.assessments.values_list("is_current", "held_until_run")) == {(False, past.pk)}


def test_a_proposal_of_an_earlier_day_makes_the_customer_due(sample, debug):
    Customer.objects.update(do_not_contact=True)
    run_pipeline(days(10))
    Customer.objects.update(do_not_contact=False)
    assert held()["C004"].due_on != days(10)
    run_pipeline(customer_id="C004")
    assert held()["C004"].due_on == days(10)


def test_a_dry_run_compares_nothing_and_ends_nothing(sample, debug):
    run_pipeline()
    before = held()
    run = run_pipeline(days(5), dry_run=True)
    assert run.counts["unchanged"] == 0
    assert held() == before


def meanwhile(monkeypatch, what) -> list[int]:
    """Let `what` happen once between the reading of a range and its writing."""
    write, times = looking._write, []

    def disturbed(*arguments):
        times.append(1)
        if len(times) == 1:
            what()
        return write(*arguments)

    monkeypatch.setattr(looking, "_write", disturbed)
    return times


def test_where_another_run_concludes_something_meanwhile_the_range_is_read_again(sample, debug, monkeypatch):
    run_pipeline()
    a_signal("C003", SAMPLE_DAY)
    times = meanwhile(monkeypatch, lambda: run_pipeline(customer_id="C003"))
    run = run_pipeline()
    assert len(times) == 3  # the run, the other one, and the run again
    assert len(held()) == 10
    assert held()["C003"].run.customer_id == "C003"
    assert run.counts["unchanged_by"]["below_confidence"] == 7


def test_two_first_looks_at_once_leave_one_that_holds(sample, debug, monkeypatch):
    times = meanwhile(monkeypatch, lambda: run_pipeline(customer_id="C003"))
    run_pipeline()
    assert len(times) == 3
    assert len(held()) == 10
    assert held()["C003"].run.customer_id == "C003"


def test_what_makes_a_customer_due_meanwhile_is_not_lost(sample, debug, monkeypatch):
    run_pipeline()
    a_signal("C003", SAMPLE_DAY)
    mine = Assessment.objects.filter(customer="C003")
    times = meanwhile(monkeypatch, lambda: mine.update(due_on=SAMPLE_DAY))
    run_pipeline()
    assert len(times) == 2
    assert held()["C003"].due_on > SAMPLE_DAY


def test_what_an_earlier_release_wrote_is_written_anew(sample, debug):
    run_pipeline()
    Assessment.objects.update(digest=None)
    assert len(written(run_pipeline())) == 10


def test_what_holds_is_read_by_the_index_on_it(sample):
    run_pipeline()
    with CaptureQueriesContext(connection) as asked:
        changes.current_of(Span("C000", "C999"))
    (query,) = asked
    with connection.cursor() as cursor:
        explain = "EXPLAIN" if connection.vendor == "postgresql" else "EXPLAIN QUERY PLAN"
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(f"{explain} {query['sql']}")
        told = " ".join(str(row) for row in cursor.fetchall())
    # Either holds current ones alone; of so few rows PostgreSQL takes now one, now the other.
    assert "journeys_one_current_assessment" in told or "journeys_assessment_tier" in told
