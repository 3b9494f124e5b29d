"""The rows behind each KPI that is counted row by row: the figure is their sum, and a page lists them."""

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, time, timedelta
from typing import NamedTuple

from django.db.models import Min

from approvals.rules import Authority, Status, Verdict
from journeys.batches import in_batches
from journeys.domain.holdout import Arm
from journeys.domain.vocabulary import Health, InterventionStatus, Origin, OutcomeKind
from journeys.models import Intervention, Measurement, Outcome, PipelineRun, Signal
from journeys.reports.worth.scope import Scope

_AT_ONCE = 1000


class Row(NamedTuple):
    """One row of the denominator: its key, of the kind that the KPI names, and what it adds to the
    numerator."""

    key: str | int
    part: float


def _runs_finished(scope: Scope) -> Iterator[Row]:
    ended = PipelineRun.objects.filter(
        scope=PipelineRun.Scope.PORTFOLIO,
        as_of__gt=scope.since,
        as_of__lte=scope.until,
        status__in=[PipelineRun.Status.SUCCEEDED, PipelineRun.Status.FAILED],
    ).exclude(pk=scope.run.pk)
    for pk, status in ended.order_by("-pk").values_list("pk", "status").iterator():
        yield Row(pk, status == PipelineRun.Status.SUCCEEDED)
    # It counts its own success: where it fails after this, nobody will read the figure.
    yield Row(scope.run.pk, 1)


def _signal_to_queue(scope: Scope) -> Iterator[Row]:
    proposed = scope.proposed.filter(origin=Origin.MACHINE).order_by("pk")
    rows = proposed.values_list("pk", "generated_at", "triggered_by_signals").iterator()
    for chunk in in_batches(rows, _AT_ONCE):
        signals = {key for *_, keys in chunk for key in keys}
        arrived = dict(Signal.objects.filter(pk__in=signals).values_list("pk", "received_at"))
        for pk, at, keys in chunk:
            # What arrived after it was proposed is not what it waited for.
            before = [arrived[key] for key in keys if key in arrived and arrived[key] <= at]
            if before:
                yield Row(pk, (at - max(before)).total_seconds() / 3600)


def _escalated(scope: Scope) -> Iterator[Row]:
    rows = scope.proposed.filter(origin=Origin.MACHINE).order_by("pk")
    for pk, needed in rows.values_list("pk", "requires_human_approval").iterator():
        yield Row(pk, needed)


def _overridden(scope: Scope) -> Iterator[Row]:
    rows = scope.requests.filter(ending__authority=Authority.PERSON)
    for pk, verdict, editors in rows.values_list("subject_key", "ending__verdict", "editors").iterator():
        yield Row(pk, verdict == Verdict.REJECTED or bool(editors))


def _expired(scope: Scope) -> Iterator[Row]:
    rows = scope.requests.exclude(status__in=[Status.PENDING, Status.SUPERSEDED])
    for pk, status, verdict in rows.values_list("subject_key", "status", "ending__verdict").iterator():
        if verdict or status == Status.EXPIRED:
            yield Row(pk, not verdict)


def _time_to_decide(scope: Scope) -> Iterator[Row]:
    rows = scope.requests.filter(ending__authority=Authority.PERSON)
    for pk, asked, decided in rows.values_list(
        "subject_key", "requested_at", "ending__decided_at"
    ).iterator():
        yield Row(pk, (decided - asked).total_seconds() / 3600)


def latest_outcomes(interventions, *fields: str, until) -> Iterator[tuple]:
    """(intervention, fields) of the outcome that counts of each: the latest measured by then."""
    rows = Outcome.objects.filter(intervention__in=interventions.values("pk"), measured_at__lte=until)
    ordered = rows.order_by("intervention_id", "measured_at", "recorded_at", "pk")
    last = None
    for row in ordered.values_list("intervention_id", *fields).iterator():
        if last is not None and last[0] != row[0]:
            yield last
        last = row
    if last is not None:
        yield last


def _time_to_resolution(scope: Scope) -> Iterator[Row]:
    for pk, days in latest_outcomes(scope.done, "resolution_time_days", until=scope.until):
        if days is not None:
            yield Row(pk, days)


def _resolved(scope: Scope) -> Iterator[Row]:
    for pk, outcome in latest_outcomes(scope.done, "outcome", until=scope.until):
        yield Row(pk, outcome == OutcomeKind.RESOLVED)


def _repeated(scope: Scope) -> Iterator[Row]:
    """Two windows are read: the one in which the first of two was done, and the days that follow."""
    days = scope.rules.kpis.repeat_days
    earlier = scope.earlier(days)
    done = Intervention.objects.filter(
        status__in=(InterventionStatus.EXECUTED, InterventionStatus.RECORDED, InterventionStatus.IMPORTED),
        as_of__gt=earlier["as_of__gt"],
        as_of__lte=scope.until,
    ).order_by("customer_id", "-as_of", "-pk")
    following = None
    for pk, customer, day in done.values_list("pk", "customer_id", "as_of").iterator():
        same = following is not None and following[0] == customer
        if day <= earlier["as_of__lte"]:
            yield Row(pk, same and following[1] <= day + timedelta(days=days))
        following = customer, day


def _proactive(scope: Scope) -> Iterator[Row]:
    first_day = scope.since - timedelta(days=scope.rules.signals.days_back)
    tickets = Signal.objects.filter(
        signal_type__in=scope.rules.kpis.ticket_signals,
        detected_at__gte=datetime.combine(first_day, time(0, tzinfo=UTC)),
        customer_id__in=scope.done.values("customer_id"),
    )
    first = dict(
        tickets.order_by()
        .values_list("customer_id")
        .annotate(first=Min("detected_at"))
        .values_list("customer_id", "first")
    )
    rows = scope.done.order_by("pk").values_list("pk", "customer_id", "as_of")
    for pk, customer, day in rows.iterator():
        ticket = first.get(customer)
        yield Row(pk, ticket is None or ticket.date() > day)


def _measured(scope: Scope, **conditions):
    return Measurement.objects.filter(
        checkpoint_days=scope.rules.outcomes.proxy_days,
        until__gt=scope.since,
        until__lte=scope.until,
        replaced_at__isnull=True,
        **conditions,
    ).order_by("pk")


def _stage_recovery(scope: Scope) -> Iterator[Row]:
    rows = _measured(
        scope, intervention__isnull=False, health_before__in=[Health.AT_RISK, Health.CRITICAL]
    ).exclude(health_after="")
    for pk, health in rows.values_list("pk", "health_after").iterator():
        yield Row(pk, health == Health.HEALTHY)


def _rejections_right(scope: Scope) -> Iterator[Row]:
    if not scope.departures_known:
        return
    days = scope.rules.outcomes.truth_days
    rows = Intervention.objects.filter(status=InterventionStatus.REJECTED, **scope.earlier(days))
    for pk, day, left in rows.order_by("pk").values_list("pk", "as_of", "customer__churned_on").iterator():
        yield Row(pk, not (left and day < left <= day + timedelta(days=days)))


def _churn_fall(arm: Arm) -> Callable[[Scope], Iterator[Row]]:
    def rows(scope: Scope) -> Iterator[Row]:
        found = _measured(scope, assignment__arm=arm, churn_before__isnull=False, churn_after__isnull=False)
        for pk, before, after in found.values_list("pk", "churn_before", "churn_after").iterator():
            yield Row(pk, before - after)

    return rows


ROWS: dict[str, Callable[[Scope], Iterable[Row]]] = {
    "runs_finished": _runs_finished,
    "signal_to_queue_hours": _signal_to_queue,
    "escalation_share": _escalated,
    "override_share": _overridden,
    "expired_share": _expired,
    "time_to_decide_hours": _time_to_decide,
    "time_to_resolution_days": _time_to_resolution,
    "resolved_share": _resolved,
    "repeat_share": _repeated,
    "proactive_share": _proactive,
    "stage_recovery_share": _stage_recovery,
    "rejections_right_share": _rejections_right,
    "churn_risk_fall_treated": _churn_fall(Arm.TREATED),
    "churn_risk_fall_held_out": _churn_fall(Arm.HELD_OUT),
}
