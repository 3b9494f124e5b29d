"""What came of the interventions: each figure with what it is made of. Reads only."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date
from decimal import Context, Decimal
from itertools import groupby
from typing import NamedTuple

from django.db.models import QuerySet

from journeys.domain.vocabulary import ExecutionMode, InterventionStatus, OutcomeKind
from journeys.models import Outcome

DONE = (InterventionStatus.EXECUTED, InterventionStatus.RECORDED, InterventionStatus.IMPORTED)

# Wide enough that no sum of recorded figures is ever rounded.
_EXACT = Context(prec=100)


class _Measured(NamedTuple):
    intervention_id: str
    outcome: str
    resolution_time_days: float | None
    csat_delta: float | None
    churn_risk_delta: float | None
    estimated_revenue_saved: Decimal | None
    human_override: bool | None
    currency: str


class ExactSum:
    """Adds up what was recorded, digit by digit, whatever the order: .1 and .2 are .3."""

    def __init__(self):
        self.total = Decimal(0)
        self.count = 0

    def add(self, amount: float | Decimal | None) -> None:
        """None is not a measurement and does not count."""
        if amount is None:
            return
        written = amount if isinstance(amount, Decimal) else Decimal(repr(amount))
        self.total = _EXACT.add(self.total, written)
        self.count += 1


def figure(numerator, denominator: int, source: str, *, value=None) -> dict:
    """A measured figure. `value` is the share or mean unless given; nothing is known of nothing."""
    if not denominator:
        return {"value": None, "numerator": None, "denominator": 0, "source": source}
    if value is None:
        value = numerator / denominator
    return {"value": value, "numerator": numerator, "denominator": denominator, "source": source}


def outcome_figures(interventions: QuerySet, *, as_of: date) -> dict:
    """Over what was executed, recorded or imported: how many have an outcome, and what these say. The
    latest outcome measured by `as_of` counts; an intervention without one is open, not zero."""
    done = interventions.filter(status__in=DONE)
    number = done.count()
    kinds: Counter = Counter()
    overridden, override_known = 0, 0
    days, csat, churn = ExactSum(), ExactSum(), ExactSum()
    saved: defaultdict[str, ExactSum] = defaultdict(ExactSum)
    for row in _latest(done, as_of):
        kinds[row.outcome] += 1
        days.add(row.resolution_time_days)
        csat.add(row.csat_delta)
        churn.add(row.churn_risk_delta)
        if row.estimated_revenue_saved is not None:
            saved[row.currency].add(row.estimated_revenue_saved)
        if row.human_override is not None:
            override_known += 1
            overridden += row.human_override
    measured = kinds.total()
    return {
        "interventions": number,
        "record_only": done.filter(
            status=InterventionStatus.EXECUTED, execution__mode=ExecutionMode.RECORD_ONLY
        ).count(),
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


def _latest(done: QuerySet, as_of: date) -> Iterator[_Measured]:
    rows = (
        Outcome.objects.filter(intervention__in=done.values("pk"), measured_at__lte=as_of)
        .order_by("intervention_id", "measured_at", "recorded_at", "pk")
        .values_list(*_Measured._fields[:-1], "intervention__customer__currency")
    )
    for _, of_one in groupby(rows.iterator(), key=lambda row: row[0]):
        *_, latest = of_one
        yield _Measured(*latest)


def _mean(total: ExactSum, source: str) -> dict:
    return figure(float(total.total), total.count, source)


def _total(saved: ExactSum, currency: str) -> dict:
    amount = str(saved.total)
    source = "outcomes that state the revenue saved, as reported; nobody has verified it"
    return {"currency": currency} | figure(amount, saved.count, source, value=amount)


def _most_frequent(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]
