"""Rows of a portfolio that are written down one by one, without having been made by a run or a person."""

import itertools
from datetime import date, timedelta

from django.utils import timezone

from journeys.models import Assessment, Assignment, Customer, Execution, Intervention, Outcome, PipelineRun
from journeys.services.policies import in_force

AS_OF = date(2025, 1, 20)
# Of assignments, unless they say another.
DAY = date(2025, 1, 1)


def days(number: int) -> timedelta:
    return timedelta(days=number)


def run_row(**values) -> PipelineRun:
    """A run that is written down without having been made: for portfolios that are built by hand."""
    defaults = {"goal": "", "requested_by_key": "user:1", "requested_by_name": "olga", "door": "test"}
    defaults |= {"as_of": AS_OF, "policy": in_force(), "status": "succeeded", "counts": {}}
    return PipelineRun.objects.create(**defaults | values)


_numbers = itertools.count(1)


def a_customer(**values) -> Customer:
    return Customer.objects.create(**{"customer_id": f"K{next(_numbers):04}", "name": "Kestrel"} | values)


def an_assessment(run, *, customer=None, tier="medium", score=0.5, **values) -> Assessment:
    scores = dict.fromkeys(
        (
            "signal_risk",
            "friction_score",
            "churn_risk_score",
            "contribution_signals",
            "contribution_time_in_state",
            "contribution_customer_value",
            "contribution_signal_count",
            "confidence",
        ),
        0.1,
    )
    defaults = {"as_of": run.as_of, "journey_stage": "support", "days_in_state": 3, "stage_health": "healthy"}
    defaults |= {"risk_factors": ["Too quiet."], "urgency": "low", "disposition": "below_confidence"}
    return Assessment.objects.create(
        run=run,
        customer=customer or a_customer(),
        overall_risk_score=score,
        risk_tier=tier,
        **scores | defaults | values,
    )


def an_intervention(*, status="imported", customer=None, as_of=AS_OF, **values) -> Intervention:
    defaults = {"agent_name": "x", "origin": "imported", "channel": "email"}
    defaults |= {"recommended_action": "general_checkin"}
    return Intervention.objects.create(
        customer=customer or a_customer(), status=status, as_of=as_of, **defaults | values
    )


def an_execution(intervention, *, status="done", mode="live", **values) -> Execution:
    return Execution.objects.create(
        intervention=intervention,
        idempotency_key=intervention.pk,
        status=status,
        mode=mode,
        channel=intervention.channel,
        claimed_at=timezone.now(),
        **values,
    )


def an_outcome(intervention, *, outcome="resolved", measured_at=AS_OF, **values) -> Outcome:
    return Outcome.objects.create(
        outcome_id=f"o{next(_numbers)}",
        intervention=intervention,
        outcome=outcome,
        measured_at=measured_at,
        **values,
    )


def assigned(customer=None, *, arm="held_out", on=DAY, **values) -> Assignment:
    defaults = {"experiment": "first", "share": 0.1, "recommended_action": "general_checkin"}
    return Assignment.objects.create(
        customer=customer or a_customer(account_value=1000),
        arm=arm,
        assigned_on=on,
        run=run_row(as_of=on),
        risk_tier="medium",
        **defaults | values,
    )
