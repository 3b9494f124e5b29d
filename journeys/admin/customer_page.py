"""What a customer's page shows."""

from urllib.parse import urlencode

from django.urls import reverse

from approvals import shown
from approvals.addresses import trail_url
from approvals.models import AuditEvent
from journeys import charts, score_history, story
from journeys.domain.against import polarity
from journeys.models import Customer
from journeys.score_history import contributions_of
from journeys.score_moves import Move
from journeys.services.policies import in_force
from journeys.services.wishes import wish_of

# Of long lists the page shows so many, and leads to the rest.
LINES, STEPS, SIGNALS, INTERVENTIONS, EVENTS = 8, 20, 10, 10, 8


def context(customer: Customer) -> dict:
    rules = in_force().rules
    told = score_history.of(customer, rules)
    interventions = customer.interventions.select_related("execution")
    under_way = interventions.open().first()
    past = interventions.exclude(pk=under_way.pk if under_way else "").prefetch_related("outcomes")
    past = list(past.order_by("-as_of", "-generated_at")[: INTERVENTIONS + 1])
    stands = story.fates([*past, under_way] if under_way else past)
    lines = story.why_not_contacted(customer)
    signals = list(customer.signals.order_by("-detected_at", "-signal_id")[: SIGNALS + 1])
    stays = list(customer.journey_states.order_by("-state_entered_at", "-pk"))
    events = AuditEvent.objects.filter(concerning=customer.pk).select_related("detail")
    return {
        "under_way": under_way,
        "fate": stands[under_way.pk] if under_way else None,
        "awaited": story.awaited(under_way) if under_way else None,
        "latest": told.latest,
        "unchanged_until": told.unchanged_until,
        "bar": charts.score_bar(contributions_of(told.latest)) if told.latest else (),
        "chart": told.chart,
        "steps": [_step(step) for step in told.steps[:STEPS]],
        "lines": lines[:LINES],
        "more_lines": len(lines) > LINES,
        "runs_looked_at": story.RUNS,
        "past": [(item, stands[item.pk]) for item in past[:INTERVENTIONS]],
        "more_interventions": len(past) > INTERVENTIONS,
        "signals": [(signal, polarity(signal.signal_type, rules)) for signal in signals[:SIGNALS]],
        "more_signals": len(signals) > SIGNALS,
        "stays": stays,
        "stage": next((stay for stay in stays if stay.left_on is None), None),
        "wish": wish_of(customer),
        "events": events.order_by("-sequence")[:EVENTS],
        "all": {name: _all_of(name, customer) for name in ("assessment", "intervention", "signal")},
        "trail": trail_url(concerning=customer.pk),
    }


def _all_of(model: str, customer: Customer) -> str:
    return f"{reverse(f'admin:journeys_{model}_changelist')}?{urlencode({'q': customer.pk})}"


def _step(step: Move) -> dict:
    """A row of the table that says what the chart shows."""
    return {
        "since": step.since,
        "until": step.until,
        "before": step.before,
        "after": step.after,
        "change": _signed(step.change),
        "parts": [f"{label} {_signed(change)}" for label, change in step.parts],
        "happenings": [happening.text for happening in step.happenings],
    }


def _signed(change: float) -> str:
    if abs(change) < 0.0005:
        return "±0"
    return f"{'+' if change > 0 else '−'}{shown.score(abs(change), 3)}"
