"""Telling people, by mail: each notice is a row, written in the transaction of what it tells of, so that none
is lost and none invented. It is sent later (`approvals.postbox`)."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date, timedelta

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db.models import Q
from django.utils import timezone

from approvals.models import ApprovalRequest, Notice, user_key
from approvals.rules import Authority
from approvals.services.people import Deciders, was_given

# Who holds it can mend that nobody may decide something.
MENDS_AUTHORITY = "confirm_authoritylimit"
HIGH = "high"
# So many requests are told of one by one within that time; of what comes beyond, each person gets one mail.
SINGLY = 20
SINGLY_WITHIN = timedelta(hours=1)
# That one waits until nothing more has come for so long.
SETTLES = timedelta(minutes=2)

_silent: ContextVar[bool] = ContextVar("silent", default=False)


@contextmanager
def silently() -> Iterator[None]:
    """Within it nobody is told of anything: for a past that is made up."""
    token = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(token)


def enabled() -> bool:
    """A notice is a link: without the site's address there is nothing to send."""
    return bool(settings.NOTICES and settings.SITE_URL and not _silent.get())


def can_be_told(user) -> bool:
    return bool(user.is_active and user.is_staff and user.email)


def announce(requests: Iterable[ApprovalRequest], deciders: Deciders | None = None) -> None:
    """Tell who could decide them of those whose urgency is high, and who can mend it of those that nobody can
    decide. Call it in the transaction that opened them, after what that records: whoever puts off a mail that
    waits holds its row, and must not wait for the audit's head then."""
    if not enabled():
        return
    new, stranded = [], []
    for request in requests:
        if request.unroutable:
            stranded.append(request)
        elif request.urgency == HIGH:
            new.append(request)
    if new:
        deciders = deciders or Deciders()
        _tell(Notice.Kind.NEW, new, deciders.told_of, everybody=deciders.pool)
    if stranded:
        menders = _holders(MENDS_AUTHORITY)
        _tell(Notice.Kind.UNROUTABLE, stranded, lambda request: menders, everybody=lambda: menders)


def remind(request: ApprovalRequest, deciders: Deciders) -> None:
    """Tell who could decide it that three quarters of the time have passed."""
    if enabled():
        _tell(Notice.Kind.REMINDER, [request], deciders.told_of)


def escalate(request: ApprovalRequest, group: str, deciders: Deciders) -> None:
    """Tell who could decide it, and the members of the group, that it is late."""
    if not enabled():
        return
    members = get_user_model().objects.filter(groups__name=group)
    hands = request.asked().hands

    def people(late: ApprovalRequest) -> list:
        return [*deciders.told_of(late), *(user for user in members if user_key(user) not in hands)]

    _tell(Notice.Kind.ESCALATED, [request], people)


def tell_outcome(request: ApprovalRequest | None, *, outcome: str, outcome_key: str) -> None:
    """Tell the people who decided it what came of it; `outcome` in words. Call it in the transaction that
    records the outcome, `outcome_key` says which."""
    if request is None or not enabled():
        return
    decisions = request.decisions.filter(authority=Authority.PERSON)
    keys = {key for decision in decisions for key in decision.people}
    users = get_user_model().objects.filter(pk__in=[key.removeprefix("user:") for key in keys])
    _write(
        Notice(
            kind=Notice.Kind.OUTCOME,
            request=request,
            recipient=user,
            key=f"outcome:{outcome_key}:{user.pk}",
            facts={"outcome": outcome},
        )
        for user in users
    )


def write_digests(users: Iterable, *, day: date) -> None:
    """One each a day; what it says is read when it is sent."""
    if enabled():
        _write(
            Notice(kind=Notice.Kind.DIGEST, recipient=user, key=f"digest:{day}:{user.pk}") for user in users
        )


def write_letters(letters: Iterable[tuple]) -> int:
    """Write mails that are ready, each (user, key, {"subject", "text", "html"}); returns how many are new. A
    key that there was before is not told again, whoever comes second."""
    if not enabled():
        return 0
    letters = [letter for letter in letters if can_be_told(letter[0])]
    there = set(Notice.objects.filter(key__in=[key for _, key, _ in letters]).values_list("key", flat=True))
    new = [letter for letter in letters if letter[1] not in there]
    _write(Notice(kind=Notice.Kind.REPORT, recipient=user, key=key, facts=facts) for user, key, facts in new)
    return len(new)


def mends_authority(user) -> bool:
    return was_given(user, f"approvals.{MENDS_AUTHORITY}")


def _tell(kind: str, requests: Sequence[ApprovalRequest], people, everybody=None) -> None:
    """One by one as far as the hour allows, and of the rest in one mail to each person. Whether any of it is
    theirs is looked at when that is sent, so `everybody` may name too many; default: those of the rest."""
    within = timezone.now() - SINGLY_WITHIN
    told = Notice.objects.filter(kind=kind, created_at__gt=within).values("request").distinct().count()
    singly = max(SINGLY - told, 0)
    _write(
        Notice(kind=kind, request=request, recipient=user, key=f"{kind}:{request.pk}:{user.pk}")
        for request in requests[:singly]
        for user in people(request)
    )
    if rest := requests[singly:]:
        users = everybody() if everybody else [user for request in rest for user in people(request)]
        _tell_of_many(kind, users, first=rest[0].pk)


def _tell_of_many(about: str, users: Iterable, *, first: int) -> None:
    """A mail that waits already is put off instead, until nothing more comes."""
    users = {user.pk: user for user in users}
    due_at = timezone.now() + SETTLES
    # Locked, so that one that is being sent at this moment is not taken for one that waits.
    waiting = Notice.objects.select_for_update().filter(
        kind=Notice.Kind.MANY, state=Notice.State.WAITING, facts__about=about, recipient__in=users
    )
    rows = {row.recipient_id: row.pk for row in waiting.order_by("pk")}
    Notice.objects.filter(pk__in=rows.values()).update(due_at=due_at)
    _write(
        Notice(
            kind=Notice.Kind.MANY,
            recipient=user,
            key=f"many:{about}:{first}:{user.pk}",
            facts={"about": about},
            due_at=due_at,
        )
        for user in users.values()
        if user.pk not in rows
    )


def _write(notices: Iterable[Notice]) -> None:
    rows = [notice for notice in notices if can_be_told(notice.recipient)]
    Notice.objects.bulk_create(rows, batch_size=500, ignore_conflicts=True)


def _holders(codename: str) -> list:
    """Being superuser is not having been given it."""
    held = Permission.objects.filter(content_type__app_label="approvals", codename=codename)
    users = get_user_model().objects.filter(is_active=True)
    given = Q(groups__permissions__in=held) | Q(user_permissions__in=held)
    return list(users.filter(given).distinct().order_by("pk"))
