"""Step 3: how high the risk is, and what it is made of."""

from typing import NamedTuple

from .journey_state import StateEvaluation
from .policy import PolicyDocument
from .policy_sections import Thresholds
from .signals import SignalSummary
from .vocabulary import Tier


class Contributions(NamedTuple):
    """The four parts of the score; they sum to the exact score."""

    signals: float
    time_in_state: float
    customer_value: float
    signal_count: float


class RiskScore(NamedTuple):
    """`overall`, `churn` and `friction_score` are 0..1, rounded to 3 places; `exact` is the unrounded
    overall, by which tier and urgency are read. `reasons` are those of the score alone: what the stage and
    the signals say stands in theirs.
    """

    overall: float
    exact: float
    tier: Tier
    urgency: Tier
    churn: float
    friction_score: float
    contributions: Contributions
    reasons: tuple[str, ...]


def score(
    *, signals: SignalSummary, state: StateEvaluation, account_value: float | None, policy: PolicyDocument
) -> RiskScore:
    """Score one customer. `account_value` is a year's, as a float; a missing one contributes nothing."""
    rules = policy.risk
    weights = rules.weights
    parts = Contributions(
        signals=weights.signals * signals.signal_risk,
        time_in_state=weights.time_in_state * state.friction_score,
        customer_value=weights.customer_value * value_share(account_value, policy),
        signal_count=weights.signal_count * min(1.0, signals.total / rules.full_signal_count),
    )
    # Added from left to right: another order of the same four can differ in the last digit, and so in a tier.
    exact = parts.signals + parts.time_in_state + parts.customer_value + parts.signal_count
    exact = min(1.0, max(0.0, exact))
    churn = (
        rules.churn.signals * signals.signal_risk
        + (rules.churn.friction if state.friction else 0.0)
        + rules.churn.friction_score * state.friction_score
    )
    tier = level(exact, rules.tier)
    overall = round(exact, 3)
    reasons = (
        f"Risk {overall:.3f} ({tier}): signals {parts.signals:.3f}, time in stage {parts.time_in_state:.3f}, "
        f"account value {parts.customer_value:.3f}, number of signals {parts.signal_count:.3f}.",
    )
    if account_value is None:
        reasons += ("The account value is not known; it adds nothing to the risk.",)
    return RiskScore(
        overall=overall,
        exact=exact,
        tier=tier,
        urgency=level(exact, rules.urgency),
        churn=round(min(1.0, max(0.0, churn)), 3),
        friction_score=round(state.friction_score, 3),
        contributions=parts,
        reasons=reasons,
    )


def level(exact: float, thresholds: Thresholds) -> Tier:
    """High, medium or low, by an unrounded score; a threshold belongs to the level it opens."""
    if exact >= thresholds.high:
        return Tier.HIGH
    if exact >= thresholds.medium:
        return Tier.MEDIUM
    return Tier.LOW


def value_share(account_value: float | None, policy: PolicyDocument) -> float:
    """The account value as a share, 0..1, of the value that counts in full; 0 where it is missing."""
    if account_value is None:
        return 0.0
    return min(1.0, account_value / policy.risk.full_account_value)
