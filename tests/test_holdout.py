"""Who is held out in a run, and that it is kept, shown and counted."""

from datetime import timedelta
from itertools import count

import pytest
from django.utils import timezone

from approvals.models import ApprovalRequest
from journeys import pipeline
from journeys.domain import holdout
from journeys.domain.holdout import Arm
from journeys.domain.policy import load
from journeys.models import Assessment, Assignment, Customer, Intervention
from journeys.reports import holdouts
from journeys.services.policies import add_policy
from journeys.services.proposals import propose
from tests.by_hand import a_customer, an_intervention, run_row
from tests.runs import SAMPLE_DAY, planned_run, run_pipeline

pytestmark = pytest.mark.django_db

# Everybody of the sample may be drawn.
OPEN = {"share": 0.5, "below_account_value": 1_000_000.0}


def an_experiment(**arms: Arm) -> dict:
    """A hold-out whose name draws these customers into these arms."""
    for number in count():
        rules = OPEN | {"experiment": f"try {number}"}
        policy = load({"holdout": rules})
        if all(holdout.draw(key, policy) is arm for key, arm in arms.items()):
            return rules
    raise AssertionError


@pytest.fixture
def held(sample, policy_with, settings) -> str:
    """An experiment that leaves C004 alone, while C001 and C005 are treated; its name."""
    settings.DEBUG = True
    rules = an_experiment(C001=Arm.TREATED, C004=Arm.HELD_OUT, C005=Arm.TREATED)
    policy_with({"holdout": rules})
    return rules["experiment"]


def arms() -> dict[str, str]:
    return dict(Assignment.objects.values_list("customer_id", "arm"))


def test_under_the_published_policy_nobody_is_drawn(sample_run):
    assert not Assignment.objects.exists()
    assert Intervention.objects.count() == 3


def test_who_is_held_out_is_not_asked_for_and_the_reason_is_kept(held):
    run = run_pipeline()
    assert set(Intervention.objects.values_list("customer_id", flat=True)) == {"C001", "C005"}
    row = Assessment.objects.get(run=run, customer="C004")
    assert (row.disposition, row.suppression_reason) == ("suppressed", "held_out")
    assert held in row.disposition_detail
    assert not ApprovalRequest.objects.filter(concerning="C004").exists()
    assert run.counts["suppressed"] == 1


def test_whoever_was_eligible_enters_an_arm_on_that_day_approved_or_not(held):
    run = run_pipeline()
    assert arms() == {"C001": "treated", "C004": "held_out", "C005": "treated"}
    row = Assignment.objects.get(customer="C004")
    assert (row.experiment, row.assigned_on, row.run, row.share) == (held, SAMPLE_DAY, run, 0.5)
    assert (row.recommended_action, row.segment, row.risk_tier) == (
        "usage_review_checkin",
        "Mid-Market",
        "medium",
    )
    assert row.account_value == 42_000


def test_the_next_run_holds_out_the_same_and_writes_nothing_more(held):
    run_pipeline()
    again = run_pipeline(SAMPLE_DAY + timedelta(days=1))
    assert Assignment.objects.filter(assigned_on=SAMPLE_DAY).count() == 3
    assert Assignment.objects.filter(customer__in=["C001", "C004", "C005"]).count() == 3
    assert again.counts["unchanged_by"]["held_out"] == 1
    assert not Assessment.objects.filter(run=again, customer="C004").exists()
    assert Assessment.objects.current().get(customer="C004").suppression_reason == "held_out"


def test_another_share_moves_nobody_who_has_entered(held, policy_with):
    run_pipeline()
    for share in (0.001, 0.5):
        policy_with({"holdout": OPEN | {"experiment": held, "share": share}}, name=f"share {share}")
        run = run_pipeline(SAMPLE_DAY + timedelta(days=1))
        assert Assessment.objects.get(run=run, customer="C004").suppression_reason == "held_out"
    assert arms().items() >= {"C001": "treated", "C004": "held_out", "C005": "treated"}.items()


def test_an_experiment_that_is_over_leaves_nobody_alone_and_keeps_its_rows(held, policy_with):
    run_pipeline()
    policy_with(
        {"holdout": OPEN | {"experiment": held, "ends_on": SAMPLE_DAY.isoformat()}}, name="until that day"
    )
    run_pipeline(SAMPLE_DAY + timedelta(days=1))
    assert Intervention.objects.filter(customer="C004").exists()
    assert Assignment.objects.count() == 3


@pytest.mark.parametrize(
    "excluded", [{"below_account_value": 42_000.0}, {"tiers": ["low"]}, {"below_account_value": 30_000.0}]
)
def test_who_is_excluded_by_value_or_tier_is_contacted_and_counted_in_no_arm(held, policy_with, excluded):
    policy_with({"holdout": OPEN | {"experiment": held} | excluded}, name="careful")
    run_pipeline()
    assert Intervention.objects.filter(customer="C004").exists()
    assert "C004" not in arms()


def test_who_has_become_too_large_to_be_held_out_is_contacted_and_stays_in_the_arm(held, policy_with):
    run_pipeline()
    policy_with({"holdout": OPEN | {"experiment": held, "below_account_value": 100.0}}, name="small")
    run_pipeline(SAMPLE_DAY + timedelta(days=1))
    assert Intervention.objects.filter(customer="C004").exists()
    assert arms()["C004"] == "held_out"


def test_a_customer_of_unknown_value_is_never_held_out(held):
    Customer.objects.filter(pk="C004").update(account_value=None)
    run_pipeline()
    assert "C004" not in arms()


def test_a_wish_comes_before_the_draw_so_that_only_the_eligible_are_counted(held):
    Customer.objects.filter(pk="C004").update(do_not_contact=True)
    run = run_pipeline()
    assert Assessment.objects.get(run=run, customer="C004").suppression_reason == "do_not_contact"
    assert "C004" not in arms()


def test_a_dry_run_draws_nobody(held):
    planned = planned_run(dry_run=True)
    pipeline.run(planned)
    assert not Assignment.objects.exists()


def test_a_run_on_one_customer_keeps_to_the_same_arms(held):
    run = run_pipeline(customer_id="C004")
    assert arms() == {"C004": "held_out"}
    assert Assessment.objects.get(run=run).suppression_reason == "held_out"


def test_a_person_may_still_propose_for_somebody_who_is_held_out(held, people):
    run_pipeline()
    by_hand = propose(
        customer_id="C004",
        action="usage_review_checkin",
        reason="They rang.",
        subject="",
        body="",
        user=people["operator"],
        door="test",
    )
    assert by_hand.customer_id == "C004"
    assert arms()["C004"] == "held_out"


def test_what_was_planned_is_pinned_when_a_customer_enters(held, policy_with):
    run_pipeline(customer_id="C001")
    policy_with({"holdout": OPEN | {"experiment": held, "base_share": 0.3}}, name="changed")
    run_pipeline(customer_id="C004")
    planned = dict(Assignment.objects.values_list("customer_id", "planned"))
    assert planned["C001"] == 1366
    assert planned["C004"] != planned["C001"]


# Where it is shown


def page(client, user, address: str) -> str:
    client.force_login(user)
    return client.get(address).content.decode()


def test_the_customers_page_says_since_when_they_are_held_out(held, people, client):
    run_pipeline()
    text = page(client, people["approver"], "/admin/journeys/customer/C004/change/")
    assert "held out" in text
    assert "since 15 Jan 2025" in text
    assert held in text


def test_who_decides_sees_that_a_control_exists_and_gets_no_choice(held, people, client):
    run_pipeline()
    waiting = ApprovalRequest.objects.get(concerning="C005")
    text = page(client, people["approver"], f"/admin/approvals/approvalrequest/{waiting.pk}/change/")
    assert "A control exists" in text
    assert "one customer in 2" in text
    assert 'name="arm"' not in text


def test_before_a_policy_is_in_force_its_page_says_how_many_and_how_long(people, client, sample_run):
    policy = add_policy(
        name="measuring", document={"holdout": {"share": 0.1, "power": 0.8}}, created_by="manager"
    )
    text = page(client, people["manager"], f"/admin/journeys/policy/{policy.pk}/change/")
    assert "4,317" in text
    assert "from 15% to 10%" in text
    assert "There are 10, so it may never come" in text


def test_how_long_it_takes_follows_from_how_many_are_eligible(policy_with):
    run = run_row(as_of=timezone.now().date())
    policy = policy_with({"holdout": {"share": 0.1, "base_share": 0.9, "smallest_difference": 0.85}})
    for number in range(30):
        customer = a_customer(account_value=1000 if number else None)
        an_intervention(
            customer=customer, origin="machine", status="pending", as_of=run.as_of, risk_tier="low"
        )
    plan = holdouts.plan(policy.rules)
    # 29 of a known value, in 90 days.
    assert plan["eligible_a_month"] == "10"
    assert plan["needed"] == "11"
    assert plan["months"] == "1.1"
    assert "not known" not in plan["sentence"]


def test_a_policy_without_a_share_says_that_the_effect_is_not_known(people, client, sample_run):
    text = page(client, people["manager"], f"/admin/journeys/policy/{sample_run.policy_id}/change/")
    assert "its effect is not known" in text
