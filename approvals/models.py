from datetime import datetime
from decimal import Decimal

from django.contrib.auth.models import Group
from django.db import models
from django.db.models import Q
from django.utils import timezone

from approvals import words
from approvals.rules import Asked, Authority, Proposer, Status, Verdict


def _choices(enum) -> list[tuple[str, str]]:
    return [(word.value, word.value.replace("_", " ").capitalize()) for word in enum]


class ApprovalRequestQuerySet(models.QuerySet):
    def pending(self):
        return self.filter(status=Status.PENDING)

    def overdue(self, now: datetime):
        """Pending past their expiry, and approved but not used past their execute-by time."""
        return self.filter(
            Q(status=Status.PENDING, expires_at__lte=now)
            | Q(status=Status.APPROVED, used_at__isnull=True, execute_by__lte=now)
        )

    def by_priority(self):
        return self.order_by("-priority_score", "requested_at", "-id")


class ApprovalRequest(models.Model):
    """Something that a person, or the policy, has to allow before it is done.

    The payload is frozen when the request is opened; the fingerprint is its digest. `kind` names the
    registered Subject, `subject_key` its row, `concerning` whom it is about. The facets (value at stake
    to priority) are plain copies, so that the gate can weigh and sort without knowing the domain.
    """

    kind = models.CharField(max_length=40)
    subject_key = models.CharField(max_length=80)
    concerning = models.CharField(max_length=80, blank=True)
    title = models.CharField(max_length=200)
    summary = models.CharField("why, in one line", max_length=400, blank=True)
    status = models.CharField(max_length=12, choices=_choices(Status), default=Status.PENDING.value)

    payload = models.JSONField()
    fingerprint = models.CharField(max_length=64)
    evidence = models.JSONField(default=dict)

    value_at_stake = models.DecimalField(max_digits=14, decimal_places=2, null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True)
    segment = models.CharField(max_length=40, blank=True)
    action = models.CharField(max_length=60, blank=True)
    risk_tier = models.CharField(max_length=10, blank=True)
    urgency = models.CharField(max_length=10, blank=True)
    risk_score = models.FloatField("risk, 0 to 1", null=True, blank=True)
    confidence = models.FloatField("confidence, 0 to 1", null=True, blank=True)
    priority_score = models.FloatField("priority, 0 to 100", default=0)
    person_reasons = models.JSONField(default=list, blank=True)

    permission = models.CharField("permission to decide", max_length=100)
    needs_limit = models.BooleanField("needs a limit that covers the value", default=True)
    policy = models.CharField("policy in force", max_length=80, blank=True)

    proposer = models.CharField(max_length=10, choices=_choices(Proposer))
    proposed_by_key = models.CharField(max_length=80)
    proposed_by_name = models.CharField("proposed by", max_length=150)

    requested_at = models.DateTimeField(default=timezone.now)
    decision_due_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    execute_within_hours = models.PositiveIntegerField()
    decided_at = models.DateTimeField(null=True, blank=True)
    execute_by = models.DateTimeField(null=True, blank=True)
    used_at = models.DateTimeField("execution claimed", null=True, blank=True)

    objects = ApprovalRequestQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "subject_key"],
                condition=Q(status=Status.PENDING.value),
                name="approvals_one_open_request",
                violation_error_message="There is an open request for this already.",
            ),
            models.CheckConstraint(
                condition=Q(status__in=[status.value for status in Status]), name="approvals_known_status"
            ),
        ]
        indexes = [
            models.Index(fields=["status", "-priority_score", "requested_at", "-id"], name="approvals_queue"),
            models.Index(fields=["-priority_score", "requested_at", "-id"], name="approvals_by_priority"),
            models.Index(fields=["status", "expires_at"], name="approvals_expiry"),
            models.Index(fields=["concerning", "-requested_at"], name="approvals_concerning"),
            models.Index(fields=["kind", "subject_key"], name="approvals_subject"),
        ]
        permissions = [("decide_approvalrequest", "Can decide approval requests")]

    def __str__(self):
        return self.title

    def asked(self) -> Asked:
        return Asked(
            status=Status(self.status),
            fingerprint=self.fingerprint,
            proposed_by_key=self.proposed_by_key,
            value=None if self.value_at_stake is None else Decimal(self.value_at_stake),
            needs_limit=self.needs_limit,
            expires_at=self.expires_at,
        )


class AuthorityLimitManager(models.Manager):
    def get_by_natural_key(self, group_name):
        return self.get(group__name=group_name)


class AuthorityLimit(models.Model):
    """Up to which value, inclusive, the members of a group may decide. No row: no authority."""

    group = models.OneToOneField(Group, models.CASCADE, related_name="authority_limit")
    max_value = models.DecimalField(
        "up to, inclusive",
        max_digits=14,
        decimal_places=2,
        null=True,
        blank=True,
        help_text="Empty: without limit.",
    )

    objects = AuthorityLimitManager()

    def __str__(self):
        return (
            f"{self.group}: {'without limit' if self.max_value is None else f'up to {self.max_value:,.0f}'}"
        )

    def natural_key(self):
        return self.group.natural_key()

    natural_key.dependencies = ["auth.group"]


class AuditEvent(models.Model):
    """One link of the chain. The database refuses to change or delete it; it has no foreign key to
    users, and nothing personal: that stands in its AuditDetail, which can be erased."""

    sequence = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField()
    word = models.CharField(max_length=60)
    actor_key = models.CharField(max_length=80)
    door = models.CharField(max_length=30)
    kind = models.CharField(max_length=40)
    subject_key = models.CharField(max_length=80)
    concerning = models.CharField(max_length=80, blank=True)
    request_id = models.BigIntegerField(null=True)
    before = models.CharField(max_length=60, blank=True)
    after = models.CharField(max_length=60, blank=True)
    fingerprint = models.CharField(max_length=64, blank=True)
    policy = models.CharField(max_length=80, blank=True)
    detail_digest = models.CharField(max_length=64)
    previous_hash = models.CharField(max_length=64)
    hash = models.CharField(max_length=64)

    CHAINED = (
        "sequence", "at", "word", "actor_key", "door", "kind", "subject_key", "concerning", "request_id",
        "before", "after", "fingerprint", "policy", "detail_digest",
    )  # fmt: skip

    class Meta:
        default_permissions = ("view",)
        ordering = ["-sequence"]
        indexes = [
            models.Index(fields=["actor_key", "-sequence"], name="approvals_audit_actor"),
            models.Index(fields=["concerning", "-sequence"], name="approvals_audit_about"),
            models.Index(fields=["request_id", "-sequence"], name="approvals_audit_request"),
        ]

    def __str__(self):
        return self.sentence

    @property
    def sentence(self) -> str:
        return words.sentence(
            self.word,
            actor=self.told("actor_name") or self.actor_key,
            subject=self.told("subject_name") or f"{self.kind} {self.subject_key}",
            before=self.before,
            after=self.after,
        )

    @property
    def reason(self) -> str:
        return self.told("reason")

    def told(self, name: str) -> str:
        """A field of the erasable detail; empty once it was erased."""
        detail = getattr(self, "detail", None)
        return str((detail.document or {}).get(name, "")) if detail else ""

    def chained_fields(self) -> dict:
        fields = {name: getattr(self, name) for name in self.CHAINED}
        return fields | {"at": self.at.isoformat(timespec="microseconds")}


class AuditDetail(models.Model):
    """Names, addresses, texts and reasons of an event. Erasing empties document and salt; the
    chain still verifies, as it holds the salted digest only."""

    event = models.OneToOneField(AuditEvent, models.DO_NOTHING, primary_key=True, related_name="detail")
    salt = models.CharField(max_length=32, blank=True)
    document = models.JSONField(null=True)

    class Meta:
        default_permissions = ()

    def __str__(self):
        return f"Detail of {self.event_id}"


class AuditHead(models.Model):
    """The last link: one row, locked by whoever appends, so that the sequence has no gaps."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    sequence = models.BigIntegerField(default=0)
    hash = models.CharField(max_length=64, default="0" * 64)

    class Meta:
        default_permissions = ()

    def __str__(self):
        return f"{self.sequence} {self.hash}"


class Decision(models.Model):
    """Somebody's word on a request. The database refuses to change or delete it; the reason and the
    name stand in the event's detail, so that they can be erased."""

    request = models.ForeignKey(ApprovalRequest, models.PROTECT, related_name="decisions")
    event = models.OneToOneField(AuditEvent, models.PROTECT, related_name="decision")
    verdict = models.CharField(max_length=10, choices=_choices(Verdict))
    authority = models.CharField(max_length=30, choices=_choices(Authority))
    actor_key = models.CharField(max_length=80)
    fingerprint = models.CharField(max_length=64)
    decided_at = models.DateTimeField()

    class Meta:
        default_permissions = ("view",)
        constraints = [models.UniqueConstraint(fields=["request"], name="approvals_one_ending_decision")]

    def __str__(self):
        return f"{self.verdict} by {self.actor_name}"

    @property
    def actor_name(self) -> str:
        return self.event.told("actor_name") or self.actor_key

    @property
    def reason(self) -> str:
        return self.event.reason


def user_key(user) -> str:
    """How the audit names an account: its key outlives renaming, and the row itself."""
    return f"user:{user.pk}"
