"""What was asked, as it stands and as it stood before."""

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Q
from django.utils import timezone

from approvals.models.choices import choices
from approvals.rules import Asked, Proposer, Status, Verdict, Weight

if TYPE_CHECKING:
    from approvals.models.audit import Decision


# What waits, and what there was.
MOST_PRESSING = ("-priority_score", "requested_at", "-id")
LATEST = ("-requested_at", "-id")


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
        return self.order_by(*MOST_PRESSING)


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
    status = models.CharField(max_length=12, choices=choices(Status), default=Status.PENDING.value)

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

    proposer = models.CharField(max_length=10, choices=choices(Proposer))
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
            models.CheckConstraint(
                condition=Q(status=Status.PENDING.value, decided_at__isnull=True)
                | ~Q(status=Status.PENDING.value) & Q(decided_at__isnull=False),
                name="approvals_ends_at_a_time",
            ),
        ]
        indexes = [
            # By priority only what waits is listed: the places of the new ones lie all over such an index.
            models.Index(fields=["status", *LATEST], name="approvals_of_status"),
            models.Index(fields=["kind", *LATEST], name="approvals_of_kind"),
            models.Index(fields=["status", "expires_at"], name="approvals_expiry"),
            # Approved and not carried out: few of all that were ever approved.
            models.Index(
                fields=["status", "execute_by"],
                condition=Q(used_at__isnull=True, execute_by__isnull=False),
                name="approvals_unused",
            ),
            models.Index(fields=["status", "remind_at"], name="approvals_reminder"),
            models.Index(fields=["status", "decision_due_at"], name="approvals_due"),
            models.Index(fields=["concerning", "-requested_at"], name="approvals_concerning"),
            models.Index(fields=["kind", "subject_key"], name="approvals_subject"),
            # What waits, in the order of the queue, with all that the queue counts, adds up and filters by:
            # the rows themselves, with their payloads, are then read for one page only.
            models.Index(
                fields=[
                    *MOST_PRESSING, "currency", "value_at_stake", "decision_due_at",
                    "expires_at", "heightened", "unroutable", "bulk_allowed", "risk_tier", "action",
                    "segment", "kind", "concerning", "permission", "needs_limit", "proposed_by_key",
                    "returned_at", "approvals_given", "fingerprint", "editors", "claimed_by_key",
                    "claimed_until",
                ],
                condition=Q(decided_at__isnull=True),
                name="approvals_waiting",
            ),
        ]  # fmt: skip
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
