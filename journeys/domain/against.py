"""What speaks against an intervention, for whoever has to decide: facts in, sentences out."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from .naming import resembles
from .policy import PolicyDocument
from .signals import SignalFact
from .vocabulary import Channel, OutcomeKind, Polarity, Stage, phrase

# From so many days before a renewal on, a contact is weighed against it.
RENEWAL_NEAR_DAYS = 60
# A contact, a ticket or a success so many days ago is still remembered by whoever it reached.
REMEMBERED_DAYS = 30

_WENT_WELL = frozenset({OutcomeKind.RESOLVED, OutcomeKind.IMPROVED_ENGAGEMENT, OutcomeKind.NO_ACTION_NEEDED})


class Contact(NamedTuple):
    """Something that reached the customer, or (`of` names whom it was for) somebody else at the same
    address. One that is not `ours` stands in the imported history."""

    day: date
    action: str
    of: str = ""
    ours: bool = True


class Result(NamedTuple):
    """What came of an earlier intervention for the customer. `begun` is the intervention's day."""

    begun: date
    action: str
    outcome: str
    measured: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Standpoint:
    """What is known now. `signals` are those that the request rests on, `new_signals` came in since.
    `objection` says why it would not be carried out as things stand. `named` are other customers whom the
    text names, `of_domain` (name, how they are told) those who have their address at the recipient's domain.
    `without_name`: the text lacks the customer's name, where its template has it. `meant_for` is the customer
    of the payload where it is another. `on_the_way` are (action, whom it is for) of what else is open for the
    same address."""

    channel: str
    recipient: str
    name: str = ""
    action: str = ""
    stage: str = ""
    meant_for: str = ""
    signals: Collection[SignalFact] = ()
    new_signals: Collection[SignalFact] = ()
    objection: str | None = None
    contact_note: str = ""
    named: Collection[str] = ()
    without_name: bool = False
    of_domain: Collection[tuple[str, str]] = ()
    contacts: Collection[Contact] = ()
    on_the_way: Collection[tuple[str, str]] = ()
    results: Collection[Result] = ()
    renewal_date: date | None = None
    renewed_on: date | None = None
    churned_on: date | None = None
    rejections: Collection[tuple[date, str]] = ()


def against(facts: Standpoint, *, as_of: date, policy: PolicyDocument) -> tuple[str, ...]:
    """The weightiest first; empty where nothing is known to speak against it."""
    found = []
    if facts.objection:
        found.append(f"As things stand it would not be carried out: {facts.objection}")
    if facts.contact_note:
        found.append(f"Noted about contact: “{facts.contact_note}”")
    found += _another_customer(facts)
    if facts.churned_on:
        found.append(f"The customer left on {_written(facts.churned_on)}.")
    if facts.channel in (Channel.TASK, Channel.EMAIL) and not facts.recipient:
        found.append("There is nobody to send it to: the customer has neither an address nor an owner.")
    found += _recoveries(facts.signals, policy)
    found += _results(facts, as_of, policy)
    found += _tickets(facts, as_of, policy)
    if facts.new_signals:
        names = ", ".join(_named(signal) for signal in sorted(facts.new_signals, key=_arrival))
        found.append(f"Noticed since this was asked, and not weighed: {names}.")
    for day, reason in facts.rejections:
        found.append(f"The same was rejected on {_written(day)}{f': “{reason}”' if reason else '.'}")
    found += _contacts(facts, as_of)
    found += _renewal(facts, as_of)
    return tuple(found)


def polarity(kind: str, policy: PolicyDocument) -> Polarity:
    rule = policy.signals.kinds.get(kind)
    return rule.polarity if rule else Polarity.NEUTRAL


def _another_customer(facts: Standpoint) -> list[str]:
    """That the words, or the address, are somebody else's."""
    found = []
    if facts.meant_for:
        found.append(f"It was asked for the customer {facts.meant_for}, not for this one.")
    if facts.named:
        found.append(f"The text names another customer: {_listed(facts.named)}.")
    if facts.without_name and facts.name:
        found.append(f"The text does not name {facts.name}, as its template does: is it theirs?")
    domain = facts.recipient.rpartition("@")[2]
    owners = [told for name, told in facts.of_domain if resembles(name, domain)]
    if facts.channel == Channel.EMAIL and owners and not resembles(facts.name, domain):
        found.append(f"The address is at {domain}, which is that of another customer: {_listed(owners)}.")
    return found


def _recoveries(signals: Collection[SignalFact], policy: PolicyDocument) -> list[str]:
    positive = sorted((s for s in signals if polarity(s.kind, policy) is Polarity.POSITIVE), key=_arrival)
    if not positive:
        return []
    named = _capital(", ".join(_named(signal) for signal in positive))
    text = f"{named} {'speaks' if len(positive) == 1 else 'speak'} for the customer"
    last_good, last_bad = positive[-1], _latest_bad(signals, policy)
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


def _results(facts: Standpoint, as_of: date, policy: PolicyDocument) -> list[str]:
    """A success that no bad news followed; and that the same had no response the last time."""
    found = []
    last_bad = _latest_bad([*facts.signals, *facts.new_signals], policy)
    latest = max(facts.results, key=lambda result: (result.measured, result.begun), default=None)
    if (
        latest
        and latest.outcome in _WENT_WELL
        and _is_recent(latest.measured, as_of)
        and not (last_bad and last_bad.detected_on > latest.measured)
    ):
        found.append(
            f"It may be done already: what came of {phrase(latest.action)} of {_written(latest.begun)} was "
            f"recorded as “{phrase(latest.outcome)}” on {_written(latest.measured)}, and no bad news since."
        )
    same = [result for result in facts.results if result.action == facts.action]
    last = max(same, key=lambda result: (result.begun, result.measured), default=None)
    if last and last.outcome == OutcomeKind.NO_RESPONSE:
        found.append(f"The same had no response the last time, on {_written(last.begun)}.")
    return found


def _tickets(facts: Standpoint, as_of: date, policy: PolicyDocument) -> list[str]:
    """Tickets that may be open, unless they are what the action is for."""
    if facts.channel == Channel.NONE or facts.stage == Stage.SUPPORT or _answers_tickets(facts, policy):
        return []
    tickets = [s for s in facts.signals if _of_tickets(s.kind) and _is_recent(s.detected_on, as_of)]
    if not tickets:
        return []
    names = ", ".join(_named(signal) for signal in sorted(tickets, key=_arrival))
    return [f"Tickets may still be open: {names}. Support may be talking with the customer."]


def _answers_tickets(facts: Standpoint, policy: PolicyDocument) -> bool:
    playbook = policy.planning.playbooks.get(facts.stage)
    rules = playbook.rules if playbook else ()
    return any(rule.action == facts.action and any(map(_of_tickets, rule.any_of)) for rule in rules)


def _of_tickets(kind: str) -> bool:
    """Whether a kind of signal is about tickets: the published ones say so in their names."""
    return "ticket" in kind


def _contacts(facts: Standpoint, as_of: date) -> list[str]:
    """Who was written to a short while ago, and what else is on its way: the customer, and the address."""
    if facts.channel == Channel.NONE:
        return []
    recent = [contact for contact in facts.contacts if _is_recent(contact.day, as_of)]
    by_whom = defaultdict(list)
    for contact in sorted(recent, key=lambda contact: contact.day):
        by_whom[contact.of].append(contact)
    found = []
    for of, contacts in sorted(by_whom.items()):
        last = contacts[-1]
        days = (as_of - last.day).days
        when = "today" if days == 0 else f"{days} day{'s' if days > 1 else ''} ago"
        whom = (
            f"The same address was written to {when}, for {of}"
            if of
            else f"The customer was contacted {when}"
        )
        source = "" if last.ours else ", by the imported history"
        text = f"{whom}: {phrase(last.action)} on {_written(last.day)}{source}."
        if len(contacts) > 1:
            text += f" That makes {len(contacts)} contacts in {REMEMBERED_DAYS} days."
        found.append(text)
    for action, of in facts.on_the_way:
        found.append(f"Something else is on its way to the same address: {phrase(action)} for {of}.")
    return found


def _renewal(facts: Standpoint, as_of: date) -> list[str]:
    renewed = facts.renewed_on
    if renewed and _is_recent(renewed, as_of):
        return [f"The customer renewed a short while ago, on {_written(renewed)}."]
    if facts.renewal_date is None or (renewed and renewed >= facts.renewal_date):
        return []
    days = (facts.renewal_date - as_of).days
    if 0 <= days <= RENEWAL_NEAR_DAYS:
        when = "today" if days == 0 else f"in {days} day{'s' if days > 1 else ''}"
        return [f"The renewal is close: {_written(facts.renewal_date)}, {when}."]
    return []


def _latest_bad(signals: Collection[SignalFact], policy: PolicyDocument) -> SignalFact | None:
    negative = [s for s in signals if polarity(s.kind, policy) is Polarity.NEGATIVE]
    return max(negative, key=_arrival, default=None)


def _is_recent(day: date, as_of: date) -> bool:
    return 0 <= (as_of - day).days <= REMEMBERED_DAYS


def _named(signal: SignalFact) -> str:
    return f"{phrase(signal.kind)} ({signal.strength:.2f} on {_written(signal.detected_on)})"


def _listed(names: Collection[str]) -> str:
    *rest, last = names
    return f"{', '.join(rest)} and {last}" if rest else last


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _arrival(signal: SignalFact) -> tuple[date, str]:
    return signal.detected_on, signal.signal_id


def _written(day: date) -> str:
    return f"{day.day} {day:%b} {day.year}"
