"""Who was in which arm of an experiment, and what became of customers some days later. Both are kept."""

from django.db import models
from django.db.models import Q
from django.utils import timezone

from journeys.domain.holdout import Arm
from journeys.domain.vocabulary import Action, Tier, choices
from journeys.models.customers import Customer
from journeys.models.interventions import Intervention
from journeys.models.runs import PipelineRun


class Assignment(models.Model):
    """A customer who was eligible, drawn into an arm of an experiment on a day; never changed, never
    deleted. `planned` is how many the experiment was to have when the customer entered, None where the
    policy's question has no answer."""

    experiment = models.CharField(max_length=60)
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="assignments", db_index=False)
    arm = models.CharField(max_length=10, choices=choices(Arm))
    assigned_on = models.DateField("entered on")
    run = models.ForeignKey(PipelineRun, models.PROTECT, related_name="assignments", db_index=False)
    share = models.FloatField("share held out, 0 to 1")
    planned = models.PositiveIntegerField("customers planned", null=True)
    recommended_action = models.CharField(max_length=60, choices=choices(Action))
    segment = models.CharField(max_length=40, blank=True)
    risk_tier = models.CharField(max_length=10, choices=choices(Tier))
    account_value = models.DecimalField("value a year", max_digits=14, decimal_places=2, null=True)
    assigned_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name = "hold-out assignment"
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["customer", "experiment"], name="journeys_assigned_once"),
        ]
        indexes = [
            models.Index(fields=["experiment", "assigned_on", "id"], name="journeys_assignment_order"),
        ]

    def __str__(self):
        return f"{self.customer_id} in {self.experiment}: {self.get_arm_display()}"

    @property
    def one_in(self) -> str:
        """10 for a tenth, "about 7" for 15 %."""
        one_in = 1 / self.share
        return f"{one_in:.0f}" if abs(one_in - round(one_in)) < 0.01 else f"about {one_in:.0f}"


class Measurement(models.Model):
    """What became of a customer `checkpoint_days` after an intervention was executed, or after they entered
    an experiment. Scores and stages are those that the last run by that day saw, and our own opinion; when
    they left or renewed in those days is what really happened. Where that is corrected later, a new row
    replaces the old one, which stays."""

    intervention = models.ForeignKey(
        Intervention, models.PROTECT, null=True, related_name="measurements", db_index=False
    )
    assignment = models.ForeignKey(
        Assignment, models.PROTECT, null=True, related_name="measurements", db_index=False
    )
    customer = models.ForeignKey(Customer, models.PROTECT, related_name="measurements", db_index=False)
    checkpoint_days = models.PositiveSmallIntegerField("days after")
    since = models.DateField()
    until = models.DateField("measured for")
    churn_before = models.FloatField("churn risk before", null=True)
    churn_after = models.FloatField("churn risk then", null=True)
    stage_before = models.CharField(max_length=40, blank=True)
    stage_after = models.CharField("stage then", max_length=40, blank=True)
    health_before = models.CharField(max_length=10, blank=True)
    health_after = models.CharField("health then", max_length=10, blank=True)
    negative_signals = models.PositiveIntegerField("negative signals since")
    positive_signals = models.PositiveIntegerField("positive signals since")
    value_before = models.DecimalField(max_digits=14, decimal_places=2, null=True)
    value_after = models.DecimalField("value when measured", max_digits=14, decimal_places=2, null=True)
    renewed_on = models.DateField("renewed in these days", null=True)
    churned_on = models.DateField("left in these days", null=True)
    run = models.ForeignKey(PipelineRun, models.PROTECT, related_name="+", db_index=False)
    measured_at = models.DateTimeField(default=timezone.now)
    replaced_at = models.DateTimeField("corrected by a later one", null=True)

    class Meta:
        default_permissions = ("view",)
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                condition=Q(intervention__isnull=False, assignment__isnull=True)
                | Q(intervention__isnull=True, assignment__isnull=False),
                name="journeys_measures_one_thing",
            ),
            models.UniqueConstraint(
                fields=["intervention", "checkpoint_days"],
                condition=Q(replaced_at__isnull=True),
                name="journeys_intervention_measured_once",
            ),
            models.UniqueConstraint(
                fields=["assignment", "checkpoint_days"],
                condition=Q(replaced_at__isnull=True),
                name="journeys_assignment_measured_once",
            ),
        ]
        indexes = [
            models.Index(fields=["customer", "until"], name="journeys_measured_customer"),
            models.Index(fields=["checkpoint_days", "until"], name="journeys_measured_window"),
        ]

    def __str__(self):
        return f"{self.customer_id}, {self.checkpoint_days} days after {self.since}"
