"""The portfolio by stage, segment and tier, as blocks of plain text."""

from approvals import charts
from journeys.domain.vocabulary import label
from journeys.reports.layout import Cell, Chart, Paragraph, Table
from journeys.reports.wording import count


def portfolio_section(report: dict) -> list:
    portfolio = report["portfolio"]
    if not portfolio["assessed"]:
        return [Paragraph("No customer was assessed.")]
    rows = [
        (
            Cell(label(row["journey_stage"]) if row["journey_stage"] else "Any other stage"),
            *(Cell(f"{row[tier]:,}", tone=tier if row[tier] else "") for tier in ("high", "medium", "low")),
            Cell(f"{sum(row[tier] for tier in ('high', 'medium', 'low')):,}"),
        )
        for row in portfolio["by_stage"]
    ]
    totals = portfolio["by_tier"]
    rows.append(
        (
            Cell("All stages", tone="total"),
            *(Cell(f"{totals[tier]:,}", tone="total") for tier in ("high", "medium", "low")),
            Cell(f"{portfolio['assessed']:,}", tone="total"),
        )
    )
    # Of a run over what changed most of them were assessed by an earlier one.
    all_of_them = portfolio["customers"]
    lead = f"{count(portfolio['assessed'], 'customer')} assessed"
    lead += f" of {all_of_them:,}, by stage and tier of risk." if all_of_them is not None else "."
    columns = ("Stage", "High", "Medium", "Low", "Total")
    return [
        Paragraph(lead),
        _by_stage(portfolio),
        Table(columns, tuple(rows), frozenset(columns[1:])),
        _by_segment(portfolio),
    ]


def _by_segment(portfolio: dict) -> Table | None:
    rows = portfolio.get("by_segment")
    if not rows:
        return None
    columns = ("Segment", "High", "Medium", "Low", "Total")
    return Table(
        columns,
        tuple(
            (
                Cell(row["segment"] or "Not known"),
                *(
                    Cell(f"{row[tier]:,}", tone=tier if row[tier] else "")
                    for tier in ("high", "medium", "low")
                ),
                Cell(f"{sum(row[tier] for tier in ('high', 'medium', 'low')):,}"),
            )
            for row in rows
        ),
        frozenset(columns[1:]),
    )


def _by_stage(portfolio: dict) -> Chart:
    drawn = charts.bars(
        [
            (
                label(row["journey_stage"]) if row["journey_stage"] else "Any other stage",
                [row[tier] for tier in ("high", "medium", "low")],
            )
            for row in portfolio["by_stage"]
        ],
        [charts.Series(tier, f"{label(tier)} risk") for tier in ("high", "medium", "low")],
    )
    return Chart("portfolio", drawn, "How many customers of each stage are at which risk")
