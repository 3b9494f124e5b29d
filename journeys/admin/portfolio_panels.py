"""The charts and tables of the portfolio's page."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal

from approvals import charts, shown
from approvals.charts import Series
from approvals.panels import Panel
from approvals.sheets import Column, Money, Sheet, count, share, words
from approvals.templatetags.desk import day
from journeys.domain.vocabulary import Tier, label
from journeys.models import Customer
from journeys.reports.portfolio import Day, Movement, Portfolio, Revenue, Tiers

_TIERS = (Series("high", "high"), Series("medium", "medium"), Series("low", "low"))
_OVER_TIME = (Series("medium", "high or medium risk"), Series("high", "high risk"))
_ONE_RUN = "There is one run so far: a trend takes two, on different days."
# Highest first, then those whom only one of the two runs assessed.
_STEPS = (
    (Tier.HIGH.value, "high"),
    (Tier.MEDIUM.value, "medium"),
    (Tier.LOW.value, "low"),
    ("", "not assessed"),
)
_OF_TIERS = (Column("High"), Column("Medium"), Column("Low"), Column("Assessed"), share("At risk"))
_OF_REVENUE = (
    Column("At high risk"),
    Column("At risk"),
    count("All known", "All that is known"),
    count("Of known value", "Customers at risk of known value"),
    count("Of unknown value", "Customers at risk of unknown value"),
)


def all_panels(found: Portfolio) -> list[Panel]:
    return [
        _tiers("by-stage", "Risk by stage", "Stage", found.by_stage, _about(found)),
        _tiers("by-segment", "Risk by segment", "Segment", found.by_segment, _about(found)[:2]),
        _revenue(found),
        _movement(found),
        _over_time(found),
        *(_revenue_over_time(found, row.currency) for row in found.revenue),
    ]


def _about(found: Portfolio) -> tuple:
    narrowed = () if found.segment is None else (("of segment", found.segment or "not known"),)
    return ("run", found.run.pk), ("as of", found.run.as_of), *narrowed


def _counts(tiers: Tiers) -> tuple:
    return tiers.high, tiers.medium, tiers.low, tiers.assessed, tiers.share


def _tiers(name: str, title: str, heading: str, rows: tuple[Tiers, ...], about: tuple) -> Panel:
    drawn = [(label(row.name), (row.high, row.medium, row.low)) for row in rows]
    told = [f"{row.high:,} high, {row.medium:,} medium of {row.assessed:,}" for row in rows]
    return Panel(
        title=title,
        sheet=Sheet(
            name=name,
            columns=(words(heading), *_OF_TIERS),
            rows=[(label(row.name), *_counts(row)) for row in rows],
            about=about,
        ),
        chart=charts.bars(drawn, _TIERS, told=told) if any(row.assessed for row in rows) else None,
        summary="; ".join(f"{text}: {figures}" for (text, _), figures in zip(drawn, told, strict=True)),
        empty="No customer was assessed.",
    )


# -- money: each currency for itself


def _money(row: Revenue) -> tuple:
    amounts = (row.high, row.at_risk, row.total)
    return *(Money(amount, row.currency) for amount in amounts), row.valued, row.unvalued


def _revenue(found: Portfolio) -> Panel:
    known = [row for row in found.revenue if row.total]
    drawn = [(row.currency, (row.high, row.medium, row.low)) for row in known]
    told = [f"{_shown(row.at_risk, row)} of {_shown(row.total, row)} at risk" for row in known]
    return Panel(
        title="Revenue at risk",
        sheet=Sheet(
            name="revenue",
            columns=(words("Currency"), *_OF_REVENUE),
            rows=[(row.currency, *_money(row)) for row in found.revenue],
            about=_about(found),
        ),
        chart=charts.bars(drawn, _TIERS, told=told, each_whole=True) if drawn else None,
        summary="; ".join(told),
        note="What the customers pay a year, each customer once; at risk is high and medium. Currencies are "
        "never added up: each bar is a whole of its own.",
        empty="The value of nobody who was assessed is known.",
    )


def _shown(amount: Decimal | None, row: Revenue) -> str:
    return shown.money(amount, row.currency)


def _revenue_over_time(found: Portfolio, currency: str) -> Panel:
    days: list[tuple[Day, Revenue]] = [
        (point, next((row for row in point.revenue if row.currency == currency), Revenue(currency)))
        for point in found.trend
    ]
    figures = [(point.as_of, (row.at_risk, row.at_risk and row.high)) for point, row in days]
    return Panel(
        title=f"Revenue at risk over time, {currency}",
        sheet=Sheet(
            name=f"revenue-over-time-{currency}",
            columns=(words("As of"), Column("Run"), *_OF_REVENUE),
            rows=[(point.as_of, point.run_id, *_money(row)) for point, row in days],
            about=(("currency", currency), *_about(found)[2:]),
        ),
        chart=_line(
            figures,
            told=lambda figure: shown.money(figure, currency),
            scale=lambda figure: shown.brief(figure, currency),
        ),
        summary=_from_to([(point.as_of, _shown(row.at_risk, row)) for point, row in days]),
        empty=_ONE_RUN,
    )


# -- over time


def _over_time(found: Portfolio) -> Panel:
    figures = [(point.as_of, (point.tiers.at_risk, point.tiers.high)) for point in found.trend]
    return Panel(
        title="Customers at risk over time",
        sheet=Sheet(
            name="over-time",
            columns=(words("As of"), Column("Run"), *_OF_TIERS),
            rows=[(point.as_of, point.run_id, *_counts(point.tiers)) for point in found.trend],
            about=_about(found)[2:],
        ),
        chart=_line(figures),
        summary=_from_to([(point.as_of, f"{point.tiers.at_risk:,} customers") for point in found.trend]),
        empty=_ONE_RUN,
    )


def _line(figures: list[tuple[date, tuple]], **texts: Callable) -> charts.Lines | None:
    points = [(on.toordinal(), day(on), values) for on, values in figures]
    return charts.lines(points, _OVER_TIME, **texts)


def _from_to(points: list[tuple[date, str]]) -> str:
    (first, begin), (last, end) = points[0], points[-1]
    return f"{begin} on {day(first)}, {end} on {day(last)}."


# -- from tier to tier


def _movement(found: Portfolio) -> Panel:
    """Without a chart of its own: the page shows it as a matrix."""
    movement = found.movement
    rows = [(text, *(number for number, _ in cells)) for text, cells in matrix(movement)] if movement else []
    return Panel(
        title="Movement since the run before",
        sheet=Sheet(
            name="movement",
            columns=(words("From"), *(Column(f"To {text}") for _, text in _STEPS)),
            rows=rows,
            about=(*_about(found), *_since(movement)) if movement else (),
        ),
    )


def _since(movement: Movement) -> tuple:
    return ("since run", movement.since.pk), ("since", movement.since.as_of)


def matrix(movement: Movement) -> list[tuple[str, list[tuple[int, str]]]]:
    """(tier then, [(customers, tone)] for each tier now); a rise is toned as high, a fall as low."""
    rows = []
    for place, (before, text) in enumerate(_STEPS):
        cells = []
        for other, (after, _) in enumerate(_STEPS):
            number = movement.counts.get((before, after), 0)
            moved = number and before and after and other != place
            cells.append((number, ("high" if other < place else "low") if moved else ""))
        rows.append((text, cells))
    return rows


def risen(found: Portfolio, customers: dict[str, Customer]) -> Panel:
    columns = ("Customer", "Name", "Segment", "Owner", "From", "To")
    rows = []
    for row in found.movement.risen:
        customer = customers[row.customer_id]
        names = (row.customer_id, customer.name or None, label(row.segment), customer.owner or None)
        value = Money(customer.account_value, customer.currency)
        rows.append((*names, row.before, row.after, row.risk, customer.currency, value))
    return Panel(
        title="Customers whose risk rose",
        sheet=Sheet(
            name="risen",
            columns=(
                *(words(name) for name in columns),
                Column("Risk, 0 to 1"),
                words("Currency"),
                Column("Value a year"),
            ),
            rows=rows,
            about=(*_about(found), *_since(found.movement)),
        ),
    )
