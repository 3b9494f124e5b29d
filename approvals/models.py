from datetime import datetime
from decimal import Decimal

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models
from django.db.models import Q
from django.utils import timezone

from approvals import words
from approvals.rules import Asked, Authority, Limit, Proposer, RejectionCategory, Status, Verdict, Weight


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

    people_needed = models.PositiveSmallIntegerField(default=1)
    heightened = models.BooleanField(
        "asks for more care", default=False, help_text="An approval needs a reason, a decision the password."
    )
    bulk_allowed = models.BooleanField("may be approved with others", default=False)
    unroutable = models.BooleanField("nobody can decide it", default=False)
    level = models.PositiveSmallIntegerField("times it expired before", default=0)
    routed_to = models.CharField("escalated to", max_length=150, blank=True)
    moved = models.JSONField("what moved since it was first asked", default=list, blank=True)

    revision = models.PositiveSmallIntegerField(default=1)
    editors = models.JSONField("who changed it", default=list, blank=True)
    approvals_given = models.PositiveSmallIntegerField(default=0)
    returned_at = models.DateTimeField("sent back to its proposer", null=True, blank=True)
    returned_note = models.CharField("changes asked for", max_length=400, blank=True)

    claimed_by_key = models.CharField(max_length=80, blank=True)
    claimed_by_name = models.CharField("being reviewed by", max_length=150, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True)

    proposer = models.CharField(max_length=10, choices=_choices(Proposer))
    proposed_by_key = models.CharField(max_length=80)
    proposed_by_name = models.CharField("proposed by", max_length=150)

    requested_at = models.DateTimeField(default=timezone.now)
    remind_at = models.DateTimeField()
    reminded_at = models.DateTimeField(null=True, blank=True)
    decision_due_at = models.DateTimeField()
    escalated_at = models.DateTimeField(null=True, blank=True)
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
            models.Index(fields=["status", "remind_at"], name="approvals_reminder"),
            models.Index(fields=["concerning", "-requested_at"], name="approvals_concerning"),
            models.Index(fields=["kind", "subject_key"], name="approvals_subject"),
        ]
        permissions = [
            ("decide_approvalrequest", "Can decide approval requests"),
            ("take_over_approvalrequest", "Can take over what somebody else is reviewing"),
        ]

    def __str__(self):
        return self.title

    @property
    def weight(self) -> Weight:
        value = None if self.value_at_stake is None else Decimal(self.value_at_stake)
        return Weight(value, self.risk_tier, self.action, self.segment)

    @property
    def hands(self) -> frozenset[str]:
        """Whoever proposed or changed it."""
        return frozenset({self.proposed_by_key, *self.editors})

    def asked(self) -> Asked:
        """The facts a decision is weighed by; reads who has approved it as it stands."""
        return Asked(
            status=Status(self.status),
            fingerprint=self.fingerprint,
            proposed_by=self.proposed_by_key,
            hands=self.hands,
            weight=self.weight,
            needs_limit=self.needs_limit,
            expires_at=self.expires_at,
            approvers=self._approvers(),
            returned=self.returned_at is not None,
            heightened=self.heightened,
        )

    def _approvers(self) -> frozenset[str]:
        if not self.approvals_given:
            return frozenset()
        return frozenset(key for decision in self.standing_approvals() for key in decision.people)

    def standing_approvals(self) -> "list[Decision]":
        """Those given to what stands there now; approvals of an earlier revision are void."""
        given = self.decisions.filter(verdict=Verdict.APPROVED, fingerprint=self.fingerprint)
        return list(given.order_by("pk"))

    def is_claimed(self, now: datetime) -> bool:
        return bool(self.claimed_by_key) and self.claimed_until is not None and self.claimed_until > now


class RequestRevision(models.Model):
    """What a request asked for before it was changed: the payload that no longer stands, with who replaced
    it, why, and what they changed."""

    request = models.ForeignKey(ApprovalRequest, models.CASCADE, related_name="revisions")
    number = models.PositiveSmallIntegerField()
    payload = models.JSONField()
    fingerprint = models.CharField(max_length=64)
    changes = models.JSONField(default=list)
    replaced_by_key = models.CharField(max_length=80)
    replaced_by_name = models.CharField(max_length=150)
    replaced_at = models.DateTimeField(default=timezone.now)
    reason = models.CharField(max_length=400, blank=True)

    class Meta:
        default_permissions = ("view",)
        ordering = ["number"]
        constraints = [
            models.UniqueConstraint(fields=["request", "number"], name="approvals_revision_once"),
        ]

    def __str__(self):
        return f"Revision {self.number} of request {self.request_id}"


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
        return f"{self.delegate} on behalf of {self.delegator}, until {self.ends_at:%d %b %Y %H:%M} UTC"


class AuditEvent(models.Model):
    """One link of the chain. The database refuses to change or delete it; it has no foreign key to
    users, and nothing personal: that stands in its AuditDetail, which can be erased."""

    sequence = models.BigIntegerField(primary_key=True)
    at = models.DateTimeField()
    word = models.CharField(max_length=60)
    actor_key = models.CharField(max_length=80)
    on_behalf_of_key = models.CharField(max_length=80, blank=True)
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
        "sequence", "at", "word", "actor_key", "on_behalf_of_key", "door", "kind", "subject_key",
        "concerning", "request_id", "before", "after", "fingerprint", "policy", "detail_digest",
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
            actor=self.actor_name,
            subject=self.told("subject_name") or f"{self.kind} {self.subject_key}",
            before=self.before,
            after=self.after,
        )

    @property
    def actor_name(self) -> str:
        """ "X on behalf of Y" where somebody stood in."""
        name = self.told("actor_name") or self.actor_key
        behalf = self.told("on_behalf_of_name") or self.on_behalf_of_key
        return f"{name} on behalf of {behalf}" if behalf else name

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
    """Somebody's word on a request as it stood (`fingerprint`). The database refuses to change or delete it;
    reason and names stand in the event's detail, so that they can be erased."""

    request = models.ForeignKey(ApprovalRequest, models.PROTECT, related_name="decisions")
    event = models.OneToOneField(AuditEvent, models.PROTECT, related_name="decision")
    verdict = models.CharField(max_length=10, choices=_choices(Verdict))
    category = models.CharField(max_length=20, blank=True, choices=_choices(RejectionCategory))
    authority = models.CharField(max_length=30, choices=_choices(Authority))
    actor_key = models.CharField(max_length=80)
    on_behalf_of_key = models.CharField(max_length=80, blank=True)
    fingerprint = models.CharField(max_length=64)
    ends = models.BooleanField("ends the request", default=True)
    decided_at = models.DateTimeField()

    class Meta:
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(
                fields=["request"], condition=Q(ends=True), name="approvals_one_ending_decision"
            ),
            models.UniqueConstraint(
                fields=["request", "fingerprint", "actor_key"], name="approvals_decides_once"
            ),
        ]
        indexes = [models.Index(fields=["authority", "-decided_at"], name="approvals_by_authority")]

    def __str__(self):
        return f"{self.verdict} by {self.actor_name}"

    @property
    def people(self) -> frozenset[str]:
        return frozenset({self.actor_key, self.on_behalf_of_key} - {""})

    @property
    def actor_name(self) -> str:
        return self.event.actor_name

    @property
    def reason(self) -> str:
        return self.event.reason


def user_key(user) -> str:
    """How the audit names an account: its key outlives renaming, and the row itself."""
    return f"user:{user.pk}"
