"""What came of the interventions: each figure with what it is made of. Reads only."""

from collections import Counter, defaultdict
from datetime import date
from decimal import Context, Decimal

from django.db.models import Count, Exists, FilteredRelation, OuterRef, Q, QuerySet

from journeys.domain.vocabulary import ExecutionMode, InterventionStatus, OutcomeKind
from journeys.models import Intervention, Outcome

DONE = (InterventionStatus.EXECUTED, InterventionStatus.RECORDED, InterventionStatus.IMPORTED)

# Wide enough that no sum of recorded figures is ever rounded.
_EXACT = Context(prec=100)


class ExactSum:
    """Adds up what was recorded, digit by digit, whatever the order: .1 and .2 are .3."""

    def __init__(self):
        self.total = Decimal(0)
        self.count = 0

    def add(self, amount: float | Decimal | None, times: int = 1) -> None:
        """None is not a measurement and does not count."""
        if amount is None:
            return
        written = amount if isinstance(amount, Decimal) else Decimal(repr(amount))
        self.total = _EXACT.fma(written, Decimal(times), self.total)
        self.count += times

    @property
    def value(self) -> float | None:
        return float(self.total) if self.count else None


def figure(numerator, denominator: int, source: str, *, value=None) -> dict:
    """A measured figure. `value` is the share or mean unless given; nothing is known of nothing."""
    if not denominator:
        return {"value": None, "numerator": None, "denominator": 0, "source": source}
    if value is None:
        value = numerator / denominator
    return {"value": value, "numerator": numerator, "denominator": denominator, "source": source}


def with_outcome(interventions: QuerySet[Intervention], *, until: date) -> QuerySet[Intervention]:
    """Each once, with the outcome that counts as `counts`: the latest measured by then, null without one."""
    measured = Outcome.objects.filter(intervention=OuterRef("pk"), measured_at__lte=until)
    same_day = Q(measured_at=OuterRef("counts__measured_at"))
    later = measured.filter(
        Q(measured_at__gt=OuterRef("counts__measured_at"))
        | same_day & Q(recorded_at__gt=OuterRef("counts__recorded_at"))
        | same_day & Q(recorded_at=OuterRef("counts__recorded_at"), pk__gt=OuterRef("counts__pk"))
    )
    by_then = FilteredRelation("outcomes", condition=Q(outcomes__measured_at__lte=until))
    return interventions.annotate(counts=by_then).filter(~Exists(later))


_STATED = (
    "counts__outcome",
    "counts__resolution_time_days",
    "counts__csat_delta",
    "counts__churn_risk_delta",
    "counts__estimated_revenue_saved",
    "counts__human_override",
    "customer__currency",
    "execution__mode",
)


def outcome_figures(interventions: QuerySet[Intervention], *, as_of: date) -> dict:
    """Over what was executed, recorded or imported: how many have an outcome, and what these say. The
    latest outcome measured by `as_of` counts; an intervention without one is open, not zero."""
    number, record_only, overridden, override_known = 0, 0, 0, 0
    kinds: Counter = Counter()
    days, csat, churn = ExactSum(), ExactSum(), ExactSum()
    saved: defaultdict[str, ExactSum] = defaultdict(ExactSum)
    done = with_outcome(interventions.filter(status__in=DONE), until=as_of)
    # What states the same is counted by the database, as far fewer groups than interventions come back.
    groups = done.order_by().values_list(*_STATED).annotate(times=Count("pk"))
    for kind, in_days, satisfaction, risk, amount, override, currency, mode, times in groups.iterator():
        number += times
        if mode == ExecutionMode.RECORD_ONLY:
            record_only += times
        if kind is None:
            continue
        kinds[kind] += times
        days.add(in_days, times)
        csat.add(satisfaction, times)
        churn.add(risk, times)
        if amount is not None:
            saved[currency].add(amount, times)
        if override is not None:
            override_known += times
            overridden += times if override else 0
    measured = kinds.total()
    return {
        "interventions": number,
        "record_only": record_only,
        "with_outcome": measured,
        "open": number - measured,
        "by_outcome": [
            {"outcome": kind, "count": count} for kind, count in sorted(kinds.items(), key=_most_frequent)
        ],
        "resolved": figure(
            kinds[OutcomeKind.RESOLVED], measured, "interventions with an outcome; those that were resolved"
        ),
        "days_to_resolve": _mean(days, "outcomes that state the days to resolve"),
        "csat_change": _mean(csat, "outcomes that state a change of satisfaction"),
        "churn_risk_change": _mean(churn, "outcomes that state a change of churn risk"),
        "revenue_saved": [_total(saved[currency], currency) for currency in sorted(saved) or [""]],
        "overridden": figure(
            overridden, override_known, "outcomes that state whether a person overrode the recommendation"
        ),
    }


def _mean(total: ExactSum, source: str) -> dict:
    return figure(float(total.total), total.count, source)


def _total(saved: ExactSum, currency: str) -> dict:
    amount = str(saved.total)
    source = "outcomes that state the revenue saved, as reported; nobody has verified it"
    return {"currency": currency} | figure(amount, saved.count, source, value=amount)


def _most_frequent(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]
