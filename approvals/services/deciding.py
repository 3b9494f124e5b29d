"""Deciding, and taking an approval back."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta

from django.db import transaction
from django.utils import timezone

from approvals import rules
from approvals.audit import Event, record
from approvals.models import ApprovalRequest, Decision
from approvals.rows import insert_all
from approvals.rules import Actor, Authority, Proposer, RejectionCategory, Status, Verdict
from approvals.services.moves import (
    already_decided,
    check_seen,
    event_of,
    get,
    move,
    move_together,
    move_unrecorded,
    unmoved,
)
from approvals.services.people import actor_of, decider_of
from approvals.subjects import subject_of


def decide(
    *,
    request_id: int,
    verdict: Verdict,
    fingerprint: str,
    user,
    door: str,
    address: str = "",
    reason: str = "",
    category: str = "",
    password: str | None = None,
    on_behalf_of=None,
    days: Mapping[str, date] | None = None,
) -> Decision:
    """Record a person's decision on what they saw (`fingerprint`), and tell the subject. Where it takes more
    people than have approved so far, an approval leaves the request pending (`ends` is false); one rejection
    ends it. `days` are those that the subject asks for along with a rejection of this category: see DayAsked.

    Raises NotFound, AlreadyDecided (says who and when), TooLate, Stale, Returned, OwnRequest,
    AlreadyApproved, NotAuthorised, ReasonNeeded, RecentReset, PasswordNeeded, or Refusal for a day that was
    not asked for or does not do; nothing is written then.
    """
    actor = actor_of(user, door=door, address=address, on_behalf_of=on_behalf_of)
    now = timezone.now()
    with transaction.atomic():
        request = get(request_id)
        if request.status != Status.PENDING:
            raise already_decided(request)
        rules.check_decision(
            request.asked(),
            decider_of(user, request, on_behalf_of=on_behalf_of, password=password),
            verdict=verdict,
            fingerprint=fingerprint,
            reason=reason,
            category=category,
            now=now,
        )
        _check_days(request, days or {}, verdict, category)
        if verdict == Verdict.APPROVED and request.approvals_given + 1 < request.people_needed:
            event = _count_approval(request, actor, reason.strip())
            decision = _decision(request, event, verdict, Authority.PERSON, actor, now, ends=False)
            decision.save()
            return decision
        return _end(
            request, verdict, Authority.PERSON, actor, reason.strip(), now, category=category, days=days
        )


def authorise_by_policy(
    requests: Iterable[ApprovalRequest], *, policy: str, authority: Authority, reason: str
) -> list[Decision]:
    """Approve what a machine proposed, on the authority of the policy in force (`name version`). All are of
    one kind, and pending, as the caller's transaction has opened them.

    Raises NotAuthorised for anything that a person proposed or that takes several people, and where the
    authority is a person's.
    """
    if authority == Authority.PERSON:
        raise rules.NotAuthorised("A person decides for themselves, by `decide`.")
    actor = Actor(key=f"{authority}:{policy}", name=f"policy {policy}", door="pipeline")
    now, requests = timezone.now(), list(requests)
    with transaction.atomic():
        for request in requests:
            if request.proposer != Proposer.MACHINE:
                raise rules.NotAuthorised("The policy decides only what a machine proposed.")
            if authority == Authority.POLICY and (request.people_needed > 1 or request.heightened):
                raise rules.NotAuthorised("What takes several people, the policy does not decide alone.")
        events = record(
            move_together(
                requests,
                Status.APPROVED,
                actor,
                [reason] * len(requests),
                now=now,
                authority=authority,
                execute_by=lambda request: _execute_by(request, now),
            )
        )
        decisions = [
            _decision(request, event, Verdict.APPROVED, authority, actor, now)
            for request, event in zip(requests, events, strict=True)
        ]
        insert_all(Decision, decisions)
        return decisions


def revoke(
    *,
    request_id: int,
    user,
    reason: str,
    door: str,
    address: str = "",
    fingerprint: str | None = None,
) -> ApprovalRequest:
    """Take an approval back, until carrying it out has begun. Anybody whose authority covers it may.
    `fingerprint` is what they saw, where the door asks for it.

    Raises NotFound, AlreadyDecided, Stale, TooLate, NotAuthorised or ReasonNeeded.
    """
    with transaction.atomic():
        request = get(request_id)
        if request.status not in (Status.PENDING, Status.APPROVED):
            raise already_decided(request)
        check_seen(request, fingerprint)
        rules.check_revocation(
            request.asked(), decider_of(user, request), used=request.used_at is not None, reason=reason
        )
        try:
            move(
                request,
                Status.REVOKED,
                actor_of(user, door=door, address=address),
                reason.strip(),
                now=timezone.now(),
                only_if_unused=True,
            )
        except rules.AlreadyDecided:
            if get(request_id).status == Status.APPROVED:
                raise rules.TooLate("It is too late to revoke: carrying it out has begun.") from None
            raise
    return request


def may_revoke(request: ApprovalRequest, user) -> bool:
    """Whether this person's authority covers it."""
    try:
        rules.check_authority(request.asked(), decider_of(user, request))
    except rules.NotAuthorised:
        return False
    return True


def supersede(request: ApprovalRequest, *, actor: Actor, reason: str) -> Event:
    """End a pending request because something else takes its place, and return the event: the caller records
    it in the same transaction, once what takes its place is written. Raises AlreadyDecided."""
    return move_unrecorded(request, Status.SUPERSEDED, actor, reason, now=timezone.now())


def supersede_together(
    requests: Sequence[ApprovalRequest], *, actor: Actor, reasons: Sequence[str]
) -> list[Event]:
    """As `supersede`, of many of one kind that the caller's transaction has locked; `reasons` are one for
    each."""
    return move_together(requests, Status.SUPERSEDED, actor, reasons, now=timezone.now())


def lapse(request_id: int, *, actor: Actor, reason: str) -> None:
    """End an approval whose grounds no longer hold. Raises AlreadyDecided, NotFound."""
    with transaction.atomic():
        move(get(request_id), Status.LAPSED, actor, reason, now=timezone.now())


def use_approval(*, kind: str, subject_key: str, now: datetime) -> ApprovalRequest:
    """The approval on which an execution may start, marked as used. Call it in the claiming transaction.

    Takes the request's lock before the caller takes its own row's (see `moves.move`). Raises
    NoStandingApproval unless one is approved, unexpired, given by as many people as it takes, and its
    payload, its fingerprint and its decisions' fingerprints agree. Using it again (a retry of the same
    execution) is legal: that there is only one execution is the caller's compare-and-swap.
    """
    request = ApprovalRequest.objects.filter(
        kind=kind, subject_key=subject_key, status=Status.APPROVED
    ).first()
    if request is None:
        raise rules.NoStandingApproval(f"No approval stands for {kind} {subject_key}.")
    if not request.decisions.filter(verdict=Verdict.APPROVED, ends=True).exists():
        raise rules.NoStandingApproval(f"Request {request.pk} is approved, but no decision is on record.")
    if rules.fingerprint(request.payload) != request.fingerprint or not _carried(request):
        raise rules.NoStandingApproval(f"Request {request.pk} is no longer what was approved.")
    usable = ApprovalRequest.objects.filter(pk=request.pk, status=Status.APPROVED, execute_by__gt=now)
    if not usable.update(used_at=request.used_at or now):
        raise rules.NoStandingApproval(f"The approval of request {request.pk} is past its time.")
    return request


def mark_used(request: ApprovalRequest) -> None:
    """For a subject that acts in the deciding transaction itself: nothing is left that could expire. Call
    it from `on_end`."""
    ApprovalRequest.objects.filter(pk=request.pk, status=Status.APPROVED).update(used_at=timezone.now())


def _carried(request: ApprovalRequest) -> bool:
    """Whether enough different people have approved what stands there, or the policy has."""
    approvals = request.standing_approvals()
    if any(decision.authority != Authority.PERSON for decision in approvals):
        return True
    return (
        len({decision.on_behalf_of_key or decision.actor_key for decision in approvals})
        >= request.people_needed
    )


def _check_days(request: ApprovalRequest, days: Mapping[str, date], verdict: Verdict, category: str) -> None:
    """A day that belongs to another way to decide is not passed over: somebody has typed it."""
    asked = {day.name: day for day in subject_of(request.kind).days_asked(request)}
    for name in days:
        if name not in asked:
            raise rules.Refusal(f"No day called {name} is asked for here.")
        if verdict != Verdict.REJECTED or category != asked[name].category:
            wanted = RejectionCategory(asked[name].category).replace("_", " ")
            raise rules.Refusal(
                f"“{asked[name].label}” goes with a rejection for {wanted} only: choose that, or leave the "
                "day out."
            )


def _count_approval(request: ApprovalRequest, actor: Actor, reason: str) -> int:
    """One of several approvals. Of two given at the same moment, one has to look again: or both would count
    as the first."""
    untouched = unmoved(request).filter(approvals_given=request.approvals_given)
    given = request.approvals_given + 1
    if not untouched.update(approvals_given=given, claimed_by_key="", claimed_by_name="", claimed_until=None):
        raise already_decided(get(request.pk))
    request.approvals_given = given
    return record([event_of("request.approved_by_one", request, actor, reason=reason)])[0]


def _end(
    request: ApprovalRequest,
    verdict: Verdict,
    authority: Authority,
    actor: Actor,
    reason: str,
    now: datetime,
    category: str = "",
    days: Mapping[str, date] | None = None,
) -> Decision:
    execute_by = _execute_by(request, now) if verdict == Verdict.APPROVED else None
    event = move(
        request,
        Status(verdict.value),
        actor,
        reason,
        now=now,
        authority=authority,
        execute_by=execute_by,
        days=days,
    )
    decision = _decision(request, event, verdict, authority, actor, now, category=category)
    decision.save()
    return decision


def _execute_by(request: ApprovalRequest, now: datetime) -> datetime:
    return now + timedelta(hours=request.execute_within_hours)


def _decision(
    request: ApprovalRequest,
    event: int,
    verdict: Verdict,
    authority: Authority,
    actor: Actor,
    now: datetime,
    *,
    category: str = "",
    ends: bool = True,
) -> Decision:
    return Decision(
        request=request,
        event_id=event,
        verdict=verdict,
        category=category if verdict == Verdict.REJECTED else "",
        authority=authority,
        actor_key=actor.key,
        on_behalf_of_key=actor.on_behalf_of_key,
        fingerprint=request.fingerprint,
        ends=ends,
        decided_at=now,
    )
