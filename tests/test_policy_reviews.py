"""What the policy decided alone is listed, and a share of it is looked at by people afterwards."""

from datetime import UTC, date, timedelta

import pytest
from django.db import connection
from django.utils import timezone

from approvals import append_only, rules
from approvals.models import ApprovalRequest, Decision
from approvals.rules import Authority
from approvals.services import expire_overdue
from journeys import tasks
from journeys.models import Customer, Intervention, JourneyState, Signal
from journeys.services import execution, reviews
from tests.acting import decide, waiting
from tests.runs import run_pipeline

pytestmark = pytest.mark.django_db


def today() -> date:
    return timezone.now().astimezone(UTC).date()


def open_reviews():
    return ApprovalRequest.objects.pending().filter(kind=reviews.KIND)


@pytest.fixture
def all_reviewed(policy_with):
    policy_with({"authority": {"review_share": 1.0}})


@pytest.fixture
def review(people, all_reviewed, sample_run):
    reviews.draw(today())
    return open_reviews().get()


def test_what_the_policy_decided_on_a_day_is_listed(people, sample_run):
    decide(waiting("C004"), people["approver"])
    [decision] = reviews.decided_by_policy(today())
    assert (decision.authority, decision.request.concerning) == (Authority.POLICY, "C001")
    assert not reviews.decided_by_policy(today() - timedelta(days=1)).exists()


def test_what_is_drawn_waits_for_somebody_with_the_authority(review, people):
    assert (review.concerning, review.value_at_stake, review.unroutable) == ("C001", 12_000, False)
    assert review.title.startswith("Was this right?")
    assert reviews.reviewed(review).concerning == "C001"
    with pytest.raises(rules.NotAuthorised):
        decide(review, people["operator"])


def test_it_is_drawn_once_however_often_one_draws(review, people):
    assert reviews.draw(today()) == 0
    decide(review, people["approver"])
    assert reviews.draw(today()) == 0
    assert ApprovalRequest.objects.filter(kind=reviews.KIND).count() == 1


def test_agreeing_and_disagreeing_are_decisions_like_others(review, people):
    with pytest.raises(rules.ReasonNeeded):
        decide(review, people["approver"], rules.Verdict.REJECTED, reason="Hm.", category="")
    wish = {"reason": "They had called.", "category": "policy_too_eager"}
    decision = decide(review, people["approver"], rules.Verdict.REJECTED, **wish)
    assert (decision.verdict, decision.category) == ("rejected", "policy_too_eager")


def test_a_disagreement_undoes_nothing(review, people):
    before = Intervention.objects.get(customer_id="C001").status
    decide(review, people["approver"], rules.Verdict.REJECTED, reason="They had called.")
    assert Intervention.objects.get(customer_id="C001").status == before == "approved"
    assert reviews.reviewed(review).status == "approved"


def test_an_agreement_is_used_at_once_and_never_expires(review, people):
    decide(review, people["approver"])
    review.refresh_from_db()
    assert review.used_at
    overdue = ApprovalRequest.objects.overdue(timezone.now() + timedelta(days=99))
    assert not overdue.filter(pk=review.pk).exists()


def test_a_review_that_nobody_looked_at_expires(review):
    expire_overdue(actor=execution.WORKER, now=review.expires_at)
    review.refresh_from_db()
    assert review.status == "expired"


def test_nothing_is_drawn_where_the_policy_says_so(policy_with, sample_run):
    policy_with({"authority": {"review_share": 0.0}})
    assert reviews.draw(today()) == 0


def test_the_daily_task_draws_from_the_days_before_also_where_one_was_missed(
    people, all_reviewed, sample_run
):
    tasks.daily_review()
    assert not open_reviews().exists()  # today is not over
    append_only.remove(connection)
    Decision.objects.update(decided_at=timezone.now() - timedelta(days=3))
    append_only.install(connection)
    tasks.daily_review()
    assert open_reviews().get().concerning == "C001"


def test_about_one_in_twenty_is_drawn_and_nobody_can_choose_which(people, sample, settings):
    settings.DEBUG = True
    model = Customer.objects.get(pk="C001")
    state, signals = model.journey_states.get(left_on=None), list(Signal.objects.filter(customer="C001"))
    for number in range(100):
        customer = Customer.objects.create(
            customer_id=f"X{number:03}",
            segment=model.segment,
            account_value=model.account_value,
            email=f"x{number}@many.example",
        )
        JourneyState.objects.create(
            customer=customer, journey_stage=state.journey_stage, state_entered_at=state.state_entered_at
        )
        for signal in signals:
            signal.pk, signal.customer = f"{customer.pk}-{signal.signal_type}", customer
            signal.save(force_insert=True)
    run_pipeline()
    alone = reviews.decided_by_policy(today()).count()
    assert alone == 100  # the cap of a run
    drawn = reviews.draw(today())
    assert 0 <= drawn <= 15
    first = set(open_reviews().values_list("subject_key", flat=True))
    open_reviews().update(status="superseded", decided_at=timezone.now())
    ApprovalRequest.objects.filter(kind=reviews.KIND).delete()
    reviews.draw(today())
    assert set(open_reviews().values_list("subject_key", flat=True)) == first
