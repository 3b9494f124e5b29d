from django.db import models
from django.db.models import Q
from django.utils import timezone

from journeys.domain.policy import PolicyDocument, load


class Policy(models.Model):
    """A set of decision rules: name, version and document never change; one policy is in force."""

    name = models.CharField(max_length=60)
    version = models.PositiveIntegerField()
    document = models.JSONField()
    active = models.BooleanField("in force", default=False)
    created_by = models.CharField(max_length=150)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "policies"
        default_permissions = ("view", "add")
        permissions = [("activate_policy", "Can confirm which policy is in force")]
        constraints = [
            models.UniqueConstraint(fields=["name", "version"], name="journeys_policy_version_once"),
            models.UniqueConstraint(
                fields=["active"], condition=Q(active=True), name="journeys_one_policy_in_force"
            ),
        ]

    def __str__(self):
        return f"{self.name} {self.version}"

    @property
    def rules(self) -> PolicyDocument:
        """The document, typed. Raises PolicyError where it is not valid."""
        return load(self.document)
