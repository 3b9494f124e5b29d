"""Who may decide how much, and who stands in for whom."""

from datetime import UTC, datetime

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.utils import timezone

from approvals.rules import Limit


class AuthorityLimitManager(models.Manager):
    def get_by_natural_key(self, name):
        return self.get(name=name)


class AuthorityLimit(models.Model):
    """What the members of a group may decide. No row: no authority. Several rows of a group add up."""

    name = models.CharField(max_length=80, unique=True)
    group = models.ForeignKey(Group, models.CASCADE, related_name="authority_limits")
    max_value = models.DecimalField(
        "up to, inclusive",
        max_digits=14,
        decimal_places=2,
        null=True,
        blank=True,
        help_text="Empty: without limit.",
    )
    tiers = models.JSONField("of these tiers", default=list, blank=True)
    actions = models.JSONField("of these actions", default=list, blank=True)
    segments = models.JSONField("of these segments", default=list, blank=True)
    escalates_to = models.ForeignKey(
        Group, models.SET_NULL, null=True, blank=True, related_name="+", verbose_name="escalates to"
    )

    objects = AuthorityLimitManager()

    class Meta:
        default_permissions = ("view",)
        permissions = [
            ("propose_authoritylimit", "Can propose changes of authority"),
            ("confirm_authoritylimit", "Can confirm changes of authority"),
        ]

    def __str__(self):
        reach = "without limit" if self.max_value is None else f"up to {self.max_value:,.0f}"
        return f"{self.name}: {self.group}, {reach}"

    def natural_key(self):
        return (self.name,)

    natural_key.dependencies = ["auth.group"]

    @property
    def limit(self) -> Limit:
        return Limit(
            group=self.group.name,
            max_value=self.max_value,
            tiers=frozenset(self.tiers),
            actions=frozenset(self.actions),
            segments=frozenset(self.segments),
            escalates_to=self.escalates_to.name if self.escalates_to else "",
        )


class DelegationQuerySet(models.QuerySet):
    def standing(self, now: datetime):
        return self.filter(revoked_at__isnull=True, ends_at__gt=now)

    def active(self, now: datetime):
        return self.standing(now).filter(starts_at__lte=now)


class Delegation(models.Model):
    """For a window of time, `delegate` may decide on behalf of `delegator`, never beyond their authority."""

    delegator = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="delegations_given")
    delegate = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="delegations_taken")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    reason = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    revoked_at = models.DateTimeField(null=True, blank=True)

    objects = DelegationQuerySet.as_manager()

    class Meta:
        default_permissions = ("view",)
        constraints = [
            models.CheckConstraint(
                condition=~models.Q(delegator=models.F("delegate")), name="approvals_delegate_is_another"
            ),
            models.CheckConstraint(
                condition=models.Q(ends_at__gt=models.F("starts_at")),
                name="approvals_delegation_has_a_length",
            ),
        ]

    def __str__(self):
        until = f"{self.ends_at.astimezone(UTC):%d %b %Y %H:%M} UTC"
        return f"{self.delegate} on behalf of {self.delegator}, until {until}"
