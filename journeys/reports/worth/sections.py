"""The part of a report that says what it was worth, as blocks of plain text."""

from datetime import date

from approvals.charts import Series, bars, columns
from journeys.domain.kpis import KPIS, KpiTier
from journeys.domain.vocabulary import label
from journeys.reports.layout import Cell, Chart, Items, Paragraph, Table, Tile, Tiles
from journeys.reports.wording import count, day
from journeys.reports.worth import charts
from journeys.reports.worth.wording import (
    ASSUMPTIONS,
    amount,
    assumption,
    interval,
    made_of,
    percent,
    roi_sentences,
    score_row,
    share_of,
    target,
    trend,
    verdict_sentence,
    written,
)

_TONES = {"critical": "high", "at_risk": "medium"}
_NONE = "They are figures of the portfolio: a run on one customer has none."


def effect(report: dict) -> list:
    worth = report["worth"]
    if not worth:
        return [Paragraph(_NONE)]
    if not worth["effects"]:
        return [
            Paragraph(
                "Not known: nobody was held out, so there is nobody to compare with. What outcomes report "
                "may "
                "have happened anyway."
            )
        ]
    return [block for row in worth["effects"] for block in _experiment(row, worth)]


def _experiment(row: dict, worth: dict) -> list:
    entered = row["entered"]
    lead = (
        f"Experiment “{row['experiment']}”, since {day(row['from'])}: {entered['treated']:,} treated, "
        f"{entered['held_out']:,} held out. Of these {row['reached']['treated']:,} and "
        f"{row['reached']['held_out']:,} were really contacted; each counts in the arm they were drawn into."
    )
    rows = (
        _compared(f"Left within {row['days']} days (what happened)", row["left"]),
        _compared(f"Renewed within {row['days']} days (what happened)", row["renewed"]),
        (
            Cell("Fall of the churn score (our own opinion)"),
            *(Cell(text) for text in score_row(row["churn_fall"])),
        ),
    )
    groups = tuple(_compared(label(group["key"]), group) for group in [*row["by_segment"], *row["by_action"]])
    columns = ("Measure", "Treated", "Held out", "Difference, 95 % interval")
    blocks: list = [
        Paragraph(lead),
        Paragraph(verdict_sentence(row, departures_known=worth["departures_known"])),
        _intervals(row),
        Table(columns, rows),
    ]
    if groups:
        blocks.append(
            Paragraph(
                "By segment and action, who left; without a verdict, and with an interval only where both "
                "arms "
                "have at least 30:"
            )
        )
        blocks.append(Table(("Group", *columns[1:]), groups))
    return blocks


def _intervals(row: dict) -> Chart | None:
    measures = [("Everybody", row["left"])]
    measures += [(label(group["key"]), group) for group in [*row["by_segment"], *row["by_action"]]]
    drawn = charts.intervals(
        [
            (name, one["difference"], interval(one["difference"]))
            for name, one in measures
            if one["difference"]
        ]
    )
    summary = "Who left of those treated, less who left of those held out; left of the line is better"
    return drawn and Chart(f"effect-{row['experiment']}", drawn, summary)


def _compared(title: str, measure: dict) -> tuple[Cell, ...]:
    return (
        Cell(title),
        Cell(share_of(measure["treated"])),
        Cell(share_of(measure["held_out"])),
        Cell(interval(measure["difference"])),
    )


def kpis(report: dict) -> list:
    worth = report["worth"]
    if not worth:
        return [Paragraph(_NONE)]
    window = worth["window"]
    blocks: list = [
        Paragraph(f"From {day(window['from'])} to {day(window['until'])}, {window['days']} days.")
    ]
    for tier in KpiTier:
        blocks.append(
            Paragraph(f"{label(tier)}: {label(worth['headlines'][tier]).lower()}, as its worst part is.")
        )
        blocks.append(
            Table(
                ("KPI", "Value", "Made of", "Target", "Status", "Since last run", "In 30 days"),
                tuple(_kpi(row) for row in worth["kpis"] if row["tier"] == tier),
                frozenset({"Value"}),
            )
        )
    return blocks


def _kpi(row: dict) -> tuple[Cell, ...]:
    kpi = KPIS[row["name"]]
    moved = {since: text for since, text, _ in trend(row)}
    title = f"{kpi.label}, {row['currency']}" if row["currency"] else kpi.label
    return (
        Cell(title, kpi.words),
        Cell(written(row)),
        Cell(made_of(row)),
        Cell(target(row)),
        Cell(
            label(row["status"]) if row["target"] is not None else "No target",
            tone=_TONES.get(row["status"], ""),
        ),
        Cell(moved.get("last run", "–")),
        Cell(moved.get("30 days ago", "–"), spark=charts.spark(_past(row))),
    )


def _past(row: dict) -> list[tuple[date, float | None]]:
    """A report that was stored before these were kept has none."""
    return [(date.fromisoformat(day), value) for day, value in row.get("past", ())]


def roi(report: dict) -> list:
    worth = report["worth"]
    if not worth:
        return [Paragraph(_NONE)]
    money = worth["roi"]
    if not money["executed"]:
        return [Paragraph("Nothing was executed in the window: cost, value and return are not known.")]
    currency, costs = money["currency"], money["costs"]
    tiles = Tiles(
        (
            Tile("Executed", f"{money['executed']:,}", f"{money['sent']:,} really sent"),
            Tile(
                "Cost",
                amount(costs["total"], currency),
                f"review {amount(costs['review'], currency)}, channel {amount(costs['channel'], currency)}, "
                f"infrastructure {amount(costs['infrastructure'], currency)}",
            ),
            Tile(
                "Value, as reported",
                amount(money["reported"]["value"], currency),
                f"return {percent(money['reported']['roi'], 0)}",
                count(money["reported"]["outcomes"], "outcome"),
            ),
            Tile(
                "Value, as measured",
                amount(money["measured"]["value"], currency),
                f"return {percent(money['measured']['roi'], 0)}",
                "never added to the other",
            ),
        )
    )
    rows = tuple(
        (
            Cell(ASSUMPTIONS[row["assumption"]]),
            Cell(assumption(row["assumption"], row["value"], currency)),
            *(
                Cell(percent(row[f"{value}_{factor}"], 0))
                for value in ("reported", "measured")
                for factor in ("half", "double")
            ),
        )
        for row in money["sensitivity"]
    )
    columns = ("Assumption", "Is", "Reported, at half", "at double", "Measured, at half", "at double ")
    return [
        tiles,
        _cost_and_value(money),
        Items(tuple(roi_sentences(money))) if roi_sentences(money) else None,
        Paragraph(
            "The return rests on these assumptions of the policy; with each alone at half and at double:"
        ),
        Table(columns, rows, frozenset(columns[2:])),
    ]


def _cost_and_value(money: dict) -> Chart:
    """Beside the tiles, which say the same. A value that is not known has no bar, and one below 0 none."""
    currency, costs = money["currency"], money["costs"]
    parts = [round(costs[name]) for name in ("review", "channel", "infrastructure")]
    values = [money[name]["value"] for name in ("reported", "measured")]
    drawn = bars(
        [
            ("Cost", [*parts, 0]),
            *(
                (f"Value, as {name}", [0, 0, 0, max(0, round(value or 0))])
                for name, value in zip(("reported", "measured"), values, strict=True)
            ),
        ],
        [
            Series("high", "Review"),
            Series("medium", "Channel"),
            Series("rest", "Infrastructure"),
            Series("low", "Value"),
        ],
        told=[amount(value, currency) for value in (costs["total"], *values)],
    )
    return Chart("return", drawn, f"Cost and both values, in {currency}; they are never added")


def under_review(report: dict) -> list:
    worth = report["worth"]
    if not worth:
        return [Paragraph(_NONE)]
    learnt = worth["learning"]
    failing = tuple(
        (
            Cell(label(row["action"]), row["segment"] or "segment not known"),
            Cell(f"{row['runs']:,}"),
            Cell(f"{row['success'][0]:,} of {row['success'][1]:,}"),
        )
        for row in learnt["playbooks"]
        if row["under_review"]
    )
    suggested = tuple(f"{row['field']}{_to(row)}: {row['evidence']}" for row in learnt["suggestions"])
    blocks: list = [
        Table(("Playbook", "Runs", "Success"), failing, frozenset({"Runs", "Success"}))
        if failing
        else Paragraph("No playbook is under review.")
    ]
    if suggested:
        blocks += [
            Paragraph("What the figures suggest. Nothing changes by itself: a policy takes two people."),
            Items(suggested),
        ]
    return blocks + _calibration(learnt["calibration"])


def _calibration(found: dict) -> list:
    """Columns only where there are enough of a band; of the others nothing can be said."""
    if not found["bands"]:
        return [
            Paragraph(
                "Whether the churn score says what happens is not known: it takes a run "
                f"{found['days']} days ago, and departures on record."
            )
        ]
    rows = [row for row in found["bands"] if row["off"] is not None]
    drawn = columns(
        [(row["band"], [row["value"]]) for row in rows],
        [Series("rest", "really left")],
        told=[percent(row["value"], 0) for row in rows],
        marks=[row["expected"] for row in rows],
        marked="what a probability would say",
    )
    said = {None: "too few to say", True: "not what it says", False: "as it says"}
    return [
        Paragraph(
            f"Whether the churn score says what happens: of those in each band on {day(found['of'])}, how "
            f"many left within {found['days']} days. It is a score, and was never fitted to departures."
        ),
        Chart("calibration", drawn, "The share that left, by band of the churn score") if rows else None,
        Table(
            ("Churn score", "Left", "Which is"),
            tuple(
                (Cell(row["band"]), Cell(f"{row['count']:,} of {row['of']:,}"), Cell(said[row["off"]]))
                for row in found["bands"]
            ),
            frozenset({"Left"}),
            compact=True,
        ),
    ]


def _to(row: dict) -> str:
    return "" if row["suggested"] is None else f", from {row['now']} to {row['suggested']}"
