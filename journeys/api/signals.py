"""Signals, and what runs made of them: assessments, suppressions."""

import django_filters
from rest_framework import serializers

from approvals.api.auth import Need
from approvals.api.filters import Id, Is, OneOf
from approvals.api.paging import Order
from approvals.api.serializers import AsItCame, Cut, Shown
from approvals.api.views import NumberedRows, Rows
from journeys.api import enums
from journeys.api.receiving import RECEIVED, receives, sends
from journeys.domain.vocabulary import Disposition
from journeys.models import Assessment, Signal
from journeys.records import SignalRecord

ASSESSMENTS = dict.fromkeys(
    ("list", "retrieve"), Need(scope="assessments:read", permissions=("journeys.view_assessment",))
)


class SignalOut(Shown):
    customer_id = serializers.CharField(help_text="Kept as it came, known or not.")
    journey_stage = AsItCame(enums.STAGE)
    source = AsItCame(enums.SIGNAL_SOURCE)

    class Meta:
        model = Signal
        fields = (
            "signal_id", "customer_id", "signal_type", "signal_strength", "detected_at", "journey_stage",
            "source", "received_at",
        )  # fmt: skip


class SignalFilters(django_filters.FilterSet):
    signal_id = Is()
    customer_id = Is()


@receives(SignalRecord, RECEIVED[SignalRecord])
class Signals(Rows):
    """Signals; those of one customer the latest first."""

    noun = "signal"
    needs = dict.fromkeys(
        ("list", "retrieve"), Need(scope="signals:read", permissions=("journeys.view_signal",))
    ) | sends(Need(scope="signals:write", permissions=("journeys.add_signal",)))
    queryset = Signal.objects.all()
    serializer_class = SignalOut
    filterset_class = SignalFilters
    lookup_field = "signal_id"
    orders = (
        Order("-detected_at", ("-detected_at", "-signal_id"), given=("customer_id",)),
        Order("detected_at", ("detected_at", "signal_id"), given=("customer_id",)),
        Order("signal_id", ("signal_id",)),
        Order("-signal_id", ("-signal_id",)),
    )


class Contributions(Cut):
    """What the overall risk score is the sum of."""

    signals = serializers.FloatField(source="contribution_signals")
    time_in_state = serializers.FloatField(source="contribution_time_in_state")
    customer_value = serializers.FloatField(source="contribution_customer_value")
    signal_count = serializers.FloatField(source="contribution_signal_count")


class AssessmentOut(Shown):
    run_id = serializers.IntegerField()
    customer_id = serializers.CharField()
    contributions = Contributions(source="*")
    is_current = serializers.BooleanField(help_text="Whether it holds now: one of each customer does.")
    due_on = serializers.DateField(
        allow_null=True,
        help_text="The day on which it is looked at again though nothing is received; null: none.",
    )
    risk_factors = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = Assessment
        fields = (
            "id", "run_id", "customer_id", "as_of", "journey_stage", "days_in_state", "stage_health",
            "signal_risk", "friction_score", "overall_risk_score", "churn_risk_score", "contributions",
            "risk_tier", "urgency", "risk_factors", "confidence", "recommended_action", "channel",
            "priority_score", "disposition", "suppression_reason", "disposition_detail", "is_current",
            "due_on",
        )  # fmt: skip


class SuppressedFilters(django_filters.FilterSet):
    run_id = Id()
    customer_id = Is()
    suppression_reason = OneOf(choices=Assessment._meta.get_field("suppression_reason").choices)


class AssessmentFilters(django_filters.FilterSet):
    run_id = Id()
    customer_id = Is()
    is_current = django_filters.BooleanFilter()
    disposition = OneOf(choices=Assessment._meta.get_field("disposition").choices, method="of_disposition")
    risk_tier = OneOf(choices=Assessment._meta.get_field("risk_tier").choices)

    def of_disposition(self, rows, name, value):
        return rows.suppressed() if value == Disposition.SUPPRESSED else rows.filter(disposition=value)


class Assessments(NumberedRows):
    """What runs concluded: of one run by customer, of one customer the latest first. A run keeps only what is
    other than what held before: with `is_current=true` it is what holds of each customer by now."""

    noun = "assessment"
    needs = ASSESSMENTS
    queryset = Assessment.objects.all()
    serializer_class = AssessmentOut
    filterset_class = AssessmentFilters
    orders = (
        Order("customer_id", ("customer_id", "id"), given=("run_id",)),
        Order("-as_of", ("-as_of", "-id"), given=("customer_id",)),
        Order("-id", ("-id",)),
        Order("id", ("id",)),
    )


class SuppressedOut(Shown):
    run_id = serializers.IntegerField()
    customer_id = serializers.CharField()
    detail = serializers.CharField(source="disposition_detail", help_text="Why, for a person.")

    class Meta:
        model = Assessment
        fields = (
            "id", "run_id", "customer_id", "as_of", "recommended_action", "channel", "priority_score",
            "risk_tier", "suppression_reason", "detail",
        )  # fmt: skip


class Suppressed(NumberedRows):
    """What was called for and not proposed, with the reason why."""

    noun = "suppressed"
    needs = ASSESSMENTS
    queryset = Assessment.objects.suppressed()
    serializer_class = SuppressedOut
    filterset_class = SuppressedFilters
    orders = Assessments.orders
