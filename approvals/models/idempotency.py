"""What was answered to a request that may be sent again."""

from django.db import models
from django.utils import timezone


class IdempotencyKey(models.Model):
    """A key that a caller sent with a POST: in flight while `answered_at` is null, then with the answer."""

    caller = models.CharField(max_length=80)
    key = models.CharField(max_length=255)
    digest = models.CharField(max_length=64)
    begun_at = models.DateTimeField(default=timezone.now)
    answered_at = models.DateTimeField(null=True)
    status = models.PositiveSmallIntegerField(null=True)
    headers = models.JSONField(default=dict)
    body = models.JSONField(null=True)

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["caller", "key"], name="approvals_idempotency_once")]
        indexes = [models.Index(fields=["begun_at"], name="approvals_idempotency_age")]

    def __str__(self):
        return self.key
