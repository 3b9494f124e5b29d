"""One function per channel: carry out exactly what stands in an approved payload.

Each takes the frozen payload and the idempotency key of the execution, and returns a Receipt, or raises
NotSent or MaybeSent. The difference is what matters: only what surely did not go out is ever tried again.
"""

import http.client
import smtplib
import ssl
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parseaddr
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.mail import EmailMessage, get_connection
from django.core.validators import validate_email
from django.utils import timezone
from standardwebhooks import Webhook

from approvals.rules import canonical
from journeys.domain.vocabulary import Channel

# What the other side says beside its status is quoted up to here, in bytes.
_EXCERPT = 200


@dataclass(frozen=True, slots=True)
class Receipt:
    """It went out. `detail` is a sentence for the record."""

    detail: str


class NotSent(Exception):
    """It surely did not go out. `permanent`: trying again would not help."""

    def __init__(self, detail: str, *, permanent: bool) -> None:
        super().__init__(detail)
        self.detail = detail
        self.permanent = permanent


class MaybeSent(Exception):
    """It is not certain that nothing went out: a person has to find out."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


def send_email(payload: Mapping, key: str) -> Receipt:
    """Recipient, sender, reply-to, subject and body as they stand; the Message-ID is made of the key."""
    try:
        validate_email(payload["recipient"])
    except ValidationError as error:
        raise NotSent(
            f"{payload['recipient'] or 'Nothing'} is no address to send to.", permanent=True
        ) from error
    message = EmailMessage(
        payload["subject"],
        payload["body"],
        from_email=payload["sender"],
        to=[payload["recipient"]],
        reply_to=[payload["reply_to"]] if payload["reply_to"] else None,
        headers={"Message-ID": message_id(payload["sender"], key)},
    )
    try:
        message.message().as_bytes()
    except ValueError as error:  # a line break in a header, say
        raise NotSent(f"It cannot be written as a mail: {error}", permanent=True) from error
    try:
        connection = get_connection(timeout=settings.EMAIL_TIMEOUT)
        connection.open()
    except (OSError, ImproperlyConfigured) as error:
        # A refused login is here as well: that is not the message's fault, and may be mended meanwhile.
        raise NotSent(f"The mail server was not reached: {error}", permanent=False) from error
    watch = _DataWatch(connection)
    try:
        if not connection.send_messages([message]):
            raise NotSent("The mail system took no message.", permanent=True)
    except (OSError, ValueError) as error:  # SMTPException is an OSError
        raise _mail_failure(error, data_begun=watch.begun) from error
    finally:
        # The answer is known by now; a connection that does not close properly changes nothing about it.
        with suppress(OSError):
            connection.close()
    return Receipt("The mail system accepted it.")


def message_id(sender: str, key: str) -> str:
    """The same for every attempt, so that a doubled mail would be recognised as one."""
    domain = parseaddr(sender)[1].rpartition("@")[2] or "localhost"
    return f"<{key}@{domain}>"


class _DataWatch:
    """Notices when an SMTP conversation reaches DATA; before that nothing can have gone out. Of a backend
    that does not speak SMTP the worst is assumed from the start."""

    def __init__(self, connection) -> None:
        smtp = getattr(connection, "connection", None)
        self.begun = not isinstance(smtp, smtplib.SMTP)
        if not self.begun:
            self._data, smtp.data = smtp.data, self

    def __call__(self, message):
        self.begun = True
        return self._data(message)


def _mail_failure(error: Exception, *, data_begun: bool) -> NotSent | MaybeSent:
    replies = []
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        replies = list(error.recipients.values())
    elif isinstance(error, smtplib.SMTPSenderRefused | smtplib.SMTPDataError):
        replies = [(error.smtp_code, error.smtp_error)]
    if replies and all(400 <= code < 600 for code, _ in replies):
        code, text = replies[0]
        return NotSent(f"The mail server refused it: {code} {_printable(text)}", permanent=code >= 500)
    if data_begun:
        return MaybeSent(f"The mail server broke off while it took the mail: {error}")
    if isinstance(error, ValueError):
        return NotSent(f"It cannot be addressed: {error}", permanent=True)
    return NotSent(f"The mail server broke off before it took the mail: {error}", permanent=False)


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
    said = f"The receiver answered {status}: {_printable(excerpt or response.reason.encode())}"
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


def _printable(said: bytes) -> str:
    """What the other side said, fit for a record: PostgreSQL keeps no NUL, and a log has one line a line."""
    text = said[:_EXCERPT].decode(errors="replace")
    return "".join(sign if sign.isprintable() else " " for sign in text).strip()


CHANNELS: dict[Channel, Callable[[Mapping, str], Receipt]] = {
    Channel.EMAIL: send_email,
    Channel.WEBHOOK: post_webhook,
    Channel.TASK: hand_to_owner,
    Channel.NONE: do_nothing,
}
