"""One function per channel: carry out exactly what stands in an approved payload.

Each takes the frozen payload and the idempotency key of the execution, and returns a Receipt, or raises
NotSent or MaybeSent. The difference is what matters: only what surely did not go out is ever tried again.
"""

from collections.abc import Callable, Mapping

from django.conf import settings
from django.utils import timezone

from approvals.mailing import MaybeSent, NotSent, Receipt, printable, send_email
from approvals.posting import ANYWHERE, Answer, post, signature_headers
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
    secrets = [settings.WEBHOOK_SECRET]
    headers = signature_headers(secrets=secrets, message_id=key, at=timezone.now(), body=body)
    # Whoever runs this has set the address: it may well be one of their own network.
    answer = post(
        url,
        body.encode(),
        headers,
        timeout=settings.WEBHOOK_TIMEOUT,
        inside=ANYWHERE,
        quote=_EXCERPT,
    )
    return _webhook_result(answer)


def _webhook_result(answer: Answer) -> Receipt:
    status = answer.status
    if 200 <= status < 300:
        return Receipt(f"The receiver answered {status}.")
    said = f"The receiver answered {status}: {printable(answer.excerpt)}"
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
