"""Portfolios that are written down row by row, with the runs that assessed them."""

import itertools
from datetime import date

from django.utils import timezone

from journeys.models import (
    Assessment,
    Customer,
    Execution,
    Intervention,
    Outcome,
    PipelineRun,
    PortfolioSnapshot,
)
from journeys.reports import snapshots
from journeys.services.policies import in_force

AS_OF = date(2025, 3, 10)
_SCORES = ("signal_risk", "friction_score", "churn_risk_score", "confidence")
_PARTS = ("signals", "time_in_state", "customer_value", "signal_count")
_numbers = itertools.count(1)


def a_customer(customer_id: str = "", **values) -> Customer:
    return Customer.objects.create(customer_id=customer_id or f"K{next(_numbers):05}", **values)


def a_run(as_of: date = AS_OF, **values) -> PipelineRun:
    told = {"goal": "", "requested_by_key": "user:1", "requested_by_name": "olga", "door": "test"}
    return PipelineRun.objects.create(
        as_of=as_of, policy=in_force(), finished_at=timezone.now(), **{"status": "succeeded"} | told | values
    )


def assess(run: PipelineRun, tiers: dict[Customer, str], stage: str = "support", **values) -> None:
    """The run's conclusions: a tier for each customer. `stage` and the scores are the same for all."""
    scores = dict.fromkeys(_SCORES, 0.1) | {f"contribution_{name}": 0.1 for name in _PARTS}
    defaults = {"overall_risk_score": 0.5, "days_in_state": 3, "stage_health": "healthy", "urgency": "low"}
    defaults |= {"risk_factors": [], "disposition": "below_confidence", "journey_stage": stage}
    Assessment.objects.bulk_create(
        Assessment(run=run, customer=customer, as_of=run.as_of, risk_tier=tier, **scores | defaults | values)
        for customer, tier in tiers.items()
    )


def finish(run: PipelineRun) -> PortfolioSnapshot:
    """What the pipeline does: from here on the run's conclusions hold, and those of earlier days do not; of
    customers whom a run of a later day has assessed, that one's hold."""
    mine, current = Assessment.objects.filter(run=run), Assessment.objects.current()
    later = list(current.filter(as_of__gt=run.as_of).values_list("customer", flat=True))
    former = current.filter(as_of__lte=run.as_of).exclude(run=run)
    former.update(is_current=False, held_until_run=run.pk)
    mine.exclude(customer__in=later).update(is_current=True)
    mine.filter(customer__in=later).update(held_until_run=run.pk)
    return PortfolioSnapshot.objects.create(run=run, **snapshots.collect(run, snapshots.count(run)))


def carried_out(customer: Customer, *, tier: str = "high", as_of: date = AS_OF, **values) -> Intervention:
    defaults = {"agent_name": "x", "origin": "machine", "channel": "email", "status": "executed"}
    defaults |= {"recommended_action": "general_checkin"}
    return Intervention.objects.create(customer=customer, as_of=as_of, risk_tier=tier, **defaults | values)


def record_only(intervention: Intervention) -> None:
    Execution.objects.create(
        intervention=intervention,
        idempotency_key=intervention.pk,
        status="done",
        mode="record_only",
        channel=intervention.channel,
        claimed_at=timezone.now(),
    )


def an_outcome(intervention: Intervention, outcome: str = "resolved", measured_at: date = AS_OF) -> None:
    Outcome.objects.create(
        outcome_id=f"o{next(_numbers)}", intervention=intervention, outcome=outcome, measured_at=measured_at
    )
