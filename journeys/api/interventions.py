"""Interventions, how they were carried out, and what came of them."""

import django_filters
from rest_framework import serializers

from approvals.api.auth import Need
from approvals.api.filters import Id, Is, OneOf
from approvals.api.paging import Order
from approvals.api.serializers import AsItCame, Shown
from approvals.api.views import NumberedRows, Rows
from journeys.api import enums
from journeys.api.receiving import RECEIVED, receives, sends
from journeys.models import Execution, Intervention, Outcome
from journeys.records import OutcomeRecord


class InterventionOut(Shown):
    journey_stage = AsItCame(enums.STAGE)
    recommended_action = AsItCame(enums.ACTION)
    customer_id = serializers.CharField()
    run_id = serializers.IntegerField(allow_null=True)
    person_reasons = serializers.ListField(child=serializers.CharField(), help_text="Why a person decides.")
    reasons = serializers.ListField(child=serializers.CharField())
    triggered_by_signals = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = Intervention
        fields = (
            "intervention_id", "customer_id", "agent_name", "origin", "run_id", "journey_stage",
            "recommended_action", "channel", "recipient", "status", "authority", "confidence", "risk_score",
            "risk_tier", "priority_score", "requires_human_approval", "person_reasons", "reasons",
            "triggered_by_signals", "evaluation_latency_ms", "as_of", "generated_at", "edited", "not_before",
            "ended_at",
        )  # fmt: skip


class InterventionFilters(django_filters.FilterSet):
    intervention_id = Is()
    customer_id = Is()
    status = OneOf(choices=Intervention._meta.get_field("status").choices)
    run_id = Id()


class Interventions(Rows):
    """Interventions, the latest first; those of one run by priority, the highest first."""

    noun = "intervention"
    needs = dict.fromkeys(
        ("list", "retrieve"), Need(scope="interventions:read", permissions=("journeys.view_intervention",))
    )
    queryset = Intervention.objects.all()
    serializer_class = InterventionOut
    filterset_class = InterventionFilters
    lookup_field = "intervention_id"
    orders = (
        # Never null here: what a run proposes has a priority.
        Order("-priority_score", ("-priority_score", "intervention_id"), given=("run_id",)),
        Order("-generated_at", ("-generated_at", "-intervention_id")),
        Order("generated_at", ("generated_at", "intervention_id")),
    )


class ExecutionOut(Shown):
    intervention_id = serializers.CharField()

    class Meta:
        model = Execution
        fields = (
            "id", "intervention_id", "status", "mode", "channel", "attempts", "claimed_at", "retry_at",
            "finished_at", "detail", "assignee", "due_at",
        )  # fmt: skip


class ExecutionFilters(django_filters.FilterSet):
    intervention_id = Is()
    status = OneOf(choices=Execution._meta.get_field("status").choices)


class Executions(NumberedRows):
    """How interventions were carried out, one row each, the latest first."""

    noun = "execution"
    needs = dict.fromkeys(
        ("list", "retrieve"), Need(scope="interventions:read", permissions=("journeys.view_execution",))
    )
    queryset = Execution.objects.all()
    serializer_class = ExecutionOut
    filterset_class = ExecutionFilters
    orders = (
        Order("-claimed_at", ("-claimed_at", "-id"), given=("status",)),
        Order("-id", ("-id",)),
        Order("id", ("id",)),
    )


class OutcomeOut(Shown):
    intervention_id = serializers.CharField()
    outcome = AsItCame(enums.OUTCOME_KIND)

    class Meta:
        model = Outcome
        fields = (
            "outcome_id", "intervention_id", "outcome", "resolution_time_days", "csat_delta",
            "churn_risk_delta", "estimated_revenue_saved", "human_override", "measured_at", "recorded_by",
            "recorded_at",
        )  # fmt: skip


class OutcomeFilters(django_filters.FilterSet):
    outcome_id = Is()
    intervention_id = Is()
    outcome = OneOf(choices=Outcome._meta.get_field("outcome").choices)


@receives(OutcomeRecord, RECEIVED[OutcomeRecord])
class Outcomes(Rows):
    """What came of interventions, the last recorded first. Null where nobody measured it."""

    noun = "outcome"
    needs = dict.fromkeys(
        ("list", "retrieve"), Need(scope="outcomes:read", permissions=("journeys.view_outcome",))
    ) | sends(Need(scope="outcomes:write", permissions=("journeys.record_outcome",)))
    queryset = Outcome.objects.all()
    serializer_class = OutcomeOut
    filterset_class = OutcomeFilters
    lookup_field = "outcome_id"
    orders = (
        Order("-recorded_at", ("-recorded_at", "-outcome_id")),
        Order("recorded_at", ("recorded_at", "outcome_id")),
    )
