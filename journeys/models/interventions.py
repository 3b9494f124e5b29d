"""What is to be done for a customer, what was done, and what came of it."""

import secrets
import time
from datetime import date, datetime

from django.db import models
from django.db.models import Q
from django.utils import timezone

from approvals.models import ApprovalRequest
from journeys.domain.vocabulary import (
    Action,
    Channel,
    ExecutionMode,
    ExecutionStatus,
    InterventionStatus,
    Origin,
    OutcomeKind,
    Stage,
    SwitchScope,
    Tier,
    choices,
)
from journeys.models.customers import Customer
from journeys.models.runs import PipelineRun

# While one of these is there, nothing else is begun with the customer.
OPEN_STATUSES = (
    InterventionStatus.PENDING,
    InterventionStatus.APPROVED,
    InterventionStatus.EXECUTING,
    InterventionStatus.UNKNOWN,
)

ID_PREFIX = "iv-"
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_intervention_id() -> str:
    """`iv-` with 9 characters of time (milliseconds) and 7 at random: sorts by time, is never used twice,
    and does not look like an imported id."""
    number = (time.time_ns() // 1_000_000) << 35 | secrets.randbits(35)
    return ID_PREFIX + "".join(_ALPHABET[number >> shift & 31] for shift in range(75, -1, -5))


def calendar_day(as_of: date, generated_at: datetime, moment: datetime) -> date:
    """The moment's day on the calendar of an intervention that was made as of that day at that time."""
    return as_of + (moment - generated_at)


class InterventionQuerySet(models.QuerySet):
    def open(self):
        return self.filter(status__in=OPEN_STATUSES)

    def due(self, now: datetime):
        """Approved and not waiting for a later attempt."""
        waiting = Q(execution__retry_at__gt=now) | Q(not_before__gt=now)
        return self.filter(status=InterventionStatus.APPROVED).exclude(waiting)


class Intervention(models.Model):
    """One action recommended for one customer. Once approved, the row itself is the work order.

    `signals_received_at` is when the last of the signals that it was proposed on had arrived; it stays so,
    whatever these say later. None where it rests on no signals, or the pipeline did not propose it."""

    intervention_id = models.CharField(
        "intervention", max_length=64, primary_key=True, default=new_intervention_id, editable=False
    )
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="interventions", db_index=False)
    agent_name = models.CharField("proposed by", max_length=150)
    origin = models.CharField(max_length=10, choices=choices(Origin))
    run = models.ForeignKey(
        PipelineRun, models.PROTECT, null=True, blank=True, related_name="interventions", db_index=False
    )
    journey_stage = models.CharField(max_length=40, blank=True, choices=choices(Stage))
    recommended_action = models.CharField(max_length=60, choices=choices(Action))
    channel = models.CharField(max_length=10, choices=choices(Channel))
    recipient = models.CharField(max_length=254, blank=True)
    status = models.CharField(max_length=12, choices=choices(InterventionStatus))
    authority = models.CharField("on whose authority", max_length=150, blank=True)
    confidence = models.FloatField("confidence, 0 to 1", null=True, blank=True)
    risk_score = models.FloatField("risk, 0 to 1", null=True, blank=True)
    risk_tier = models.CharField(max_length=10, blank=True, choices=choices(Tier))
    priority_score = models.FloatField("priority, 0 to 100", null=True, blank=True)
    requires_human_approval = models.BooleanField(default=True)
    person_reasons = models.JSONField(default=list, blank=True)
    reasons = models.JSONField(default=list, blank=True)
    triggered_by_signals = models.JSONField(default=list, blank=True)
    signals_received_at = models.DateTimeField("last of the signals received", null=True, blank=True)
    evaluation_latency_ms = models.FloatField("evaluation, ms", null=True, blank=True)
    as_of = models.DateField("as of")
    generated_at = models.DateTimeField(default=timezone.now)
    edited = models.BooleanField("changed by a person", default=False)
    not_before = models.DateTimeField("carried out from", null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    objects = InterventionQuerySet.as_manager()

    class Meta:
        default_permissions = ("view",)
        permissions = [
            ("propose_intervention", "Can propose an intervention by hand"),
            ("end_execution", "Can end an execution whose result is not known"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["customer"],
                condition=Q(status__in=[status.value for status in OPEN_STATUSES]),
                name="journeys_one_open_intervention",
            ),
            models.CheckConstraint(
                condition=Q(status__in=[status.value for status in InterventionStatus]),
                name="journeys_known_intervention_status",
            ),
        ]
        indexes = [
            models.Index(fields=["customer", "-generated_at"], name="journeys_intervention_history"),
            models.Index(fields=["status", "generated_at"], name="journeys_intervention_status"),
            models.Index(fields=["-generated_at", "-intervention_id"], name="journeys_intervention_latest"),
            # What a window of days is counted from, again and again, without a look at the rows themselves.
            models.Index(
                fields=["as_of", "status", "origin", "customer", "intervention_id"],
                name="journeys_intervention_window",
            ),
            models.Index(fields=["recipient", "status"], name="journeys_intervention_to"),
            # With the status, which the page of a run counts.
            models.Index(
                fields=["run", "-priority_score", "intervention_id", "status"],
                name="journeys_intervention_run",
            ),
            models.Index(
                fields=["recommended_action", "status", "-generated_at"], name="journeys_intervention_alike"
            ),
        ]

    def __str__(self):
        return f"{self.get_recommended_action_display()} for {self.customer_id}"

    def calendar_day(self, moment: datetime) -> date:
        """The moment's day on the intervention's own calendar: its run's day plus what has passed since.
        So a run on past data is judged by the past's days."""
        return calendar_day(self.as_of, self.generated_at, moment)

    @property
    def request(self) -> ApprovalRequest | None:
        """The request by which it was, or is to be, decided; None for imported history."""
        requests = ApprovalRequest.objects.filter(kind="intervention", subject_key=self.pk)
        return requests.order_by("-pk").first()


class Execution(models.Model):
    """How an intervention is carried out: one row each, whatever the number of attempts. `attempts` is
    counted at the start of each; a row that stays `claimed` belongs to a worker that died."""

    intervention = models.OneToOneField(Intervention, models.PROTECT, related_name="execution")
    idempotency_key = models.CharField(max_length=64, unique=True)
    status = models.CharField(max_length=12, choices=choices(ExecutionStatus))
    mode = models.CharField(max_length=12, choices=choices(ExecutionMode))
    channel = models.CharField(max_length=10, choices=choices(Channel))
    attempts = models.PositiveIntegerField(default=0)
    claimed_at = models.DateTimeField()
    retry_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    detail = models.CharField("what happened", max_length=500, blank=True)
    assignee = models.CharField(max_length=150, blank=True)
    due_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        default_permissions = ("view",)
        indexes = [
            models.Index(fields=["status", "claimed_at"], name="journeys_execution_status"),
            models.Index(fields=["assignee", "status", "due_at"], name="journeys_execution_tasks"),
            # How it went, for each of a window's interventions, without a look at the rows themselves.
            models.Index(fields=["intervention", "mode", "status"], name="journeys_execution_mode"),
        ]

    def __str__(self):
        return f"{self.get_channel_display()}, {self.get_status_display()}"


class ExecutionSwitch(models.Model):
    """How far execution goes, for all or for one channel, action or customer. The most careful switch
    that applies counts; without any for all, execution is record-only."""

    scope = models.CharField(max_length=10, choices=choices(SwitchScope))
    value = models.CharField("which", max_length=64, blank=True)
    mode = models.CharField(max_length=12, choices=choices(ExecutionMode))
    changed_by = models.CharField(max_length=150)
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "execution switches"
        default_permissions = ("view",)
        permissions = [
            ("stop_execution", "Can stop execution"),
            ("start_execution", "Can confirm that execution starts"),
        ]
        constraints = [models.UniqueConstraint(fields=["scope", "value"], name="journeys_one_switch")]

    def __str__(self):
        return f"{self.get_scope_display()} {self.value}: {self.get_mode_display()}".replace(" :", ":")


class Outcome(models.Model):
    """What came of an intervention. None where nobody measured it. `earlier` keeps what an imported one said
    before it was corrected: its fields, and when they were replaced."""

    outcome_id = models.CharField("outcome", max_length=64, primary_key=True, editable=False)
    intervention = models.ForeignKey(Intervention, models.PROTECT, related_name="outcomes")
    outcome = models.CharField(max_length=30, choices=choices(OutcomeKind))
    resolution_time_days = models.FloatField("days to resolve", null=True, blank=True)
    csat_delta = models.FloatField("change of satisfaction", null=True, blank=True)
    churn_risk_delta = models.FloatField("change of churn risk", null=True, blank=True)
    estimated_revenue_saved = models.DecimalField(
        "revenue saved, as reported", max_digits=14, decimal_places=2, null=True, blank=True
    )
    human_override = models.BooleanField("recorded as overridden", null=True, blank=True)
    measured_at = models.DateField("measured on")
    recorded_by = models.CharField(max_length=150, blank=True)
    recorded_at = models.DateTimeField(default=timezone.now)
    earlier = models.JSONField("before it was corrected", default=list, editable=False)

    class Meta:
        default_permissions = ("view",)
        permissions = [("record_outcome", "Can record outcomes")]
        ordering = ["-measured_at", "-recorded_at"]
        indexes = [
            models.Index(fields=["-recorded_at", "-outcome_id"], name="journeys_outcome_latest"),
            # Which of an intervention's outcomes counts, without a look at the rows themselves.
            models.Index(
                fields=["intervention", "measured_at", "recorded_at", "outcome_id"],
                name="journeys_outcome_counts",
            ),
        ]

    def __str__(self):
        return f"{self.get_outcome_display()} ({self.intervention_id})"
