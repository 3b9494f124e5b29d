"""Asking for a decision, and bringing what was asked up to date while it waits."""

from collections.abc import Iterable, Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from django.db import IntegrityError, transaction
from django.utils import timezone

from approvals import rules
from approvals.audit import Event, record
from approvals.models import ApprovalRequest, RequestRevision
from approvals.rows import Prepared, insert_all, prepared, prepared_all, update_each
from approvals.rules import Actor, Proposer, Status
from approvals.services import notices
from approvals.services.moves import already_decided, event_of, unmoved
from approvals.services.people import Deciders

GATE = Actor(key="machine:gate", name="the gate", door="gate")


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
    """How this request is to be decided, taken from the policy when it is opened. `heightened`: an approval
    needs a reason, a decision the password. `level` counts how often it expired before."""

    permission: str = "approvals.decide_approvalrequest"
    needs_limit: bool = True
    people_needed: int = 1
    heightened: bool = False
    bulk_allowed: bool = False
    remind_at: datetime
    decision_due_at: datetime
    expires_at: datetime
    execute_within_hours: int
    level: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRequest:
    """`payload` is frozen and fingerprinted; `title` and `summary` are captions; `evidence` is what the
    page shows and a replay needs; `moved` says what is new where it was asked before."""

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
    moved: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Opening:
    """Requests that are ready to be opened; `for_people` are those for which a person is needed."""

    rows: list[ApprovalRequest]
    for_people: list[ApprovalRequest]
    deciders: Deciders | None
    prepared: Prepared


def prepare_requests(
    new: Iterable[NewRequest],
    *,
    proposer: Actor,
    for_people: Iterable[bool] | None = None,
    deciders: Deciders | None = None,
) -> Opening:
    """Make requests ready for `open_prepared`, before the transaction that opens them. `for_people` says for
    which a person is needed at all (default: all). `deciders` are read where they are not given."""
    now = timezone.now()
    rows = [_row(item, proposer, now) for item in new]
    asking = rows if for_people is None else [row for row, asks in zip(rows, for_people, strict=True) if asks]
    if asking and deciders is None:
        deciders = Deciders()
    for row in asking:
        row.unroutable = deciders.are_missing(row)
        row.routed_to = deciders.escalation_target(row, steps=row.level) if row.level else ""
    return Opening(rows, asking, deciders, prepared_all(ApprovalRequest, rows))


def open_prepared(
    opening: Opening, *, proposer: Actor, superseded: Sequence[Event] = ()
) -> list[ApprovalRequest]:
    """Open the requests inside the caller's transaction, all or none, and return their rows in the same
    order. `superseded` are the events of those whose place they take: recorded before them.

    One that nobody could decide is opened all the same, marked and recorded as unroutable. Raises
    django.db.IntegrityError where one is open for the same subject already.
    """
    rows = opening.rows
    insert_all(ApprovalRequest, rows, opening.prepared)
    asking = {row.pk for row in opening.for_people}
    events = list(superseded)
    events += [
        event_of(
            "request.opened", row, proposer, after=Status.PENDING, facts={"for_people": row.pk in asking}
        )
        for row in rows
    ]
    events += [event_of("request.unroutable", row, GATE) for row in rows if row.unroutable]
    record(events)
    notices.announce(opening.for_people, opening.deciders)
    return rows


def open_requests(
    new: Iterable[NewRequest], *, proposer: Actor, superseded: Sequence[Event] = ()
) -> list[ApprovalRequest]:
    """Prepare and open requests that people decide. As `open_prepared`."""
    opening = prepare_requests(new, proposer=proposer)
    with transaction.atomic():
        return open_prepared(opening, proposer=proposer, superseded=superseded)


@dataclass(frozen=True, slots=True)
class News:
    """What is known now of a request that waits; `moved` says in words what is other than it was asked."""

    request: ApprovalRequest
    new: NewRequest
    moved: Sequence[str]


@dataclass(frozen=True, slots=True)
class Refreshing:
    """News that are ready to be put in the place of what was asked. `requests` are as they were when they
    were read, and `fields` what is to be written of each; `to_announce` are those whose urgency, or whether
    anybody can decide them, is another matter then."""

    requests: list[ApprovalRequest]
    fields: Prepared
    revisions: list[RequestRevision]
    revision_fields: Prepared
    events: list[Event]
    to_announce: list[ApprovalRequest]
    deciders: Deciders


_REFRESHED = (
    "title", "summary", "evidence", "person_reasons", "moved", "policy", "people_needed", "heightened",
    "bulk_allowed", *Facets.__dataclass_fields__, "payload", "fingerprint", "revision", "approvals_given",
    "unroutable",
)  # fmt: skip
_AS_IT_WAS = ("id", "status", "fingerprint")


def prepare_refresh(news: Sequence[News], *, actor: Actor, deciders: Deciders) -> Refreshing:
    """Make news ready for `refresh_prepared`, before the transaction that writes them."""
    values, revisions, events, told = [], [], [], []
    for item in news:
        request, new = item.request, item.new
        fields = {
            "title": new.title,
            "summary": new.summary,
            "evidence": new.evidence,
            "person_reasons": list(new.person_reasons),
            "moved": list(dict.fromkeys([*request.moved, *item.moved])),
            "policy": new.policy,
            "people_needed": new.terms.people_needed,
            "heightened": new.terms.heightened,
            "bulk_allowed": new.terms.bulk_allowed,
            **{name: getattr(new.facets, name) for name in Facets.__dataclass_fields__},
        }
        row = _with(request, _replacing(request, new.payload) | fields)
        row.unroutable = deciders.are_missing(row)
        as_it_was = (request.pk, request.status, request.fingerprint)
        values.append((*(getattr(row, name) for name in _REFRESHED), *as_it_was))
        revisions.append(_revision(request, actor, list(item.moved), "The facts moved."))
        events.append(event_of("request.refreshed", row, actor, reason="; ".join(item.moved)))
        if row.urgency != request.urgency or row.unroutable != request.unroutable:
            told.append(row)
    return Refreshing(
        [item.request for item in news],
        prepared(ApprovalRequest, (*_REFRESHED, *_AS_IT_WAS), values),
        revisions,
        prepared_all(RequestRevision, revisions),
        events,
        told,
        deciders,
    )


def refresh_prepared(news: Refreshing) -> None:
    """Put what is now known in the place of what was asked, because the facts moved while it waited. The old
    payloads are kept as revisions; approvals given so far are void, as they were given to something else.

    Called in a transaction that holds the requests. Raises django.db.IntegrityError where somebody has
    decided or changed one since it was read.
    """
    if not news.requests:
        return
    if update_each(ApprovalRequest, _REFRESHED, _AS_IT_WAS, news.fields) != len(news.requests):
        raise IntegrityError("What was to be brought up to date was decided or changed meanwhile.")
    insert_all(RequestRevision, news.revisions, news.revision_fields)
    record(news.events)
    notices.announce(news.to_announce, news.deciders)


def replace_payload(
    request: ApprovalRequest, *, payload: dict, actor: Actor, changes: list, reason: str, fields: dict
) -> ApprovalRequest:
    """Compare-and-swap the payload of a pending request, and keep the old one as a revision. Called in a
    transaction; whether anybody can decide it may be another matter then. Raises AlreadyDecided or Stale."""
    row = _swap_payload(request, payload, fields)
    _revision(request, actor, changes, reason).save()
    return mark_unroutable(row)


def _swap_payload(request: ApprovalRequest, payload: dict, fields: dict) -> ApprovalRequest:
    fields = fields | _replacing(request, payload)
    if not unmoved(request).update(**fields):
        raise already_decided(ApprovalRequest.objects.get(pk=request.pk))
    return _with(request, fields)


def _replacing(request: ApprovalRequest, payload: dict) -> dict:
    """The fields that another payload changes. The payload carries the revision's number: what reads as it
    did once before, or was weighed anew, has another fingerprint all the same, so that neither an old
    approval nor an old page counts for it."""
    number = request.revision + 1
    payload = payload | {"revision": number}
    return {
        "payload": payload,
        "fingerprint": rules.fingerprint(payload),
        "revision": number,
        "approvals_given": 0,
    }


def _with(request: ApprovalRequest, fields: dict) -> ApprovalRequest:
    row = copy(request)
    for name, value in fields.items():
        setattr(row, name, value)
    return row


def _revision(request: ApprovalRequest, actor: Actor, changes: list, reason: str) -> RequestRevision:
    """What was asked until now, and why it is not any more."""
    return RequestRevision(
        request=request,
        number=request.revision,
        payload=request.payload,
        fingerprint=request.fingerprint,
        changes=changes,
        replaced_by_key=actor.key,
        replaced_by_name=actor.name,
        reason=reason[:400],
    )


def mark_unroutable(request: ApprovalRequest) -> ApprovalRequest:
    """Look again whether anybody can decide it, after its payload or its editors changed. Where that is
    another matter now, the caller announces it, after what it records."""
    missing = Deciders().are_missing(request)
    if missing != request.unroutable:
        request.unroutable = missing
        ApprovalRequest.objects.filter(pk=request.pk).update(unroutable=missing)
    return request


def _row(item: NewRequest, proposer: Actor, now: datetime) -> ApprovalRequest:
    return ApprovalRequest(
        kind=item.kind,
        subject_key=item.subject_key,
        concerning=item.concerning,
        title=item.title,
        summary=item.summary,
        payload=item.payload,
        fingerprint=rules.fingerprint(item.payload),
        evidence=item.evidence,
        **{name: getattr(item.facets, name) for name in Facets.__dataclass_fields__},
        person_reasons=list(item.person_reasons),
        permission=item.terms.permission,
        needs_limit=item.terms.needs_limit,
        people_needed=item.terms.people_needed,
        heightened=item.terms.heightened,
        bulk_allowed=item.terms.bulk_allowed,
        level=item.terms.level,
        moved=list(item.moved),
        policy=item.policy,
        proposer=Proposer.PERSON if proposer.is_person else Proposer.MACHINE,
        proposed_by_key=proposer.key,
        proposed_by_name=proposer.name,
        requested_at=now,
        remind_at=item.terms.remind_at,
        decision_due_at=item.terms.decision_due_at,
        expires_at=item.terms.expires_at,
        execute_within_hours=item.terms.execute_within_hours,
    )
