"""Appending to the audit: one sequence without gaps, chained by hash, written in bulk."""

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from django.db import IntegrityError, transaction
from django.utils import timezone

from approvals import words
from approvals.models import AuditDetail, AuditEvent, AuditHead
from approvals.rules import Actor, chain_hash, detail_digest

_through: ContextVar[str] = ContextVar("door", default="")


@contextmanager
def through_door(name: str) -> Iterator[None]:
    """Within it every event names this door, whoever acts and however deep: for a command that has others
    act, so that the trail shows by which way it all came in."""
    token = _through.set(name)
    try:
        yield
    finally:
        _through.reset(token)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What happened. `subject_name`, `reason` and `details` are personal text: they go to the erasable
    row; everything else is chained as it stands."""

    word: str
    actor: Actor
    kind: str
    subject_key: str
    subject_name: str = ""
    concerning: str = ""
    request_id: int | None = None
    before: str = ""
    after: str = ""
    fingerprint: str = ""
    policy: str = ""
    reason: str = ""
    details: dict = field(default_factory=dict)


def record(events: Iterable[Event]) -> list[AuditEvent]:
    """Append the events, in order, inside the caller's transaction, and return their rows.

    Raises ValueError on a word that is not registered. Call it last in a transaction: from here to the
    commit nobody else can append.
    """
    events = list(events)
    for event in events:
        if not words.is_registered(event.word):
            raise ValueError(f"The audit word {event.word!r} is not registered.")
    if not events:
        return []
    now = timezone.now()
    # No savepoint: an error here has to undo the whole of the caller's transaction anyway.
    with transaction.atomic(savepoint=False):
        head = _take_head()
        sequence, previous = head.sequence, head.hash
        rows, details = [], []
        for event in events:
            sequence += 1
            salt = secrets.token_hex(16)
            document = _personal(event)
            row = AuditEvent(
                sequence=sequence,
                at=now,
                word=event.word,
                actor_key=event.actor.key,
                on_behalf_of_key=event.actor.on_behalf_of_key,
                door=_through.get() or event.actor.door,
                kind=event.kind,
                subject_key=event.subject_key,
                concerning=event.concerning,
                request_id=event.request_id,
                before=event.before,
                after=event.after,
                fingerprint=event.fingerprint,
                policy=event.policy,
                detail_digest=detail_digest(salt, document),
                previous_hash=previous,
            )
            row.hash = previous = chain_hash(previous, row.chained_fields())
            rows.append(row)
            details.append(AuditDetail(event=row, salt=salt, document=document))
        AuditEvent.objects.bulk_create(rows, batch_size=1000)
        AuditDetail.objects.bulk_create(details, batch_size=1000)
        _move_head(head, sequence, previous)
    return rows


def _take_head() -> AuditHead:
    """The last link, locked until the commit: by its row on PostgreSQL, on SQLite by the transaction, which
    is IMMEDIATE."""
    head = AuditHead.objects.select_for_update().filter(pk=1).first()
    if head is None:
        AuditHead.objects.get_or_create(pk=1)
        head = AuditHead.objects.select_for_update().get(pk=1)
    return head


def _move_head(head: AuditHead, sequence: int, last_hash: str) -> None:
    """Compare-and-swap as well, as the lock is silent on SQLite."""
    unmoved = AuditHead.objects.filter(pk=head.pk, sequence=head.sequence, hash=head.hash)
    if not unmoved.update(sequence=sequence, hash=last_hash):
        raise IntegrityError("Somebody else has appended to the audit at the same moment.")


def _personal(event: Event) -> dict:
    document = {
        "actor_name": event.actor.name,
        "on_behalf_of_name": event.actor.on_behalf_of_name,
        "address": event.actor.address,
        "subject_name": event.subject_name,
        "reason": event.reason,
        **event.details,
    }
    return {name: text for name, text in document.items() if text}
