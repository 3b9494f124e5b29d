"""What speaks against an intervention, for whoever has to decide: facts in, sentences out."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date

from .policy import PolicyDocument
from .signals import SignalFact
from .vocabulary import Channel, Polarity, phrase

# From so many days before a renewal on, a contact is weighed against it.
RENEWAL_NEAR_DAYS = 60
# A contact so many days ago is still remembered by whoever got it.
CONTACT_REMEMBERED_DAYS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Standpoint:
    """What is known now. `signals` are those that the request rests on, `new_signals` came in since.
    `objection` says why it would not be carried out as things stand."""

    channel: str
    recipient: str
    signals: Collection[SignalFact] = ()
    new_signals: Collection[SignalFact] = ()
    objection: str | None = None
    last_contact_on: date | None = None
    renewal_date: date | None = None
    renewed_on: date | None = None
    churned_on: date | None = None
    rejections: Collection[tuple[date, str]] = ()


def against(facts: Standpoint, *, as_of: date, policy: PolicyDocument) -> tuple[str, ...]:
    """The weightiest first; empty where nothing is known to speak against it."""
    found = []
    if facts.objection:
        found.append(f"As things stand it would not be carried out: {facts.objection}")
    if facts.churned_on:
        found.append(f"The customer left on {_written(facts.churned_on)}.")
    if facts.channel in (Channel.TASK, Channel.EMAIL) and not facts.recipient:
        found.append("There is nobody to send it to: the customer has neither an address nor an owner.")
    found += _recoveries(facts.signals, policy)
    if facts.new_signals:
        names = ", ".join(_named(signal) for signal in sorted(facts.new_signals, key=_arrival))
        found.append(f"Noticed since this was asked, and not weighed: {names}.")
    for day, reason in facts.rejections:
        found.append(f"The same was rejected on {_written(day)}{f': “{reason}”' if reason else '.'}")
    found += _recent_contact(facts, as_of)
    found += _renewal(facts, as_of)
    return tuple(found)


def polarity(kind: str, policy: PolicyDocument) -> Polarity:
    rule = policy.signals.kinds.get(kind)
    return rule.polarity if rule else Polarity.NEUTRAL


def _recoveries(signals: Collection[SignalFact], policy: PolicyDocument) -> list[str]:
    positive = sorted((s for s in signals if polarity(s.kind, policy) is Polarity.POSITIVE), key=_arrival)
    if not positive:
        return []
    negative = [s for s in signals if polarity(s.kind, policy) is Polarity.NEGATIVE]
    named = _capital(", ".join(_named(signal) for signal in positive))
    text = f"{named} {'speaks' if len(positive) == 1 else 'speak'} for the customer"
    last_good, last_bad = positive[-1], max(negative, key=_arrival, default=None)
    if last_bad and last_good.detected_on > last_bad.detected_on:
        days = (last_good.detected_on - last_bad.detected_on).days
        later = f"{days} day{'s' if days > 1 else ''} after the latest bad news ({phrase(last_bad.kind)})"
        text += f", {later}: it may have mended itself"
    return [f"{text}. {_counted(len(signals), len(positive), policy)}".strip()]


def _counted(total: int, positive: int, policy: PolicyDocument) -> str:
    """What good news added to risk and confidence merely by being counted."""
    full, weight = policy.risk.full_signal_count, policy.risk.weights.signal_count
    risk = weight * (min(1.0, total / full) - min(1.0, (total - positive) / full))
    confidence = sum(
        bonus.add
        for bonus in policy.planning.confidence_bonuses
        if total - positive < bonus.at_signals <= total
    )
    added = [
        f"{amount:.2f} to the {name}"
        for amount, name in ((risk, "risk"), (confidence, "confidence"))
        if amount
    ]
    if not added:
        return ""
    counted = "a signal" if positive == 1 else "signals"
    return f"Counted as {counted} all the same, this added {' and '.join(added)}."


def _recent_contact(facts: Standpoint, as_of: date) -> list[str]:
    if facts.last_contact_on is None or facts.channel == Channel.NONE:
        return []
    days = (as_of - facts.last_contact_on).days
    if not 0 <= days <= CONTACT_REMEMBERED_DAYS:
        return []
    when = "today" if days == 0 else f"{days} day{'s' if days > 1 else ''} ago"
    return [f"The customer was contacted {when}, on {_written(facts.last_contact_on)}."]


def _renewal(facts: Standpoint, as_of: date) -> list[str]:
    if facts.renewal_date is None or (facts.renewed_on and facts.renewed_on >= facts.renewal_date):
        return []
    days = (facts.renewal_date - as_of).days
    if 0 <= days <= RENEWAL_NEAR_DAYS:
        return [f"The renewal is close: {_written(facts.renewal_date)}, in {days} days."]
    return []


def _named(signal: SignalFact) -> str:
    return f"{phrase(signal.kind)} ({signal.strength:.2f} on {_written(signal.detected_on)})"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _arrival(signal: SignalFact) -> tuple[date, str]:
    return signal.detected_on, signal.signal_id


def _written(day: date) -> str:
    return f"{day.day} {day:%b} {day.year}"
