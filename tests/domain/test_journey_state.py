"""How long is too long in a stage, and which moves are legal."""

from datetime import date

import pytest

from journeys.domain.journey_state import days_in_state, evaluate, is_legal_move
from journeys.domain.policy import PUBLISHED, load
from journeys.domain.vocabulary import Stage


@pytest.mark.parametrize(
    ("stage", "days", "health", "friction"),
    [
        ("onboarding", 14, "healthy", False),  # the limit itself is no friction
        ("onboarding", 15, "at_risk", True),
        ("onboarding", 21, "at_risk", True),  # 1.5 times the limit is still at risk
        ("onboarding", 22, "critical", True),
        ("engagement", 30, "healthy", False),
        ("engagement", 45, "at_risk", True),
        ("engagement", 46, "critical", True),
        ("support", 5, "healthy", False),
        ("support", 7, "at_risk", True),
        ("support", 8, "critical", True),
        ("retention", 135, "healthy", False),  # no limit: only the typical duration counts
        ("retention", 136, "at_risk", True),
        ("retention", 1000, "at_risk", True),
        ("escalation", 45, "healthy", False),  # any other stage typically lasts 30 days
        ("escalation", 46, "at_risk", True),
        ("a stage nobody knows", 46, "at_risk", True),
    ],
)
def test_health_and_friction_by_days(stage, days, health, friction):
    result = evaluate(stage=stage, days=days, policy=PUBLISHED)
    assert (result.health, result.friction) == (health, friction)
    assert bool(result.reasons) is friction


def test_both_causes_of_friction_have_their_own_reason():
    assert evaluate(stage="support", days=11, policy=PUBLISHED).reasons == (
        "Support should take 5 days at most; this customer has been there for 11 (critical above 7.5).",
        "Support usually lasts 7 days; 11 days are more than 1.5 times as long.",
    )


@pytest.mark.parametrize(
    ("stage", "days", "expected"),
    [("retention", 0, 0.0), ("retention", 90, 0.5), ("support", 14, 1.0), ("support", 99, 1.0)],
)
def test_the_friction_score_reaches_one_at_twice_the_typical_days(stage, days, expected):
    assert evaluate(stage=stage, days=days, policy=PUBLISHED).friction_score == expected


def test_the_days_are_whole_days_and_never_negative():
    assert days_in_state(date(2024, 10, 12), date(2025, 1, 15)) == 95
    assert days_in_state(date(2025, 1, 15), date(2025, 1, 15)) == 0
    assert days_in_state(date(2025, 1, 20), date(2025, 1, 15)) == 0


def test_the_legal_moves_are_the_published_ones():
    legal = {
        (previous.value, stage.value)
        for previous in Stage
        for stage in Stage
        if is_legal_move(previous, stage, PUBLISHED)
    }
    assert legal == {
        ("onboarding", "engagement"),
        ("onboarding", "support"),
        ("engagement", "support"),
        ("engagement", "retention"),
        ("support", "retention"),
        ("support", "escalation"),
        ("retention", "support"),
        ("retention", "engagement"),
        ("retention", "escalation"),
        ("escalation", "support"),
        ("escalation", "retention"),
    }


def test_the_first_stage_is_no_move_and_an_unknown_one_is_an_illegal_move():
    assert is_legal_move(None, "support", PUBLISHED)
    assert not is_legal_move("support", "elsewhere", PUBLISHED)
    assert not is_legal_move("elsewhere", "support", PUBLISHED)


def test_another_policy_gives_another_answer():
    policy = load({"journey": {"friction_limit_days": {"retention": 10}, "critical_factor": 2.0}})
    assert evaluate(stage="retention", days=20, policy=policy).health == "at_risk"
    assert evaluate(stage="retention", days=21, policy=policy).health == "critical"
    assert not evaluate(stage="engagement", days=45, policy=policy).friction
