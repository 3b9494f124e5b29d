"""What the gate allows: statuses, legal moves, four eyes, authority, clocks and digests.

Pure: facts in, an answer or a `Refusal` out. Nothing here reads a clock, a row or a setting.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from zoneinfo import ZoneInfo


class Status(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    LAPSED = "lapsed"
    REVOKED = "revoked"
    SUPERSEDED = "superseded"


class Verdict(StrEnum):
    APPROVED = "approved"
    REJECTED = "rejected"


class Authority(StrEnum):
    """On what a decision rests."""

    PERSON = "person"
    POLICY = "policy"
    AUTO_APPROVAL_FOR_TESTING = "auto_approval_for_testing"


class Proposer(StrEnum):
    PERSON = "person"
    MACHINE = "machine"


MOVES: dict[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.APPROVED, Status.REJECTED, Status.EXPIRED, Status.SUPERSEDED}),
    Status.APPROVED: frozenset({Status.EXPIRED, Status.LAPSED, Status.REVOKED}),
    Status.REJECTED: frozenset(),
    Status.EXPIRED: frozenset(),
    Status.LAPSED: frozenset(),
    Status.REVOKED: frozenset(),
    Status.SUPERSEDED: frozenset(),
}


class Refusal(Exception):
    """The gate says no. `code` is stable for programs, the message is for the person who asked."""

    code = "refused"


class NotFound(Refusal):
    code = "not_found"


class IllegalMove(Refusal):
    code = "illegal_move"


class AlreadyDecided(Refusal):
    code = "already_decided"


class TooLate(Refusal):
    code = "too_late"


class Stale(Refusal):
    """What the person saw is not what stands there now."""

    code = "stale"


class OwnRequest(Refusal):
    code = "own_request"


class NotAuthorised(Refusal):
    code = "not_authorised"


class ReasonNeeded(Refusal):
    code = "reason_needed"


class NoStandingApproval(Refusal):
    """Nothing may be executed: no approval stands, or it does not cover what would be done."""

    code = "no_standing_approval"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it, as text that outlives the account. `key` is like `user:5`, `policy:published 1`."""

    key: str
    name: str
    door: str
    address: str = ""

    @property
    def is_person(self) -> bool:
        return self.key.startswith("user:")


@dataclass(frozen=True, slots=True)
class Limit:
    """What a group may decide: up to `max_value` inclusive; None is without limit."""

    group: str
    max_value: Decimal | None


@dataclass(frozen=True, slots=True)
class Decider:
    key: str
    permitted: bool
    limits: tuple[Limit, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """The facts of a request that a decision is weighed by."""

    status: Status
    fingerprint: str
    proposed_by_key: str
    value: Decimal | None
    needs_limit: bool
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class WorkingHours:
    """ISO weekdays (1 is Monday) and the hours of the day, from `opens` to `closes`, in an IANA `zone`."""

    weekdays: frozenset[int]
    opens: int
    closes: int
    zone: str


def check_move(before: str, after: str) -> None:
    """Raise IllegalMove unless a request may go from one status to the other."""
    if Status(after) not in MOVES[Status(before)]:
        raise IllegalMove(f"A request that is {before} cannot become {after}.")


def covers(limits: Iterable[Limit], value: Decimal | None) -> bool:
    """Whether any limit reaches the value. No limit means no authority; an unknown value is reached
    only by a limit without bound."""
    return any(
        limit.max_value is None or (value is not None and value <= limit.max_value) for limit in limits
    )


def check_eligible(asked: Asked, decider: Decider) -> None:
    """Raise OwnRequest or NotAuthorised unless this person may decide this request at all."""
    if decider.key == asked.proposed_by_key:
        raise OwnRequest("You proposed this yourself; somebody else has to decide it.")
    if not decider.permitted:
        raise NotAuthorised("You have no permission to decide requests of this kind.")
    if asked.needs_limit and not covers(decider.limits, asked.value):
        raise NotAuthorised(_beyond(decider.limits, asked.value))


def check_decision(
    asked: Asked, decider: Decider, *, verdict: Verdict, fingerprint: str, reason: str, now: datetime
) -> None:
    """Raise the Refusal that applies, or return: the decision may be recorded."""
    if asked.status != Status.PENDING:
        raise AlreadyDecided(f"This request is already {asked.status}.")
    if now >= asked.expires_at:
        raise TooLate(f"This request expired on {asked.expires_at:%d %b %Y at %H:%M} UTC.")
    if fingerprint != asked.fingerprint:
        raise Stale("This request has changed since you opened it. Look at it again before you decide.")
    check_eligible(asked, decider)
    if verdict == Verdict.REJECTED and not reason.strip():
        raise ReasonNeeded("A rejection needs a reason, for whoever proposed it and for the next run.")


def working_deadline(start: datetime, hours: float, calendar: WorkingHours) -> datetime:
    """The moment at which `hours` working hours have passed since `start`, in UTC."""
    zone = ZoneInfo(calendar.zone)
    left = timedelta(hours=hours)
    at = start.astimezone(zone)
    while True:
        opens = datetime.combine(at.date(), time(calendar.opens), zone)
        # 24 is a legal closing hour and no legal `time`.
        closes = datetime.combine(at.date(), time(0), zone) + timedelta(hours=calendar.closes)
        if at.isoweekday() in calendar.weekdays:
            begin = max(at, opens)
            available = closes.astimezone(UTC) - begin.astimezone(UTC)
            if available >= left:
                return begin.astimezone(UTC) + left
            left -= max(available, timedelta(0))
        at = datetime.combine(at.date() + timedelta(days=1), time(0), zone)


def canonical(document: object) -> bytes:
    """One byte string for one meaning: sorted keys, no spaces, no NaN."""
    return json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=str
    ).encode()


def fingerprint(payload: dict) -> str:
    """SHA-256 of what is asked for. The payload holds only what the action means, no captions."""
    return hashlib.sha256(canonical(payload)).hexdigest()


def detail_digest(salt: str, document: dict) -> str:
    """What the chain keeps of personal text: without the salt, which is erased with the text, a
    short name could be found by trying."""
    return hashlib.sha256(salt.encode() + canonical(document)).hexdigest()


def chain_hash(previous_hash: str, fields: dict) -> str:
    """SHA-256 of the hash before and of the event's own fields."""
    return hashlib.sha256(previous_hash.encode() + canonical(fields)).hexdigest()


def _beyond(limits: tuple[Limit, ...], value: Decimal | None) -> str:
    if not limits:
        return "You have no authority to decide: none of your groups has a limit."
    if value is None:
        return "The value at stake is not known; only somebody without a limit may decide."
    highest = max(limit.max_value for limit in limits)
    return f"Your authority ends at {highest:,.0f}; the value at stake is {value:,.0f}."
