"""What moved since last time, as blocks of plain text."""

from journeys.domain.vocabulary import label
from journeys.reports.cells import customer_cell, more_text
from journeys.reports.layout import Cell, Paragraph, Table
from journeys.reports.wording import count


def movement_section(report: dict) -> list:
    # A report that was stored before there was this part is still shown.
    moved = report.get("movement")
    if not moved or not moved["compared"]:
        return [Paragraph("Not known: nobody whom this run assessed had been assessed before.")]
    lead = (
        f"Of {count(moved['compared'], 'customer')} assessed before, {moved['worse'] or 'none'} moved to a "
        f"higher tier of risk and {moved['better'] or 'none'} to a lower one"
    )
    lead += f"; {moved['first']:,} assessed for the first time." if moved["first"] else "."
    tiers = [(label(row["before"]), label(row["after"]), row["count"]) for row in moved["tiers"]]
    stages = [(label(row["before"]), label(row["after"]), row["count"]) for row in moved["stages"]]
    came, went = moved["new_at_risk"], moved["no_longer_at_risk"]
    return [
        Paragraph(lead),
        _moves("Risk before", "Risk now", tiers),
        _moves("Stage before", "Stage now", stages),
        *_came_and_went("New at risk", came),
        *_came_and_went("No longer at risk", went),
    ]


def _moves(before: str, after: str, rows: list[tuple[str, str, int]]) -> Table | None:
    if not rows:
        return None
    cells = tuple((Cell(old), Cell(new), Cell(f"{number:,}")) for old, new, number in rows)
    return Table((before, after, "Customers"), cells, frozenset({"Customers"}), compact=True)


def _came_and_went(lead: str, found: dict) -> list:
    if not found["total"]:
        return [Paragraph(f"{lead}: nobody.")]
    rows = tuple(
        (
            customer_cell(row, with_value=True),
            Cell(label(row["before"]) if row["before"] else "Not assessed"),
            Cell(f"{row['overall_risk_score']:.3f}", label(row["risk_tier"]), row["risk_tier"]),
            Cell(_stages(row)),
            Cell(" ".join(row["reasons"])),
        )
        for row in found["rows"]
    )
    columns = ("Customer", "Before", "Risk now", "Stage", "Why")
    more = more_text(found["more"], "customer")
    return [
        Paragraph(f"{lead}: {count(found['total'], 'customer')}, the largest first."),
        Table(columns, rows, frozenset({"Risk now"}), more, "Why"),
    ]


def _stages(row: dict) -> str:
    before, now = row["stage_before"], label(row["journey_stage"])
    return now if before in ("", row["journey_stage"]) else f"{label(before)}, now {now.lower()}"
