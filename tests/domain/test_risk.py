"""How high the risk is: the four parts, the tiers, the churn risk."""

import math

import pytest

from journeys.domain.journey_state import evaluate
from journeys.domain.policy import PUBLISHED, load
from journeys.domain.policy_sections import Thresholds
from journeys.domain.risk import level, score
from journeys.domain.signals import NO_SIGNALS


def risk_of(*, signal_risk=0.0, total=0, days=0, account_value=0.0, stage="engagement", policy=PUBLISHED):
    return score(
        signals=NO_SIGNALS._replace(signal_risk=signal_risk, total=total),
        state=evaluate(stage=stage, days=days, policy=policy),
        account_value=account_value,
        policy=policy,
    )


def test_each_part_has_its_share_and_reaches_it_at_its_full_mark():
    full = risk_of(signal_risk=1.0, total=5, days=60, account_value=200_000.0)
    assert full.contributions == (0.35, 0.25, 0.20, 0.20)
    assert full.overall == 1.0
    beyond = risk_of(signal_risk=1.0, total=50, days=600, account_value=2_000_000.0)
    assert beyond.contributions == full.contributions


def test_a_missing_account_value_contributes_nothing_and_says_so():
    result = risk_of(signal_risk=0.5, account_value=None)
    assert result.contributions.customer_value == 0
    assert result.reasons[-1] == "The account value is not known; it adds nothing to the risk."


@pytest.mark.parametrize(
    ("exact", "tier", "urgency"),
    [
        (0.0, "low", "low"),
        (math.nextafter(0.40, 0), "low", "low"),
        (0.40, "medium", "low"),
        (math.nextafter(0.50, 0), "medium", "low"),
        (0.50, "medium", "medium"),
        (math.nextafter(0.70, 0), "medium", "medium"),
        (0.70, "high", "medium"),
        (math.nextafter(0.80, 0), "high", "medium"),
        (0.80, "high", "high"),
        (1.0, "high", "high"),
    ],
)
def test_a_threshold_belongs_to_the_level_that_it_opens(exact, tier, urgency):
    assert level(exact, PUBLISHED.risk.tier) == tier
    assert level(exact, PUBLISHED.risk.urgency) == urgency


@pytest.mark.parametrize(
    ("parts", "rounded", "tier", "urgency"),
    [
        # signals .35, days .25 and a bit less than what is missing: rounds to the threshold, is below it
        ({"signal_risk": 1.0, "days": 60, "account_value": 99_700.0}, 0.700, "medium", "medium"),
        ({"signal_risk": 1.0, "days": 60, "account_value": 199_700.0}, 0.800, "high", "medium"),
        ({"days": 60, "account_value": 149_700.0}, 0.400, "low", "low"),
    ],
)
def test_tier_and_urgency_read_the_unrounded_score(parts, rounded, tier, urgency):
    result = risk_of(**parts)
    assert result.exact < rounded == result.overall
    assert (result.tier, result.urgency) == (tier, urgency)


def test_the_churn_risk_adds_signals_friction_and_time():
    assert risk_of(signal_risk=0.6, days=30).churn == 0.4  # .30 of the signals, .10 of the time
    assert risk_of(signal_risk=0.6, days=31).churn == 0.703  # and .30 now that there is friction
    assert risk_of(signal_risk=1.0, days=600).churn == 1.0


def test_another_policy_gives_another_score():
    policy = load(
        {
            "risk": {
                "weights": {
                    "signals": 1.0,
                    "time_in_state": 0.0,
                    "customer_value": 0.0,
                    "signal_count": 0.0,
                },
                "tier": {"high": 0.2, "medium": 0.1},
            }
        }
    )
    result = risk_of(signal_risk=0.25, total=5, days=60, account_value=200_000.0, policy=policy)
    assert (result.overall, result.tier) == (0.25, "high")
    assert level(0.2, Thresholds(high=0.3, medium=0.2)) == "medium"
