"""Writing down what endpoints are told of, in the transaction of what happened, and ringing the worker."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import connection, transaction
from django.utils import timezone
from django_q.brokers.orm import ORM
from django_q.models import OrmQ
from django_q.tasks import async_task

from approvals import event_types
from approvals.models import WebhookDelivery, WebhookEndpoint, WebhookMessage
from approvals.rows import insert_all
from approvals.rules import canonical

if TYPE_CHECKING:
    from approvals.audit import Event

TASK = "approvals.tasks.deliver_webhooks"


def note(events: "Sequence[Event]", at: datetime) -> None:
    """Write a message of each event that somebody is to be told of, inside the caller's transaction. Called
    for all that is recorded: where no endpoint is on it costs one look at a table without rows."""
    found = [
        (event_type, concerned)
        for event_type in event_types.known()
        if (concerned := [event for event in events if event.word in event_type.words])
    ]
    if not found:
        return
    # Looked at each time: whatever happens after an endpoint was switched on, it is told of.
    listening = list(WebhookEndpoint.objects.filter(enabled=True).values_list("pk", "events"))
    for event_type, concerned in found:
        told = [pk for pk, chosen in listening if event_type.name in chosen]
        if told:
            data = [one for one in event_type.data(concerned) if one is not None]
            write(event_type.name, data, at=at, to=told)


def write(name: str, data: Iterable[dict], *, at: datetime, to: Sequence[int]) -> list[WebhookMessage]:
    """A message of each, with its way to each of the endpoints (their keys), in bulk."""
    messages = [
        WebhookMessage(
            type=name,
            at=at,
            body=canonical({"type": name, "timestamp": event_types.stamp(at), "data": one}).decode(),
        )
        for one in data
    ]
    deliveries = [
        WebhookDelivery(message=message, endpoint_id=pk, next_try_at=at) for message in messages for pk in to
    ]
    if deliveries:
        with transaction.atomic(savepoint=False):
            insert_all(WebhookMessage, messages)
            insert_all(WebhookDelivery, deliveries)
            ring()
    return messages


def ring() -> None:
    """Have a worker look for what is due once this transaction is committed: once, however much is written
    in it. A bell that is lost changes nothing, as the sweep looks too."""
    if not any(function is _ring for _, function, *_ in connection.run_on_commit):
        transaction.on_commit(_ring, robust=True)


def _ring() -> None:
    async_task(TASK)


def ring_after(delay: timedelta) -> None:
    """The same, after a while: for what is tried again sooner than the sweep comes by."""
    async_task(TASK, broker=_Later(delay))


class _Later(ORM):
    """The queue's own broker. It hands a task out once its lock is over, so a lock ahead is a delay."""

    def __init__(self, delay: timedelta) -> None:
        super().__init__()
        self.delay = delay

    def enqueue(self, task):
        lock = timezone.now() + self.delay
        return OrmQ.objects.create(key=self.list_key, payload=task, lock=lock).pk
