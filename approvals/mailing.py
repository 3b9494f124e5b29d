"""Sending one mail, and knowing whether it went out.

`send_email` returns a Receipt, or raises NotSent or MaybeSent: only what surely did not go out is ever tried
again.
"""

import smtplib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parseaddr

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.validators import validate_email

# What the other side says is quoted up to here, in bytes.
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


class NotReached(NotSent):
    """There was no conversation with the mail server: nothing about this message was looked at."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, permanent=False)


class MaybeSent(Exception):
    """It is not certain that nothing went out: a person has to find out."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


def send_email(payload: Mapping, key: str, *, timeout: float | None = None) -> Receipt:
    """Recipient, sender, reply-to, subject and body as they stand, and beside the body `html` where there is
    any; the Message-ID is made of the key.
    `timeout`: seconds that each step of the conversation may take (default: EMAIL_TIMEOUT)."""
    try:
        validate_email(payload["recipient"])
    except ValidationError as error:
        raise NotSent(
            f"{payload['recipient'] or 'Nothing'} is no address to send to.", permanent=True
        ) from error
    message = EmailMultiAlternatives(
        payload["subject"],
        payload["body"],
        from_email=payload["sender"],
        to=[payload["recipient"]],
        reply_to=[payload["reply_to"]] if payload["reply_to"] else None,
        headers={"Message-ID": message_id(payload["sender"], key)},
    )
    if html := payload.get("html"):
        message.attach_alternative(html, "text/html")
    try:
        message.message().as_bytes()
    except ValueError as error:  # a line break in a header, say
        raise NotSent(f"It cannot be written as a mail: {error}", permanent=True) from error
    try:
        connection = get_connection(timeout=timeout or settings.EMAIL_TIMEOUT)
        connection.open()
    except (OSError, ImproperlyConfigured) as error:
        # A refused login is here as well: that is not the message's fault, and may be mended meanwhile.
        raise NotReached(f"The mail server was not reached: {error}") from error
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
        return NotSent(f"The mail server refused it: {code} {printable(text)}", permanent=code >= 500)
    if data_begun:
        return MaybeSent(f"The mail server broke off while it took the mail: {error}")
    if isinstance(error, ValueError):
        return NotSent(f"It cannot be addressed: {error}", permanent=True)
    return NotSent(f"The mail server broke off before it took the mail: {error}", permanent=False)


def printable(said: bytes, most: int = _EXCERPT) -> str:
    """What the other side said, up to so many bytes, fit for a record: PostgreSQL keeps no NUL, and a log has
    one line a line."""
    text = said[:most].decode(errors="replace")
    return "".join(sign if sign.isprintable() else " " for sign in text).strip()
