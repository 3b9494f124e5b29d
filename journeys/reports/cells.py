"""What several parts of a report write in the same words. Pure."""

from journeys.reports.layout import Cell
from journeys.reports.wording import NOT_KNOWN, count, money, name_of


def customer_cell(row: dict, *, with_value: bool = False) -> Cell:
    notes = [row["customer_id"]] if row["name"] else []
    if with_value:
        value = row["account_value"]
        notes.append(f"{money(value, row['currency'])} a year" if value else "value not known")
    return Cell(name_of(row), ", ".join(notes))


def score_text(value: float | None, places: int) -> str:
    return NOT_KNOWN if value is None else f"{value:.{places}f}"


def more_text(left_out: int, what: str) -> str:
    return f"and {count(left_out, f'more {what}')}" if left_out else ""
