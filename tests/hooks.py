"""Endpoints that are told of what happens, for tests."""

import json
from contextlib import contextmanager
from ipaddress import ip_network

from standardwebhooks import Webhook

from approvals import event_types
from approvals.models import WebhookDelivery, WebhookEndpoint, WebhookMessage
from approvals.services import webhooks
from tests.acting import decide
from tests.servers import Receiver

LOOPBACK = (ip_network("127.0.0.0/8"),)
SOMEWHERE = "https://crm.example/hooks"
ALL = tuple(event_types.labels())


def add(people, url=SOMEWHERE, events=ALL) -> tuple[WebhookEndpoint, str]:
    """An endpoint that two managers have switched on, with its secret."""
    endpoint, secret, request = webhooks.add_endpoint(
        url=url, events=events, reason="The CRM wants to know.", user=people["manager"], door="test"
    )
    decide(request, people["manager2"])
    endpoint.refresh_from_db()
    # That it was switched on is an event as well.
    WebhookMessage.objects.all().delete()
    return endpoint, secret


@contextmanager
def listening(people, settings, events=ALL, **behaviour):
    """A receiver on loopback with its endpoint and secret."""
    settings.WEBHOOK_ENDPOINTS_INSIDE = LOOPBACK
    receiver = Receiver(**behaviour)
    with receiver.running() as url:
        yield receiver, *add(people, url, events)


def told() -> list[tuple[str, dict]]:
    """What was written: type and data of each message, in order of the types as they are shown."""
    bodies = [json.loads(message.body) for message in WebhookMessage.objects.order_by("at", "type")]
    return [(body["type"], body["data"]) for body in bodies]


def types_told() -> list[str]:
    return sorted(name for name, _ in told())


def arrived(receiver: Receiver, secret: str) -> list[dict]:
    """What the receiver has, each verified by the official library."""
    return [Webhook(secret).verify(body, headers) for _, headers, body in receiver.requests]


def only() -> WebhookDelivery:
    return WebhookDelivery.objects.get()
