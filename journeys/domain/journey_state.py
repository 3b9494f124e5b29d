"""Step 1: how a customer stands in the current stage, from the days spent there."""

from datetime import date
from typing import NamedTuple

from .policy import PolicyDocument
from .vocabulary import Health, label


class StateEvaluation(NamedTuple):
    """`days` are whole days in the stage; `friction_score` is 0..1, unrounded."""

    days: int
    health: Health
    friction: bool
    friction_score: float
    reasons: tuple[str, ...]


def days_in_state(entered_on: date, as_of: date) -> int:
    """Whole days from the day the stage was entered to `as_of`; 0 where it was entered later."""
    return max(0, (as_of - entered_on).days)


def evaluate(*, stage: str, days: int, policy: PolicyDocument) -> StateEvaluation:
    """Judge `days` in `stage`. A stage the policy has no figures for is judged by the general ones."""
    journey = policy.journey
    typical = journey.typical_days.get(stage, journey.typical_days_otherwise)
    limit = journey.friction_limit_days.get(stage)
    health = Health.HEALTHY
    reasons = ()
    if limit is not None and days > limit:
        critical_above = journey.critical_factor * limit
        health = Health.CRITICAL if days > critical_above else Health.AT_RISK
        reasons = (
            f"{label(stage)} should take {limit} days at most; this customer has been there for {days} "
            f"(critical above {critical_above:g}).",
        )
    if days > journey.stalled_factor * typical:
        if health is Health.HEALTHY:
            health = Health.AT_RISK
        reasons += (
            f"{label(stage)} usually lasts {typical} days; {days} days are more than "
            f"{journey.stalled_factor:g} times as long.",
        )
    friction_score = min(1.0, days / (journey.full_friction_factor * typical))
    return StateEvaluation(days, health, bool(reasons), friction_score, reasons)


def is_legal_move(previous: str | None, stage: str, policy: PolicyDocument) -> bool:
    """Whether a customer may go from `previous` to `stage`; the first stage of all (None) is no move."""
    return previous is None or stage in policy.journey.legal_moves.get(previous, ())
