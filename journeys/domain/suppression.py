"""Never twice, and never against a wish: whether a planned or approved action must not happen now."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

from .policy import PolicyDocument
from .vocabulary import Channel, InterventionStatus, SuppressionReason, label, phrase


class Situation(NamedTuple):
    """What a rejection is weighed against: has anything moved since?"""

    tier: str
    stage: str
    negative_signal_ids: frozenset[str]


class OpenIntervention(NamedTuple):
    """The customer's one open intervention: pending, approved, executing or unknown. `of_a_person`: somebody
    proposed or changed it."""

    status: str
    action: str
    of_a_person: bool


class PastAction(NamedTuple):
    """An action that was executed, recorded, revoked or imported. `day` is on the run's calendar; an imported
    one has the day it was generated.
    """

    action: str
    status: str
    day: date


class Rejection(NamedTuple):
    """A rejected intervention, with the tier, the stage and all signals that were known when it was made."""

    action: str
    tier: str
    stage: str
    signal_ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class CustomerHistory:
    """What is on record of one customer. `hold_until` is held through that day. `last_contact_on` is the day
    of the latest executed contact with the customer, or with the customer's address. `held_out` names the
    experiment that leaves the customer alone.
    """

    now: Situation
    do_not_contact: bool = False
    hold_until: date | None = None
    open: OpenIntervention | None = None
    recent: tuple[PastAction, ...] = ()
    rejected: tuple[Rejection, ...] = ()
    last_contact_on: date | None = None
    held_out: str = ""


class Suppression(NamedTuple):
    """Why not, as a word, and as a sentence that says until when where there is an end. `until` is the first
    day on which it no longer holds; None where days alone do not end it."""

    reason: SuppressionReason
    detail: str
    until: date | None = None


_DONE = {
    InterventionStatus.EXECUTED: "was carried out on",
    InterventionStatus.RECORDED: "was recorded on",
    InterventionStatus.REVOKED: "was revoked on",
    InterventionStatus.IMPORTED: "stands in the imported history on",
}


def suppress(
    *, action: str, channel: str, facts: CustomerHistory, as_of: date, policy: PolicyDocument
) -> Suppression | None:
    """The first reason not to propose (or carry out) `action` on `as_of`, or None.

    The customer's wishes come first, then what is open, then what was done or refused, then the contact cap;
    a hold-out comes last, so that it counts only those who would have been contacted. Wishes and cap do not
    hold back an action that sends nothing. A pending proposal of the machine with another action suppresses
    nothing: the caller replaces it. When an approved intervention is claimed, the caller leaves that one
    itself out of `facts.open`.
    """
    return (
        (_wish(facts, as_of) if channel != Channel.NONE else None)
        or _under_way(action, facts.open)
        or _cool_down(action, facts.recent, as_of, policy)
        or _rejected_before(action, facts)
        or (_contact_cap(facts.last_contact_on, as_of, policy) if channel != Channel.NONE else None)
        or _held_out(facts, policy)
    )


def _wish(facts: CustomerHistory, as_of: date) -> Suppression | None:
    if facts.do_not_contact:
        return Suppression(SuppressionReason.DO_NOT_CONTACT, "The customer is marked “do not contact”.")
    if facts.hold_until is not None and as_of <= facts.hold_until:
        return Suppression(
            SuppressionReason.ON_HOLD,
            f"The customer is on hold through {_written(facts.hold_until)}.",
            facts.hold_until + timedelta(days=1),
        )
    return None


def _under_way(action: str, open_one: OpenIntervention | None) -> Suppression | None:
    if open_one is None:
        return None
    if open_one.status != InterventionStatus.PENDING:
        return Suppression(
            SuppressionReason.IN_PROGRESS,
            f"{label(open_one.action)} is under way ({phrase(open_one.status)}); "
            f"asked again once it has ended.",
        )
    if open_one.action == action:
        return Suppression(
            SuppressionReason.ALREADY_PENDING, f"{label(action)} already waits for a decision."
        )
    if open_one.of_a_person:
        return Suppression(
            SuppressionReason.PERSON_PENDING,
            f"{label(open_one.action)}, which a person proposed or changed, waits for a decision; "
            f"asked again once it is decided.",
        )
    return None


def _cool_down(
    action: str, recent: tuple[PastAction, ...], as_of: date, policy: PolicyDocument
) -> Suppression | None:
    cool_down = timedelta(days=policy.suppression.cool_down_days)
    # What happened after as_of counts too: a run dated back must not repeat what has just been done.
    last = max((past for past in recent if past.action == action), key=lambda past: past.day, default=None)
    if last is None or as_of - last.day >= cool_down:
        return None
    done, until = _DONE.get(last.status, f"was {phrase(last.status)} on"), last.day + cool_down
    return Suppression(
        SuppressionReason.COOL_DOWN,
        f"{label(action)} {done} {_written(last.day)}; asked again from {_written(until)}.",
        until,
    )


def _rejected_before(action: str, facts: CustomerHistory) -> Suppression | None:
    now = facts.now
    for rejection in facts.rejected:
        unmoved = (rejection.action, rejection.tier, rejection.stage) == (action, now.tier, now.stage)
        if unmoved and now.negative_signal_ids <= rejection.signal_ids:
            return Suppression(
                SuppressionReason.REJECTED_BEFORE,
                f"{label(action)} was rejected; asked again once the tier or the stage moves, or a negative "
                f"signal is added.",
            )
    return None


def _contact_cap(last_contact_on: date | None, as_of: date, policy: PolicyDocument) -> Suppression | None:
    days = policy.suppression.contact_cap_days
    if last_contact_on is None or as_of - last_contact_on >= timedelta(days=days):
        return None
    until = last_contact_on + timedelta(days=days)
    return Suppression(
        SuppressionReason.CONTACTED_RECENTLY,
        f"The customer was contacted on {_written(last_contact_on)}, and at most one contact in {days} days "
        f"is allowed; asked again from {_written(until)}.",
        until,
    )


def _held_out(facts: CustomerHistory, policy: PolicyDocument) -> Suppression | None:
    if not facts.held_out:
        return None
    ends_on = policy.holdout.ends_on
    return Suppression(
        SuppressionReason.HELD_OUT,
        f"Held out by the experiment “{facts.held_out}”: drawn, and deliberately left alone, to have "
        "somebody to compare with.",
        ends_on and ends_on + timedelta(days=1),
    )


def _written(day: date) -> str:
    return f"{day.day} {day:%b} {day.year}"
