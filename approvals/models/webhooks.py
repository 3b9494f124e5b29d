"""What others are told of, to whom it goes, and what came of telling them. The row is the message; sending it
is the worker's."""

import base64
import hashlib
import secrets
from datetime import datetime
from urllib.parse import urlsplit

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.crypto import salted_hmac

PREFIX = "whsec_"


class SecretLost(Exception):
    """SECRET_KEY is no longer that by which the secret was made."""


class WebhookEndpoint(models.Model):
    """An address that is told of the chosen events. Its URL never changes: another address is another
    endpoint. `revision` counts its changes, so that what is confirmed is what was asked."""

    url = models.CharField("address", max_length=500)
    description = models.CharField(max_length=200, blank=True)
    events = models.JSONField("is told of", default=list)
    enabled = models.BooleanField(default=False)
    disabled_reason = models.CharField("why it is off", max_length=400, blank=True)
    revision = models.PositiveIntegerField(default=1)
    slow = models.BooleanField("answers slowly", default=False)
    added_by_key = models.CharField(max_length=80)
    added_by_name = models.CharField("added by", max_length=150)
    added_at = models.DateTimeField(default=timezone.now)

    class Meta:
        default_permissions = ("view",)
        permissions = [("manage_webhookendpoint", "Can manage and confirm where events are sent")]

    def __str__(self):
        return self.description or self.host

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    def secrets_at(self, now: datetime) -> "list[WebhookSecret]":
        """Those that are valid, the newest first."""
        valid = self.secrets.filter(Q(valid_until__isnull=True) | Q(valid_until__gt=now))
        return list(valid.order_by("-pk"))


class WebhookSecret(models.Model):
    """A signing secret, which has to be there to sign with and so cannot be hashed. It is not stored: it is
    made anew, each time, of SECRET_KEY and the salt in this row, so that a copy of the database signs
    nothing. `digest` tells whether SECRET_KEY is still the same."""

    endpoint = models.ForeignKey(WebhookEndpoint, models.CASCADE, related_name="secrets")
    salt = models.CharField(max_length=64)
    digest = models.CharField(max_length=64)
    made_at = models.DateTimeField(default=timezone.now)
    valid_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions = ()

    def __str__(self):
        return f"Secret {self.pk} of {self.endpoint_id}"

    @classmethod
    def draw(cls, endpoint: WebhookEndpoint) -> "WebhookSecret":
        """An unsaved one."""
        salt = secrets.token_hex(32)
        return cls(endpoint=endpoint, salt=salt, digest=_digest(_derived(salt)))

    @property
    def text(self) -> str:
        """As the receiver is given it. Raises SecretLost."""
        found = _derived(self.salt)
        if _digest(found) != self.digest:
            raise SecretLost("SECRET_KEY was changed since the secret was made: make a new one.")
        return PREFIX + base64.b64encode(found).decode()


def _derived(salt: str) -> bytes:
    return salted_hmac("approvals.WebhookSecret", salt, algorithm="sha256").digest()


def _digest(secret: bytes) -> str:
    return hashlib.sha256(secret).hexdigest()


def new_message_id() -> str:
    return f"msg_{secrets.token_hex(16)}"


class WebhookMessage(models.Model):
    """An event, as it is told: written in its transaction, once for all endpoints. `body` is sent as it
    stands, every time."""

    message_id = models.CharField(max_length=40, primary_key=True, default=new_message_id, editable=False)
    type = models.CharField("event", max_length=40)
    body = models.TextField()
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        default_permissions = ()
        indexes = [models.Index(fields=["at"], name="approvals_message_at")]

    def __str__(self):
        return f"{self.type} ({self.message_id})"


class WebhookDelivery(models.Model):
    """One message on its way to one endpoint. `attempts` is counted at the start of each; a row that stays
    `sending` belongs to a worker that died, and is sent again: a receiver knows the message by its id."""

    class State(models.TextChoices):
        WAITING = "waiting"
        SENDING = "sending"
        DELIVERED = "delivered"
        FAILED = "failed"

    message = models.ForeignKey(WebhookMessage, models.CASCADE, related_name="deliveries", db_index=False)
    endpoint = models.ForeignKey(WebhookEndpoint, models.PROTECT, related_name="deliveries", db_index=False)
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField("next try", null=True, blank=True, default=timezone.now)
    claimed_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField("ended", null=True, blank=True)
    last_status = models.PositiveSmallIntegerField("last answer", null=True, blank=True)
    last_error = models.CharField("what went wrong", max_length=400, blank=True)

    class Meta:
        verbose_name_plural = "webhook deliveries"
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["message", "endpoint"], name="approvals_one_delivery"),
        ]
        indexes = [
            models.Index(fields=["endpoint", "state", "next_try_at"], name="approvals_delivery_to"),
            models.Index(fields=["endpoint", "-id"], name="approvals_delivery_log"),
        ]

    def __str__(self):
        return f"{self.message.type} to {self.endpoint}"


class WebhookAttempt(models.Model):
    """What one try came to. `status` and `duration_ms` are None where there was no answer to have them of;
    `excerpt` is how the answer's body begins, at most 1 KB."""

    delivery = models.ForeignKey(WebhookDelivery, models.CASCADE, related_name="tries")
    at = models.DateTimeField(default=timezone.now)
    status = models.PositiveSmallIntegerField(null=True, blank=True)
    duration_ms = models.PositiveIntegerField(null=True, blank=True)
    error = models.CharField(max_length=400, blank=True)
    excerpt = models.TextField(blank=True)

    class Meta:
        default_permissions = ()
        ordering = ["pk"]

    def __str__(self):
        return f"{self.status or self.error}"
