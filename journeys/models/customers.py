"""Who the customers are, which stage each is in, and what was noticed about them."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Lower, StrIndex, Substr
from django.utils import timezone

from journeys.domain.vocabulary import Segment, SignalSource, Stage, Tier, choices


class Customer(models.Model):
    """The id is the outside world's, kept as it came. Unknown is null, never 0."""

    customer_id = models.CharField("customer", max_length=64, primary_key=True)
    name = models.CharField(max_length=200, blank=True)
    email = models.EmailField("address", blank=True)
    # Kept by the database, so that whose a domain is can be asked of an index.
    email_domain = models.GeneratedField(
        expression=Lower(Substr("email", StrIndex("email", Value("@")) + 1)),
        output_field=models.CharField(max_length=254),
        db_persist=True,
    )
    owner = models.CharField(
        "account owner", max_length=150, blank=True, help_text="The user name of the owner."
    )
    segment = models.CharField(max_length=40, blank=True, choices=choices(Segment))
    account_value = models.DecimalField(
        "value a year", max_digits=14, decimal_places=2, null=True, blank=True
    )
    currency = models.CharField(max_length=3, default="USD")
    tenure_months = models.PositiveIntegerField("months as a customer", null=True, blank=True)
    risk_tier = models.CharField("declared tier", max_length=10, blank=True, choices=choices(Tier))
    do_not_contact = models.BooleanField(default=False)
    hold_until = models.DateField("leave alone until", null=True, blank=True)
    hold_reason = models.CharField(max_length=200, blank=True)
    renewal_date = models.DateField(null=True, blank=True)
    renewed_on = models.DateField(null=True, blank=True)
    churned_on = models.DateField(null=True, blank=True)
    received_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(account_value__isnull=True) | Q(account_value__gte=0),
                name="journeys_value_not_negative",
            ),
        ]
        indexes = [
            models.Index(fields=["email"], name="journeys_customer_email"),
            models.Index(fields=["owner", "customer_id"], name="journeys_customer_owner"),
            # Few have left, and whether anybody has is asked of all.
            models.Index(
                fields=["churned_on"],
                condition=Q(churned_on__isnull=False),
                name="journeys_customer_churned",
            ),
            models.Index(fields=["email_domain"], name="journeys_customer_domain"),
            # For names that begin with something, whatever the order of letters in the database.
            models.Index(fields=["name"], opclasses=["varchar_pattern_ops"], name="journeys_customer_name"),
        ]

    def __str__(self):
        return self.name or self.customer_id


class JourneyStateManager(models.Manager):
    def get_by_natural_key(self, customer_id, journey_stage, state_entered_at):
        return self.get(
            customer_id=customer_id, journey_stage=journey_stage, state_entered_at=state_entered_at
        )


class JourneyState(models.Model):
    """A log of the stages; one state per customer is open (`left_on` is null)."""

    customer = models.ForeignKey(Customer, models.PROTECT, related_name="journey_states")
    journey_stage = models.CharField(max_length=40, choices=choices(Stage))
    state_entered_at = models.DateField("entered on")
    days_in_state = models.PositiveIntegerField(
        "days, as recorded",
        null=True,
        blank=True,
        help_text="What the source said; the derived figure is used.",
    )
    previous_stage = models.CharField(max_length=40, blank=True, choices=choices(Stage))
    left_on = models.DateField(null=True, blank=True)
    days_checked = models.BooleanField(default=False, editable=False)
    received_at = models.DateTimeField(default=timezone.now, editable=False)

    objects = JourneyStateManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["customer"], condition=Q(left_on__isnull=True), name="journeys_one_open_state"
            ),
            models.UniqueConstraint(
                fields=["customer", "journey_stage", "state_entered_at"], name="journeys_state_once"
            ),
            models.CheckConstraint(
                condition=Q(left_on__isnull=True) | Q(left_on__gte=F("state_entered_at")),
                name="journeys_left_after_entered",
            ),
        ]
        ordering = ["state_entered_at", "pk"]

    def __str__(self):
        return f"{self.customer_id} in {self.journey_stage} since {self.state_entered_at}"

    def natural_key(self):
        return self.customer_id, self.journey_stage, self.state_entered_at

    natural_key.dependencies = ["journeys.customer"]


class SignalQuerySet(models.QuerySet):
    def orphaned(self):
        return self.filter(~models.Exists(Customer.objects.filter(pk=models.OuterRef("customer_id"))))


class Signal(models.Model):
    """Something noticed about a customer. The customer may be unknown yet: the signal is kept under the
    id that it came with, and belongs to the customer once that arrives. `received_for` is that id where a
    person has linked the signal to another customer since, else empty."""

    signal_id = models.CharField("signal", max_length=64, primary_key=True)
    customer = models.ForeignKey(
        Customer, models.DO_NOTHING, related_name="signals", db_constraint=False, db_index=False
    )
    signal_type = models.CharField("kind", max_length=60)
    signal_strength = models.FloatField(
        "strength, 0 to 1", validators=[MinValueValidator(0.0), MaxValueValidator(1.0)]
    )
    detected_at = models.DateTimeField()
    journey_stage = models.CharField(max_length=40, blank=True)
    source = models.CharField(
        max_length=20, default=SignalSource.AUTOMATED.value, choices=choices(SignalSource)
    )
    received_at = models.DateTimeField(default=timezone.now, editable=False)
    received_for = models.CharField(max_length=64, blank=True, default="", db_default="", editable=False)

    objects = SignalQuerySet.as_manager()

    class Meta:
        permissions = [("link_signal", "Can link a signal of an unknown customer to a known one")]
        constraints = [
            models.CheckConstraint(
                condition=Q(signal_strength__gte=0.0, signal_strength__lte=1.0),
                name="journeys_strength_in_range",
            ),
        ]
        # Covers what a run reads, in the order in which it reads it.
        indexes = [
            models.Index(
                fields=["customer", "detected_at", "signal_id", "signal_type", "signal_strength"],
                name="journeys_signal_range",
            ),
        ]

    def __str__(self):
        return f"{self.signal_id}: {self.signal_type} {self.signal_strength:g}"
