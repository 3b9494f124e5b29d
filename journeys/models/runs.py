"""Runs of the pipeline, what they concluded about each customer, and what did not fit."""

from datetime import timedelta

from django.db import models
from django.db.models import Q
from django.utils import timezone

from journeys.domain.vocabulary import (
    Channel,
    Disposition,
    FindingKind,
    Health,
    SuppressionReason,
    Tier,
    choices,
)
from journeys.models.customers import Customer
from journeys.models.policies import Policy

# What a run's row is heavy with, and what lists of other rows have no use for.
HEAVY = ("report", "results", "steps", "counts")
# A run that has not given a sign of life for so long counts as failed.
HEARTBEAT_LIMIT = timedelta(minutes=5)


class PipelineRunManager(models.Manager):
    """Runs that count: a dry run has a row only where somebody else waits for what came of it."""

    def get_queryset(self):
        return super().get_queryset().filter(dry_run=False)


class PipelineRun(models.Model):
    """One run: its goal and plan are written before it starts, then each step's status, counts and
    seconds. `counts` holds the figures of the run's document, `results` what it was worth. The scope
    `marked` is that of customers about whom something was received: see Mark. One of `changed_only` looks at
    those of the portfolio about whom something was received, or who are due. A run that is `spread` is
    carried out by all workers together, each taking the next RunRange; `finisher` is the token of the one
    that sums up."""

    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        CANCELLED = "cancelled"

    class Scope(models.TextChoices):
        PORTFOLIO = "portfolio"
        CUSTOMER = "customer"
        MARKED = "marked"

    status = models.CharField(max_length=10, choices=Status, default=Status.QUEUED)
    scope = models.CharField(max_length=10, choices=Scope, default=Scope.PORTFOLIO)
    customer = models.ForeignKey(Customer, models.PROTECT, null=True, blank=True, related_name="+")
    as_of = models.DateField("as of")
    policy = models.ForeignKey(Policy, models.PROTECT, related_name="runs")
    goal = models.CharField(max_length=200)
    steps = models.JSONField(default=list)
    counts = models.JSONField(default=dict)
    results = models.JSONField(default=dict)
    report = models.JSONField(null=True, blank=True)
    auto_approve_for_testing = models.BooleanField(default=False)
    dry_run = models.BooleanField(default=False)
    changed_only = models.BooleanField("only what changed", default=False)
    spread = models.BooleanField(default=False, editable=False)
    finisher = models.CharField(max_length=16, blank=True, editable=False)
    requested_by_key = models.CharField(max_length=80)
    requested_by_name = models.CharField("requested by", max_length=150)
    door = models.CharField(max_length=30)
    queued_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True)
    cancelled_at = models.DateTimeField("cancelling asked for", null=True, blank=True)
    cancelled_by = models.CharField(max_length=150, blank=True)

    objects = PipelineRunManager()
    with_dry_runs = models.Manager()  # noqa: DJ012 - a second manager is no field

    class Meta:
        ordering = ["-pk"]
        default_permissions = ("view",)
        permissions = [
            ("run_pipeline", "Can run the pipeline"),
            ("receive_report", "Gets the report of each month by mail"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["scope"],
                condition=Q(status="running", scope="portfolio", dry_run=False),
                name="journeys_one_portfolio_run",
            ),
        ]
        # Runs for what came in are many more than those over the portfolio.
        indexes = [models.Index(fields=["scope", "-id"], name="journeys_run_scope")]

    def __str__(self):
        return f"Run {self.pk}"

    @property
    def takes_stock(self) -> bool:
        """Whether it counts the portfolio as a whole; see journeys.pipeline.steps."""
        return any(step["name"] == "kpi_calculation" and step["status"] != "skipped" for step in self.steps)

    @property
    def scope_text(self) -> str:
        return f"customer:{self.customer_id}" if self.customer_id else self.scope


class RunRange(models.Model):
    """Customers of a run under way that are looked at together: from `first` to `last`, or those of `ids`; in
    the second look the policy decides those of `decided`. A worker claims it by putting its token in, and
    writes what it found in the transaction that says that it is done; who has been silent for too long finds
    another's token there. `left` are [priority, customer] pairs for the second look. The rows are gone when
    the run has ended."""

    class Status(models.TextChoices):
        WAITING = "waiting"
        CLAIMED = "claimed"
        DONE = "done"

    run = models.ForeignKey(PipelineRun, models.CASCADE, related_name="ranges", db_index=False)
    number = models.PositiveIntegerField()
    first = models.CharField(max_length=64)
    last = models.CharField(max_length=64)
    ids = models.JSONField(null=True)
    decided = models.JSONField(null=True)
    status = models.CharField(max_length=10, choices=Status, default=Status.WAITING)
    token = models.CharField(max_length=16, blank=True)
    beat_at = models.DateTimeField(null=True)
    totals = models.JSONField(null=True)
    left = models.JSONField(default=list)

    class Meta:
        default_permissions = ()
        constraints = [models.UniqueConstraint(fields=["run", "number"], name="journeys_range_once")]

    def __str__(self):
        return f"Range {self.number} of run {self.run_id}"


class _Word(models.Func):
    """A word that stands in the statement itself: SQLite takes a partial index only where it reads the
    index's condition there, and not where that is a value bound later."""

    arity = 0
    output_field = models.CharField()

    def __init__(self, word: str):
        super().__init__(template=f"'{Disposition(word)}'")


SUPPRESSED = Q(disposition=_Word(Disposition.SUPPRESSED))


class AssessmentQuerySet(models.QuerySet):
    def current(self):
        """What holds now: of each customer with an open stage the latest, which may be of an earlier run."""
        return self.filter(is_current=True)

    def suppressed(self):
        return self.filter(SUPPRESSED)


class Assessment(models.Model):
    """What a run concluded about a customer: the scores, each with what it is made of, and whether an
    intervention was proposed, suppressed or not called for, with the reason.

    A run writes one only where it concluded something else than the current one says; what days alone move
    (the days in the stage, and what follows from them in the score) is of the day that it names. `digest` is
    of what is compared, `due_on` the first day on which days alone can change the decision, and
    `held_until_run` the run that ended it: its own where it was made for a day before that of the current.

    No foreign key is checked as one is written: looking up its run and its customer, and locking them, was a
    fifth of what PostgreSQL does for a run. Nothing deletes customers, and of runs only those that wrote
    nothing and ended long ago (`retention`); whoever is assessed has a stage, whose foreign key keeps the
    customer; and `check_invariants` looks."""

    # Its index gives those of a run in the order in which they were written.
    run = models.ForeignKey(PipelineRun, models.CASCADE, related_name="assessments", db_constraint=False)
    customer = models.ForeignKey(
        Customer, models.PROTECT, related_name="assessments", db_constraint=False, db_index=False
    )
    as_of = models.DateField("as of")
    journey_stage = models.CharField(max_length=40)
    days_in_state = models.PositiveIntegerField()
    stage_health = models.CharField(max_length=10, choices=choices(Health))
    signal_risk = models.FloatField("signal risk, 0 to 1")
    friction_score = models.FloatField("friction, 0 to 1")
    overall_risk_score = models.FloatField("risk, 0 to 1")
    churn_risk_score = models.FloatField("churn risk, 0 to 1")
    contribution_signals = models.FloatField()
    contribution_time_in_state = models.FloatField()
    contribution_customer_value = models.FloatField()
    contribution_signal_count = models.FloatField()
    risk_tier = models.CharField(max_length=10, choices=choices(Tier))
    urgency = models.CharField(max_length=10, choices=choices(Tier))
    risk_factors = models.JSONField()
    confidence = models.FloatField("confidence, 0 to 1")
    recommended_action = models.CharField(max_length=60, blank=True)
    channel = models.CharField(max_length=10, blank=True, choices=choices(Channel))
    priority_score = models.FloatField("priority, 0 to 100", null=True)
    disposition = models.CharField(max_length=20, choices=choices(Disposition))
    suppression_reason = models.CharField(max_length=30, blank=True, choices=choices(SuppressionReason))
    disposition_detail = models.CharField(max_length=300, blank=True)
    is_current = models.BooleanField("holds now", default=False, editable=False)
    due_on = models.DateField("due again on", null=True, editable=False)
    digest = models.BigIntegerField(null=True, editable=False)
    held_until_run = models.BigIntegerField(null=True, editable=False)

    objects = AssessmentQuerySet.as_manager()

    class Meta:
        default_permissions = ("view",)
        constraints = [
            models.UniqueConstraint(fields=["run", "customer"], name="journeys_assessed_once_a_run"),
            models.UniqueConstraint(
                fields=["customer"], condition=Q(is_current=True), name="journeys_one_current_assessment"
            ),
        ]
        indexes = [
            models.Index(
                fields=["due_on", "customer"], condition=Q(is_current=True), name="journeys_assessment_due"
            ),
            # With the stage, so that the portfolio is counted without a look at the rows themselves.
            models.Index(
                fields=["risk_tier", "customer", "journey_stage"],
                condition=Q(is_current=True),
                name="journeys_assessment_tier",
            ),
            models.Index(fields=["customer", "-as_of", "-id"], name="journeys_assessment_history"),
            # Few of them are, and they are looked for among all: of a run by risk, and of any run by number.
            models.Index(
                fields=["run", "-overall_risk_score", "id"],
                condition=Q(disposition=Disposition.SUPPRESSED.value),
                name="journeys_suppressed_run",
            ),
            models.Index(
                fields=["id", "suppression_reason"],
                condition=Q(disposition=Disposition.SUPPRESSED.value),
                name="journeys_suppressed",
            ),
            models.Index(fields=["run", "disposition"], name="journeys_run_disposition"),
        ]

    def __str__(self):
        return f"{self.customer_id} on {self.as_of}: {self.overall_risk_score:.3f}"


class Finding(models.Model):
    """Something received that fits nowhere, kept with what came, until a person or a later run mends it.
    The same finding is made once (`digest`: of its detail and record)."""

    class Status(models.TextChoices):
        OPEN = "open"
        MENDED = "mended"
        DISMISSED = "dismissed"

    kind = models.CharField(max_length=20, choices=choices(FindingKind))
    subject = models.CharField("about", max_length=200)
    detail = models.CharField(max_length=500)
    record = models.JSONField("as received", null=True, blank=True)
    digest = models.CharField(max_length=64, editable=False)
    status = models.CharField(max_length=10, choices=Status, default=Status.OPEN)
    run = models.ForeignKey(PipelineRun, models.SET_NULL, null=True, blank=True, related_name="findings")
    found_at = models.DateTimeField(default=timezone.now)
    closed_at = models.DateTimeField(null=True, blank=True)
    closed_by = models.CharField(max_length=150, blank=True)
    note = models.CharField(max_length=300, blank=True)

    class Meta:
        default_permissions = ("view",)
        permissions = [("close_finding", "Can dismiss findings")]
        constraints = [
            models.UniqueConstraint(fields=["kind", "subject", "digest"], name="journeys_finding_once")
        ]
        indexes = [models.Index(fields=["status", "-found_at"], name="journeys_finding_status")]

    def __str__(self):
        return f"{self.get_kind_display()}: {self.subject}"


class Mark(models.Model):
    """A customer to look at again, since something about them was received. It is taken off in the
    transaction that writes what was concluded, unless something more has come: then it has another token."""

    customer_id = models.CharField(max_length=64, primary_key=True)
    token = models.CharField(max_length=16)
    marked_at = models.DateTimeField()
    claimed_until = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()
        indexes = [models.Index(fields=["marked_at"], name="journeys_mark_age")]

    def __str__(self):
        return f"{self.customer_id}, {self.marked_at:%d %b %H:%M:%S}"


class Bell(models.Model):
    """Whether a task is on its way that will look at all that waits: then nobody rings for another."""

    name = models.CharField(max_length=40, primary_key=True)
    rung = models.BooleanField(default=False)

    class Meta:
        default_permissions = ()

    def __str__(self):
        return self.name


class MadeDue(models.Model):
    """Customers whom the next run is to look at, from the transaction of what happened to them until their
    assessments say that they are due. Nobody waits for such a row: it is in nobody's way, wherever in a
    transaction it is written."""

    customer_ids = models.JSONField()
    made_at = models.DateTimeField(default=timezone.now)

    class Meta:
        default_permissions = ()

    def __str__(self):
        return f"{len(self.customer_ids)} customers, {self.made_at:%d %b %H:%M:%S}"


class PolicyAllowance(models.Model):
    """How many of a day's proposals that single events brought up the policy has decided alone."""

    day = models.DateField(primary_key=True)
    used = models.PositiveIntegerField(default=0)

    class Meta:
        default_permissions = ()

    def __str__(self):
        return f"{self.day}: {self.used}"


class Heartbeat(models.Model):
    """When a part of the system last showed that it lives."""

    name = models.CharField(max_length=40, primary_key=True)
    beat_at = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self):
        return f"{self.name}, {self.beat_at:%d %b %H:%M:%S}"


class InvariantCheck(models.Model):
    """The last look at what must always hold: one row. `breaches` are [invariant, row] pairs."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    checked_at = models.DateTimeField()
    breaches = models.JSONField(default=list)

    class Meta:
        default_permissions = ("view",)

    def __str__(self):
        return (
            f"{self.checked_at:%d %b %H:%M} UTC: {'all holds' if self.ok else f'{len(self.breaches)} broken'}"
        )

    @property
    def ok(self) -> bool:
        return not self.breaches
