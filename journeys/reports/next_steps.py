"""What to do next, by rule: each with a count, and names and a date where there are any. Pure."""

from journeys.domain.vocabulary import label, phrase
from journeys.reports.wording import count, day, name_of

_NAMES = 3


def next_steps(report: dict) -> list[str]:
    return [step for step in (*_deciding(report), *_carrying_out(report), *_learning(report)) if step]


def _deciding(report: dict) -> list[str]:
    pending, came = report["pending"], report["movement"]["new_at_risk"]
    steps = []
    if pending["total"]:
        first = pending["rows"][0]
        text = f"Decide {count(pending['total'], 'intervention')}, first: {first['title']}"
        if pending["overdue"]:
            steps.append(f"{text}. {pending['overdue']:,} of them are overdue already.")
        else:
            steps.append(f"{text}, by {day(first['decision_due_at'][:10])}.")
    if came["total"]:
        steps.append(f"Look at {_names(came)}, new at risk since last time.")
    return steps


def _names(found: dict) -> str:
    names = [name_of(row) for row in found["rows"][:_NAMES]]
    if more := found["total"] - len(names):
        return f"{', '.join(names)} and {count(more, 'more customer')}"
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _carrying_out(report: dict) -> list[str]:
    executed, outcomes = report["executed"], report["outcomes"]
    told = (
        (executed["unknown"], "Find out what became of {} whose result is unknown.", "execution"),
        (executed["failed"], "See why {} failed.", "execution"),
        (executed["overdue"], "Ask the owners about {} overdue.", "task"),
        (outcomes["open"], "Record what came of {} done.", "intervention"),
    )
    return [text.format(count(number, one)) for number, text, one in told if number]


def _learning(report: dict) -> list[str]:
    steps = []
    for row in report["worth"]["learning"]["playbooks"] if report["worth"] else []:
        if row["under_review"]:
            good, of = row["success"]
            steps.append(
                f"Review {phrase(row['action'])} for {row['segment'] or 'customers of no known segment'}: "
                f"{good:,} of {of:,} succeeded."
            )
    found = report["findings"]
    if found["total"]:
        most = max(found["by_kind"], key=lambda row: row["count"])
        steps.append(
            f"Mend {count(found['total'], 'open finding')}; most are of the kind “{label(most['kind'])}”, "
            f"{most['count']:,}."
        )
    return steps
