"""Mail to people, from the row to the mail server: what each notice says, and sending it at most once."""

import logging
from datetime import date, datetime, timedelta
from time import monotonic

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db.models import F, Q, QuerySet
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone

from approvals import shown
from approvals.addresses import request_url
from approvals.mailing import MaybeSent, NotReached, NotSent, send_email
from approvals.models import ApprovalRequest, Notice, user_key
from approvals.queue import decidable_for, standing, told
from approvals.rules import Refusal, Status
from approvals.services import check_may_decide, principals_of
from approvals.services.notices import HIGH, can_be_told, enabled, mends_authority, write_digests
from approvals.zones import zone_for

log = logging.getLogger(__name__)

Kind, State = Notice.Kind, Notice.State

MOST_ATTEMPTS = 5
AT_MOST = 500
# Seconds: for a round, after which the rest waits for the next, and for each step with the mail server.
ROUND, STEP = 20, 5
# A claim that is older belongs to a worker that died: the sweep is killed long before.
ORPHANED = timedelta(minutes=10)
# Older than this it is no news any more.
_STALE = {Kind.DIGEST: timedelta(hours=12)}
_STALE_ELSE = timedelta(days=3)
_MANY = {
    Kind.NEW: Q(urgency=HIGH),
    Kind.REMINDER: Q(reminded_at__isnull=False),
    Kind.ESCALATED: Q(escalated_at__isnull=False),
}
_LONGEST_SUBJECT = 150
_TOP = 5


class ServerBroken(Exception):
    """The mail server was not reached, or broke off."""


def write_digests_of(day: date) -> None:
    """A digest for everybody for whom something waits."""
    if not enabled():
        return
    people = [user for user in get_user_model().objects.order_by("pk") if can_be_told(user)]
    write_digests([user for user in people if decidable_for(user).exists()], day=day)


def send_due(*, now: datetime | None = None, at_most: int = AT_MOST) -> int:
    """Send what waits; returns how many went out. Never in a transaction: each is claimed by compare-and-swap
    and sent once at most. Ends early where the mail server is not reached, breaks off or is slow."""
    if not enabled():
        return 0
    now = now or timezone.now()
    _give_up_orphans(now)
    until = monotonic() + ROUND
    due = Notice.objects.filter(state=State.WAITING, due_at__lte=now).order_by("due_at", "pk")
    sent = 0
    for notice in list(due.select_related("recipient__preferences", "request")[:at_most]):
        if monotonic() > until:
            break
        if not _claim(notice, now):
            continue
        try:
            sent += _handle(notice, now)
        except ServerBroken:
            break
    return sent


def _claim(notice: Notice, now: datetime) -> bool:
    notice.attempts += 1
    waiting = Notice.objects.filter(pk=notice.pk, state=State.WAITING, attempts=notice.attempts - 1)
    return bool(waiting.update(state=State.SENDING, claimed_at=now, attempts=notice.attempts))


def _handle(notice: Notice, now: datetime) -> bool:
    """Write and send what was claimed; whether it went out. Raises ServerBroken where the next would fare no
    better."""
    try:
        with timezone.override(zone_for(notice.recipient)):
            letter = _letter(notice, now)
    except Exception as error:  # one that cannot be written holds up none of the others
        log.exception("Notice %s cannot be written.", notice.pk)
        return _leave(notice, State.FAILED, f"It cannot be written: {error!r}")
    if letter is None:
        return _leave(notice, State.DROPPED, "It no longer holds.")
    try:
        send_email(letter, f"notice-{notice.pk}", timeout=min(STEP, settings.EMAIL_TIMEOUT))
    except NotReached as error:
        # The attempt does not count: it says nothing about this notice.
        _leave(notice, State.WAITING, error.detail, attempts=F("attempts") - 1)
        raise ServerBroken from error
    except NotSent as error:
        if error.permanent or notice.attempts >= MOST_ATTEMPTS:
            return _leave(notice, State.FAILED, error.detail)
        return _leave(notice, State.WAITING, error.detail, due_at=now + timedelta(minutes=2**notice.attempts))
    except MaybeSent as error:
        _leave(notice, State.UNCERTAIN, error.detail)
        raise ServerBroken from error
    _leave(notice, State.SENT, "", sent_at=timezone.now())
    return True


def _leave(notice: Notice, state: str, failed: str, **fields) -> bool:
    """False, as nothing went out."""
    if failed and state != State.DROPPED:
        log.warning("Notice %s: %s", notice.pk, failed)
    claimed = Notice.objects.filter(pk=notice.pk, state=State.SENDING)
    claimed.update(state=state, failed=failed[:400], **fields)
    return False


def _give_up_orphans(now: datetime) -> None:
    orphans = Notice.objects.filter(state=State.SENDING, claimed_at__lt=now - ORPHANED)
    if number := orphans.update(
        state=State.UNCERTAIN, failed="The worker died while it was sent; it may have arrived."
    ):
        log.warning("%s notices were being sent when the worker died.", number)


def _letter(notice: Notice, now: datetime) -> dict | None:
    """The mail as `send_email` takes it; None where there is nothing to say any more."""
    stale = now - notice.created_at > _STALE.get(notice.kind, _STALE_ELSE)
    if notice.kind == Kind.REPORT:
        return None if stale or not can_be_told(notice.recipient) else _ready(notice)
    told = None if stale or not can_be_told(notice.recipient) else _told(notice, now)
    if told is None:
        return None
    frame = {
        "queue": _page("approvals_approvalrequest_changelist"),
        "settings": _page("approvals_preferences_changelist"),
    }
    frame["zone"] = shown.zone_name()
    text = render_to_string(f"approvals/notices/{notice.kind}.txt", told | frame)
    subject, _, body = text.strip().partition("\n")
    return {
        "recipient": notice.recipient.email,
        "sender": settings.DEFAULT_FROM_EMAIL,
        "reply_to": "",
        "subject": one_line(subject)[:_LONGEST_SUBJECT],
        "body": body.strip() + "\n",
    }


def _ready(notice: Notice) -> dict:
    """What was written beforehand, as it was written."""
    settings_page = _page("approvals_preferences_changelist")
    return {
        "recipient": notice.recipient.email,
        "sender": settings.DEFAULT_FROM_EMAIL,
        "reply_to": "",
        "subject": one_line(notice.facts["subject"])[:_LONGEST_SUBJECT],
        "body": notice.facts["text"].replace("{settings}", settings_page),
        "html": notice.facts["html"].replace("{settings}", settings_page),
    }


def _told(notice: Notice, now: datetime) -> dict | None:
    user, request = notice.recipient, notice.request
    if notice.kind == Kind.DIGEST:
        return _waiting(decidable_for(user), now)
    if notice.kind == Kind.MANY:
        about = notice.facts["about"]
        number = _many(about, user).count()
        return {"about": about, "number": number} if number else None
    if notice.kind == Kind.OUTCOME:
        return _line_of(request, now) | {"outcome": one_line(notice.facts["outcome"])}
    if request.status != Status.PENDING or request.expires_at <= now:
        return None
    if notice.kind == Kind.UNROUTABLE:
        holds = request.unroutable and mends_authority(user)
    else:
        holds = _may_decide(request, user) or (notice.kind == Kind.ESCALATED and _is_routed_to(request, user))
    return _line_of(request, now) | {"group": one_line(request.routed_to)} if holds else None


def _waiting(theirs: QuerySet[ApprovalRequest], now: datetime) -> dict | None:
    found = standing(theirs, now)
    if not found.requests:
        return None
    top = [_line_of(request, now) for request in theirs[:_TOP]]
    return {"number": found.requests, "told": told(found, now), "top": top}


def _many(about: str, user) -> QuerySet[ApprovalRequest]:
    if about == Kind.UNROUTABLE:
        pending = ApprovalRequest.objects.pending().filter(unroutable=True)
        return pending if mends_authority(user) else pending.none()
    theirs = decidable_for(user)
    if about == Kind.ESCALATED:
        routed = Q(routed_to__in=user.groups.values("name")) & ~Q(proposed_by_key=user_key(user))
        theirs = ApprovalRequest.objects.pending().filter(Q(pk__in=theirs.values("pk")) | routed)
    return theirs.filter(_MANY[about])


def _may_decide(request: ApprovalRequest, user) -> bool:
    for principal in (None, *principals_of(user)):
        try:
            check_may_decide(request, user, on_behalf_of=principal)
        except Refusal:
            continue
        return True
    return False


def _is_routed_to(request: ApprovalRequest, user) -> bool:
    return user_key(user) not in request.hands and user.groups.filter(name=request.routed_to).exists()


def _line_of(request: ApprovalRequest, now: datetime) -> dict:
    return {
        "title": one_line(request.title),
        "value": shown.money(request.value_at_stake, request.currency),
        "due": shown.absolute(request.decision_due_at),
        "is_late": request.decision_due_at <= now,
        "link": settings.SITE_URL + request_url(request.pk),
    }


def _page(name: str) -> str:
    return settings.SITE_URL + reverse(f"admin:{name}")


def one_line(text: str) -> str:
    """Neither a header nor a line of a mail can be begun by what somebody else wrote."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
