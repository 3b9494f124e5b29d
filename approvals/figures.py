"""Figures about the queue: how long what is in it has waited, how fast it is decided, and how often people
decide otherwise than was recommended. Reads only."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate
from math import ceil
from typing import NamedTuple

from django.contrib.auth import get_user_model
from django.db.models import (
    BigIntegerField,
    BooleanField,
    Case,
    Count,
    Exists,
    Func,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Value,
    When,
)

from approvals.models import ApprovalRequest, Decision
from approvals.rules import Authority, Proposer, Status, Verdict
from approvals.subjects import kinds_that_recommend

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
# Up to which age, and what people read for it; the last one has no end.
AGES = (
    (_HOUR, "<1 h"),
    (4 * _HOUR, "1–4 h"),
    (8 * _HOUR, "4–8 h"),
    (_DAY, "8–24 h"),
    (2 * _DAY, "1–2 d"),
    (3 * _DAY, "2–3 d"),
    (7 * _DAY, "3–7 d"),
    (None, ">7 d"),
)
BANDS = 10
_WEEK_SECONDS = 7 * 24 * 3600
# The first Monday of Unix time.
_FIRST_MONDAY = date(1970, 1, 5)
_FIRST_MONDAY_SECONDS = 4 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Ages:
    """So many have waited so long; `late` are past the time at which they should have been decided."""

    label: str
    in_time: int
    late: int


@dataclass(frozen=True, slots=True)
class Age:
    """What waits now. `median` is how long half of it has waited at least; `returned` are with their
    proposer, who was asked for changes. `oldest` and `median` are None where nothing waits."""

    waiting: int
    late: int
    returned: int
    ages: tuple[Ages, ...]
    median: timedelta | None
    oldest: ApprovalRequest | None


@dataclass(frozen=True, slots=True)
class Pace:
    """From asking to the decision that ended it, in whole minutes by the clock, nights and week-ends
    included. The values are nearest ranks: they occurred. None where nothing was decided."""

    decided: int
    median: int | None
    ninetieth: int | None


@dataclass(frozen=True, slots=True)
class Week:
    """A week from Monday, UTC; the first and the last are as much of it as lies in the window."""

    begins: date
    pace: Pace


@dataclass(slots=True)
class Tally:
    """How recommendations ended. `changed` were approved after a person had changed them; what nobody decided
    in time is `expired`, and no refusal; the others are decisions without a person."""

    approved: int = 0
    changed: int = 0
    rejected: int = 0
    expired: int = 0
    by_policy: int = 0
    by_testing: int = 0

    def add(self, word: str, number: int) -> None:
        setattr(self, word, getattr(self, word) + number)

    @property
    def decided(self) -> int:
        """By people."""
        return self.approved + self.changed + self.rejected

    @property
    def overridden(self) -> int:
        return self.changed + self.rejected

    @property
    def override_share(self) -> float | None:
        return self.overridden / self.decided if self.decided else None

    @property
    def anything(self) -> bool:
        return bool(self.decided or self.expired or self.by_policy or self.by_testing)


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Of what the machine recommended. `by_action` and `by_band` have the action, and the tenth of the risk
    score (0 to 9, None for not known). `others` were decided by people too: what a person proposed, and what
    is no recommendation."""

    total: Tally
    by_action: dict[str, Tally]
    by_band: dict[int | None, Tally]
    others: int


@dataclass(frozen=True, slots=True)
class PersonFigures:
    """Somebody's own words, whether or not they ended the request: of two who approve, both count."""

    key: str
    name: str
    tally: Tally
    pace: Pace


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """`since` and `until` bound what was decided; what waits is counted as of `until`. `people`
    holds one person where only their own figures may be seen."""

    since: datetime
    until: datetime
    age: Age
    pace: Pace
    weeks: tuple[Week, ...]
    verdicts: Verdicts
    people: tuple[PersonFigures, ...] = field(default=())


def queue_figures(*, now: datetime, days: int, kind: str = "", only: str = "") -> QueueFigures:
    """Over the last `days`, of one kind of request or of all. `only` is the key of the one person whose own
    figures are told; empty: of everybody. The number of queries depends on nothing; what was decided in the
    window is read once."""
    since = now - timedelta(days=days)
    asked = ApprovalRequest.objects.filter(**({"kind": kind} if kind else {}))
    # By every authority there is: so that the index serves.
    decided = Decision.objects.filter(
        authority__in=list(Authority),
        decided_at__gt=since,
        decided_at__lte=now,
        **({"request__kind": kind} if kind else {}),
    )
    counted = _Counted(kinds_that_recommend(), only)
    for row in decided.values_list(*_COLUMNS).iterator():
        counted.add(_Decided(*row))
    counted.add_expired(_expired(asked, since, now))
    return QueueFigures(
        since=since,
        until=now,
        age=_age(asked.pending(), now),
        pace=_pace(sum(counted.weeks.values(), Counter())),
        weeks=_weeks(counted.weeks, since, now),
        verdicts=counted.verdicts(),
        people=counted.people(),
    )


# -- what waits


def _age(pending: QuerySet[ApprovalRequest], now: datetime) -> Age:
    late = Q(decision_due_at__lt=now)
    bucket = Case(
        *(When(requested_at__gt=now - end, then=Value(place)) for place, (end, _) in enumerate(AGES) if end),
        default=Value(len(AGES) - 1),
        output_field=IntegerField(),
    )
    rows = pending.order_by().values_list(bucket).annotate(
        number=Count("pk"),
        late=Count("pk", filter=late),
        returned=Count("pk", filter=Q(returned_at__isnull=False)),
    )  # fmt: skip
    counts = {place: row for place, *row in rows.order_by()}
    waiting = sum(number for number, _, _ in counts.values())
    by_age = pending.order_by("requested_at", "pk")
    middle = by_age.values_list("requested_at", flat=True)[(waiting - 1) // 2 :].first() if waiting else None
    return Age(
        waiting=waiting,
        late=sum(late for _, late, _ in counts.values()),
        returned=sum(returned for _, _, returned in counts.values()),
        ages=tuple(
            Ages(label, number - late, late)
            for place, (_, label) in enumerate(AGES)
            for number, late, _ in [counts.get(place, (0, 0, 0))]
        ),
        median=now - middle if middle else None,
        oldest=by_age.only("pk", "title", "requested_at").first(),
    )


# -- what was decided


class _Seconds(Func):
    """A moment as whole seconds of Unix time, which is read much faster than a moment."""

    output_field = BigIntegerField()

    def as_sqlite(self, compiler, connection, **context):
        template = "CAST(strftime('%%%%s', %(expressions)s) AS INTEGER)"
        return super().as_sql(compiler, connection, template=template, **context)

    def as_postgresql(self, compiler, connection, **context):
        template = "FLOOR(EXTRACT(EPOCH FROM %(expressions)s))::bigint"
        return super().as_sql(compiler, connection, template=template, **context)


_CHANGED = Case(When(request__editors=[], then=Value(value=False)), default=True, output_field=BooleanField())
_COLUMNS = (
    "authority",
    "verdict",
    "ends",
    "actor_key",
    "request__kind",
    "request__proposer",
    "request__action",
    "request__risk_score",
    _CHANGED,
    _Seconds("request__requested_at"),
    _Seconds("decided_at"),
)


class _Decided(NamedTuple):
    """A row of `_COLUMNS`."""

    authority: str
    verdict: str
    ends: bool
    actor_key: str
    kind: str
    proposer: str
    action: str
    risk_score: float | None
    changed: bool
    asked_at: int
    decided_at: int

    @property
    def minutes(self) -> int:
        return (self.decided_at - self.asked_at) // 60

    @property
    def word(self) -> str:
        """The field of the Tally."""
        if self.authority == Authority.POLICY:
            return "by_policy"
        if self.authority == Authority.AUTO_APPROVAL_FOR_TESTING:
            return "by_testing"
        if self.verdict == Verdict.REJECTED:
            return "rejected"
        return "changed" if self.changed else "approved"


class _Counted:
    """Takes the decisions one by one. Of people, only `only` where it is given."""

    def __init__(self, kinds: list[str], only: str):
        self._kinds, self._only = frozenset(kinds), only
        self.weeks: defaultdict[int, Counter] = defaultdict(Counter)
        self._minutes: defaultdict[str, Counter] = defaultdict(Counter)
        self._said: Counter[tuple[str, str]] = Counter()
        self._ended: Counter[tuple[str, int | None, str]] = Counter()
        self._others = 0

    def add(self, row: _Decided) -> None:
        by_person = row.authority == Authority.PERSON
        word, minutes = row.word, row.minutes
        if by_person and self._only in ("", row.actor_key):
            self._said[row.actor_key, word] += 1
            self._minutes[row.actor_key][minutes] += 1
        if not row.ends:
            return
        if by_person:
            self.weeks[(row.decided_at - _FIRST_MONDAY_SECONDS) // _WEEK_SECONDS][minutes] += 1
        if row.kind in self._kinds and row.proposer == Proposer.MACHINE:
            self._ended[row.action, _band(row.risk_score), word] += 1
        else:
            self._others += by_person

    def add_expired(self, requests: QuerySet[ApprovalRequest]) -> None:
        of_machine = requests.filter(kind__in=self._kinds, proposer=Proposer.MACHINE)
        for action, risk_score in of_machine.values_list("action", "risk_score").iterator():
            self._ended[action, _band(risk_score), "expired"] += 1

    def verdicts(self) -> Verdicts:
        total = Tally()
        by_action: defaultdict[str, Tally] = defaultdict(Tally)
        by_band: defaultdict[int | None, Tally] = defaultdict(Tally)
        for (action, band, word), number in self._ended.items():
            for tally in (total, by_action[action], by_band[band]):
                tally.add(word, number)
        return Verdicts(total, dict(by_action), dict(by_band), self._others)

    def people(self) -> tuple[PersonFigures, ...]:
        """Those who decided the most come first. Somebody whose own figures are asked for has them, even
        where they decided nothing."""
        tallies = {self._only: Tally()} if self._only else {}
        for (key, word), number in self._said.items():
            tallies.setdefault(key, Tally()).add(word, number)
        names = _names(tallies)
        people = (
            PersonFigures(key, names.get(key, key), tally, _pace(self._minutes[key]))
            for key, tally in tallies.items()
        )
        return tuple(sorted(people, key=lambda person: (-person.tally.decided, person.name)))


def _band(score: float | None) -> int | None:
    """The tenth in which a score of 0..1 lies; 1 lies in the last."""
    return None if score is None else min(BANDS - 1, int(score * BANDS))


def _expired(asked: QuerySet[ApprovalRequest], since: datetime, until: datetime) -> QuerySet[ApprovalRequest]:
    """Nobody decided them in time. What was approved and not carried out in time was decided."""
    decisions = Decision.objects.filter(request=OuterRef("pk"), ends=True)
    return asked.filter(
        ~Exists(decisions), status=Status.EXPIRED, expires_at__gt=since, expires_at__lte=until
    )


def _names(keys: Iterable[str]) -> dict[str, str]:
    """What the accounts are called now; of one that is gone the key is all there is."""
    ids = [int(key.removeprefix("user:")) for key in keys if key.removeprefix("user:").isdecimal()]
    users = get_user_model().objects.filter(pk__in=ids)
    return {f"user:{pk}": name for pk, name in users.values_list("pk", "username")}


# -- how fast


def _pace(minutes: Counter) -> Pace:
    values = sorted(minutes)
    cumulated = list(accumulate(minutes[value] for value in values))
    decided = cumulated[-1] if cumulated else 0

    def rank(share: float) -> int | None:
        """The least value that at least this share lies at or below."""
        return values[bisect_left(cumulated, ceil(share * decided))] if decided else None

    return Pace(decided, rank(0.5), rank(0.9))


def _weeks(found: dict[int, Counter], since: datetime, until: datetime) -> tuple[Week, ...]:
    first, last = (_week_of(moment) for moment in (since, until))
    return tuple(
        Week(_FIRST_MONDAY + timedelta(weeks=week), _pace(found.get(week, Counter())))
        for week in range(first, last + 1)
    )


def _week_of(moment: datetime) -> int:
    return (moment.astimezone(UTC).date() - _FIRST_MONDAY).days // 7
