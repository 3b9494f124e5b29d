"""What a program shows in place of a person's log-in."""

from django.conf import settings
from django.db import models
from django.utils import timezone


class ApiToken(models.Model):
    """Its secret is kept as a digest only, and found by the prefix. It acts in the name of its owner, never
    with more than the owner's permissions, and only within its scopes. A personal token was made by its owner
    with their password; any other is a service's, and decides nothing. After a rotation the secret before
    (`previous_digest`) is good for a while longer."""

    class Kind(models.TextChoices):
        PERSONAL = "personal"
        SERVICE = "service"

    name = models.CharField(max_length=80)
    kind = models.CharField(max_length=10, choices=Kind)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="api_tokens")
    scopes = models.JSONField(default=list)
    prefix = models.CharField(max_length=12, unique=True)
    digest = models.CharField(max_length=64)
    previous_digest = models.CharField(max_length=64, blank=True)
    previous_until = models.DateTimeField("secret before is good until", null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    rotated_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField("last used", null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "API token"
        default_permissions = ("view",)
        permissions = [
            ("issue_apitoken", "Can make API tokens for oneself"),
            ("manage_apitoken", "Can make API tokens for services, and revoke anybody's"),
        ]
        indexes = [models.Index(fields=["owner", "-created_at"], name="approvals_tokens_of")]

    def __str__(self):
        return f"{self.name} ({self.prefix})"

    @property
    def is_personal(self) -> bool:
        return self.kind == self.Kind.PERSONAL

    def stands(self, now) -> bool:
        return self.revoked_at is None and now < self.expires_at
