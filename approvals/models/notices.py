"""Mail to the people who decide. The row is the message; sending it is the sweep's."""

from django.conf import settings
from django.db import models
from django.utils import timezone

from approvals.models.requests import ApprovalRequest


class Notice(models.Model):
    """A mail to one person, written in the transaction of what it tells of. `key` says what it tells whom:
    the same is written once. A row that stays `sending` belongs to a worker that died: as the mail may have
    gone out, it ends as `uncertain` and is not sent again. `facts` is what cannot be read any more when it
    is sent; everything else is read then, and what no longer holds is dropped."""

    class Kind(models.TextChoices):
        NEW = "new"
        REMINDER = "reminder"
        ESCALATED = "escalated"
        UNROUTABLE = "unroutable"
        MANY = "many"
        DIGEST = "digest"
        OUTCOME = "outcome"
        REPORT = "report"

    class State(models.TextChoices):
        WAITING = "waiting"
        SENDING = "sending"
        SENT = "sent"
        UNCERTAIN = "uncertain"
        FAILED = "failed"
        DROPPED = "dropped"

    kind = models.CharField(max_length=12, choices=Kind)
    request = models.ForeignKey(ApprovalRequest, models.CASCADE, null=True, related_name="notices")
    recipient = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="notices")
    key = models.CharField(max_length=120, unique=True)
    facts = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    created_at = models.DateTimeField(default=timezone.now)
    due_at = models.DateTimeField("not to be sent before", default=timezone.now)
    claimed_at = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    sent_at = models.DateTimeField(null=True)
    failed = models.CharField("why it was not sent", max_length=400, blank=True)

    class Meta:
        default_permissions = ()
        indexes = [
            models.Index(fields=["state", "due_at"], name="approvals_notice_due"),
            models.Index(fields=["kind", "created_at"], name="approvals_notice_kind"),
        ]

    def __str__(self):
        return f"{self.kind} to {self.recipient_id}: {self.state}"
