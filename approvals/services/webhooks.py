"""Where events are sent. Sending more, or to somebody new, takes a second person; sending less takes one."""

import ipaddress
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone

from approvals import event_types, outbox, posting
from approvals.audit import Event, record
from approvals.models import ApprovalRequest, WebhookDelivery, WebhookEndpoint, WebhookSecret
from approvals.rules import (
    Actor,
    AlreadyDecided,
    NotAuthorised,
    NotFound,
    ReasonNeeded,
    Refusal,
    Stale,
    Status,
)
from approvals.services.authority import change_terms
from approvals.services.deciding import mark_used, supersede
from approvals.services.notices import tell_outcome
from approvals.services.opening import NewRequest, open_requests
from approvals.services.people import actor_of

KIND = "webhook_endpoint"
MANAGE = "approvals.manage_webhookendpoint"
PING = "ping"
# How long a replaced secret may go on counting, in hours.
MOST_OVERLAP = 7 * 24

State = WebhookDelivery.State


class BadAddress(Refusal):
    code = "bad_address"


class Unchanged(Refusal):
    code = "unchanged"


class SwitchedOff(Refusal):
    """An endpoint that is off is sent nothing."""

    code = "switched_off"


def add_endpoint(
    *,
    url: str,
    description: str = "",
    events: Collection[str],
    reason: str,
    user,
    door: str,
    address: str = "",
) -> tuple[WebhookEndpoint, str, ApprovalRequest]:
    """Add an endpoint that is off, and ask a second person to switch it on for these events. The text is its
    secret, which is not shown again.

    Raises NotAuthorised, ReasonNeeded, BadAddress or Refusal (no such event, or none).
    """
    actor = _manager(user, door, address)
    reason, events = _needed(reason), _chosen(events)
    check_url(url)
    with transaction.atomic():
        endpoint = WebhookEndpoint.objects.create(
            url=url,
            description=description.strip()[:200],
            added_by_key=actor.key,
            added_by_name=actor.name,
        )
        secret = WebhookSecret.draw(endpoint)
        secret.save()
        request = _ask(endpoint, events, reason, actor)
        record([_event("webhook.added", endpoint, actor, reason=reason)])
    return endpoint, secret.text, request


def choose_events(
    *, endpoint_id: int, events: Collection[str], reason: str, user, door: str, address: str = ""
) -> ApprovalRequest | None:
    """Have it on, and told of exactly these. Fewer than now take effect at once (None); anything more, and
    switching it on, opens a request, which is returned, for a second person to confirm.

    Raises NotAuthorised, NotFound, ReasonNeeded, Unchanged, or Refusal (no such event, or none, or one waits
    for confirmation already).
    """
    actor = _manager(user, door, address)
    reason, events = _needed(reason), _chosen(events)
    endpoint = _get(endpoint_id)
    if endpoint.enabled and endpoint.events == events:
        raise Unchanged("It is on and told of exactly these already.")
    if not (endpoint.enabled and set(events) <= set(endpoint.events)):
        with transaction.atomic():
            return _ask(endpoint, events, reason, actor)
    with transaction.atomic():
        withdrawn = _withdraw(endpoint, actor)
        _change(endpoint, events=events)
        told = _event("webhook.changed", endpoint, actor, after="told of fewer events", reason=reason)
        record([*withdrawn, told])
    return None


def disable(*, endpoint_id: int, reason: str, user, door: str, address: str = "") -> None:
    """Switch it off at once. What waits to be sent to it has failed, and can be replayed.

    Raises NotAuthorised, NotFound, ReasonNeeded or Unchanged.
    """
    actor = _manager(user, door, address)
    reason = _needed(reason)
    switch_off(_get(endpoint_id), actor=actor, reason=reason)


def switch_off(endpoint: WebhookEndpoint, *, actor: Actor, reason: str) -> None:
    """For whoever may: a manager, or the worker whose message was answered with 410. Whatever somebody else
    changes at this moment, afterwards it is off. Raises Unchanged."""
    with transaction.atomic():
        withdrawn = _withdraw(endpoint, actor)
        on = WebhookEndpoint.objects.filter(pk=endpoint.pk, enabled=True)
        if not on.update(enabled=False, disabled_reason=reason[:400], revision=F("revision") + 1):
            raise Unchanged("It is off already.")
        if not actor.is_person:
            _tell_of_its_end(endpoint, reason)
        fail_what_waits()
        record([*withdrawn, _event("webhook.changed", endpoint, actor, after="off", reason=reason)])


def fail_what_waits() -> int:
    """End what waits for endpoints that are off; returns how many. The sweep looks too: what happened just
    before one was switched off may have been written just after."""
    off = WebhookEndpoint.objects.filter(enabled=False)
    return WebhookDelivery.objects.filter(endpoint__in=off, state=State.WAITING).update(
        state=State.FAILED,
        next_try_at=None,
        finished_at=timezone.now(),
        last_error="The endpoint was switched off.",
    )


def rotate_secret(*, endpoint_id: int, overlap_hours: int, user, door: str, address: str = "") -> str:
    """Make a new secret, and return it; it is not shown again. Until the overlap is over messages carry a
    signature by the old one as well. 0 hours for one that others know.

    Raises NotAuthorised, NotFound or Refusal.
    """
    actor = _manager(user, door, address)
    if not 0 <= overlap_hours <= MOST_OVERLAP:
        raise Refusal(f"The old secret may go on for 0 to {MOST_OVERLAP} hours.")
    endpoint, now = _get(endpoint_id), timezone.now()
    until = now + timedelta(hours=overlap_hours)
    with transaction.atomic():
        longer = endpoint.secrets.filter(Q(valid_until__isnull=True) | Q(valid_until__gt=until))
        longer.update(valid_until=until)
        secret = WebhookSecret.draw(endpoint)
        secret.save()
        told = f"a new secret, the old one for {overlap_hours} h"
        record([_event("webhook.changed", endpoint, actor, after=told)])
    return secret.text


def send_test(*, endpoint_id: int, user, door: str, address: str = "") -> WebhookDelivery:
    """Send it a message of the type `ping`, which tells of nothing. Raises NotAuthorised, NotFound or
    SwitchedOff."""
    actor = _manager(user, door, address)
    endpoint = _on(endpoint_id)
    with transaction.atomic():
        data = {"endpoint_id": endpoint.pk}
        [message] = outbox.write(PING, [data], at=timezone.now(), to=[endpoint.pk])
        record([_event("webhook.changed", endpoint, actor, after="a test was sent")])
    return message.deliveries.get()


def replay(*, delivery_id: int, user, door: str, address: str = "") -> None:
    """Send a message again, under the same id: a receiver that keeps ids passes over what it has had.

    Raises NotAuthorised, NotFound, SwitchedOff or AlreadyDecided (it is still being tried).
    """
    actor = _manager(user, door, address)
    delivery = WebhookDelivery.objects.filter(pk=delivery_id).first()
    if delivery is None:
        raise NotFound(f"There is no delivery {delivery_id}.")
    endpoint = _on(delivery.endpoint_id)
    with transaction.atomic():
        if not _again(Q(pk=delivery_id, state__in=(State.DELIVERED, State.FAILED))):
            raise AlreadyDecided("It is still being tried: nothing is to be done.")
        told = f"{delivery.message_id} again"
        record([_event("webhook.changed", endpoint, actor, after=told)])


def replay_failed(*, endpoint_id: int, since: datetime, user, door: str, address: str = "") -> int:
    """Send again whatever happened since then and failed; returns how many messages. Raises NotAuthorised,
    NotFound, SwitchedOff or Unchanged (there are none)."""
    actor = _manager(user, door, address)
    endpoint = _on(endpoint_id)
    with transaction.atomic():
        number = _again(Q(endpoint=endpoint, state=State.FAILED, message__at__gte=since))
        if not number:
            raise Unchanged("Nothing that happened since then has failed.")
        told = f"{number} failed messages again"
        record([_event("webhook.changed", endpoint, actor, after=told)])
    return number


# ---- the request, and its end


def on_endpoint_end(request: ApprovalRequest, actor: Actor) -> None:
    """Switch it on once a second person has confirmed it. Raises Stale where it was changed since it was
    asked; the request stays open then, for somebody to reject."""
    if request.status != Status.APPROVED:
        return
    wish = request.payload
    endpoint = _get(wish["endpoint"])
    if (endpoint.revision, endpoint.url) != (wish["revision"], wish["url"]):
        raise Stale("The endpoint was changed meanwhile: ask again.")
    _change(endpoint, enabled=True, events=wish["events"], disabled_reason="")
    mark_used(request)
    told = f"on, told of {len(wish['events'])} kinds of events"
    record([_event("webhook.changed", endpoint, actor, after=told, request_id=request.pk)])


def describe(request: ApprovalRequest, user) -> dict:
    """For the page: each kind of event, whether it is told of it now and would be then."""
    wish = request.payload
    endpoint = WebhookEndpoint.objects.get(pk=wish["endpoint"])
    now = endpoint.events if endpoint.enabled else []
    stale = request.status == Status.PENDING and endpoint.revision != wish["revision"]
    changed = "The endpoint was changed meanwhile: this can only be rejected, and asked again."
    return {
        "endpoint": endpoint,
        "rows": [
            (name, label, name in now, name in wish["events"])
            for name, label in event_types.labels().items()
            if name in now or name in wish["events"]
        ],
        "against": [changed] if stale else [],
        "reason": request.evidence["reason"],
    }


def waiting_for(endpoint: WebhookEndpoint) -> ApprovalRequest | None:
    return ApprovalRequest.objects.pending().filter(kind=KIND, subject_key=str(endpoint.pk)).first()


def check_url(url: str) -> None:
    """Raises BadAddress. Where a name leads is looked at whenever something is sent."""
    try:
        parts = urlsplit(url)
        plain = url.isascii() and url.isprintable() and " " not in url and len(url) <= 500
        good = plain and parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
    except ValueError:
        good = False
    if not good or "@" in parts.netloc or parts.fragment:
        raise BadAddress("Give an address like https://crm.example/hooks, without a password or a fragment.")
    if parts.scheme != "https" and not settings.WEBHOOK_ENDPOINTS_INSIDE:
        raise BadAddress("The address has to begin with https: what is sent is nobody else's to read.")
    try:
        number = ipaddress.ip_address(parts.hostname)
    except ValueError:
        return
    if not posting.is_allowed(number, settings.WEBHOOK_ENDPOINTS_INSIDE):
        raise BadAddress(f"{number} is inside the network, and WEBHOOK_ENDPOINTS_INSIDE does not name it.")


def _ask(endpoint: WebhookEndpoint, events: list[str], reason: str, actor: Actor) -> ApprovalRequest:
    wanted = NewRequest(
        kind=KIND,
        subject_key=str(endpoint.pk),
        title=f"Tell {endpoint.host} of {len(events)} kind{'s' if len(events) > 1 else ''} of events"[:200],
        summary=reason[:400],
        payload={
            "endpoint": endpoint.pk,
            "revision": endpoint.revision,
            "url": endpoint.url,
            "events": events,
        },
        evidence={"reason": reason},
        terms=change_terms(MANAGE, timezone.now()),
    )
    try:
        with transaction.atomic():
            return open_requests([wanted], proposer=actor)[0]
    except IntegrityError as error:
        raise Refusal("A change of it waits for confirmation already: decide that first.") from error


def _withdraw(endpoint: WebhookEndpoint, actor: Actor) -> list[Event]:
    """What was asked before is not to be confirmed after it. Requests come first, as in every transaction of
    the gate, and their events with the caller's own."""
    if request := waiting_for(endpoint):
        with suppress(AlreadyDecided):  # confirmed at this moment: the endpoint's own row tells
            return [supersede(request, actor=actor, reason="The endpoint was changed meanwhile.")]
    return []


def _tell_of_its_end(endpoint: WebhookEndpoint, reason: str) -> None:
    """By mail, to whoever had confirmed it."""
    confirmed = ApprovalRequest.objects.filter(
        kind=KIND, subject_key=str(endpoint.pk), status=Status.APPROVED
    )
    tell_outcome(
        confirmed.order_by("pk").last(),
        outcome=f"it was switched off. {reason}",
        outcome_key=f"{KIND}:{endpoint.pk}:{endpoint.revision}",
    )


def _change(endpoint: WebhookEndpoint, **fields) -> None:
    """Compare-and-swap it from what was read."""
    unmoved = WebhookEndpoint.objects.filter(pk=endpoint.pk, revision=endpoint.revision)
    if not unmoved.update(revision=F("revision") + 1, **fields):
        raise Stale("The endpoint was changed meanwhile; look again.")


def _again(which: Q) -> int:
    deliveries = WebhookDelivery.objects.filter(which)
    number = deliveries.update(
        state=State.WAITING, attempts=0, next_try_at=timezone.now(), claimed_at=None, finished_at=None
    )
    outbox.ring()
    return number


def _get(endpoint_id: int) -> WebhookEndpoint:
    endpoint = WebhookEndpoint.objects.filter(pk=endpoint_id).first()
    if endpoint is None:
        raise NotFound(f"There is no endpoint {endpoint_id}.")
    return endpoint


def _on(endpoint_id: int) -> WebhookEndpoint:
    endpoint = _get(endpoint_id)
    if not endpoint.enabled:
        raise SwitchedOff("It is off, and is sent nothing: ask for it to be switched on first.")
    return endpoint


def _manager(user, door: str, address: str) -> Actor:
    if not (user.is_active and user.has_perm(MANAGE)):
        raise NotAuthorised("You have no permission to manage where events are sent.")
    return actor_of(user, door=door, address=address)


def _needed(reason: str) -> str:
    if not reason.strip():
        raise ReasonNeeded("Say why: it is for a second person, and for the record.")
    return reason.strip()


def _chosen(events: Collection[str]) -> list[str]:
    """In the order in which they are shown, each once."""
    known = event_types.labels()
    if unknown := sorted(set(events) - known.keys()):
        raise Refusal(f"There are no events {', '.join(unknown)}.")
    if not events:
        raise Refusal("Choose at least one kind of event, or switch it off.")
    return [name for name in known if name in events]


def _event(word: str, endpoint: WebhookEndpoint, actor: Actor, **told) -> Event:
    return Event(
        word=word,
        actor=actor,
        kind=KIND,
        subject_key=str(endpoint.pk),
        subject_name=f"the webhook to {endpoint.host}",
        **told,
    )
