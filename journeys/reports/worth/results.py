"""Every KPI of a run with what it is made of, how it stands, and how it has moved."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import NamedTuple

from django.db.models import Count, Q, QuerySet

from journeys.domain.kpis import KPIS, Kpi, KpiStatus, KpiTier, headline, status_of
from journeys.models import Customer, PipelineRun
from journeys.reports.portfolio import revenue
from journeys.reports.worth.effects import effects
from journeys.reports.worth.learning import learn
from journeys.reports.worth.returns import returns, value_treated
from journeys.reports.worth.rows import all_totals
from journeys.reports.worth.scope import Scope

_TREND_DAYS = 30
_DUE = ("segment", "account_value", "tenure_months", "owner", "email", "renewal_date")


class Figure(NamedTuple):
    """A numerator and a denominator; nothing is known of nothing. `currency` where they are money."""

    numerator: float | None
    denominator: float
    currency: str = ""

    @property
    def value(self) -> float | None:
        if not self.denominator or self.numerator is None:
            return None
        return self.numerator / self.denominator


def kpi_results(scope: Scope, facts: Mapping) -> dict:
    """What the step KPI stores. `facts` are what the run itself has counted: customers, received and orphaned
    signals, the seconds of its steps over customers, and the cells of its snapshot. What rests on costs comes
    with the return."""
    learnt, saved = learn(scope)
    figures = {
        "data_completeness": [_completeness()],
        "orphaned_share": [Figure(facts["orphaned"], facts["received"])],
        "evaluation_seconds_per_1000": [Figure(facts["seconds"], facts["customers"] / 1000)],
        "revenue_at_risk_share": _at_risk(facts["cells"]),
        "revenue_preserved_reported": _preserved_reported(scope, saved),
    } | {
        name: [Figure(total if number else None, number)]
        for name, (total, number) in all_totals(scope).items()
    }
    return {
        "window": {
            "from": (scope.since + timedelta(days=1)).isoformat(),
            "until": scope.until.isoformat(),
            "days": scope.days,
        },
        "kpis": _told(scope, figures),
        "departures_known": scope.departures_known,
        "effects": effects(scope),
        "learning": learnt,
    }


def roi_results(scope: Scope, results: dict) -> dict:
    """What the step ROI stores: the results with the return, the KPIs that rest on it, and the headlines."""
    money = returns(scope, results["effects"])
    cost = (money["costs"] or {}).get("total")
    figures = {
        "revenue_preserved_measured": [_preserved_measured(money)],
        "cost_per_case": [Figure(cost, money["executed"], money["currency"])],
        "roi_reported": [_return(money["reported"]["value"], cost, money["currency"])],
        "roi_measured": [_return(money["measured"]["value"], cost, money["currency"])],
    }
    order = list(KPIS)
    rows = sorted([*results["kpis"], *_told(scope, figures)], key=lambda row: order.index(row["name"]))
    headlines = {tier.value: headline_of(rows, tier).value for tier in KpiTier}
    return results | {"kpis": rows, "headlines": headlines, "roi": money}


def latest_run() -> PipelineRun | None:
    """The last run over the portfolio that says what it was worth."""
    runs = PipelineRun.objects.filter(
        scope=PipelineRun.Scope.PORTFOLIO, status=PipelineRun.Status.SUCCEEDED
    ).exclude(results={})
    return runs.select_related("policy").defer("report").order_by("-pk").first()


def headline_of(rows: Iterable[dict], tier: KpiTier) -> KpiStatus:
    """The worst of those that have a target."""
    return headline(
        KpiStatus(row["status"]) for row in rows if row["tier"] == tier and row["target"] is not None
    )


def _completeness() -> Figure:
    present = {
        "segment": ~Q(segment=""),
        "account_value": Q(account_value__isnull=False),
        "tenure_months": Q(tenure_months__isnull=False),
        "owner": ~Q(owner=""),
        "email": ~Q(email=""),
        "renewal_date": Q(renewal_date__isnull=False),
    }
    counts = Customer.objects.aggregate(
        customers=Count("pk"), **{f"with_{name}": Count("pk", filter=present[name]) for name in _DUE}
    )
    customers = counts.pop("customers")
    return Figure(sum(counts.values()), customers * len(_DUE))


def _at_risk(cells: Iterable[list]) -> list[Figure]:
    """The amounts of each currency, each customer once, by what holds as the run ends; as the portfolio page
    has them."""
    return [
        Figure(None if row.at_risk is None else _cents(row.at_risk), _cents(row.total), row.currency)
        for row in revenue(cells)
        if row.total
    ]


def _cents(amount: Decimal) -> float:
    return round(float(amount), 2)


def _preserved_reported(scope: Scope, saved: Mapping[str, float]) -> list[Figure]:
    return [Figure(saved.get(currency), total, currency) for currency, total in value_treated(scope)]


def _preserved_measured(money: dict) -> Figure:
    measured = money["measured"]
    return Figure(measured["value"], measured["account_value"] or 0, money["currency"])


def _return(value: float | None, cost: float | None, currency: str) -> Figure:
    return Figure(None if value is None or cost is None else value - cost, cost or 0, currency)


def _told(scope: Scope, figures: Mapping[str, list[Figure]]) -> list[dict]:
    last, month = _before(scope)
    past = _past(scope)
    window = {"from": (scope.since + timedelta(days=1)).isoformat(), "until": scope.until.isoformat()}
    return [
        _row(KPIS[name], figure, scope.rules.kpis.targets.get(name))
        | {"last_run": last.get((name, figure.currency)), "month_ago": month.get((name, figure.currency))}
        | {"window": window}
        | {"past": [*past[name, figure.currency], [scope.until.isoformat(), figure.value]]}
        for name, of_currencies in figures.items()
        for figure in of_currencies or [Figure(None, 0)]
    ]


def _row(kpi: Kpi, figure: Figure, target: float | None) -> dict:
    return {
        "name": kpi.name,
        "tier": kpi.tier.value,
        "value": figure.value,
        "numerator": None if figure.value is None else figure.numerator,
        "denominator": figure.denominator,
        "currency": figure.currency,
        "target": target,
        "direction": kpi.direction.value,
        "status": status_of(figure.value, target, kpi.direction).value,
    }


def _past(scope: Scope) -> defaultdict[tuple[str, str], list]:
    """By KPI and currency: [day, value] of each day of the last 30 on which a run counted it; of several runs
    of one day the last."""
    runs = _counted_runs(scope).filter(
        as_of__gte=scope.until - timedelta(days=_TREND_DAYS), as_of__lt=scope.until
    )
    days = {}
    for as_of, kpis in runs.order_by("as_of", "pk").values_list("as_of", "results__kpis"):
        if kpis:
            days[as_of] = kpis
    found = defaultdict(list)
    for as_of, kpis in days.items():
        for row in kpis:
            found[row["name"], row["currency"]].append([as_of.isoformat(), row["value"]])
    return found


def _counted_runs(scope: Scope) -> QuerySet[PipelineRun]:
    return PipelineRun.objects.filter(
        scope=PipelineRun.Scope.PORTFOLIO, status=PipelineRun.Status.SUCCEEDED
    ).exclude(pk=scope.run.pk)


def _before(scope: Scope) -> tuple[dict, dict]:
    """By KPI and currency: the value in the run before, and in the last one at least 30 days before."""
    runs = _counted_runs(scope)
    return tuple(
        _values_in(runs.filter(as_of__lte=until).order_by("-as_of", "-pk").only("results").first())
        for until in (scope.until, scope.until - timedelta(days=_TREND_DAYS))
    )


def _values_in(run: PipelineRun | None) -> dict[tuple[str, str], float | None]:
    rows = run.results.get("kpis", []) if run else []
    return {(row["name"], row["currency"]): row["value"] for row in rows}
