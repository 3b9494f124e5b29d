"""Who acts, with what authority, and who could."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from approvals import rules
from approvals.audit import Event, record
from approvals.models import ApprovalRequest, AuditEvent, AuditHead, AuthorityLimit, Delegation, user_key
from approvals.rules import Actor, Decider, Limit, NotAuthorised, NotFound, Refusal

RESET_WORD = "password.set"
SHELL = Actor(key="system:shell", name="somebody with a shell", door="shell")
# Of those who may decide a request so many are counted.
_MOST_COUNTED = 50


def actor_of(user, *, door: str, address: str = "", on_behalf_of=None) -> Actor:
    return Actor(
        key=user_key(user),
        name=user.get_username(),
        door=door,
        address=address,
        on_behalf_of_key=user_key(on_behalf_of) if on_behalf_of else "",
        on_behalf_of_name=on_behalf_of.get_username() if on_behalf_of else "",
    )


def decider_of(user, request: ApprovalRequest, *, on_behalf_of=None, password: str | None = None) -> Decider:
    """The authority of a user, or of whom they act for, read now. Being superuser gives none of it. Raises
    NotAuthorised where no delegation stands."""
    principal = on_behalf_of or user
    if on_behalf_of is not None and not _stands_in(user, on_behalf_of):
        raise NotAuthorised(f"You do not stand in for {on_behalf_of.get_username()} at this time.")
    return Decider(
        key=user_key(user),
        permitted=user.is_active and principal.is_active and was_given(principal, request.permission),
        limits=limits_of(principal),
        on_behalf_of=user_key(on_behalf_of) if on_behalf_of else "",
        password_given=password is not None and user.check_password(password),
        reset_at=_reset_by_somebody_else(user),
    )


def was_given(user, permission: str) -> bool:
    """Whether the permission (`app.name`) was given to the user or to one of their groups. Being superuser
    is no permission to decide."""
    app, _, codename = permission.partition(".")
    return permissions_given(user).filter(content_type__app_label=app, codename=codename).exists()


def permissions_given(user) -> QuerySet[Permission]:
    return Permission.objects.filter(Q(group__user=user) | Q(user=user)).distinct()


def limits_of(user) -> tuple[Limit, ...]:
    rows = AuthorityLimit.objects.filter(group__user=user).select_related("group", "escalates_to")
    return tuple(row.limit for row in rows)


def check_may_decide(request: ApprovalRequest, user, *, on_behalf_of=None) -> None:
    """Raise the Refusal that this person would meet, whatever they decided."""
    asked = request.asked()
    if asked.returned:
        raise rules.Returned("Its proposer was asked for changes; it comes back once they have answered.")
    rules.check_eligible(asked, decider_of(user, request, on_behalf_of=on_behalf_of))


def check_not_reset(user) -> None:
    """Raise RecentReset where somebody else has set the user's password a short while ago."""
    rules.check_reset(_reset_by_somebody_else(user), timezone.now())


def principals_of(user, now: datetime | None = None) -> list:
    """The users that this one stands in for at this time."""
    standing = Delegation.objects.active(now or timezone.now()).filter(delegate=user)
    return [row.delegator for row in standing.select_related("delegator")]


class Others(NamedTuple):
    """Some who may decide a request too, by what they are called, and how many more; `more` is a lower bound
    where it is `at_least`."""

    names: list[str]
    more: int
    at_least: bool


def others_who_may(request: ApprovalRequest, user, *, most: int = 3) -> Others:
    """Who else could decide this request, four eyes and limits considered, without reading everybody: who is
    in a group whose limit reaches it and was given the permission."""
    asked = request.asked()
    app, _, codename = request.permission.partition(".")
    permission = Permission.objects.filter(content_type__app_label=app, codename=codename)
    given = Q(groups__permissions__in=permission) | Q(user_permissions__in=permission)
    people = get_user_model().objects.filter(given, is_active=True)
    if request.needs_limit:
        limits = AuthorityLimit.objects.select_related("group", "escalates_to")
        reaching = [row.group_id for row in limits if row.limit.reaches(asked.weight)]
        people = people.filter(pk__in=get_user_model().objects.filter(groups__in=reaching).values("pk"))
    out = [user_key(user), *asked.hands, *asked.approvers]
    ids = [key.removeprefix("user:") for key in out if key.startswith("user:")]
    found = list(people.exclude(pk__in=ids).distinct().order_by("username")[: _MOST_COUNTED + 1])
    names = [person.get_full_name() or person.get_username() for person in found]
    return Others(
        names[:most], min(len(names), _MOST_COUNTED) - len(names[:most]), len(names) > _MOST_COUNTED
    )


class Deciders:
    """Everybody who could decide anything, read once, to be asked for many requests."""

    def __init__(self):
        rows = list(AuthorityLimit.objects.select_related("group", "escalates_to"))
        self._limits = [row.limit for row in rows]
        of_group = defaultdict(list)
        for row in rows:
            of_group[row.group_id].append(row.limit)
        users = get_user_model().objects.filter(is_active=True).order_by("pk").prefetch_related("groups")
        self._everybody = []
        for user in users:
            limits = tuple(limit for group in user.groups.all() for limit in of_group[group.pk])
            self._everybody.append((user, Decider(key=user_key(user), permitted=True, limits=limits)))
        self._with_limits = [(user, decider) for user, decider in self._everybody if decider.limits]
        self._permitted: dict[tuple[int, str], bool] = {}
        self._delegations: list[Delegation] | None = None

    def of(self, request: ApprovalRequest) -> Iterator:
        """The users who could still decide this request, four eyes and limits considered."""
        asked = request.asked()
        people = self._with_limits if request.needs_limit else self._everybody
        return (user for user, decider in people if self._could(user, decider, asked, request.permission))

    def told_of(self, request: ApprovalRequest) -> list:
        """Those of `of`, and who stands in for one of them at this time."""
        people = {user.pk: user for user in self.of(request)}
        asked = request.asked()
        for row in self._standing_in():
            if row.delegator_id in people and user_key(row.delegate) not in asked.hands | asked.approvers:
                people.setdefault(row.delegate_id, row.delegate)
        return list(people.values())

    def pool(self) -> list:
        """Who could decide anything that takes a limit, or stands in for one of them."""
        people = {user.pk: user for user, _ in self._with_limits}
        deputies = [row.delegate for row in self._standing_in() if row.delegator_id in people]
        return list((people | {user.pk: user for user in deputies}).values())

    def _standing_in(self) -> list[Delegation]:
        if self._delegations is None:
            active = Delegation.objects.active(timezone.now()).order_by("pk")
            self._delegations = list(active.select_related("delegate"))
        return self._delegations

    def escalation_target(self, request: ApprovalRequest, *, steps: int = 1) -> str:
        """The group that is asked as well once this request is late; empty where no limit names one."""
        return rules.escalation_target(self._limits, request.weight, steps=steps)

    def are_missing(self, request: ApprovalRequest) -> bool:
        """Looks no further than the number of people that it still takes."""
        wanted = request.people_needed - request.approvals_given
        return sum(1 for _ in islice(self.of(request), wanted)) < wanted

    def _could(self, user, decider: Decider, asked: rules.Asked, permission: str) -> bool:
        try:
            rules.check_eligible(asked, decider)
        except Refusal:
            return False
        key = (user.pk, permission)
        if key not in self._permitted:
            self._permitted[key] = was_given(user, permission)
        return self._permitted[key]


def delegate(
    *, delegator, to, starts_at: datetime, ends_at: datetime, reason: str, door: str, address: str = ""
):
    """Let `to` decide on behalf of `delegator` in a window of time; returns the Delegation.

    Raises Refusal for oneself, a window without a length, one that is past, or a circle.
    """
    now = timezone.now()
    if ends_at <= now:
        raise Refusal("The end of that time is past already: choose a later one.")
    with transaction.atomic():
        # Several made at this moment could close a circle together: one after the other, by the audit's head.
        list(AuditHead.objects.select_for_update())
        standing = Delegation.objects.standing(now)
        others = standing.values_list("delegator_id", "delegate_id", "starts_at", "ends_at")
        rules.check_delegation(delegator.pk, to.pk, starts_at, ends_at, others)
        row = Delegation.objects.create(
            delegator=delegator, delegate=to, starts_at=starts_at, ends_at=ends_at, reason=reason.strip()
        )
        actor = actor_of(delegator, door=door, address=address)
        record([_delegation_event("delegation.given", row, actor, reason)])
    return row


def end_delegation(*, delegation_id: int, user, door: str, address: str = "") -> None:
    """Either of the two ends it early. Raises NotFound or NotAuthorised."""
    row = Delegation.objects.filter(pk=delegation_id).select_related("delegator", "delegate").first()
    if row is None:
        raise NotFound(f"There is no delegation {delegation_id}.")
    if user.pk not in (row.delegator_id, row.delegate_id):
        raise NotAuthorised("Only the two whom it concerns can end a delegation.")
    with transaction.atomic():
        if not Delegation.objects.filter(pk=row.pk, revoked_at__isnull=True).update(
            revoked_at=timezone.now()
        ):
            raise Refusal("This delegation has been ended already.")
        record([_delegation_event("delegation.ended", row, actor_of(user, door=door, address=address), "")])


def _stands_in(user, principal) -> bool:
    active = Delegation.objects.active(timezone.now())
    return active.filter(delegate=user, delegator=principal).exists()


def _reset_by_somebody_else(user) -> datetime | None:
    since = timezone.now() - rules.RESET_QUARANTINE
    sets = AuditEvent.objects.filter(concerning=user_key(user), word=RESET_WORD, at__gt=since)
    return sets.exclude(actor_key=user_key(user)).order_by("-sequence").values_list("at", flat=True).first()


def _delegation_event(word: str, row: Delegation, actor: Actor, reason: str) -> Event:
    return Event(
        word=word,
        actor=actor,
        kind="delegation",
        subject_key=str(row.pk),
        subject_name=str(row),
        concerning=user_key(row.delegator),
        after=user_key(row.delegate),
        reason=reason,
    )
