"""The rows behind each KPI that is counted row by row: the figure is their sum, and a page lists them. Both
read the same query, so that a hundred thousand rows are counted where they are."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from math import fsum
from typing import NamedTuple

from django.db.models import Case, Count, Exists, F, OuterRef, Q, QuerySet, Sum, Value, When
from django.db.models.expressions import Combinable

from approvals.rules import Authority, Status, Verdict
from journeys.domain.holdout import Arm
from journeys.domain.vocabulary import Health, InterventionStatus, Origin, OutcomeKind
from journeys.models import Intervention, Measurement, PipelineRun, Signal
from journeys.reports.outcomes import DONE, with_outcome
from journeys.reports.worth.microseconds import DAY, HOUR, Microseconds, span
from journeys.reports.worth.scope import Scope

# A limit that leaves nothing out: without one SQLite works out each part once for its sum and once more for
# the number.
_ALL = 2**62


class Row(NamedTuple):
    """One row of the denominator: its key, of the kind that the KPI names, and what it adds to the
    numerator."""

    key: str | int
    part: float


@dataclass(frozen=True, slots=True)
class Counted:
    """The rows of one KPI. `part` is what each adds, divided by `unit`; one whose part is null is not
    counted at all. `key` names the row that a page links."""

    rows: QuerySet
    part: Combinable
    key: str = "pk"
    unit: int = 1

    @property
    def is_measured(self) -> bool:
        """Whether the parts are figures with places, which a database does not add up exactly."""
        return self.unit == 1 and not isinstance(self.part, Case)

    def total(self) -> tuple[float, int]:
        return totals({"part": self})["part"]

    def listed(self, most: int) -> Iterator[Row]:
        """The first of them."""
        rows = self._parts().filter(part__isnull=False).order_by("pk")
        for key, part in rows.values_list(self.key, "part")[:most]:
            yield Row(key, part / self.unit)

    def _parts(self) -> QuerySet:
        return self.rows.annotate(part=self.part)


def totals(together: Mapping[str, Counted]) -> dict[str, tuple[float, int]]:
    """Of KPIs over the same rows, in one pass: the sum of the parts, exactly, whatever their order, and the
    number of rows that have a part."""
    rows = next(iter(together.values())).rows.order_by()
    rows = rows.values(**{name: one.part for name, one in together.items()})
    measured = [name for name, one in together.items() if one.is_measured]
    sums = {f"{name}_sum": Sum(name) for name in together if name not in measured}
    sums |= {f"{name}_rows": Count(name) for name in together if name not in measured}
    if measured:
        groups = list(rows.values(*measured).annotate(times=Count("pk"), **sums))
    else:
        groups = [rows[:_ALL].aggregate(**sums)]
    found = {}
    for name, one in together.items():
        if name in measured:
            known = [(row[name], row["times"]) for row in groups if row[name] is not None]
            found[name] = fsum(part * times for part, times in known), sum(times for _, times in known)
        else:
            whole = sum(int(row[f"{name}_sum"] or 0) for row in groups)
            found[name] = whole / one.unit, sum(row[f"{name}_rows"] for row in groups)
    return found


def _whether(condition: Q | Exists) -> Case:
    return Case(When(condition, then=Value(1)), default=Value(0))


def _runs_finished(scope: Scope) -> Counted:
    succeeded, failed = PipelineRun.Status.SUCCEEDED, PipelineRun.Status.FAILED
    ended = Q(as_of__gt=scope.since, as_of__lte=scope.until, status__in=[succeeded, failed])
    # It counts its own success: where it fails after this, nobody will read the figure.
    mine = Q(pk=scope.run.pk)
    runs = PipelineRun.objects.filter(ended | mine, scope=PipelineRun.Scope.PORTFOLIO)
    return Counted(runs, _whether(Q(status=succeeded) | mine))


def _signal_to_queue(scope: Scope) -> Counted:
    rows = scope.proposed.filter(origin=Origin.MACHINE)
    return Counted(rows, span("signals_received_at", "generated_at"), unit=HOUR)


def _escalated(scope: Scope) -> Counted:
    rows = scope.proposed.filter(origin=Origin.MACHINE)
    return Counted(rows, _whether(Q(requires_human_approval=True)))


# Rejected, or approved after a person's change.
OVERRULED = Q(ending__verdict=Verdict.REJECTED) | ~Q(editors=[])


_BY_PERSON = Q(ending__authority=Authority.PERSON)


def _overridden(scope: Scope) -> Counted:
    overruled = Case(When(_BY_PERSON & OVERRULED, then=Value(1)), When(_BY_PERSON, then=Value(0)))
    return Counted(scope.requests, overruled, key="subject_key")


def _expired(scope: Scope) -> Counted:
    decided = Q(ending__isnull=False) & ~Q(status__in=[Status.PENDING, Status.SUPERSEDED])
    undecided = Q(ending__isnull=True, status=Status.EXPIRED)
    share = Case(When(decided, then=Value(0)), When(undecided, then=Value(1)))
    return Counted(scope.requests, share, key="subject_key")


def _time_to_decide(scope: Scope) -> Counted:
    waited = Case(When(_BY_PERSON, then=span("requested_at", "ending__decided_at")))
    return Counted(scope.requests, waited, key="subject_key", unit=HOUR)


# The part alone says what is known of the outcome: a further `filter` on it would join every outcome once
# more, and each would count.
def _time_to_resolution(scope: Scope) -> Counted:
    return Counted(with_outcome(scope.done, until=scope.until), F("counts__resolution_time_days"))


def _resolved(scope: Scope) -> Counted:
    resolved = Q(counts__outcome=OutcomeKind.RESOLVED)
    known = Case(When(resolved, then=Value(1)), When(counts__outcome__isnull=False, then=Value(0)))
    return Counted(with_outcome(scope.done, until=scope.until), known)


def _repeated(scope: Scope) -> Counted:
    """Of those done a window earlier: whether another followed in the days since."""
    days = scope.rules.kpis.repeat_days
    done = Intervention.objects.filter(status__in=DONE)
    following = (
        done.filter(
            Q(as_of__gt=OuterRef("as_of")) | Q(as_of=OuterRef("as_of"), pk__gt=OuterRef("pk")),
            customer=OuterRef("customer"),
            as_of__lte=scope.until,
        )
        .annotate(day=Microseconds("as_of"))
        .filter(day__lte=Microseconds(OuterRef("as_of")) + days * DAY)
    )
    return Counted(done.filter(**scope.earlier(days)), _whether(Exists(following)))


def _proactive(scope: Scope) -> Counted:
    first_day = scope.since - timedelta(days=scope.rules.signals.days_back)
    tickets = (
        Signal.objects.filter(
            customer=OuterRef("customer"),
            signal_type__in=scope.rules.kpis.ticket_signals,
            detected_at__gte=datetime.combine(first_day, time(0, tzinfo=UTC)),
        )
        .annotate(at=Microseconds("detected_at"))
        .filter(at__lt=Microseconds(OuterRef("as_of")) + DAY)
    )
    return Counted(with_outcome(scope.done, until=scope.until), _whether(~Exists(tickets)))


def _measured(scope: Scope, **conditions) -> QuerySet[Measurement]:
    return Measurement.objects.filter(
        checkpoint_days=scope.rules.outcomes.proxy_days,
        until__gt=scope.since,
        until__lte=scope.until,
        replaced_at__isnull=True,
        **conditions,
    )


def _stage_recovery(scope: Scope) -> Counted:
    rows = _measured(
        scope, intervention__isnull=False, health_before__in=[Health.AT_RISK, Health.CRITICAL]
    ).exclude(health_after="")
    return Counted(rows, _whether(Q(health_after=Health.HEALTHY)))


def left_within(days: int) -> Q:
    """Whether the customer of an intervention left in the days that followed it."""
    return Q(customer__churned_on__gt=F("as_of")) & Q(left_by__lte=Microseconds("as_of") + days * DAY)


def rejected(scope: Scope, **days) -> QuerySet[Intervention]:
    """`left_by` is when their customer left, if ever."""
    return Intervention.objects.filter(status=InterventionStatus.REJECTED, **days).annotate(
        left_by=Microseconds("customer__churned_on")
    )


def _rejections_right(scope: Scope) -> Counted:
    days = scope.rules.outcomes.truth_days
    rows = rejected(scope, **scope.earlier(days))
    return Counted(
        rows if scope.departures_known else rows.none(),
        Case(When(left_within(days), then=Value(0)), default=Value(1)),
    )


def _churn_fall(arm: Arm) -> Callable[[Scope], Counted]:
    def rows(scope: Scope) -> Counted:
        found = _measured(scope, assignment__arm=arm, churn_before__isnull=False, churn_after__isnull=False)
        return Counted(found, F("churn_before") - F("churn_after"))

    return rows


ROWS: dict[str, Callable[[Scope], Counted]] = {
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
# Those that are counted over the same rows, and so in one pass.
_TOGETHER = (
    ("signal_to_queue_hours", "escalation_share"),
    ("override_share", "expired_share", "time_to_decide_hours"),
    ("time_to_resolution_days", "resolved_share", "proactive_share"),
)


def all_totals(scope: Scope) -> dict[str, tuple[float, int]]:
    """Of every KPI in `ROWS`."""
    alone = [(name,) for name in ROWS if not any(name in names for names in _TOGETHER)]
    found = {}
    for names in (*_TOGETHER, *alone):
        found |= totals({name: ROWS[name](scope) for name in names})
    return found
