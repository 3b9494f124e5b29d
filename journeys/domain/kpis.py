"""The KPIs: what each means, how it stands against its target, and what a whole tier says. No figure is made
here: `journeys/reports/` counts numerator and denominator.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

ON_TRACK, CRITICAL_BELOW = 0.8, 0.5


class KpiTier(StrEnum):
    OPERATIONAL = "operational"
    EFFECTIVENESS = "effectiveness"
    BUSINESS = "business"


class Direction(StrEnum):
    HIGHER = "higher"
    LOWER = "lower"


class KpiStatus(StrEnum):
    EXCEEDED = "exceeded"
    ON_TRACK = "on_track"
    AT_RISK = "at_risk"
    CRITICAL = "critical"
    NOT_KNOWN = "not_known"


class Unit(StrEnum):
    SHARE = "share"
    SECONDS = "seconds"
    HOURS = "hours"
    DAYS = "days"
    SCORE = "score"
    MONEY = "money"
    RATIO = "ratio"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kpi:
    """A definition. The value is `numerator` ÷ `denominator`, both said in words; `target` is the published
    policy's. `rows` names the kind of rows that it is counted from."""

    name: str
    tier: KpiTier
    label: str
    words: str
    numerator: str
    denominator: str
    unit: Unit
    direction: Direction
    target: float | None
    rows: str


def _kpi(tier: KpiTier, direction: Direction, unit: Unit, target: float | None, name: str, **words) -> Kpi:
    return Kpi(name=name, tier=tier, direction=direction, unit=unit, target=target, **words)


_O, _E, _B = KpiTier.OPERATIONAL, KpiTier.EFFECTIVENESS, KpiTier.BUSINESS
_UP, _DOWN = Direction.HIGHER, Direction.LOWER

_ALL = (
    _kpi(
        _O, _UP, Unit.SHARE, 0.95, "runs_finished",
        label="Runs finished",
        words="How many of the runs that were begun came to their end.",
        numerator="runs that succeeded",
        denominator="runs in the window that ended, this one included",
        rows="runs",
    ),
    _kpi(
        _O, _UP, Unit.SHARE, 0.9, "data_completeness",
        label="Data completeness",
        words="How much is known of the customers that the rules and the channels need.",
        numerator="fields present: segment, value, months as a customer, owner, address, renewal date",
        denominator="six fields for every customer",
        rows="customers",
    ),
    _kpi(
        _O, _DOWN, Unit.SHARE, 0.02, "orphaned_share",
        label="Orphaned signals",
        words="How many of the signals in force belong to no customer that is known.",
        numerator="signals of unknown customers",
        denominator="signals in force, as this run received them",
        rows="signals",
    ),
    _kpi(
        _O, _DOWN, Unit.SECONDS, 5.0, "evaluation_seconds_per_1000",
        label="Evaluation, seconds per 1,000 customers",
        words="How long this run took to assess a thousand customers and to write what it found.",
        numerator="seconds of this run's steps over customers",
        denominator="thousands of customers",
        rows="runs",
    ),
    _kpi(
        _O, _DOWN, Unit.HOURS, 24.0, "signal_to_queue_hours",
        label="Signal to queue",
        words="From the arrival of the latest signal that an intervention rests on until it was proposed.",
        numerator="hours, added up",
        denominator="interventions that the pipeline proposed in the window on at least one signal",
        rows="interventions",
    ),
    _kpi(
        _O, _DOWN, Unit.SHARE, 0.6, "escalation_share",
        label="Escalated to a person",
        words="How many of the proposals a person had to decide.",
        numerator="proposals that needed a person",
        denominator="interventions proposed in the window",
        rows="interventions",
    ),
    _kpi(
        _O, _DOWN, Unit.SHARE, 0.2, "override_share",
        label="Overridden by people",
        words="How often people rejected or changed what was recommended.",
        numerator="rejected, or approved after a person's change",
        denominator="interventions of the window that a person decided",
        rows="interventions",
    ),
    _kpi(
        _O, _DOWN, Unit.SHARE, 0.05, "expired_share",
        label="Expired undecided",
        words="How many proposals nobody decided in time.",
        numerator="expired without a decision",
        denominator="interventions of the window that were decided or expired",
        rows="interventions",
    ),
    _kpi(
        _O, _DOWN, Unit.HOURS, 24.0, "time_to_decide_hours",
        label="Time to decide",
        words="From the request to the person's decision that ended it.",
        numerator="hours, added up",
        denominator="interventions of the window that a person decided",
        rows="interventions",
    ),
    _kpi(
        _E, _DOWN, Unit.DAYS, 7.0, "time_to_resolution_days",
        label="Time to resolution",
        words="Days until it was resolved, as the outcomes state them.",
        numerator="days, added up",
        denominator="interventions done in the window whose outcome states the days",
        rows="interventions",
    ),
    _kpi(
        _E, _UP, Unit.SHARE, 0.5, "resolved_share",
        label="Resolved",
        words="How many interventions resolved what they were for.",
        numerator="with the outcome “resolved”",
        denominator="interventions done in the window with an outcome; the others are open, not zero",
        rows="interventions",
    ),
    _kpi(
        _E, _DOWN, Unit.SHARE, 0.2, "repeat_share",
        label="Repeats",
        words="How many interventions were followed by another with the same customer. Only those count for "
        "which the days to follow have passed.",
        numerator="followed by another one in time",
        denominator="interventions done in the window before that",
        rows="interventions",
    ),
    _kpi(
        _E, _UP, Unit.SHARE, 0.6, "proactive_share",
        label="Proactive",
        words="How many interventions came before the customer's first ticket signal in force.",
        numerator="no ticket signal by the day of the intervention",
        denominator="interventions done in the window",
        rows="interventions",
    ),
    _kpi(
        _E, _UP, Unit.SHARE, 0.5, "stage_recovery_share",
        label="Stage recovery",
        words="How many customers who were too long in their stage stood well at the checkpoint.",
        numerator="healthy at the checkpoint",
        denominator="executed interventions whose checkpoint fell in the window, at risk or critical before",
        rows="measurements",
    ),
    _kpi(
        _E, _UP, Unit.SHARE, 0.8, "rejections_right_share",
        label="Rejections proven right",
        words="How many of those whom people chose not to contact stayed. Only rejections count for which "
        "the days have passed, and only where departures are recorded at all.",
        numerator="did not leave in those days",
        denominator="rejected interventions whose days ended in the window",
        rows="interventions",
    ),
    _kpi(
        _B, _UP, Unit.SCORE, 0.05, "churn_risk_fall_treated",
        label="Churn-risk fall, treated (proxy)",
        words="How far our own churn score had fallen at the checkpoint; see also those held out.",
        numerator="score before less score at the checkpoint, added up",
        denominator="treated customers of the experiment whose checkpoint fell in the window",
        rows="measurements",
    ),
    _kpi(
        _B, _UP, Unit.SCORE, None, "churn_risk_fall_held_out",
        label="Churn-risk fall, held out (proxy)",
        words="The same of those who were deliberately left alone: what happens without us.",
        numerator="score before less score at the checkpoint, added up",
        denominator="held-out customers of the experiment whose checkpoint fell in the window",
        rows="measurements",
    ),
    _kpi(
        _B, _DOWN, Unit.SHARE, 0.3, "revenue_at_risk_share",
        label="Revenue at risk",
        words="Value a year of the customers at medium risk or above, each counted once, per currency.",
        numerator="value of those at risk",
        denominator="value of all who were assessed and whose value is known",
        rows="customers",
    ),
    _kpi(
        _B, _UP, Unit.SHARE, 0.05, "revenue_preserved_reported",
        label="Revenue preserved, as reported",
        words="What outcomes say was saved, per currency. Nobody has verified it.",
        numerator="revenue saved, as outcomes report it; not of what went through on record only",
        denominator="value of the customers for whom something was really done in the window, each once",
        rows="interventions",
    ),
    _kpi(
        _B, _UP, Unit.SHARE, 0.05, "revenue_preserved_measured",
        label="Revenue preserved, as measured",
        words="The measured fall of departures, applied to the customers treated in the window.",
        numerator="value of those treated × the difference to those held out",
        denominator="value of the customers for whom something was really done in the window, each once",
        rows="interventions",
    ),
    _kpi(
        _B, _DOWN, Unit.MONEY, 50.0, "cost_per_case",
        label="Cost per case",
        words="What one executed intervention cost: review, channel and infrastructure.",
        numerator="cost of the window",
        denominator="interventions executed in the window",
        rows="interventions",
    ),
    _kpi(
        _B, _UP, Unit.RATIO, 1.0, "roi_reported",
        label="Return on investment, on reported value",
        words="Value less cost, for each unit of cost. The value is as reported.",
        numerator="reported value less cost",
        denominator="cost of the interventions executed in the window",
        rows="interventions",
    ),
    _kpi(
        _B, _UP, Unit.RATIO, 1.0, "roi_measured",
        label="Return on investment, on measured value",
        words="The same with the value that the comparison with those held out supports.",
        numerator="measured value less cost",
        denominator="cost of the interventions executed in the window",
        rows="interventions",
    ),
)  # fmt: skip

KPIS: dict[str, Kpi] = {kpi.name: kpi for kpi in _ALL}


def status_of(value: float | None, target: float | None, direction: Direction) -> KpiStatus:
    """How a value stands against its target. What is not known, or has no target, has no status.

    Where higher is better the ratio is value ÷ target, where lower is better target ÷ value; from 1 on the
    target is reached or exceeded.
    """
    if value is None or target is None:
        return KpiStatus.NOT_KNOWN
    reached = value >= target if direction == Direction.HIGHER else value <= target
    if reached:
        return KpiStatus.EXCEEDED
    part, whole = (value, target) if direction == Direction.HIGHER else (target, value)
    # Below 0 there is no ratio to speak of: short of such a target is critical.
    ratio = part / whole if whole > 0 else 0.0
    if ratio >= ON_TRACK:
        return KpiStatus.ON_TRACK
    return KpiStatus.AT_RISK if ratio >= CRITICAL_BELOW else KpiStatus.CRITICAL


# The worst first. What is not known is no good news: it stands before all that would be.
_WORST_FIRST = (
    KpiStatus.CRITICAL,
    KpiStatus.AT_RISK,
    KpiStatus.NOT_KNOWN,
    KpiStatus.ON_TRACK,
    KpiStatus.EXCEEDED,
)


def headline(statuses: Iterable[KpiStatus]) -> KpiStatus:
    """What a tier says: the worst of its parts. A part that is not known never improves it."""
    return min(statuses, key=_WORST_FIRST.index, default=KpiStatus.NOT_KNOWN)
