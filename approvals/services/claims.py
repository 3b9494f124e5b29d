"""Who is reviewing a request. A claim informs; it is not the lock: anybody eligible may still decide.

A door that asks what the person saw says so by `fingerprint`; Stale is raised where that has changed since.
"""

from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from approvals import rules, shown
from approvals.audit import record
from approvals.models import ApprovalRequest, user_key
from approvals.rules import Actor, Claimed, NotAuthorised, ReasonNeeded, Status
from approvals.services.moves import already_decided, changed_since, check_seen, event_of, get
from approvals.services.people import actor_of, decider_of

CLAIM_LASTS = timedelta(minutes=15)


def claim(
    *, request_id: int, user, door: str, address: str = "", fingerprint: str | None = None
) -> ApprovalRequest:
    """Say that one is reviewing it, for 15 minutes; again, to go on. Raises Claimed where somebody else is,
    and what `check_eligible` raises."""
    request = _open(request_id, fingerprint)
    now = timezone.now()
    rules.check_eligible(request.asked(), decider_of(user, request))
    if request.is_claimed(now) and request.claimed_by_key != user_key(user):
        until = shown.time_of_day(request.claimed_until)
        raise Claimed(f"{request.claimed_by_name} is reviewing this until {until}.")
    return _set(request, user, "request.claimed", actor_of(user, door=door, address=address))


def hand_on(
    *, request_id: int, user, to, door: str, address: str = "", fingerprint: str | None = None
) -> ApprovalRequest:
    """Hand one's own claim on to somebody who could decide. Raises NotAuthorised where it is not one's own,
    and what `check_eligible` raises for the other."""
    request = _open(request_id, fingerprint)
    if not (request.is_claimed(timezone.now()) and request.claimed_by_key == user_key(user)):
        raise NotAuthorised("You are not reviewing this, so you cannot hand it on.")
    rules.check_eligible(request.asked(), decider_of(to, request))
    return _set(request, to, "request.handed_on", actor_of(user, door=door, address=address))


def take_over(
    *, request_id: int, user, note: str, door: str, address: str = "", fingerprint: str | None = None
) -> ApprovalRequest:
    """Review what somebody else is reviewing, with the permission and a note."""
    request = _open(request_id, fingerprint)
    rules.check_eligible(request.asked(), decider_of(user, request))
    if not user.has_perm("approvals.take_over_approvalrequest"):
        raise NotAuthorised("You have no permission to take over what somebody else is reviewing.")
    if not note.strip():
        raise ReasonNeeded("Say why you take it over: whoever is reviewing it will ask.")
    actor = actor_of(user, door=door, address=address)
    return _set(request, user, "request.taken_over", actor, reason=note.strip())


def release(
    *, request_id: int, user, door: str, address: str = "", fingerprint: str | None = None
) -> ApprovalRequest:
    """Stop reviewing. Raises NotAuthorised where it is not one's own claim."""
    request = _open(request_id, fingerprint)
    if request.claimed_by_key != user_key(user):
        raise NotAuthorised("You are not reviewing this.")
    return _set(request, None, "request.released", actor_of(user, door=door, address=address))


def _open(request_id: int, fingerprint: str | None) -> ApprovalRequest:
    request = get(request_id)
    if request.status != Status.PENDING:
        raise already_decided(request)
    check_seen(request, fingerprint)
    return request


def _set(request: ApprovalRequest, user, word: str, actor: Actor, reason: str = "") -> ApprovalRequest:
    """Compare-and-swap on the claim that was seen."""
    unmoved = ApprovalRequest.objects.filter(
        pk=request.pk,
        status=Status.PENDING,
        fingerprint=request.fingerprint,
        claimed_by_key=request.claimed_by_key,
        claimed_until=request.claimed_until,
    )
    fields = {
        "claimed_by_key": user_key(user) if user else "",
        "claimed_by_name": user.get_username() if user else "",
        "claimed_until": timezone.now() + CLAIM_LASTS if user else None,
    }
    with transaction.atomic():
        if not unmoved.update(**fields):
            now = get(request.pk)
            if now.status != Status.PENDING:
                raise already_decided(now)
            if now.fingerprint != request.fingerprint:
                raise changed_since()
            raise Claimed(f"{now.claimed_by_name or 'Somebody'} was faster: look again.")
        event = event_of(
            word,
            request,
            actor,
            before=request.claimed_by_key,
            after=fields["claimed_by_key"],
            reason=reason,
            details={"before_name": request.claimed_by_name, "after_name": fields["claimed_by_name"]},
        )
        record([event])
    return get(request.pk)
