"""The only writers of requests and decisions. Each refuses first, then moves the row by
compare-and-swap, then records; the row's own condition decides who was first."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import transaction
from django.utils import timezone

from approvals import rules
from approvals.audit import Event, record
from approvals.models import ApprovalRequest, AuditEvent, AuthorityLimit, Decision, user_key
from approvals.rules import Actor, Authority, Decider, Limit, Proposer, Status, Verdict
from approvals.subjects import subject_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Facets:
    """What the gate weighs, sorts and filters by; plain values, None where not known."""

    value_at_stake: Decimal | None = None
    currency: str = ""
    segment: str = ""
    action: str = ""
    risk_tier: str = ""
    urgency: str = ""
    risk_score: float | None = None
    confidence: float | None = None
    priority_score: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How this request is to be decided, taken from the policy when it is opened."""

    permission: str = "approvals.decide_approvalrequest"
    needs_limit: bool = True
    decision_due_at: datetime
    expires_at: datetime
    execute_within_hours: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRequest:
    """`payload` is frozen and fingerprinted; `title` and `summary` are captions; `evidence` is what the
    page shows and a replay needs."""

    kind: str
    subject_key: str
    concerning: str = ""
    title: str
    summary: str = ""
    payload: dict
    evidence: dict = field(default_factory=dict)
    facets: Facets = field(default_factory=Facets)
    terms: Terms
    person_reasons: Sequence[str] = ()
    policy: str = ""


def open_requests(new: Iterable[NewRequest], *, proposer: Actor) -> list[ApprovalRequest]:
    """Open the requests, all or none, and return their rows in the same order.

    Raises django.db.IntegrityError where one is open for the same subject already.
    """
    now = timezone.now()
    rows = [
        ApprovalRequest(
            kind=item.kind,
            subject_key=item.subject_key,
            concerning=item.concerning,
            title=item.title,
            summary=item.summary,
            payload=item.payload,
            fingerprint=rules.fingerprint(item.payload),
            evidence=item.evidence,
            value_at_stake=item.facets.value_at_stake,
            currency=item.facets.currency,
            segment=item.facets.segment,
            action=item.facets.action,
            risk_tier=item.facets.risk_tier,
            urgency=item.facets.urgency,
            risk_score=item.facets.risk_score,
            confidence=item.facets.confidence,
            priority_score=item.facets.priority_score,
            person_reasons=list(item.person_reasons),
            permission=item.terms.permission,
            needs_limit=item.terms.needs_limit,
            policy=item.policy,
            proposer=Proposer.PERSON if proposer.is_person else Proposer.MACHINE,
            proposed_by_key=proposer.key,
            proposed_by_name=proposer.name,
            requested_at=now,
            decision_due_at=item.terms.decision_due_at,
            expires_at=item.terms.expires_at,
            execute_within_hours=item.terms.execute_within_hours,
        )
        for item in new
    ]
    with transaction.atomic():
        ApprovalRequest.objects.bulk_create(rows, batch_size=500)
        record(_event("request.opened", row, proposer, after=Status.PENDING) for row in rows)
    return rows


def decide(
    *,
    request_id: int,
    verdict: Verdict,
    fingerprint: str,
    user,
    door: str,
    address: str = "",
    reason: str = "",
) -> Decision:
    """Record a person's decision on what they saw (`fingerprint`), and tell the subject.

    Raises NotFound, AlreadyDecided (says who and when), TooLate, Stale, OwnRequest, NotAuthorised or
    ReasonNeeded; nothing is written then.
    """
    actor = actor_of(user, door=door, address=address)
    now = timezone.now()
    with transaction.atomic():
        request = _get(request_id)
        if request.status != Status.PENDING:
            raise _already_decided(request)
        rules.check_decision(
            request.asked(),
            decider_of(user, request),
            verdict=verdict,
            fingerprint=fingerprint,
            reason=reason,
            now=now,
        )
        return _end_by_decision(request, verdict, Authority.PERSON, actor, reason.strip(), now)


def check_may_decide(request: ApprovalRequest, user) -> None:
    """Raise the Refusal that this person would meet, whatever they decided."""
    rules.check_eligible(request.asked(), decider_of(user, request))


def authorise_by_policy(
    requests: Iterable[ApprovalRequest], *, policy: str, authority: Authority, reason: str
) -> list[Decision]:
    """Approve what a machine proposed, on the authority of the policy in force (`name version`).

    Raises NotAuthorised for anything that a person proposed, or where the authority is a person's.
    """
    if authority == Authority.PERSON:
        raise rules.NotAuthorised("A person decides for themselves, by `decide`.")
    actor = Actor(key=f"{authority}:{policy}", name=f"policy {policy}", door="pipeline")
    now = timezone.now()
    with transaction.atomic():
        decisions = []
        for request in requests:
            if request.proposer != Proposer.MACHINE:
                raise rules.NotAuthorised("The policy decides only what a machine proposed.")
            decisions.append(_end_by_decision(request, Verdict.APPROVED, authority, actor, reason, now))
        return decisions


def supersede(request: ApprovalRequest, *, actor: Actor, reason: str) -> None:
    """End a pending request because another proposal takes its place. Raises AlreadyDecided."""
    with transaction.atomic():
        _move(request, Status.SUPERSEDED, actor, reason, now=timezone.now())


def lapse(request_id: int, *, actor: Actor, reason: str) -> None:
    """End an approval whose grounds no longer hold. Raises AlreadyDecided, NotFound."""
    with transaction.atomic():
        _move(_get(request_id), Status.LAPSED, actor, reason, now=timezone.now())


def expire_overdue(*, actor: Actor, now: datetime | None = None, at_most: int = 1000) -> int:
    """Expire what passed its clock; returns how many. Each in its own transaction: one that somebody
    moves at this moment is left to them."""
    now = now or timezone.now()
    expired = 0
    for request in ApprovalRequest.objects.overdue(now)[:at_most]:
        late = "Nobody decided in time." if request.status == Status.PENDING else "Not carried out in time."
        try:
            with transaction.atomic():
                _move(request, Status.EXPIRED, actor, late, now=now)
        except rules.AlreadyDecided:
            continue
        expired += 1
    return expired


def use_approval(*, kind: str, subject_key: str, now: datetime) -> ApprovalRequest:
    """The approval on which an execution may start, marked as used. Call it in the claiming transaction.

    Takes the request's lock before the caller takes its own row's (see `_move`). Raises
    NoStandingApproval unless one is approved, unexpired, and its payload, its fingerprint and
    its decision's fingerprint agree. Using it again (a retry of the same execution) is legal: that
    there is only one execution is the caller's compare-and-swap.
    """
    request = ApprovalRequest.objects.filter(
        kind=kind, subject_key=subject_key, status=Status.APPROVED
    ).first()
    if request is None:
        raise rules.NoStandingApproval(f"No approval stands for {kind} {subject_key}.")
    decision = Decision.objects.filter(request=request, verdict=Verdict.APPROVED).first()
    if decision is None:
        raise rules.NoStandingApproval(f"Request {request.pk} is approved, but no decision is on record.")
    if not rules.fingerprint(request.payload) == request.fingerprint == decision.fingerprint:
        raise rules.NoStandingApproval(f"Request {request.pk} is no longer what was approved.")
    usable = ApprovalRequest.objects.filter(pk=request.pk, status=Status.APPROVED, execute_by__gt=now)
    if not usable.update(used_at=request.used_at or now):
        raise rules.NoStandingApproval(f"The approval of request {request.pk} is past its time.")
    return request


def mark_used(request: ApprovalRequest) -> None:
    """For a subject that acts in the deciding transaction itself: nothing is left that could expire. Call
    it from `on_end`."""
    ApprovalRequest.objects.filter(pk=request.pk, status=Status.APPROVED).update(used_at=timezone.now())


def actor_of(user, *, door: str, address: str = "") -> Actor:
    return Actor(key=user_key(user), name=user.get_username(), door=door, address=address)


def decider_of(user, request: ApprovalRequest) -> Decider:
    """The user's authority, read now. Being superuser gives the permission, never a limit."""
    limits = AuthorityLimit.objects.filter(group__user=user).select_related("group")
    return Decider(
        key=user_key(user),
        permitted=user.is_active and user.has_perm(request.permission),
        limits=tuple(Limit(limit.group.name, limit.max_value) for limit in limits),
    )


def _get(request_id: int) -> ApprovalRequest:
    try:
        return ApprovalRequest.objects.get(pk=request_id)
    except ApprovalRequest.DoesNotExist:
        raise rules.NotFound(f"There is no request {request_id}.") from None


def _end_by_decision(
    request: ApprovalRequest, verdict: Verdict, authority: Authority, actor: Actor, reason: str, now: datetime
) -> Decision:
    execute_by = now + timedelta(hours=request.execute_within_hours) if verdict == Verdict.APPROVED else None
    event = _move(
        request, Status(verdict.value), actor, reason, now=now, authority=authority, execute_by=execute_by
    )
    return Decision.objects.create(
        request=request,
        event=event,
        verdict=verdict,
        authority=authority,
        actor_key=actor.key,
        fingerprint=request.fingerprint,
        decided_at=now,
    )


def _move(
    request: ApprovalRequest,
    after: Status,
    actor: Actor,
    reason: str,
    *,
    now: datetime,
    authority: Authority | None = None,
    execute_by: datetime | None = None,
) -> AuditEvent:
    """Compare-and-swap the status, tell the subject, then record. Zero rows: somebody was first.

    Locks are always taken in this order: request, subject's row, head of the audit. So no two
    transactions can wait for each other.
    """
    before = request.status
    rules.check_move(before, after)
    unmoved = ApprovalRequest.objects.filter(pk=request.pk, status=before, fingerprint=request.fingerprint)
    if not unmoved.update(status=after, decided_at=now, execute_by=execute_by):
        raise _already_decided(_get(request.pk))
    request.status, request.decided_at, request.execute_by = after, now, execute_by
    subject_of(request.kind).on_end(request, actor)
    details = {"authority": authority.value} if authority else {}
    word = f"request.{after}"
    return record([_event(word, request, actor, before=before, after=after, reason=reason, details=details)])[
        0
    ]


def _already_decided(request: ApprovalRequest) -> rules.AlreadyDecided:
    last = AuditEvent.objects.filter(request_id=request.pk).select_related("detail").first()
    who = last.told("actor_name") or last.actor_key if last else "somebody"
    when = f"{request.decided_at:%d %b %Y at %H:%M} UTC" if request.decided_at else "just now"
    return rules.AlreadyDecided(f"This request is already {request.status} (by {who}, {when}).")


def _event(
    word: str,
    request: ApprovalRequest,
    actor: Actor,
    *,
    before: str = "",
    after: str = "",
    reason: str = "",
    details: dict | None = None,
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
    )
