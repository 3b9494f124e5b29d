"""What is to be learnt from before: the last score, and what came of what was done alike. Reads only."""

from datetime import date, datetime, timedelta
from typing import NamedTuple

from approvals import shown
from approvals.models import ApprovalRequest
from approvals.rules import Proposer
from journeys import cases
from journeys.domain.policy import PolicyDocument
from journeys.domain.precedents import Done, Precedents, precedents
from journeys.domain.shift import Scored, Shift, shift
from journeys.domain.signals import SignalFact
from journeys.domain.vocabulary import Channel, ExecutionMode, InterventionStatus
from journeys.models import Assessment, Intervention, Outcome, Signal
from journeys.score_history import contributions_of, linked_at
from journeys.services.proposals import PIPELINE

# Of the latest so many that were done with an action, so many of a segment are summed up: the look is bounded
# where a segment is rare.
LOOKED_AT, ALIKE = 300, 10


def since_last_score(
    intervention: Intervention, request: ApprovalRequest, signals: list[SignalFact], rules: PolicyDocument
) -> Shift | None:
    """What moved the score that a request rests on since the run before; None where there is none."""
    last, on = _scores(intervention, request)
    if last is None:
        return None
    told = request.evidence
    now = Scored(
        on=on,
        overall=told["overall_risk_score"],
        contributions=shown.adding_up(told["contributions"]),
        stage=told["stage"],
        days_in_state=told["days_in_state"],
        signals=signals,
        policy=request.policy,
    )
    before = Scored(
        on=last.as_of,
        overall=last.overall_risk_score,
        contributions=shown.adding_up(contributions_of(last)),
        stage=last.journey_stage,
        days_in_state=last.days_in_state,
        signals=_signals_then(last),
        policy=str(last.run.policy),
    )
    return shift(before, now, rules)


def _scores(intervention: Intervention, request: ApprovalRequest) -> tuple[Assessment | None, date]:
    """The assessment before the one that the request rests on, and that one's day. A person's proposal is
    scored without a run; a request that was brought up to date rests on a later run than its first."""
    then = _scored_at(request)
    rows = Assessment.objects.filter(customer_id=intervention.customer_id, run__started_at__lte=then)
    on = intervention.as_of
    if request.proposer == Proposer.MACHINE:
        resting_on = rows.filter(run_id=intervention.run_id)
        if then != request.requested_at:
            resting_on = rows.order_by("-pk")
        if current := resting_on.first():
            on = current.as_of
            rows = rows.exclude(pk=current.pk)
    rows = rows.filter(as_of__lte=on).select_related("run__policy")
    return rows.order_by("-as_of", "-id").first(), on


def _scored_at(request: ApprovalRequest) -> datetime:
    if request.revision == 1:
        return request.requested_at
    by_runs = request.revisions.filter(replaced_by_key=PIPELINE.key)
    return by_runs.order_by("-number").values_list("replaced_at", flat=True).first() or request.requested_at


def _signals_then(last: Assessment) -> list[SignalFact]:
    """The signals that were in force on that day and had arrived when the run began; one that had come for
    nobody, when a person linked it."""
    since, until = cases.window(last.as_of, last.run.policy.rules)
    rows = Signal.objects.filter(customer_id=last.customer_id, detected_at__gte=since, detected_at__lt=until)
    known_at = {row.pk: row.received_at for row in rows}
    known_at |= linked_at(last.customer_id, [row.pk for row in rows if row.received_for])
    return [
        SignalFact(row.pk, row.signal_type, row.signal_strength, row.detected_at.date())
        for row in rows
        if known_at[row.pk] <= last.run.started_at
    ]


class _Row(NamedTuple):
    pk: str
    status: str
    as_of: date
    generated_at: datetime
    ended_at: datetime | None
    customer__segment: str
    execution__mode: str | None


def done_alike(intervention: Intervention, segment: str) -> Precedents:
    """What came of the last ten that were done with this action in this segment: carried out, recorded where
    nothing is to be sent, or imported."""
    done = (
        InterventionStatus.RECORDED if intervention.channel == Channel.NONE else InterventionStatus.EXECUTED
    )
    rows = [
        row
        for status in (done, InterventionStatus.IMPORTED)
        for row in _latest(intervention.recommended_action, status)
        if row.pk != intervention.pk and row.customer__segment == segment
    ]
    rows = sorted(rows, key=lambda row: (row.generated_at, row.pk), reverse=True)[:ALIKE]
    outcomes = Outcome.objects.filter(intervention__in=[row.pk for row in rows])
    latest = {row.intervention_id: row for row in outcomes.order_by("measured_at", "recorded_at", "pk")}
    return precedents([_done(row, latest.get(row.pk)) for row in rows])


def _latest(action: str, status: str) -> list[_Row]:
    """By an index on exactly this, however many there are."""
    rows = Intervention.objects.filter(recommended_action=action, status=status).order_by("-generated_at")
    return [_Row(*row) for row in rows.values_list(*_Row._fields)[:LOOKED_AT]]


def _done(row: _Row, outcome: Outcome | None) -> Done:
    lapse = row.ended_at - row.generated_at if row.ended_at else timedelta(0)
    return Done(
        row.as_of + lapse,
        outcome and outcome.outcome,
        outcome and outcome.resolution_time_days,
        (row.status, row.execution__mode) == (InterventionStatus.EXECUTED, ExecutionMode.RECORD_ONLY),
    )
