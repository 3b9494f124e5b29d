"""What was decided and done: rows that the database refuses to change or delete."""

from collections.abc import Sequence

from django.db import models
from django.db.models import Q

from approvals import words
from approvals.models.choices import choices
from approvals.models.requests import ApprovalRequest
from approvals.rules import Authority, RejectionCategory, Verdict


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
        return self.sentence_about()

    def sentence_about(self, subject: str | None = None) -> str:
        """With another word for what it is about, such as "it"."""
        return words.sentence(
            self.word,
            actor=self.actor_name,
            subject=subject or self.told("subject_name") or f"{self.kind} {self.subject_key}",
            before=self.was,
            after=self.became,
        )

    @property
    def was(self) -> str:
        """`before` as people read it; of an account, its name."""
        return self.told("before_name") or self.before.replace("_", " ")

    @property
    def became(self) -> str:
        return self.told("after_name") or self.after.replace("_", " ")

    @property
    def actor_name(self) -> str:
        """ "X on behalf of Y" where somebody stood in."""
        name = self.told("actor_name") or self.actor_key
        behalf = self.told("on_behalf_of_name") or self.on_behalf_of_key
        return f"{name} on behalf of {behalf}" if behalf else name

    @property
    def is_of_a_person(self) -> bool:
        return self.actor_key.startswith("user:")

    @property
    def reason(self) -> str:
        return self.told("reason")

    def told(self, name: str) -> str:
        """A field of the erasable detail; empty once it was erased."""
        detail = getattr(self, "detail", None)
        return str((detail.document or {}).get(name, "")) if detail else ""

    def chained_fields(self) -> dict:
        return chained([getattr(self, name) for name in self.CHAINED])


def chained(values: Sequence) -> dict:
    """What an event's hash is made of: the values of AuditEvent.CHAINED, in its order."""
    fields = dict(zip(AuditEvent.CHAINED, values, strict=True))
    return fields | {"at": fields["at"].isoformat(timespec="microseconds")}


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


class ChainCheck(models.Model):
    """The last walk along the chain: one row. From event `first` on, `events` were read; `problems` are
    [sequence, problem] pairs. `attested` is the event up to which, when it was last asked (`attested_at`), a
    head that was kept elsewhere said that nothing was altered; None: nobody ever asked."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    checked_at = models.DateTimeField()
    first = models.BigIntegerField(default=1)
    events = models.BigIntegerField()
    head = models.CharField(max_length=64)
    problems = models.JSONField(default=list)
    attested = models.BigIntegerField(null=True)
    attested_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()

    def __str__(self):
        return f"{self.events} events: {f'{len(self.problems)} problems' if self.problems else 'consistent'}"

    @property
    def ok(self) -> bool:
        return not self.problems

    @property
    def last(self) -> int:
        return self.first + self.events - 1


class Decision(models.Model):
    """Somebody's word on a request as it stood (`fingerprint`). The database refuses to change or delete it;
    reason and names stand in the event's detail, so that they can be erased."""

    request = models.ForeignKey(ApprovalRequest, models.PROTECT, related_name="decisions")
    event = models.OneToOneField(AuditEvent, models.PROTECT, related_name="decision")
    verdict = models.CharField(max_length=10, choices=choices(Verdict))
    category = models.CharField(max_length=20, blank=True, choices=choices(RejectionCategory))
    authority = models.CharField(max_length=30, choices=choices(Authority))
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
        indexes = [
            models.Index(fields=["authority", "-decided_at"], name="approvals_by_authority"),
            models.Index(fields=["actor_key", "-decided_at"], name="approvals_by_actor"),
        ]

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
