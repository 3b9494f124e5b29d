"""Appending to the audit: one sequence without gaps, chained by hash, written in bulk."""

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime

from django.db import IntegrityError, transaction
from django.utils import timezone

from approvals import outbox, words
from approvals.models import AuditDetail, AuditEvent, AuditHead
from approvals.models.audit import chained
from approvals.rows import insert
from approvals.rules import Actor, chain_hash, detail_digest

# Bytes.
_SALT = 16

_through: ContextVar[str] = ContextVar("door", default="")
# The name of the token by which somebody acts, where it is one.
through_token: ContextVar[str] = ContextVar("token", default="")


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
    row; everything else is chained as it stands. `facts` are for what endpoints are told of it, and are not
    put on record."""

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
    facts: dict = field(default_factory=dict)


def record(events: Iterable[Event]) -> list[int]:
    """Append the events, in order, inside the caller's transaction, with what endpoints are told of them,
    and return their sequence numbers.

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
        # Before the head is taken: until the commit nobody else can append.
        outbox.note(events, now)
        told = _details(events)
        head = _take_head()
        previous = head.hash
        numbers = list(range(head.sequence + 1, head.sequence + 1 + len(events)))
        rows, details = [], []
        for sequence, event, (salt, document, digest) in zip(numbers, events, told, strict=True):
            fields = _chained(event, sequence, now, digest)
            current = chain_hash(previous, chained(fields))
            rows.append((*fields, previous, current))
            details.append((sequence, salt, document))
            previous = current
        insert(AuditEvent, (*AuditEvent.CHAINED, "previous_hash", "hash"), rows)
        insert(AuditDetail, ("event", "salt", "document"), details)
        _move_head(head, numbers[-1], previous)
    return numbers


def _details(events: list[Event]) -> list[tuple[str, dict, str]]:
    """Salt, document and digest of each."""
    # Asked for together: the system takes longer to answer than to draw them.
    salts = secrets.token_bytes(_SALT * len(events))
    details = []
    for place, event in enumerate(events):
        salt, document = salts[_SALT * place : _SALT * (place + 1)].hex(), _personal(event)
        details.append((salt, document, detail_digest(salt, document)))
    return details


def _chained(event: Event, sequence: int, now: datetime, digest: str) -> tuple:
    """In the order of AuditEvent.CHAINED."""
    return (
        sequence,
        now,
        event.word,
        event.actor.key,
        event.actor.on_behalf_of_key,
        _through.get() or event.actor.door,
        event.kind,
        event.subject_key,
        event.concerning,
        event.request_id,
        event.before,
        event.after,
        event.fingerprint,
        event.policy,
        digest,
    )


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
        "token": through_token.get(),
        **event.details,
    }
    return {name: text for name, text in document.items() if text}
