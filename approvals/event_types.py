"""What other systems can be told of. An app registers each type, with the words of the audit that make it:
what is told is what is on record, and is written in the same transaction."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from django.conf import settings

from approvals.addresses import request_url
from approvals.models import ApprovalRequest
from approvals.rules import Status

if TYPE_CHECKING:
    from approvals.audit import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class EventType:
    """`data(events)` gives what is told of each audit event that has one of the words, in the same order;
    None where it is no event of this type. It is called in the event's transaction, once its rows are
    written. Plain JSON: ids, words and figures; no names, and no texts that people wrote."""

    name: str
    label: str
    words: frozenset[str]
    data: "Callable[[Sequence[Event]], Iterable[dict | None]]"


_TYPES: dict[str, EventType] = {}


def register(event_type: EventType) -> None:
    _TYPES[event_type.name] = event_type


def known() -> tuple[EventType, ...]:
    return tuple(_TYPES.values())


def labels() -> dict[str, str]:
    return {event_type.name: event_type.label for event_type in _TYPES.values()}


# ---- how plain values are told


def stamp(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def money(amount: Decimal | None, currency: str) -> dict | None:
    """Unknown is None; the amount is text, so that no reader rounds it."""
    return None if amount is None else {"amount": f"{amount:.2f}", "currency": currency}


def link(path: str) -> str:
    return settings.SITE_URL + path


# ---- the gate's own


def _of_requests(tell: "Callable[[ApprovalRequest, Event], dict | None]") -> Callable:
    def data(events: "Sequence[Event]") -> list[dict | None]:
        requests = ApprovalRequest.objects.defer("payload", "evidence")
        rows = requests.in_bulk({event.request_id for event in events})
        return [tell(rows[event.request_id], event) for event in events]

    return data


def _request(row: ApprovalRequest) -> dict:
    return {
        "request_id": row.pk,
        "kind": row.kind,
        "subject_id": row.subject_key,
        "concerning": row.concerning or None,
        "fingerprint": row.fingerprint,
        "url": link(request_url(row.pk)),
    }


def _requested(row: ApprovalRequest, event: "Event") -> dict | None:
    """Only where it waits for people: what the policy decides is decided in the same transaction."""
    if not event.facts["for_people"]:
        return None
    return _request(row) | {
        "status": Status.PENDING.value,
        "proposer": row.proposer,
        "action": row.action or None,
        "value_at_stake": money(row.value_at_stake, row.currency),
        "risk_tier": row.risk_tier or None,
        "urgency": row.urgency or None,
        "people_needed": row.people_needed,
        "policy": row.policy or None,
        "decision_due_at": stamp(row.decision_due_at),
        "expires_at": stamp(row.expires_at),
    }


def _decided(row: ApprovalRequest, event: "Event") -> dict:
    return _request(row) | {
        "status": event.after,
        "authority": event.details.get("authority", "person"),
        "decided_by": event.actor.key,
        "on_behalf_of": event.actor.on_behalf_of_key or None,
        "decided_at": stamp(row.decided_at),
        "execute_by": stamp(row.execute_by),
    }


def _expired(row: ApprovalRequest, event: "Event") -> dict:
    return _request(row) | {
        "status": event.after,
        "was": event.before,
        "expired_at": stamp(row.decided_at),
    }


register(
    EventType(
        name="approval.requested",
        label="Something waits for people to approve it",
        words=frozenset({"request.opened"}),
        data=_of_requests(_requested),
    )
)
register(
    EventType(
        name="approval.decided",
        label="A request was approved or rejected, or an approval taken back",
        words=frozenset({"request.approved", "request.rejected", "request.revoked"}),
        data=_of_requests(_decided),
    )
)
register(
    EventType(
        name="approval.expired",
        label="Nobody decided a request, or acted on an approval, in time",
        words=frozenset({"request.expired"}),
        data=_of_requests(_expired),
    )
)
