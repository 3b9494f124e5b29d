"""What changed since a customer's last score: two scores in, their difference and its causes out."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from .against import polarity
from .policy import PolicyDocument
from .signals import SignalFact
from .vocabulary import Polarity, phrase

_PLACES = 3
_MOST_NAMED = 3

PARTS = {
    "signals": "signals",
    "time_in_state": "time in stage",
    "customer_value": "account value",
    "signal_count": "number of signals",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A score of 0..1 of one day, with the contributions as they are shown (three places that add up to it),
    and what it was made of."""

    on: date
    overall: float
    contributions: Mapping[str, float]
    stage: str
    days_in_state: int
    signals: Collection[SignalFact]
    policy: str


class Move(NamedTuple):
    """One contribution's change, with the sentence's end that says why; empty where nothing on record
    explains it."""

    part: str
    change: float
    why: str


class Shift(NamedTuple):
    """`before` is the earlier score and `lapse` how long ago that was ("a week before"); `moved_by` names in
    a few words what moved it most, and is empty where nothing did. The moves are the largest first."""

    before: float
    on: date
    lapse: str
    moved_by: str
    moves: tuple[Move, ...]


class _Signals(NamedTuple):
    """Those that came in since, and those that went out of the window; oldest first."""

    came: list[SignalFact]
    went: list[SignalFact]


def shift(before: Scored, now: Scored, policy: PolicyDocument) -> Shift:
    """What is different; `policy` says which signals are good news and which are bad."""
    moved = _Signals(_difference(now.signals, before.signals), _difference(before.signals, now.signals))
    moves = []
    for part in PARTS:
        change = round(now.contributions[part] - before.contributions[part], _PLACES)
        if change:
            moves.append((part, change))
    moves.sort(key=lambda move: -abs(move[1]))
    return Shift(
        before=before.overall,
        on=before.on,
        lapse=_lapse(before.on, now.on),
        moved_by=_moved_by(*moves[0], before, now, moved, policy) if moves else "",
        moves=tuple(Move(PARTS[part], change, _why(part, before, now, moved)) for part, change in moves),
    )


def _why(part: str, before: Scored, now: Scored, moved: _Signals) -> str:
    if part == "signals":
        told = [f"{_named(moved.came)} came in"] if moved.came else []
        if moved.went:
            told.append(f"{_named(moved.went)} no longer {'counts' if len(moved.went) == 1 else 'count'}")
        return ", ".join(told) or _other_policy(before, now)
    if part == "time_in_state":
        days = now.days_in_state - before.days_in_state
        if before.stage != now.stage:
            return f"moved from {phrase(before.stage)} to {phrase(now.stage)}"
        return f"{_days(days)} more in {phrase(now.stage)}" if days > 0 else _other_policy(before, now)
    if part == "signal_count":
        other = len(now.signals) != len(before.signals)
        return (
            f"{len(before.signals)} before, {len(now.signals)} now" if other else _other_policy(before, now)
        )
    return _other_policy(before, now)


def _moved_by(
    part: str, change: float, before: Scored, now: Scored, moved: _Signals, policy: PolicyDocument
) -> str:
    """ "the usage drop of 12 Jan raised it"."""
    verb = "raised" if change > 0 else "lowered"
    if part in ("signals", "signal_count") and (cause := _cause(part, change, moved, policy)):
        what = f"the {phrase(cause.kind)} of {_short(cause.detected_on)}"
        return f"{what} {verb} it" if cause in moved.came else f"{what} no longer counts"
    if part == "time_in_state" and before.stage != now.stage:
        return f"the move to {phrase(now.stage)} {verb} it"
    if part == "time_in_state" and change > 0:
        return f"the time in {phrase(now.stage)} raised it"
    if before.policy != now.policy:
        return f"policy {now.policy} weighs it otherwise than {before.policy}"
    return f"the {PARTS[part]} {verb} it"


def _cause(part: str, change: float, moved: _Signals, policy: PolicyDocument) -> SignalFact | None:
    """The newest signal that explains the direction: bad news that came or good news that went raises a
    score; as to their number, whatever came."""
    if part == "signal_count":
        candidates = moved.came if change > 0 else moved.went
    else:
        raises, lowers = Polarity.NEGATIVE, Polarity.POSITIVE
        if change < 0:
            raises, lowers = lowers, raises
        came = [signal for signal in moved.came if polarity(signal.kind, policy) is raises]
        candidates = came or [signal for signal in moved.went if polarity(signal.kind, policy) is lowers]
    return candidates[-1] if candidates else None


def _difference(signals: Collection[SignalFact], others: Collection[SignalFact]) -> list[SignalFact]:
    ids = {signal.signal_id for signal in others}
    fresh = [signal for signal in signals if signal.signal_id not in ids]
    return sorted(fresh, key=lambda signal: (signal.detected_on, signal.signal_id))


def _named(signals: list[SignalFact]) -> str:
    """The newest few, and how many more."""
    told = [
        f"{phrase(signal.kind)} {signal.strength:.2f} of {_short(signal.detected_on)}"
        for signal in signals[-_MOST_NAMED:]
    ]
    more = len(signals) - len(told)
    return ", ".join(told) + (f" and {more} more" if more > 0 else "")


def _other_policy(before: Scored, now: Scored) -> str:
    return f"policy {now.policy} in place of {before.policy}" if before.policy != now.policy else ""


def _lapse(before: date, now: date) -> str:
    days = (now - before).days
    if days == 7:
        return "a week before"
    return f"{_days(days)} before" if days > 0 else "earlier the same day"


def _days(days: int) -> str:
    return "1 day" if days == 1 else f"{days} days"


def _short(day: date) -> str:
    return f"{day.day} {day:%b}"
