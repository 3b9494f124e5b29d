"""What the worker is called for; a line each. A task that comes twice, late or never changes nothing."""

from approvals import delivery


def deliver_webhooks() -> None:
    delivery.deliver_due()
