"""The layout of a report: its dict as titled sections of plain text, which each renderer then marks up.

Nothing here is escaped; every text may hold what a user or another system wrote.
"""

from collections.abc import Callable

from approvals.rules import Authority
from approvals.subjects import labels as kinds_of_request
from journeys.domain.vocabulary import label, phrase
from journeys.reports.cells import customer_cell, more_text, score_text
from journeys.reports.layout import Cell, Items, Page, Paragraph, Section, Table, Tile, Tiles
from journeys.reports.movement_section import movement_section
from journeys.reports.portfolio_section import portfolio_section
from journeys.reports.wording import (
    NOT_KNOWN,
    at_stake,
    count,
    day,
    moment,
    money,
    number,
    one_line,
    shares,
    signed,
    warning,
    why_a_person,
)
from journeys.reports.worth import sections as worth
from journeys.reports.worth.wording import written


def lay_out(report: dict) -> Page:
    """The whole report as a page of plain text, top to bottom."""
    report = one_line(report)
    return Page(
        title=_title(report["run"]),
        warning=warning(report),
        facts=_facts(report),
        takeaways=tuple(report["takeaways"]),
        sections=tuple(
            Section(title, tuple(block for block in make(report) if block is not None), anchor)
            for anchor, title, make in SECTIONS
        ),
    )


def _title(run: dict) -> str:
    about = f"customer {run['customer_id']}" if run["customer_id"] else "the portfolio"
    return f"Report on {about}, {day(run['as_of'])}"


def _facts(report: dict) -> tuple[tuple[str, str], ...]:
    run, portfolio = report["run"], report["portfolio"]
    scope = f"Customer {run['customer_id']} only" if run["customer_id"] else "The whole portfolio"
    facts = [
        ("Run", str(run["id"])),
        ("Scope", scope),
        ("As of", day(run["as_of"])),
        ("Period", f"All on record up to {day(run['as_of'])}; the queue on {moment(run['written_at'])}"),
        ("Signals in force", f"{day(run['signals_from'])} to {day(run['signals_until'])}"),
        ("Policy", f"{run['policy']['name']}, version {run['policy']['version']}"),
        ("Finished", moment(run["finished_at"])),
        ("Asked for by", run["requested_by"]),
    ]
    if signals := portfolio["signals"]:
        facts.insert(5, ("Signals", _signals_told(signals)))
    return tuple(facts)


def _signals_told(signals: dict) -> str:
    """Those of unknown customers are counted by runs over all customers alone."""
    told = f"{signals['received']:,} received, {signals['matched']:,} matched to a customer"
    if signals["orphaned"] is None:
        return told
    return f"{told}, {signals['orphaned']:,} of unknown customers"


def _at_risk(report: dict) -> list:
    at_risk = report["at_risk"]
    if not at_risk["rows"]:
        nobody = (
            "Nobody is at medium or high risk." if report["portfolio"]["assessed"] else "Nobody was assessed."
        )
        return [Paragraph(nobody)]
    lead = (
        f"{count(at_risk['total'], 'customer')} at medium or high risk, the highest first."
        if at_risk["total"]
        else "This customer is not at risk:"
    )
    rows = tuple(
        (
            customer_cell(row, with_value=True),
            Cell(
                label(row["journey_stage"]),
                f"{count(row['days_in_state'], 'day')}, {phrase(row['stage_health'])}",
            ),
            Cell(f"{row['overall_risk_score']:.3f}", label(row["risk_tier"]), row["risk_tier"]),
            Cell(f"{row['churn_risk_score']:.3f}"),
            Cell(" ".join(reason for reason in row["reasons"])),
        )
        for row in at_risk["rows"]
    )
    columns = ("Customer", "Stage", "Risk", "Churn risk", "Why")
    numeric = frozenset({"Risk", "Churn risk"})
    return [Paragraph(lead), Table(columns, rows, numeric, more_text(at_risk["more"], "customer"), "Why")]


def _proposed(report: dict) -> list:
    proposed = report["proposed"]
    if not proposed["total"]:
        return [Paragraph("This run proposed nothing new.")]
    lead = (
        f"{count(proposed['total'], 'intervention')}: {proposed['by_person']:,} for a person to decide, "
        f"{proposed['by_policy']:,} approved by the policy alone"
    )
    if proposed["by_auto_approval"]:
        lead += f", {proposed['by_auto_approval']:,} approved automatically FOR TESTING"
    rows = tuple(
        (
            customer_cell(row),
            Cell(label(row["recommended_action"]), label(row["channel"])),
            Cell(score_text(row["priority_score"], 1)),
            Cell(score_text(row["confidence"], 2)),
            _decider(row),
        )
        for row in proposed["rows"]
    )
    columns = ("Customer", "Action", "Priority", "Confidence", "Who decides, and why")
    more = more_text(proposed["more"], "intervention")
    return [
        Paragraph(f"{lead}."),
        Table(columns, rows, frozenset({"Priority", "Confidence"}), more, columns[-1]),
    ]


def _decider(row: dict) -> Cell:
    why = why_a_person(row["person_reasons"])
    if row["authority"] == Authority.AUTO_APPROVAL_FOR_TESTING:
        return Cell("AUTOMATIC APPROVAL FOR TESTING", f"A person was needed: {why}", "high")
    if row["authority"] == Authority.POLICY:
        return Cell("The policy, alone", "No rule asks for a person")
    return Cell("A person", why)


def _suppressed(report: dict) -> list:
    suppressed = report["suppressed"]
    if not suppressed["total"]:
        return [Paragraph("Nothing that was planned was held back.")]
    reasons = tuple(
        (Cell(label(row["reason"])), Cell(f"{row['count']:,}")) for row in suppressed["by_reason"]
    )
    rows = tuple(
        (
            customer_cell(row),
            Cell(label(row["recommended_action"])),
            Cell(label(row["reason"]), row["detail"]),
        )
        for row in suppressed["rows"]
    )
    return [
        Paragraph(f"{count(suppressed['total'], 'planned action')} held back."),
        Table(("Reason", "Customers"), reasons, frozenset({"Customers"})),
        Table(
            ("Customer", "Action", "Why not"),
            rows,
            more=more_text(suppressed["more"], "customer"),
            widest="Why not",
        ),
    ]


def _pending(report: dict) -> list:
    pending = report["pending"]
    labels = kinds_of_request()
    other = ", ".join(
        f"{row['count']:,} about {label(labels.get(row['kind'], row['kind'])).lower()}"
        for row in pending["other"]
    )
    also = Paragraph(f"Waiting too: {other}.") if other else None
    if not pending["total"]:
        return [Paragraph("No intervention waits for a decision."), also]
    tiles = Tiles(
        (
            Tile("Waiting", f"{pending['total']:,}"),
            Tile("Past the time to decide", f"{pending['overdue']:,}"),
            Tile("Oldest, asked on", moment(pending["oldest_requested_at"])),
            Tile("At stake, a year", at_stake(pending)),
        )
    )
    rows = tuple(
        (
            Cell(row["title"], row["summary"]),
            Cell(score_text(row["priority_score"], 1)),
            Cell(money(row["account_value"], row["currency"])),
            Cell(
                moment(row["decision_due_at"]),
                "overdue" if row["overdue"] else "",
                "high" if row["overdue"] else "",
            ),
        )
        for row in pending["rows"]
    )
    columns = ("What", "Priority", "Value a year", "Decide by")
    numeric = frozenset({"Priority", "Value a year"})
    return [tiles, Table(columns, rows, numeric, more_text(pending["more"], "intervention"), "What"), also]


def _decided(report: dict) -> list:
    decided = report["decided"]
    if not decided["total"]:
        return [Paragraph("Nothing has been decided here yet.")]
    then = decided["approved_then"]
    since = ", ".join(
        f"{then[name]:,} {text}"
        for name, text in (
            ("expired", "not carried out in time"),
            ("lapsed", "lapsed, as the grounds moved"),
            ("revoked", "revoked"),
        )
        if then[name]
    )
    approved = decided["approved"]
    lines = [
        ("Approved by persons", approved["person"]),
        ("Approved by the policy alone", approved["policy"]),
        ("Approved automatically, FOR TESTING", approved["auto_approval_for_testing"]),
        ("Rejected by persons", decided["rejected"]),
        ("Expired: nobody decided in time", decided["expired_undecided"]),
        ("Superseded by another proposal", decided["superseded"]),
    ]
    return [
        _counts("How it ended", "Requests", lines, decided["total"]),
        _how_fast(decided),
        _by_person(decided, report.get("names")),
        Paragraph(f"Of the approvals, since then: {since}.") if since else None,
        _reviewed(report["reviewed"]),
    ]


def _how_fast(decided: dict) -> Paragraph | None:
    waited = decided.get("hours_to_decide")
    if not waited or not waited["denominator"]:
        return None
    return Paragraph(
        f"{count(decided['people'], 'person', 'people')} decided {waited['denominator']:,} of them, each "
        f"{_time(waited)} after it was asked, on average."
    )


def _time(hours: dict) -> str:
    return written({"name": "time_to_decide_hours", "value": hours["value"], "currency": ""})


def _by_person(decided: dict, names: dict[str, str] | None) -> Table | None:
    rows = decided.get("by_person")
    if names is None or not rows:
        return None
    columns = ("Who decided", "Approved", "Rejected", "After, on average")
    return Table(
        columns,
        tuple(
            (
                Cell(names.get(row["person"], row["person"])),
                Cell(f"{row['approved']:,}"),
                Cell(f"{row['rejected']:,}"),
                Cell(_time(row["hours_to_decide"])),
            )
            for row in rows
        ),
        frozenset(columns[1:]),
        more_text(decided["people"] - len(rows), "person"),
    )


def _reviewed(reviewed: dict) -> Paragraph | None:
    """A share of what the policy decided alone is looked at afterwards."""
    if not any(reviewed.values()):
        return None
    return Paragraph(
        "Of what the policy decided alone, people looked at a share afterwards: "
        f"{reviewed['agreed']:,} agreed with, {reviewed['disagreed']:,} not, "
        f"{reviewed['waiting']:,} still to be looked at."
    )


def _executed(report: dict) -> list:
    executed = report["executed"]
    lines = [
        ("Carried out, live", executed["live"]),
        ("Carried out on record only: nothing was sent", executed["record_only"]),
        ("Executed, without an execution on record", executed["without_execution"]),
        ("Recorded: the decision was to do nothing", executed["recorded"]),
        ("Approved, waiting to be carried out", executed["waiting"]),
        ("To be tried again", executed["retrying"]),
        ("Under way", executed["under_way"]),
        ("With the account's owner, as a task", executed["with_owner"]),
        ("Failed", executed["failed"]),
        ("Unknown whether it went out: a person has to end it", executed["unknown"]),
        ("Imported: carried out elsewhere, before", executed["imported"]),
    ]
    if not any(number for _, number in lines):
        return [Paragraph("Nothing has been approved or carried out yet.")]
    overdue = executed["overdue"]
    return [
        _counts("Where it stands", "Interventions", lines, sum(number for _, number in lines)),
        Paragraph(f"{count(overdue, 'task of an owner is', 'tasks of owners are')} overdue.")
        if overdue
        else None,
    ]


def _counts(title: str, of: str, lines: list[tuple[str, int]], total: int) -> Table:
    rows = [(Cell(text), Cell(f"{number:,}")) for text, number in lines if number]
    return Table(
        (title, of),
        (*rows, (Cell("Together", tone="total"), Cell(f"{total:,}", tone="total"))),
        frozenset({of}),
    )


def _outcomes(report: dict) -> list:
    outcomes = report["outcomes"]
    if not outcomes["interventions"]:
        return [Paragraph("Nothing has been done yet, so nothing has come of it: every figure is not known.")]
    tiles = [
        Tile(
            "Interventions done",
            f"{outcomes['interventions']:,}",
            f"{outcomes['with_outcome']:,} with an outcome, {outcomes['open']:,} open",
            "executed, recorded or imported",
        ),
        _share("Resolved", outcomes["resolved"]),
        _average("Days to resolve, mean", outcomes["days_to_resolve"], lambda value: number(value, 2)),
        _average("Change of satisfaction, mean", outcomes["csat_change"], lambda value: signed(value, 2)),
        _average("Change of churn risk, mean", outcomes["churn_risk_change"], lambda value: signed(value, 3)),
        *(_saved(row) for row in outcomes["revenue_saved"]),
        _share("Recorded as overridden", outcomes["overridden"]),
    ]
    kinds = tuple((Cell(label(row["outcome"])), Cell(f"{row['count']:,}")) for row in outcomes["by_outcome"])
    only = outcomes["record_only"]
    return [
        Tiles(tuple(tiles)),
        Table(("Outcome", "Interventions"), kinds, frozenset({"Interventions"})) if kinds else None,
        Paragraph(f"{count(only, 'intervention')} of those done went through on record only.")
        if only
        else None,
    ]


def _share(title: str, figure: dict) -> Tile:
    if figure["value"] is None:
        return Tile(title, NOT_KNOWN, "", figure["source"])
    return Tile(title, shares(figure), f"{figure['value']:.1%}", figure["source"])


def _average(title: str, figure: dict, write: Callable[[float], str]) -> Tile:
    if figure["value"] is None:
        return Tile(title, NOT_KNOWN, "", figure["source"])
    how = f"{number(figure['numerator'])} ÷ {figure['denominator']:,}"
    return Tile(title, write(figure["value"]), how, figure["source"])


def _saved(figure: dict) -> Tile:
    title = "Revenue saved, as reported"
    if figure["value"] is None:
        return Tile(title, NOT_KNOWN, "", figure["source"])
    value = money(figure["value"], figure["currency"])
    return Tile(title, value, f"sum over {count(figure['denominator'], 'outcome')}", figure["source"])


def _findings(report: dict) -> list:
    found = report["findings"]
    if not found["total"]:
        return [Paragraph("No finding is open.")]
    rows = tuple(
        (
            *((Cell(label(row["kind"])), Cell(f"{row['count']:,}")) if place == 0 else (Cell(""), Cell(""))),
            Cell(example["subject"]),
            Cell(example["detail"]),
        )
        for row in found["by_kind"]
        for place, example in enumerate(row["examples"])
    )
    lead = f"{count(found['total'], 'open finding')}: received, kept, and not yet mended. Some examples:"
    columns = ("Kind", "Open", "About", "For example")
    return [Paragraph(lead), Table(columns, rows, frozenset({"Open"}), widest="For example")]


def _next_steps(report: dict) -> list:
    steps = report.get("next_steps")
    return [Items(tuple(steps)) if steps else Paragraph("Nothing that this report can see.")]


def _not_known(report: dict) -> list:
    return [Items(tuple(report["not_known"]))]


SECTIONS: tuple[tuple[str, str, Callable[[dict], list]], ...] = (
    ("at-risk", "Who is at risk, and why", _at_risk),
    ("movement", "What moved since last time", movement_section),
    ("portfolio", "The portfolio, by stage and tier", portfolio_section),
    ("proposed", "What this run proposed", _proposed),
    ("suppressed", "What was held back, and why", _suppressed),
    ("pending", "What waits for a decision", _pending),
    ("decided", "What was decided", _decided),
    ("executed", "What was carried out", _executed),
    ("outcomes", "What came of it", _outcomes),
    ("effect", "What it caused", worth.effect),
    ("kpis", "How it stands against its targets", worth.kpis),
    ("roi", "What it cost, and what it returned", worth.roi),
    ("under-review", "What is under review", worth.under_review),
    ("next-steps", "What to do next", _next_steps),
    ("findings", "What does not fit in the data", _findings),
    ("not-known", "What this report does not know", _not_known),
)
