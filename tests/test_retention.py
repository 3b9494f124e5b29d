"""What is deleted once it was kept for as long as the policy says."""

from datetime import timedelta

import pytest
from django.utils import timezone

from approvals.models import AuditEvent
from journeys.days import today
from journeys.invariants import _runs_that_do_not_add_up
from journeys.models import Assessment, Customer, Intervention, PipelineRun
from journeys.services import retention
from journeys.services.retention import forget_past
from tests.runs import run_pipeline

pytestmark = pytest.mark.django_db

LONG_AGO = today() - timedelta(days=1000)


def told() -> list[str]:
    events = AuditEvent.objects.filter(word="retention.forgotten").order_by("sequence")
    return [event.detail.document["subject_name"] for event in events.select_related("detail")]


@pytest.fixture
def past(sample, monkeypatch):
    """A first run of long ago; one a little later that wrote C003 to C006 anew; and one of today."""
    monkeypatch.setattr(retention, "_AT_ONCE", 2)
    first = run_pipeline(LONG_AGO)
    for as_of, ids in (
        (LONG_AGO + timedelta(days=5), ["C002", "C003", "C004", "C005", "C006"]),
        (today(), ["C002", "C003", "C004", "C005"]),
    ):
        Assessment.objects.filter(customer__in=ids).update(digest=None)
        for customer_id in ids:
            run_pipeline(as_of, customer_id=customer_id)
    return first


def test_what_was_replaced_long_ago_goes_with_counts_in_the_audit_and_figures_add_up(past):
    before = Assessment.objects.count()
    rests_on = set(Intervention.objects.values_list("run", "customer"))
    replaced = Assessment.objects.filter(
        held_until_run__in=PipelineRun.objects.filter(as_of__lt=today()).values("pk")
    )
    gone = {row.pk for row in replaced if (row.run_id, row.customer_id) not in rests_on}
    assert gone
    forget_past()
    assert not Assessment.objects.filter(pk__in=gone).exists()
    assert Assessment.objects.count() == before - len(gone)
    assert sum(int(words.split()[0]) for words in told()) == len(gone)
    assert len(told()) == (len(gone) + 1) // 2
    assert not list(_runs_that_do_not_add_up())
    forget_past()
    assert Assessment.objects.count() == before - len(gone)


def test_what_holds_stays_however_old_it_is_and_so_does_what_held_until_lately(past):
    forget_past()
    assert Assessment.objects.current().count() == Customer.objects.count()
    assert Assessment.objects.current().filter(as_of=LONG_AGO).exists()
    ended = PipelineRun.objects.filter(as_of=today()).values("pk")
    lately = Assessment.objects.filter(held_until_run__in=ended)
    assert lately.filter(as_of__lt=today() - timedelta(days=900)).count() == 4


def test_what_a_proposal_rests_on_stays(past):
    forget_past()
    for row in Intervention.objects.all():
        assert Assessment.objects.filter(run=row.run_id, customer=row.customer_id).exists()


def test_of_runs_for_what_was_received_go_those_of_which_nothing_came(sample):
    full = run_pipeline(today())
    empty, recent, wrote = (
        PipelineRun.objects.create(
            scope="marked",
            status="succeeded",
            as_of=today(),
            policy=full.policy,
            finished_at=timezone.now() - timedelta(days=days),
            counts=full.counts | {"customers": 0, "not_assessed": 0, "proposed": 0, "suppressed": 0},
        )
        for days in (31, 29, 31)
    )
    Assessment.objects.filter(customer="C003").update(run=wrote)
    PipelineRun.objects.filter(pk=full.pk).update(finished_at=timezone.now() - timedelta(days=31))
    forget_past()
    assert set(PipelineRun.objects.values_list("pk", flat=True)) == {full.pk, recent.pk, wrote.pk}
    assert told() == ["1 runs for what was received"]
