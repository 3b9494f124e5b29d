"""A customer's score over time, and what moved it. Reads only."""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple

from approvals import shown
from approvals.models import AuditEvent
from journeys import score_chart
from journeys.domain.against import polarity
from journeys.domain.policy import PolicyDocument
from journeys.domain.vocabulary import Polarity, phrase
from journeys.models import Assessment, Customer, JourneyState, PipelineRun, Signal
from journeys.score_moves import Happening, Move, Point, moves

# The last so many conclusions and signals are looked back on.
ASSESSMENTS, SIGNALS = 60, 200
_DIRECTIONS = {Polarity.NEGATIVE: "up", Polarity.POSITIVE: "down", Polarity.NEUTRAL: ""}
_BACK = {"up": "down", "down": "up", "": ""}


class ScoreHistory(NamedTuple):
    """`chart` is None where there is nothing to draw yet; `steps` are latest first. `unchanged_until` is the
    day of the last run where the latest conclusion is of an earlier one, and still holds."""

    latest: Assessment | None
    chart: score_chart.ScoreChart | None
    steps: list[Move]
    unchanged_until: date | None = None


def of(customer: Customer, rules: PolicyDocument) -> ScoreHistory:
    rows = list(
        customer.assessments.select_related("run")
        .defer("run__report", "run__steps", "run__counts", "run__error")
        .order_by("-as_of", "-id")[:ASSESSMENTS]
    )
    if not rows:
        return ScoreHistory(None, None, [])
    points = [_point(row) for row in rows]
    steps = moves(points, list(_happenings(customer, rules)))
    tiers = rules.risk.tier
    latest, last_run = rows[0], _last_run_on()
    until = last_run if last_run and latest.is_current else latest.as_of
    chart = score_chart.draw(points, steps, medium=tiers.medium, high=tiers.high, until=until)
    return ScoreHistory(latest, chart, steps[::-1], until if until > latest.as_of else None)


def contributions_of(assessment: Assessment) -> dict[str, float]:
    names = ("signals", "time_in_state", "customer_value", "signal_count")
    return {name: getattr(assessment, f"contribution_{name}") for name in names}


def _point(row: Assessment) -> Point:
    return Point(
        row.as_of,
        row.run.started_at or row.run.queued_at,
        row.overall_risk_score,
        row.risk_tier,
        contributions_of(row),
    )


def _last_run_on() -> date | None:
    """Up to this day the last conclusion holds: a run keeps only what changed."""
    runs = PipelineRun.objects.filter(scope=PipelineRun.Scope.PORTFOLIO, status=PipelineRun.Status.SUCCEEDED)
    return runs.order_by("-pk").values_list("as_of", flat=True).first()


def _happenings(customer: Customer, rules: PolicyDocument) -> Iterator[Happening]:
    signals = list(customer.signals.order_by("-detected_at", "-signal_id")[:SIGNALS])
    linked = linked_at(customer.pk, [signal.pk for signal in signals if signal.received_for])
    for signal in signals:
        yield from _of_signal(signal, linked.get(signal.pk, signal.received_at), rules)
    yield from _of_stages(customer.journey_states.order_by("state_entered_at", "pk"))


def linked_at(customer_id: str, signal_ids: list[str]) -> dict[str, datetime]:
    """When a person linked those that had come for nobody: from then on they count."""
    if not signal_ids:
        return {}
    events = AuditEvent.objects.filter(
        concerning=customer_id, word="signal.linked", subject_key__in=signal_ids
    )
    return dict(events.values_list("subject_key", "at"))


def _of_signal(signal: Signal, known_at: datetime, rules: PolicyDocument) -> Iterator[Happening]:
    """That it counts, and that it no longer does."""
    window, day = rules.signals, signal.detected_at.astimezone(UTC).date()
    says = _DIRECTIONS[polarity(signal.signal_type, rules)]
    text = f"{phrase(signal.signal_type)} {shown.score(signal.signal_strength)}"
    first, ended = day - timedelta(days=window.days_ahead), day + timedelta(days=window.days_back + 1)
    yield Happening(first, known_at, text, says, signal.signal_strength)
    gone = f"{text} no longer counts, after {window.days_back} days"
    at = max(known_at, datetime.combine(ended, time(), UTC))
    yield Happening(ended, at, gone, _BACK[says], signal.signal_strength)


def _of_stages(states: Iterable[JourneyState]) -> Iterator[Happening]:
    for number, state in enumerate(states):
        verb = "moved to" if number else "entered"
        text = f"{verb} {phrase(state.journey_stage)}"
        yield Happening(state.state_entered_at, state.received_at, text, "", 1.0)
