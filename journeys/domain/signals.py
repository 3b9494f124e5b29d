"""Step 2: what the signals in force add up to."""

import math
from collections.abc import Iterable
from datetime import date, timedelta
from operator import attrgetter
from typing import NamedTuple

from .policy import PolicyDocument
from .vocabulary import Polarity, phrase


class SignalFact(NamedTuple):
    """A signal that belongs to the customer. `strength` is 0..1 and never missing (refused on the way in)."""

    signal_id: str
    kind: str
    strength: float
    detected_on: date


class SignalSummary(NamedTuple):
    """`signal_risk` is 0..1, rounded to 3 places. `kinds`, `signal_ids` and `negative_ids` are ordered by
    (detected_on, signal_id), one entry per signal; `unknown_kinds` names each kind the policy does not know
    once. Mean and largest strength are None where there is no signal. `highest_as_they_leave` is the largest
    signal risk, unrounded, that those left come to as one after the other leaves the window, the oldest
    first.
    """

    signal_risk: float
    highest_as_they_leave: float
    total: int
    negative: int
    positive: int
    mean_strength: float | None
    max_strength: float | None
    kinds: tuple[str, ...]
    signal_ids: tuple[str, ...]
    negative_ids: tuple[str, ...]
    unknown_kinds: tuple[str, ...]
    reasons: tuple[str, ...]


NO_SIGNALS = SignalSummary(0.0, 0.0, 0, 0, 0, None, None, (), (), (), (), ("No signals are in force.",))

_arrival = attrgetter("detected_on", "signal_id")


def window(as_of: date, policy: PolicyDocument) -> tuple[date, date]:
    """First and last day, both inclusive, of the signals in force on `as_of`."""
    return as_of - timedelta(days=policy.signals.days_back), as_of + timedelta(days=policy.signals.days_ahead)


def aggregate(signals: Iterable[SignalFact], policy: PolicyDocument) -> SignalSummary:
    """Sum up one customer's signals in force, in whatever order they come.

    A negative signal adds strength x weight to the sum and its weight to the divisor; a positive one takes
    from the sum and adds to the divisor at a share of its weight; a neutral one only counts in the total.
    """
    ordered = sorted(signals, key=_arrival)
    if not ordered:
        return NO_SIGNALS
    rules = policy.signals
    terms: list[float] = []
    weights: list[float] = []
    negative_ids: list[str] = []
    positive = 0
    strengths_by_kind: dict[str, list[float]] = {}
    for signal_id, kind, strength, _ in ordered:
        strengths_by_kind.setdefault(kind, []).append(strength)
        rule = rules.kinds.get(kind)
        if rule is None:
            continue
        weight = rules.other_weight if rule.weight is None else rule.weight
        if rule.polarity is Polarity.NEGATIVE:
            terms.append(strength * weight)
            weights.append(weight)
            negative_ids.append(signal_id)
        elif rule.polarity is Polarity.POSITIVE:
            terms.append(-(strength * weight * rules.positive_factor))
            weights.append(weight * rules.positive_factor)
            positive += 1
    divisor = math.fsum(weights)
    highest = left = left_weights = 0.0
    for term, weight in zip(reversed(terms), reversed(weights), strict=True):
        left += term
        left_weights += weight
        if left > highest * left_weights:
            highest = left / left_weights
    signal_ids, kinds, strengths, _ = zip(*ordered, strict=True)
    return SignalSummary(
        signal_risk=round(min(1.0, max(0.0, math.fsum(terms) / divisor)), 3) if divisor else 0.0,
        highest_as_they_leave=highest,
        total=len(ordered),
        negative=len(negative_ids),
        positive=positive,
        mean_strength=math.fsum(strengths) / len(strengths),
        max_strength=max(strengths),
        kinds=kinds,
        signal_ids=signal_ids,
        negative_ids=tuple(negative_ids),
        unknown_kinds=tuple([kind for kind in strengths_by_kind if kind not in rules.kinds]),
        reasons=_reasons(strengths_by_kind, policy),
    )


def _reasons(strengths_by_kind: dict[str, list[float]], policy: PolicyDocument) -> tuple[str, ...]:
    """One sentence per direction. A kind stands once, however often it came, so the text stays short."""
    raising, lowering, counted, unknown = [], [], [], []
    for kind, strengths in strengths_by_kind.items():
        rule = policy.signals.kinds.get(kind)
        if rule is None:
            unknown.append(phrase(kind))
            continue
        if len(strengths) == 1:
            text = f"{phrase(kind)} ({strengths[0]:.2f})"
        else:
            text = f"{phrase(kind)} ({len(strengths)} times, up to {max(strengths):.2f})"
        if rule.polarity is Polarity.NEGATIVE:
            raising.append(text)
        elif rule.polarity is Polarity.POSITIVE:
            lowering.append(text)
        else:
            counted.append(text)
    reasons = []
    if raising:
        reasons.append(f"Raises the risk: {', '.join(raising)}.")
    if lowering:
        reasons.append(f"Lowers the risk: {', '.join(lowering)}.")
    if counted:
        reasons.append(f"Counts as a signal, neither good nor bad: {', '.join(counted)}.")
    if unknown:
        reasons.append(f"Counts as a signal, of a kind the policy does not know: {', '.join(unknown)}.")
    return tuple(reasons)
