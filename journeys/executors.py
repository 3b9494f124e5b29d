"""One function per channel: carry out exactly what stands in an approved payload.

Each takes the frozen payload and the idempotency key of the execution, and returns a Receipt, or raises
NotSent or MaybeSent. The difference is what matters: only what surely did not go out is ever tried again.
"""

import http.client
import ssl
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from datetime import UTC, datetime
from urllib.parse import urlsplit

from django.conf import settings
from django.utils import timezone
from standardwebhooks import Webhook

from approvals.mailing import MaybeSent, NotSent, Receipt, printable, send_email
from approvals.rules import canonical
from journeys.domain.vocabulary import Channel

# What the other side says beside its status is quoted up to here, in bytes.
_EXCERPT = 200


def post_webhook(payload: Mapping, key: str) -> Receipt:
    """The payload as signed JSON to the address in the settings, and nowhere else; no redirects."""
    url = settings.WEBHOOK_URL
    if not (url and settings.WEBHOOK_SECRET):
        raise NotSent("No webhook is set up: WEBHOOK_URL and WEBHOOK_SECRET.", permanent=True)
    if payload["recipient"] != url:
        raise NotSent("It was approved for another address than WEBHOOK_URL.", permanent=True)
    body = canonical({"type": "intervention.approved", "id": key, "data": dict(payload)}).decode()
    headers = signature_headers(secret=settings.WEBHOOK_SECRET, message_id=key, at=timezone.now(), body=body)
    headers |= {"Content-Type": "application/json", "User-Agent": "customer-journey-orchestrator"}
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection = _http_connection(parts.scheme, parts.hostname, parts.port)
        connection.connect()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise NotSent(f"The receiver was not reached: {error}", permanent=False) from error
    with closing(connection):
        try:
            connection.request("POST", target, body.encode(), headers)
            response = connection.getresponse()
        except http.client.InvalidURL as error:  # refused by our own side, before a byte was written
            raise NotSent(f"WEBHOOK_URL cannot be asked for: {error}", permanent=True) from error
        except (OSError, http.client.HTTPException) as error:
            raise MaybeSent(f"The receiver broke off without an answer: {error!r}") from error
        return _webhook_result(response)


def signature_headers(*, secret: str, message_id: str, at: datetime, body: str) -> dict[str, str]:
    """The three headers of Standard Webhooks. `at` may be in any zone: the library reads the clock's hands
    and not the zone, so it is given UTC."""
    at = at.astimezone(UTC)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(msg_id=message_id, timestamp=at, data=body),
    }


def _http_connection(scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
    if scheme == "https":
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(host, port, timeout=settings.WEBHOOK_TIMEOUT, context=context)
    return http.client.HTTPConnection(host, port, timeout=settings.WEBHOOK_TIMEOUT)


def _webhook_result(response: http.client.HTTPResponse) -> Receipt:
    status, excerpt = response.status, b""
    if 200 <= status < 300:
        return Receipt(f"The receiver answered {status}.")
    with suppress(OSError, http.client.HTTPException):
        excerpt = response.read1(_EXCERPT)
    said = f"The receiver answered {status}: {printable(excerpt or response.reason.encode())}"
    if not 300 <= status < 600:
        raise MaybeSent(f"{said} (that is no answer)")
    if status < 400:
        raise NotSent(f"{said} (redirects are not followed)", permanent=True)
    # With 408, 425, 429 and 503 the receiver says that it did not act. Of the other 5xx it may have acted
    # before it failed: they are tried again only because webhook-id is the same every time, by which a
    # receiver knows what it has had already.
    raise NotSent(said, permanent=not (status in (408, 425, 429) or status >= 500))


def hand_to_owner(payload: Mapping, key: str) -> Receipt:
    """Nothing leaves: the task is opened by whoever asked for this."""
    return Receipt(f"Handed to {payload['recipient'] or 'nobody: the account has no owner'}.")


def do_nothing(payload: Mapping, key: str) -> Receipt:
    return Receipt("There was nothing to send.")


CHANNELS: dict[Channel, Callable[[Mapping, str], Receipt]] = {
    Channel.EMAIL: send_email,
    Channel.WEBHOOK: post_webhook,
    Channel.TASK: hand_to_owner,
    Channel.NONE: do_nothing,
}
