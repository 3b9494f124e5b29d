"""How every request moves: compare-and-swap, tell the subject, record."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime

from django.db import IntegrityError
from django.db.models import QuerySet

from approvals import rules, shown
from approvals.audit import Event, record
from approvals.models import ApprovalRequest, AuditEvent
from approvals.rows import update_each
from approvals.rules import Actor, Authority, Status
from approvals.subjects import subject_of


def get(request_id: int) -> ApprovalRequest:
    """Raises NotFound."""
    try:
        return ApprovalRequest.objects.get(pk=request_id)
    except ApprovalRequest.DoesNotExist:
        raise rules.NotFound(f"There is no request {request_id}.") from None


def check_seen(request: ApprovalRequest, fingerprint: str | None) -> None:
    """Raise Stale where it is not what the person saw. None: the door does not ask what they saw."""
    if fingerprint is not None and fingerprint != request.fingerprint:
        raise changed_since()


def changed_since() -> rules.Stale:
    return rules.Stale("This request has changed since you opened it. Look at it again before you decide.")


def unmoved(request: ApprovalRequest) -> QuerySet[ApprovalRequest]:
    """The row, if it still is as it was read: neither decided, nor changed, nor sent back since."""
    return ApprovalRequest.objects.filter(
        pk=request.pk,
        status=request.status,
        fingerprint=request.fingerprint,
        returned_at=request.returned_at,
    )


def move(*args, **options) -> int:
    """`move_unrecorded`, recorded. Returns the event's number. Raises AlreadyDecided."""
    return record([move_unrecorded(*args, **options)])[0]


def move_unrecorded(
    request: ApprovalRequest,
    after: Status,
    actor: Actor,
    reason: str,
    *,
    now: datetime,
    authority: Authority | None = None,
    execute_by: datetime | None = None,
    only_if_unused: bool = False,
    days: Mapping[str, date] | None = None,
) -> Event:
    """Returns the event, which the caller records in the same transaction. Zero rows touched: somebody was
    first, and AlreadyDecided says who. `days` are those that the subject asked for and was given.

    Locks are always taken in this order: request, subject's row, head of the audit. So no two transactions
    can wait for each other.
    """
    before = request.status
    rules.check_move(before, after)
    untouched = unmoved(request).filter(approvals_given=request.approvals_given)
    if only_if_unused:
        untouched = untouched.filter(used_at__isnull=True)
    given = request.approvals_given + (after == Status.APPROVED)
    if not untouched.update(status=after, decided_at=now, execute_by=execute_by, approvals_given=given):
        raise already_decided(get(request.pk))
    request.status, request.decided_at, request.execute_by = after, now, execute_by
    request.approvals_given = given
    subject = subject_of(request.kind)
    subject.on_end([request], actor)
    if days:
        subject.on_days(request, days, actor, reason)
    return _moved(request, before, actor, reason, authority)


def move_together(
    requests: Sequence[ApprovalRequest],
    after: Status,
    actor: Actor,
    reasons: Sequence[str],
    *,
    now: datetime,
    authority: Authority | None = None,
    execute_by: Callable[[ApprovalRequest], datetime | None] = lambda request: None,
) -> list[Event]:
    """As `move_unrecorded`, of many of one kind and status that the caller's transaction has opened or
    locked: in one go. `reasons` are one for each."""
    if not requests:
        return []
    before = requests[0].status
    rules.check_move(before, after)
    known = [(row.pk, before, row.fingerprint, row.approvals_given) for row in requests]
    for row in requests:
        row.status, row.decided_at, row.execute_by = after, now, execute_by(row)
        row.approvals_given += after == Status.APPROVED
    values = [(after, now, row.execute_by, row.approvals_given) for row in requests]
    moved = update_each(
        ApprovalRequest,
        ["status", "decided_at", "execute_by", "approvals_given"],
        ["id", "status", "fingerprint", "approvals_given"],
        [(*new, *old) for new, old in zip(values, known, strict=True)],
    )
    if moved != len(requests):
        raise IntegrityError("One of the requests was decided or changed meanwhile.")
    subject_of(requests[0].kind).on_end(requests, actor)
    return [
        _moved(row, before, actor, reason, authority) for row, reason in zip(requests, reasons, strict=True)
    ]


def _moved(
    request: ApprovalRequest, before: str, actor: Actor, reason: str, authority: Authority | None
) -> Event:
    details = {"authority": authority.value} if authority else {}
    after = request.status
    word = f"request.{after}"
    return event_of(word, request, actor, before=before, after=after, reason=reason, details=details)


def already_decided(request: ApprovalRequest) -> rules.Refusal:
    """Who was first, and when; or that it changed meanwhile, where it is still open."""
    if request.status == Status.PENDING:
        return changed_since()
    last = (
        AuditEvent.objects.filter(request_id=request.pk, after=request.status)
        .select_related("detail")
        .first()
    )
    who = last.actor_name if last else "somebody"
    when = shown.absolute(request.decided_at) if request.decided_at else "just now"
    return rules.AlreadyDecided(
        f"This request is already {request.status} (by {who}, {when}).",
        state=request.status,
        by=who,
        at=request.decided_at,
    )


def event_of(
    word: str,
    request: ApprovalRequest,
    actor: Actor,
    *,
    before: str = "",
    after: str = "",
    reason: str = "",
    details: dict | None = None,
    facts: dict | None = None,
) -> Event:
    return Event(
        word=word,
        actor=actor,
        kind=request.kind,
        subject_key=request.subject_key,
        subject_name=request.title,
        concerning=request.concerning,
        request_id=request.pk,
        before=before,
        after=after,
        fingerprint=request.fingerprint,
        policy=request.policy,
        reason=reason,
        details=details or {},
        facts=facts or {},
    )
