"""Which action is recommended, when, by which channel, and how soon."""

import pytest

from journeys.domain.planning import plan
from journeys.domain.policy import PUBLISHED, load
from journeys.domain.risk import Contributions, RiskScore, level


def risk(overall: float) -> RiskScore:
    return RiskScore(
        overall=overall,
        exact=overall,
        tier=level(overall, PUBLISHED.risk.tier),
        urgency=level(overall, PUBLISHED.risk.urgency),
        churn=0.0,
        friction_score=0.0,
        contributions=Contributions(overall, 0.0, 0.0, 0.0),
        reasons=(),
    )


def plan_for(
    *kinds,
    stage="engagement",
    overall=0.6,
    total=None,
    value=0.0,
    has_address=True,
    policy=PUBLISHED,
):
    return plan(
        stage=stage,
        kinds=kinds,
        total_signals=len(kinds) if total is None else total,
        risk=risk(overall),
        account_value=value,
        has_address=has_address,
        policy=policy,
    )


@pytest.mark.parametrize(
    ("stage", "kinds", "action"),
    [
        ("onboarding", ["failed_onboarding_step"], "onboarding_specialist_call"),
        ("onboarding", ["low_product_usage", "failed_onboarding_step"], "onboarding_specialist_call"),
        ("onboarding", ["negative_sentiment", "low_product_usage"], "onboarding_nudge_email"),
        ("onboarding", ["support_ticket_spike"], "proactive_outreach"),
        ("onboarding", ["negative_sentiment"], "proactive_outreach"),
        ("onboarding", ["usage_drop"], "onboarding_checkin"),
        ("engagement", ["usage_recovery", "inactivity_warning", "usage_drop"], "usage_review_checkin"),
        ("engagement", ["usage_recovery", "inactivity_warning"], "reengagement_campaign"),
        ("engagement", ["usage_recovery"], "monitor_only"),
        ("engagement", ["negative_sentiment"], "engagement_checkin"),
        ("engagement", [], "engagement_checkin"),
        ("support", ["negative_sentiment", "repeat_support_tickets"], "support_manager_followup"),
        ("support", ["support_satisfaction_low"], "support_manager_followup"),
        ("support", ["negative_sentiment"], "escalated_support_review"),
        ("support", ["support_ticket_spike"], "support_followup"),
        ("retention", ["negative_sentiment", "renewal_intent"], "renewal_health_check"),
        ("retention", ["usage_drop"], "retention_checkin"),
        ("escalation", ["usage_drop"], "general_checkin"),
        ("a stage nobody knows", ["usage_drop"], "general_checkin"),
    ],
)
def test_the_playbook_takes_the_first_rule_that_matches_whatever_the_order_of_the_signals(
    stage, kinds, action
):
    assert plan_for(*kinds, stage=stage).action == action
    assert plan_for(*reversed(kinds), stage=stage).action == action


@pytest.mark.parametrize(
    ("overall", "total", "confidence"),
    [(0.6, 0, 0.6), (0.6, 1, 0.6), (0.6, 2, 0.7), (0.6, 3, 0.8), (0.6, 9, 0.8), (0.95, 3, 1.0)],
)
def test_two_signals_and_three_signals_raise_the_confidence(overall, total, confidence):
    assert plan_for(overall=overall, total=total).confidence == confidence


@pytest.mark.parametrize(
    ("overall", "total", "proposed"),
    [
        (0.500, 1, True),
        (0.499, 1, False),  # kept as .50, yet below it
        (0.400, 2, True),
        (0.399, 2, False),
        (0.300, 3, True),
        (0.299, 3, False),
    ],
)
def test_below_the_floor_nothing_is_proposed_and_the_floor_reads_the_unrounded_confidence(
    overall, total, proposed
):
    result = plan_for(overall=overall, total=total)
    assert result.confidence == 0.50
    assert (result.action is not None) is proposed
    if not proposed:
        assert (result.channel, result.priority) == (None, None)
        assert result.reasons[-1] == "That is below 0.50, so nothing is proposed."


@pytest.mark.parametrize(
    ("overall", "value", "priority"),
    [
        (0.85, 200_000.0, 100.0),  # 109.2 is kept within 100
        (0.80, 0.0, 57.6),  # high urgency: 1.2
        (0.50, 0.0, 30.0),  # medium: 1.0
        (0.50, 100_000.0, 50.0),
        (0.50, 900_000.0, 70.0),
        (0.50, None, 30.0),
    ],
)
def test_the_priority_weighs_risk_and_value_by_urgency(overall, value, priority):
    assert plan_for(overall=overall, value=value).priority == priority


def test_low_urgency_lowers_the_priority():
    assert plan_for(overall=0.45, total=2).priority == 21.6


def test_without_an_address_an_email_becomes_a_task_and_the_plan_says_so():
    mailed, tasked = plan_for("usage_drop"), plan_for("usage_drop", has_address=False)
    assert (mailed.channel, tasked.channel) == ("email", "task")
    assert tasked.reasons[-1] == (
        "The customer has no address, so the account's owner gets a task instead of an e-mail."
    )


def test_what_is_no_email_needs_no_address():
    assert plan_for("failed_onboarding_step", stage="onboarding", has_address=False).channel == "task"
    assert plan_for("usage_recovery", has_address=False).channel == "none"


def test_every_plan_says_why():
    assert plan_for("usage_recovery").reasons[0] == "Usage recovery in engagement calls for: monitor only."
    assert plan_for(stage="retention").reasons[0] == (
        "No signal in retention calls for anything more specific: retention check-in."
    )
    assert plan_for(stage="escalation").reasons[0] == (
        "No playbook fits the stage escalation: general check-in."
    )


def test_another_policy_gives_another_plan():
    policy = load(
        {
            "planning": {
                "playbooks": {
                    "escalation": {
                        "rules": [{"any_of": ["usage_drop"], "action": "proactive_outreach"}],
                        "otherwise": "monitor_only",
                    }
                },
                "confidence_floor": 0.8,
                "confidence_bonuses": [{"at_signals": 1, "add": 0.25}],
            }
        }
    )
    assert plan_for("usage_drop", stage="escalation", policy=policy).action == "proactive_outreach"
    assert plan_for("usage_drop", stage="engagement", policy=policy).action == "general_checkin"
    assert plan_for(stage="escalation", policy=policy).action is None
