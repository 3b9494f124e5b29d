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
from functools import lru_cache
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


class RejectionCategory(StrEnum):
    """What was wrong with a proposal: from these the policy learns."""

    WRONG_ACTION = "wrong_action"
    WRONG_CUSTOMER = "wrong_customer"
    BAD_TIMING = "bad_timing"
    EVIDENCE_WRONG = "evidence_wrong"
    ALREADY_HANDLED = "already_handled"
    POLICY_TOO_EAGER = "policy_too_eager"
    OTHER = "other"


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
    """The gate says no. `code` is stable for programs, the message is for the person who asked, and `facts`
    say for programs what the message says."""

    code = "refused"

    def __init__(self, message: str = "", **facts: object):
        super().__init__(message)
        self.facts = facts


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


class AlreadyApproved(Refusal):
    """Whoever has approved once does not count twice."""

    code = "already_approved"


class Returned(Refusal):
    """The request is with its proposer, who was asked for changes."""

    code = "returned"


class ReasonNeeded(Refusal):
    code = "reason_needed"


class PasswordNeeded(Refusal):
    code = "password_needed"


class RecentReset(Refusal):
    """Somebody else has set this person's password a short while ago, and could be them."""

    code = "recent_reset"


class Claimed(Refusal):
    code = "claimed"


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
    on_behalf_of_key: str = ""
    on_behalf_of_name: str = ""

    @property
    def is_person(self) -> bool:
        return self.key.startswith("user:")

    @property
    def told(self) -> str:
        """The name, with "on behalf of" whom."""
        return f"{self.name} on behalf of {self.on_behalf_of_name}" if self.on_behalf_of_name else self.name


@dataclass(frozen=True, slots=True)
class Weight:
    """What an authority is measured against; empty or None is not known."""

    value: Decimal | None
    tier: str = ""
    action: str = ""
    segment: str = ""


@dataclass(frozen=True, slots=True)
class Limit:
    """What a group may decide: up to `max_value` inclusive (None: without limit), of these tiers, actions
    and segments (empty: of all). `escalates_to` is the group that is asked as well once it is late."""

    group: str
    max_value: Decimal | None
    tiers: frozenset[str] = frozenset()
    actions: frozenset[str] = frozenset()
    segments: frozenset[str] = frozenset()
    escalates_to: str = ""

    def reaches(self, weight: Weight) -> bool:
        """An unknown value is reached only by a limit without bound."""
        enough = self.max_value is None or (weight.value is not None and weight.value <= self.max_value)
        return (
            enough
            and (not self.tiers or weight.tier in self.tiers)
            and (not self.actions or weight.action in self.actions)
            and (not self.segments or weight.segment in self.segments)
        )


@dataclass(frozen=True, slots=True)
class Decider:
    """Who decides, and for whom: with `on_behalf_of` the permission and the limits are that person's.

    `password_given` says whether the right password came with the decision; `reset_at` is when somebody
    else last set the decider's password."""

    key: str
    permitted: bool
    limits: tuple[Limit, ...]
    on_behalf_of: str = ""
    password_given: bool = False
    reset_at: datetime | None = None

    @property
    def keys(self) -> frozenset[str]:
        return frozenset({self.key, self.on_behalf_of} - {""})


@dataclass(frozen=True, slots=True)
class Asked:
    """The facts of a request that a decision is weighed by. `hands` have proposed or changed it,
    `approvers` have approved it as it stands, in person or by somebody on their behalf. `heightened`: an
    approval needs a reason, and any decision the password."""

    status: Status
    fingerprint: str
    proposed_by: str
    hands: frozenset[str]
    weight: Weight
    needs_limit: bool
    expires_at: datetime
    approvers: frozenset[str] = frozenset()
    returned: bool = False
    heightened: bool = False


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


RESET_QUARANTINE = timedelta(hours=24)


def covers(limits: Iterable[Limit], weight: Weight) -> bool:
    """Whether any limit reaches what is weighed. No limit means no authority."""
    return any(limit.reaches(weight) for limit in limits)


def escalation_target(limits: Iterable[Limit], weight: Weight, *, steps: int = 1) -> str:
    """The group that is asked as well once a request is late: that of the narrowest limit which reaches it
    and names one, and from that group on in the same way, `steps` times; empty where none names one."""
    reaching = [limit for limit in limits if limit.escalates_to and limit.reaches(weight)]
    unbounded = Decimal("Infinity")
    target, asked = "", set()
    for _ in range(steps):
        further = [limit for limit in reaching if not target or limit.group == target]
        further = [limit for limit in further if limit.escalates_to not in asked]
        if not further:
            break
        target = min(
            further, key=lambda limit: unbounded if limit.max_value is None else limit.max_value
        ).escalates_to
        asked.add(target)
    return target


def check_authority(asked: Asked, decider: Decider) -> None:
    """Raise NotAuthorised unless permission and limits reach this request."""
    if not decider.permitted:
        raise NotAuthorised("You have no permission to decide requests of this kind.")
    if asked.needs_limit and not covers(decider.limits, asked.weight):
        raise NotAuthorised(_beyond(decider.limits, asked.weight))


def check_eligible(asked: Asked, decider: Decider) -> None:
    """Raise OwnRequest, AlreadyApproved or NotAuthorised unless this person may decide this request at all.
    Acting on somebody's behalf changes nothing about four eyes: neither of the two may have had a hand."""
    if decider.key == asked.proposed_by:
        raise OwnRequest("You proposed this yourself; somebody else has to decide it.")
    if decider.key in asked.hands:
        raise OwnRequest("You changed this yourself; somebody else has to decide it.")
    if decider.keys & asked.hands:
        raise OwnRequest("Whom you act for proposed or changed this; somebody else has to decide it.")
    if decider.keys & asked.approvers:
        raise AlreadyApproved(
            "You, or whom you act for, have approved this already; it takes somebody else too."
        )
    check_authority(asked, decider)


def check_open(asked: Asked, *, fingerprint: str, now: datetime) -> None:
    """Raise AlreadyDecided, TooLate or Stale unless the request still is what the person saw."""
    if asked.status != Status.PENDING:
        raise AlreadyDecided(f"This request is already {asked.status}.")
    if now >= asked.expires_at:
        raise TooLate("This request has expired: nobody decided it in time. What still holds is asked again.")
    if fingerprint != asked.fingerprint:
        raise Stale("This request has changed since you opened it. Look at it again before you decide.")


def check_decision(
    asked: Asked,
    decider: Decider,
    *,
    verdict: Verdict,
    fingerprint: str,
    reason: str,
    category: str = "",
    now: datetime,
) -> None:
    """Raise the Refusal that applies, or return: the decision may be recorded."""
    check_open(asked, fingerprint=fingerprint, now=now)
    if asked.returned:
        raise Returned("Its proposer was asked for changes; it comes back once they have answered.")
    check_eligible(asked, decider)
    if verdict == Verdict.REJECTED:
        if not reason.strip():
            raise ReasonNeeded("A rejection needs a reason, for whoever proposed it and for the next run.")
        if category not in set(RejectionCategory):
            raise ReasonNeeded("A rejection needs a category: say what was wrong.")
    elif asked.heightened and not reason.strip():
        raise ReasonNeeded("At this value an approval needs a reason too.")
    check_identity(asked, decider, now)


def check_identity(asked: Asked, decider: Decider, now: datetime) -> None:
    """Raise RecentReset or PasswordNeeded where it is not certain enough who decides."""
    check_reset(decider.reset_at, now)
    if asked.heightened and not decider.password_given:
        raise PasswordNeeded("At this value your password is asked again; it was missing or wrong.")


def check_reset(reset_at: datetime | None, now: datetime) -> None:
    """Raise RecentReset within a day of somebody else setting a person's password."""
    if reset_at and now - reset_at < RESET_QUARANTINE:
        left = reset_at + RESET_QUARANTINE - now
        hours = max(1, round(left / timedelta(hours=1)))
        raise RecentReset(
            "Somebody else has set your password. To be sure that it is you, you can decide again in "
            f"{hours} hour{'' if hours == 1 else 's'}."
        )


def check_revocation(asked: Asked, decider: Decider, *, used: bool, reason: str) -> None:
    """Raise AlreadyDecided, TooLate, NotAuthorised or ReasonNeeded unless this approval may be revoked."""
    if asked.status != Status.APPROVED:
        raise AlreadyDecided(f"There is no approval to revoke: this request is {asked.status}.")
    if used:
        raise TooLate("It is too late to revoke: carrying it out has begun.")
    check_authority(asked, decider)
    if not reason.strip():
        raise ReasonNeeded("Say why the approval is revoked.")


def check_delegation(
    delegator: str, delegate: str, starts_at: datetime, ends_at: datetime, others: Iterable[tuple]
) -> None:
    """Raise Refusal unless `delegate` may stand in for `delegator`. `others` are the standing delegations as
    (delegator, delegate, starts_at, ends_at); a circle of those that overlap in time is refused."""
    if ends_at <= starts_at:
        raise Refusal("A delegation has to end after it begins.")
    overlapping: dict[str, set[str]] = {}
    for giver, taker, begins, ends in others:
        if begins < ends_at and starts_at < ends:
            overlapping.setdefault(giver, set()).add(taker)
    reached, frontier = set(), {delegate}
    while frontier:
        reached |= frontier
        frontier = {taker for giver in frontier for taker in overlapping.get(giver, ())} - reached
    if delegator in reached:
        raise Refusal(
            "Nobody can stand in for themselves, not even through others: this would close a circle."
        )


def is_working(moment: datetime, calendar: WorkingHours) -> bool:
    at = moment.astimezone(ZoneInfo(calendar.zone))
    return at.isoweekday() in calendar.weekdays and calendar.opens <= at.hour < calendar.closes


# A run asks for the same few deadlines for each of its proposals.
@lru_cache(maxsize=64)
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


def _beyond(limits: tuple[Limit, ...], weight: Weight) -> str:
    if not limits:
        return "You have no authority to decide: none of your groups has a limit."
    if weight.value is None and any(limit.max_value is not None for limit in limits):
        return "The value at stake is not known; only somebody without a limit may decide."
    by_value = [limit.max_value for limit in limits if limit.max_value is not None]
    if len(by_value) == len(limits) and weight.value > max(by_value):
        return f"Your authority ends at {max(by_value):,.0f}; the value at stake is {weight.value:,.0f}."
    return "Your authority does not cover this tier, action or segment at this value."
