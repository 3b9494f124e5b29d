"""Reading the queue: who may decide what, what comes next, and what it amounts to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from django.db.models import Count, Exists, Min, OuterRef, Q, QuerySet, Sum, TextField
from django.db.models.functions import Cast
from django.db.models.lookups import Contains
from django.utils import timezone

from approvals import shown
from approvals.models import ApprovalRequest, Decision, user_key
from approvals.rules import Limit
from approvals.services import limits_of, permissions_given, principals_of

# What is pending, said by the time of its decision: of a NULL, and not of a parameter, SQLite knows that the
# index of what waits will do.
WAITING = Q(decided_at__isnull=True)


def waiting_of_kind(kind: str) -> Q:
    """Not "kind = ": SQLite would take the index of the kinds for that, and go through all that there ever
    were of it."""
    return WAITING & ~Q(kind__lt=kind) & ~Q(kind__gt=kind)


def decidable_by(user, now: datetime | None = None) -> QuerySet[ApprovalRequest]:
    """The pending requests on which this person's decision would stand, most urgent first."""
    return ApprovalRequest.objects.filter(decidable(user, now or timezone.now())).by_priority()


def decidable_for(
    user, now: datetime | None = None, *, principals: list | None = None
) -> QuerySet[ApprovalRequest]:
    """What this person can decide, for themselves or for whom they stand in (`principals`, where they are
    known already), most urgent first."""
    now = now or timezone.now()
    mine = decidable_by(user, now)
    if principals is None:
        principals = principals_of(user, now)
    if not principals:
        return mine
    covered = Q(pk__in=mine.order_by().values("pk"))
    for principal in principals:
        covered |= Q(pk__in=decidable_by(principal, now).order_by().values("pk"))
    return ApprovalRequest.objects.filter(covered).exclude(proposed_by_key=user_key(user)).by_priority()


def decidable(user, now: datetime) -> Q:
    """`check_may_decide` as a condition."""
    return WAITING & decidable_of_what_waits(user, now)


def decidable_of_what_waits(user, now: datetime) -> Q:
    # Not "expires_at > now": SQLite would take the index of the expiry for that, and sort what it finds.
    in_time = ~Q(expires_at__lte=now)
    if not user.is_active:
        return in_time & Q(pk__in=())
    covered = Q(needs_limit=False)
    for limit in limits_of(user):
        covered |= _reached(limit)
    key = user_key(user)
    changed_by_me = Contains(Cast("editors", TextField()), f'"{key}"')
    mine = Decision.objects.filter(Q(actor_key=key) | Q(on_behalf_of_key=key))
    # Asked once for all, of the few that wait for one more person.
    approved = ApprovalRequest.objects.filter(
        WAITING,
        Exists(mine.filter(request=OuterRef("pk"), fingerprint=OuterRef("fingerprint"))),
        approvals_given__gt=0,
    )
    return (
        in_time
        & Q(permission__in=sorted(_given_to(user)), returned_at__isnull=True)
        & covered
        & ~Q(proposed_by_key=key)
        & (Q(approvals_given=0) | ~Q(pk__in=approved.values("pk")))
        & ~Q(changed_by_me)
    )


def _given_to(user) -> set[str]:
    """What the person was given, as the pages have asked already; being superuser gives nothing."""
    if not user.is_superuser:
        return user.get_all_permissions()
    given = permissions_given(user).values_list("content_type__app_label", "codename")
    return {f"{app}.{name}" for app, name in given}


def _reached(limit: Limit) -> Q:
    """`Limit.reaches` as a query."""
    reached = Q(needs_limit=True)
    if limit.max_value is not None:
        reached &= Q(value_at_stake__lte=limit.max_value)
    for field, words in (("risk_tier", limit.tiers), ("action", limit.actions), ("segment", limit.segments)):
        if words:
            reached &= Q(**{f"{field}__in": words})
    return reached


def next_after(request: ApprovalRequest, user) -> ApprovalRequest | None:
    """What this person decides next: the first after `request` in the order of the queue, else the first."""
    mine = decidable_by(user).exclude(pk=request.pk)
    return mine.filter(_behind(request)).first() or mine.first()


def place(request: ApprovalRequest) -> tuple[int, int]:
    """Its place among the pending ones, from 1, and how many there are."""
    counted = ApprovalRequest.objects.filter(WAITING).aggregate(
        behind=Count("pk", filter=_behind(request)), all=Count("pk")
    )
    return counted["all"] - counted["behind"], counted["all"]


def _behind(request: ApprovalRequest) -> Q:
    same = Q(priority_score=request.priority_score)
    # The first says nothing new, but where in the index to begin.
    return Q(priority_score__lte=request.priority_score) & (
        Q(priority_score__lt=request.priority_score)
        | same & Q(requested_at__gt=request.requested_at)
        | same & Q(requested_at=request.requested_at, pk__lt=request.pk)
    )


@dataclass(frozen=True, slots=True)
class Standing:
    """What a set of requests amounts to; `at_stake` is per currency, and leaves out what is not known."""

    requests: int
    at_stake: tuple[tuple[str, Decimal], ...]
    due_today: int
    oldest: datetime | None
    views: dict[str, int]


def midnight_after(now: datetime) -> datetime:
    """Where "today" ends: at midnight in the active time zone; where the clocks skip it, when they do."""
    return _midnight(timezone.localtime(now).date() + timedelta(days=1))


def midnight_before(now: datetime) -> datetime:
    """Where "today" begins."""
    return _midnight(timezone.localtime(now).date())


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(0, tzinfo=timezone.get_current_timezone())).astimezone(UTC)


def standing(
    requests: QuerySet[ApprovalRequest],
    now: datetime,
    *,
    within: Q | None = None,
    views: Mapping[str, Q] | None = None,
) -> Standing:
    """One query, of requests that wait. What is late already is due today. The figures are of what lies
    `within`; `views` are counted beside them, each among all of `requests`."""
    within, views = within or Q(), views or {}
    due = within & Q(decision_due_at__lt=midnight_after(now))
    rows = list(
        requests.order_by()
        .values("currency")
        .annotate(
            number=Count("pk", filter=within),
            total=Sum("value_at_stake", filter=within),
            due=Count("pk", filter=due),
            oldest=Min("requested_at", filter=within),
            **{f"view_{name}": Count("pk", filter=held) for name, held in views.items()},
        )
        .order_by("currency")
    )
    return Standing(
        requests=sum(row["number"] for row in rows),
        at_stake=tuple((row["currency"], row["total"]) for row in rows if row["total"]),
        due_today=sum(row["due"] for row in rows),
        oldest=min((row["oldest"] for row in rows if row["oldest"]), default=None),
        views={name: sum(row[f"view_{name}"] for row in rows) for name in views},
    )


def told(found: Standing, now: datetime) -> str:
    """ "12 requests, $814,000 a year at stake; 3 due today; the oldest has waited 5 h"."""
    if not found.requests:
        return "Nothing waits for a decision."
    number = "1 request" if found.requests == 1 else f"{found.requests:,} requests"
    parts = [number]
    if found.at_stake:
        parts[0] += f", {_listed(shown.money(total, name) for name, total in found.at_stake)} a year at stake"
    parts.append(f"{found.due_today:,} due today" if found.due_today else "none due today")
    parts.append(f"the oldest has waited {shown.span(now - found.oldest)}")
    return "; ".join(parts) + "."


def _listed(figures: Iterable[str]) -> str:
    figures = list(figures)
    return figures[0] if len(figures) == 1 else f"{', '.join(figures[:-1])} and {figures[-1]}"
