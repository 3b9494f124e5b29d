"""Taking messages to their endpoints: claimed by compare-and-swap, posted outside any transaction, recorded.

A message arrives at least once, under one id. Posts run on threads, which only post; the database is this
thread's. So many endpoints are served side by side, and one that is slow holds up only itself.
"""

import logging
import random
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from datetime import datetime, timedelta
from time import monotonic
from typing import NamedTuple

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from approvals import outbox
from approvals.mailing import MaybeSent, NotSent, printable
from approvals.models import (
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookMessage,
    WebhookSecret,
)
from approvals.models.webhooks import SecretLost
from approvals.posting import post, signature_headers
from approvals.rules import Actor
from approvals.services import webhooks

log = logging.getLogger(__name__)

State = WebhookDelivery.State

# The pauses behind each attempt but the last; each is stretched by up to this share, so that what failed
# together does not come back together.
GAPS = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    *(timedelta(hours=hours) for hours in (2, 5, 10, 14, 20, 24)),
)
JITTER = 0.1
MOST_ATTEMPTS = len(GAPS) + 1
# The sweep comes by every minute; what is due sooner has a bell of its own.
_SOON = timedelta(minutes=1)

# Seconds: for all of one post, and from which on an endpoint counts as slow.
TIMEOUT, SLOW = 15, 3
# Seconds after which a round begins nothing new. With the last post it stays below what the worker gives it.
ROUND = 20
# Posts under way at once, to one endpoint and in all.
TO_ONE, IN_ALL = 4, 64
# While posts are under way, seconds after which it is looked whether something is due elsewhere.
LOOK_AGAIN = 1
# A claim that is older belongs to a worker that died.
ORPHANED = timedelta(minutes=2)
EXCERPT = 1024
GONE = 410

DELIVERER = Actor(key="machine:worker", name="the worker", door="worker")


class _Result(NamedTuple):
    """What one try came to; `status` and `seconds` are None where there was nothing to have them of."""

    status: int | None
    error: str
    excerpt: str
    seconds: float | None

    @property
    def arrived(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


def deliver_all() -> None:
    """What the sweep does: put right what was left behind, send whatever is due, and delete what is old."""
    end_orphans()
    webhooks.fail_what_waits()
    deliver_due(slow_too=True)
    prune()


def deliver_due(*, slow_too: bool = False) -> int:
    """Send what is due; returns how many tries were made. Never in a transaction. Only with `slow_too` to
    endpoints that answer slowly: bell by bell, a few of them could occupy every worker."""
    until, tried = monotonic() + ROUND, 0
    under_way: dict[Future, WebhookDelivery] = {}
    with ThreadPoolExecutor(IN_ALL) as threads:

        def begin(endpoint: WebhookEndpoint) -> bool:
            """Whether a post to it was begun: something is due, and neither it nor the round is full."""
            to_it = sum(delivery.endpoint_id == endpoint.pk for delivery in under_way.values())
            full = to_it >= TO_ONE or len(under_way) >= IN_ALL
            delivery = None if full or monotonic() > until else _claim(endpoint)
            if delivery is None:
                return False
            now = timezone.now()
            under_way[threads.submit(_send, delivery, endpoint.secrets_at(now), now)] = delivery
            return True

        def begin_all(endpoints: list[WebhookEndpoint]) -> None:
            while endpoints:  # one each, then another each
                endpoints = [endpoint for endpoint in endpoints if begin(endpoint)]

        looked = monotonic()
        begin_all(_endpoints(slow_too=slow_too))
        while under_way:
            done, _ = wait(under_way, timeout=LOOK_AGAIN, return_when=FIRST_COMPLETED)
            for future in done:
                delivery = under_way.pop(future)
                _record(delivery, future.result())
                tried += 1
                begin_all([delivery.endpoint])
            if monotonic() - looked > LOOK_AGAIN:
                looked = monotonic()
                begin_all(_endpoints(slow_too=slow_too))
    if _endpoints(slow_too=False):
        outbox.ring()
    return tried


def end_orphans(*, now: datetime | None = None) -> int:
    """Let go of what a worker claimed that died at it; returns how many. It may have arrived: it is sent
    again all the same, under the same id."""
    now = now or timezone.now()
    # By the endpoints, as the index begins with them.
    late = WebhookDelivery.objects.filter(
        endpoint__in=WebhookEndpoint.objects.all(), state=State.SENDING, claimed_at__lt=now - ORPHANED
    )
    lost = _Result(None, "The worker died at it; it may have arrived.", "", None)
    return sum(_record(delivery, lost) for delivery in late.select_related("endpoint"))


def prune(*, now: datetime | None = None, at_most: int = 1000) -> int:
    """Delete messages past their time, with what was tried, and secrets that no longer count; returns how
    many messages. What is still being tried stays."""
    now = now or timezone.now()
    WebhookSecret.objects.filter(valid_until__lt=now).delete()
    under_way = WebhookDelivery.objects.filter(
        message=OuterRef("pk"), state__in=(State.WAITING, State.SENDING)
    )
    old = WebhookMessage.objects.filter(at__lt=now - timedelta(days=settings.WEBHOOK_ENDPOINTS_KEEP_DAYS))
    keys = list(old.exclude(Exists(under_way)).order_by("at").values_list("pk", flat=True)[:at_most])
    WebhookMessage.objects.filter(pk__in=keys).delete()
    return len(keys)


def next_gap(attempts: int) -> timedelta | None:
    """The pause after so many attempts; None after the last."""
    if attempts >= MOST_ATTEMPTS:
        return None
    return GAPS[attempts - 1] * (1 + random.uniform(0, JITTER))  # noqa: S311 - spreads load, guards nothing


def _endpoints(*, slow_too: bool) -> list[WebhookEndpoint]:
    """To which something is due, and at which no other worker is: that one goes on with what there is."""
    mine = WebhookDelivery.objects.filter(endpoint=OuterRef("pk"))
    found = WebhookEndpoint.objects.filter(
        Exists(mine.filter(state=State.WAITING, next_try_at__lte=timezone.now())), enabled=True
    )
    if not slow_too:
        found = found.filter(slow=False)
    return list(found.exclude(Exists(mine.filter(state=State.SENDING))).order_by("pk"))


def _claim(endpoint: WebhookEndpoint) -> WebhookDelivery | None:
    """The next that is due, for this worker alone. The attempt is counted here, at its start: one that kills
    its worker has counted. Whether the endpoint is on is part of the condition: once it was switched off,
    nothing more begins."""
    now = timezone.now()
    on = Exists(WebhookEndpoint.objects.filter(pk=OuterRef("endpoint"), enabled=True))
    due = WebhookDelivery.objects.filter(on, endpoint=endpoint, state=State.WAITING, next_try_at__lte=now)
    for delivery in due.select_related("message").order_by("next_try_at", "pk")[:IN_ALL]:
        unmoved = WebhookDelivery.objects.filter(
            on, pk=delivery.pk, state=State.WAITING, attempts=delivery.attempts
        )
        delivery.state, delivery.attempts, delivery.claimed_at = State.SENDING, delivery.attempts + 1, now
        if unmoved.update(state=State.SENDING, attempts=delivery.attempts, claimed_at=now):
            delivery.endpoint = endpoint
            return delivery
    return None


def _send(delivery: WebhookDelivery, secrets: list[WebhookSecret], at: datetime) -> _Result:
    """On a thread of its own: it reads nothing from the database, and raises nothing."""
    message, began = delivery.message, monotonic()
    status, error, excerpt = None, "", ""
    try:
        texts = [secret.text for secret in secrets]
        answer = post(
            delivery.endpoint.url,
            message.body.encode(),
            signature_headers(secrets=texts, message_id=message.pk, at=at, body=message.body),
            timeout=TIMEOUT,
            inside=settings.WEBHOOK_ENDPOINTS_INSIDE,
            quote=EXCERPT,
        )
        status, error, excerpt = answer.status, _fault(answer.status), _quoted(answer.excerpt)
    except (NotSent, MaybeSent) as failure:
        error = failure.detail
    except SecretLost as lost:
        error = str(lost)
    except Exception as broken:
        log.exception("The message %s could not be posted.", message.pk)
        error = f"It broke: {broken!r}"
    return _Result(status, error, excerpt, monotonic() - began)


def _fault(status: int) -> str:
    if 200 <= status < 300:
        return ""
    also = " (redirects are not followed)" if 300 <= status < 400 else ""
    return f"The receiver answered {status}{also}."


def _quoted(said: bytes) -> str:
    return printable(said, EXCERPT).encode()[:EXCERPT].decode(errors="ignore")


def _record(delivery: WebhookDelivery, result: _Result) -> bool:
    """Keep what a try came to, and what follows; whether the claim was still this worker's. Late, of a worker
    that was taken for dead, only the try is kept."""
    now, endpoint = timezone.now(), delivery.endpoint
    gone = result.status == GONE
    gap = None if gone or result.arrived else next_gap(delivery.attempts)
    if gap:
        fields = {"state": State.WAITING, "next_try_at": now + gap}
    else:
        state = State.DELIVERED if result.arrived else State.FAILED
        fields = {"state": state, "next_try_at": None, "finished_at": now}
    with transaction.atomic():
        WebhookAttempt.objects.create(
            delivery=delivery,
            at=now,
            status=result.status,
            duration_ms=None if result.seconds is None else round(result.seconds * 1000),
            error=result.error[:400],
            excerpt=result.excerpt,
        )
        claimed = WebhookDelivery.objects.filter(
            pk=delivery.pk, state=State.SENDING, attempts=delivery.attempts
        )
        moved = claimed.update(last_status=result.status, last_error=result.error[:400], **fields)
    if result.error:
        log.warning("Message %s to endpoint %s: %s", delivery.message_id, endpoint.pk, result.error)
    if result.seconds is not None and endpoint.slow != (result.seconds >= SLOW):
        endpoint.slow = not endpoint.slow
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(slow=endpoint.slow)
    if moved and gone:
        _switch_off(endpoint.pk)
    if moved and gap and gap < _SOON:
        outbox.ring_after(gap)
    return bool(moved)


def _switch_off(endpoint_id: int) -> None:
    endpoint = WebhookEndpoint.objects.get(pk=endpoint_id)
    with suppress(webhooks.Unchanged):
        webhooks.switch_off(endpoint, actor=DELIVERER, reason="The receiver answered 410: it is gone.")
