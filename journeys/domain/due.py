"""When a conclusion has to be looked at again though nothing is received: the first day on which a line can
be crossed by days in the stage, the window of the signals, or the end of a suppression."""

import math
from collections.abc import Collection
from datetime import date, timedelta
from typing import NamedTuple

from .journey_state import StateEvaluation
from .planning import Plan
from .policy import PolicyDocument
from .policy_sections import JourneyPolicy, Thresholds
from .risk import RiskScore
from .signals import SignalFact, SignalSummary
from .suppression import Suppression
from .vocabulary import Health, Stage, Tier

_DAY = timedelta(days=1)
# The confidence reads the score of three places: it can cross a line half a thousandth before the score does.
_ROUNDED = 0.0005
# Scores are floats: better a day early than one late.
_SLACK = 1e-9


class _Stay(NamedTuple):
    """The lines of one stage: with how many days the health is no longer healthy, with how many it is
    critical (None: never), and with how many the friction is full."""

    at_risk: int
    critical: int | None
    full: float


class Lines:
    """The lines that a policy draws, laid out for asking about one customer after the other."""

    def __init__(self, policy: PolicyDocument):
        self._leaves_after = timedelta(days=policy.signals.days_back + 1)
        self._enters_before = timedelta(days=policy.signals.days_ahead)
        self._next_tier, self._next_urgency = _next(policy.risk.tier), _next(policy.risk.urgency)
        self._confidences = policy.planning.confidence_floor, policy.escalation.confidence
        self._weight = policy.risk.weights.time_in_state
        self._signals_weight = policy.risk.weights.signals
        self._stays = {stage.value: _stay(stage, policy.journey) for stage in Stage}
        self._stay_otherwise = _stay("", policy.journey)

    def due_on(
        self,
        *,
        as_of: date,
        stage: str,
        entered_on: date,
        state: StateEvaluation,
        signals: Collection[SignalFact],
        summary: SignalSummary,
        ahead: date | None,
        risk: RiskScore,
        plan: Plan,
        suppression: Suppression | None,
        followed: bool,
    ) -> date | None:
        """The first day after `as_of` on which health, tier, urgency, action, channel, the reasons for a
        person or the suppression can be another, if nothing is received and nothing is done; None where none
        comes. It may be too early, and is never too late.

        `signals` are those in force, `summary` what they come to, and `ahead` is the day of the first one
        that is not in force yet. Of whom an outcome is measured (`followed`) the scores are kept to the day:
        a signal that leaves makes them due. Of others it does where it can cross a line. What was proposed
        is open the next day, and so another conclusion; that something open moves on is done, and whoever
        does it says so.
        """
        if plan.action is not None and suppression is None:
            return as_of + _DAY
        stay = self._stays.get(stage, self._stay_otherwise)
        line = self._nearest_line(risk, plan)
        found, raised = [], 0.0
        if signals:
            # With fewer signals their number adds no more than now; what is left of them may weigh more.
            more = min(1.0, summary.highest_as_they_leave + _ROUNDED) - summary.signal_risk
            raised = self._signals_weight * max(0.0, more)
            if followed or not _is_below_all(risk, plan) or risk.exact + raised + _SLACK >= line:
                found.append(min([signal.detected_on for signal in signals]) + self._leaves_after)
                raised = 0.0
        for days in (_worse_health(stay, state), self._next_level(stay, state, risk.exact + raised, line)):
            if days is not None and days <= (date.max - entered_on).days:
                found.append(entered_on + timedelta(days=days))
        if ahead is not None:
            found.append(ahead - self._enters_before)
        if suppression is not None and suppression.until is not None:
            found.append(suppression.until)
        return max(min(found), as_of + _DAY) if found else None

    def _nearest_line(self, risk: RiskScore, plan: Plan) -> float:
        """The score at which the next tier or urgency begins, or the confidence that an action or a person
        needs is reached, whichever comes first; infinite where none does."""
        line = min(self._next_tier[risk.tier], self._next_urgency[risk.urgency])
        confidence = plan.confidence_exact
        for threshold in self._confidences:
            if confidence < threshold:
                line = min(line, threshold - (confidence - risk.overall) - _ROUNDED)
        return line

    def _next_level(self, stay: _Stay, state: StateEvaluation, exact: float, line: float) -> int | None:
        """The days in the stage with which a score of `exact`, growing by them alone, can reach the line;
        None where it cannot."""
        friction, weight = state.friction_score, self._weight
        if not weight or friction >= 1.0:
            return None
        needed = friction + max(0.0, line - exact - _SLACK) / weight
        if needed > 1.0:
            return None
        return max(state.days + 1, math.ceil(needed * stay.full - _SLACK))


def _next(thresholds: Thresholds) -> dict[Tier, float]:
    """Where the level above each begins."""
    return {Tier.LOW: thresholds.medium, Tier.MEDIUM: thresholds.high, Tier.HIGH: math.inf}


def _is_below_all(risk: RiskScore, plan: Plan) -> bool:
    """Whether no line has been crossed that a lower score could fall below."""
    return plan.action is None and risk.tier is Tier.LOW and risk.urgency is Tier.LOW


def _stay(stage: str, journey: JourneyPolicy) -> _Stay:
    """As `journey_state.evaluate` draws them."""
    limit = journey.friction_limit_days.get(stage)
    typical = journey.typical_days.get(stage, journey.typical_days_otherwise)
    at_risk, critical = math.floor(journey.stalled_factor * typical) + 1, None
    if limit is not None:
        at_risk, critical = min(at_risk, limit + 1), math.floor(journey.critical_factor * limit) + 1
    return _Stay(at_risk, critical, journey.full_friction_factor * typical)


def _worse_health(stay: _Stay, state: StateEvaluation) -> int | None:
    """The days in the stage with which the health gets worse; None where it does not."""
    if state.health is Health.HEALTHY:
        return stay.at_risk
    return stay.critical if state.health is Health.AT_RISK else None
