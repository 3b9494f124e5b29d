"""What a report says in sentences: how figures are written, the takeaways, and what is not known. Pure."""

import unicodedata
from datetime import date, datetime
from decimal import Decimal

from journeys.domain.kpis import KPIS
from journeys.domain.vocabulary import label, phrase

NOT_KNOWN = "not known"

# They turn the direction of what follows, and so can make a name read as something else.
_DIRECTION_MARKS = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C])


def one_line(value):
    """A document with every text in it as one line, without control characters or marks of direction."""
    if isinstance(value, dict):
        return {key: one_line(item) for key, item in value.items()}
    if isinstance(value, list):
        return [one_line(item) for item in value]
    return _clean(value) if isinstance(value, str) else value


def _clean(text: str) -> str:
    text = text.translate(_DIRECTION_MARKS)
    visible = (" " if unicodedata.category(sign) in ("Cc", "Zl", "Zp", "Cs") else sign for sign in text)
    return " ".join("".join(visible).split())


def count(number: int | None, one: str = "", many: str = "") -> str:
    """1 customer, 1,234 customers; "not known" for None."""
    if number is None:
        return NOT_KNOWN
    word = one if number == 1 else many or f"{one}s"
    return f"{number:,} {word}" if one else f"{number:,}"


def money(amount: str | None, currency: str) -> str:
    if amount is None:
        return NOT_KNOWN
    value = Decimal(amount)
    return f"{value:,.{0 if value == value.to_integral_value() else 2}f} {currency}".strip().replace("-", "−")


def number(value: float, places: int | None = None) -> str:
    """With so many places, or as it is: whole, or with all its places and at least two."""
    if places is None:
        exact = Decimal(repr(value)).normalize()
        places = 0 if exact == exact.to_integral_value() else max(2, -exact.as_tuple().exponent)
    return f"{value:,.{places}f}".replace("-", "−")


def signed(value: float, places: int) -> str:
    return ("+" if value > 0 else "") + number(value, places)


def day(text: str) -> str:
    """2025-01-05 -> 5 Jan 2025."""
    return _day(date.fromisoformat(text))


def moment(text: str | None) -> str:
    if text is None:
        return NOT_KNOWN
    at = datetime.fromisoformat(text)
    return f"{_day(at.date())}, {at:%H:%M} UTC"


def _day(of: date) -> str:
    return f"{of.day} {of:%b %Y}"


def name_of(customer: dict) -> str:
    return customer["name"] or customer["customer_id"]


def shares(figure: dict) -> str:
    """2 of 6."""
    return f"{figure['numerator']:,} of {figure['denominator']:,}"


def at_stake(pending: dict) -> str:
    """What the pending requests' accounts are worth a year, per currency; never added across them."""
    sums = [money(row["amount"], row["currency"]) for row in pending["value_at_stake"]]
    if pending["value_unknown"]:
        sums.append(f"{count(pending['value_unknown'], 'account')} of unknown value")
    return ", ".join(sums) or NOT_KNOWN


def warning(report: dict) -> str | None:
    """Said before anything else, where automatic approval for testing had a hand in it."""
    auto = report["auto_approval"]
    sentences = []
    if auto["on"]:
        sentences.append(
            "AUTOMATIC APPROVAL FOR TESTING WAS ON IN THIS RUN: "
            f"{count(auto['approved_in_run'], 'intervention')} that needed a person "
            f"{'was' if auto['approved_in_run'] == 1 else 'were'} approved by nobody."
        )
    if auto["standing"] and not (auto["on"] and auto["standing"] == auto["approved_in_run"]):
        sentences.append(
            f"AUTOMATIC APPROVAL FOR TESTING decided {count(auto['standing'], 'approval')} that "
            f"{'stands' if auto['standing'] == 1 else 'stand'} in this report: no person approved them."
        )
    return " ".join(sentences) or None


def takeaways(report: dict) -> list[str]:
    """Three sentences, by rule: the risk, what waits for somebody, what came of it."""
    return [_risk_takeaway(report), _work_takeaway(report), _result_takeaway(report["outcomes"])]


def _risk_takeaway(report: dict) -> str:
    portfolio, at_risk = report["portfolio"], report["at_risk"]
    if not portfolio["assessed"]:
        return "No customer was assessed, so nothing is known about the risk."
    assessed = count(portfolio["assessed"], "customer")
    if not at_risk["total"]:
        return f"None of {assessed} assessed is at medium or high risk."
    top = at_risk["rows"][0]
    high = portfolio["by_tier"]["high"]
    return (
        f"{at_risk['total']:,} of {assessed} assessed {'is' if at_risk['total'] == 1 else 'are'} "
        f"at medium or high risk, {high or 'none'} of them at high; "
        f"first is {name_of(top)}, at {top['overall_risk_score']:.3f}."
    )


def _work_takeaway(report: dict) -> str:
    pending, executed = report["pending"], report["executed"]
    if pending["total"]:
        text = (
            f"{count(pending['total'], 'intervention waits', 'interventions wait')} for a decision, "
            f"{pending['overdue'] or 'none'} of them overdue; at stake a year: {at_stake(pending)}."
        )
    else:
        text = "Nothing waits for a decision."
    troubled = [
        count(executed[name], one, many)
        for name, one, many in (
            ("unknown", "result is unknown", "results are unknown"),
            ("failed", "execution has failed", "executions have failed"),
            ("overdue", "task is overdue", "tasks are overdue"),
        )
        if executed[name]
    ]
    return f"{text} A person has to look: {', '.join(troubled)}." if troubled else text


def _result_takeaway(outcomes: dict) -> str:
    if not outcomes["interventions"]:
        return "Nothing has been done yet, so there is nothing to have come of it."
    done = count(outcomes["interventions"], "intervention")
    if not outcomes["with_outcome"]:
        return f"What came of {done} is not known yet: none has an outcome on record."
    measured = outcomes["with_outcome"]
    text = (
        f"Of {done} done, {measured:,} {'has' if measured == 1 else 'have'} an outcome on record, "
        f"and {shares(outcomes['resolved'])} {'was' if outcomes['resolved']['numerator'] == 1 else 'were'} "
        "resolved"
    )
    if outcomes["open"]:
        return f"{text}; what came of the other {outcomes['open']:,} is not known."
    return f"{text}."


def gaps(report: dict) -> list[str]:
    """What this report does not know."""
    outcomes, portfolio = report["outcomes"], report["portfolio"]
    unknown = _gaps_of_worth(report["worth"])
    measured = {
        "the share resolved": outcomes["resolved"],
        "days to resolve": outcomes["days_to_resolve"],
        "the change of satisfaction": outcomes["csat_change"],
        "the change of churn risk": outcomes["churn_risk_change"],
        "the revenue saved": outcomes["revenue_saved"][0],
        "the share overridden": outcomes["overridden"],
    }
    if missing := [name for name, figure in measured.items() if not figure["denominator"]]:
        unknown.append(f"No outcome on record states it: {', '.join(missing)}.")
    if outcomes["open"]:
        unknown.append(f"What came of {count(outcomes['open'], 'intervention')} without an outcome.")
    if outcomes["revenue_saved"][0]["denominator"]:
        unknown.append("Whether the revenue saved really was: it stands as it was reported.")
    if outcomes["overridden"]["denominator"]:
        unknown.append(
            "How often people overrule the recommendations: 'overridden' is what outcomes state, not a count "
            "of decisions made here."
        )
    if outcomes["record_only"]:
        unknown.append(
            f"What sending would have changed for {count(outcomes['record_only'], 'intervention')} that "
            "only went through on record."
        )
    if portfolio["value_unknown"]:
        unknown.append(f"The account value of {count(portfolio['value_unknown'], 'assessed customer')}.")
    if portfolio["customers"] is None:
        unknown.append("How many customers the run looked at.")
    elif missed := portfolio["customers"] - portfolio["assessed"]:
        unknown.append(f"The risk of {count(missed, 'customer')} without an open journey state.")
    return unknown


def _gaps_of_worth(worth: dict) -> list[str]:
    if not worth:
        return ["Effects, KPIs and the return on investment: they are measured over the portfolio only."]
    unknown = []
    if not worth["effects"]:
        unknown.append(
            "Whether any of it was caused by what was done: nobody was held out to compare with, so an "
            "effect "
            "is not measured."
        )
    elif not any(row["final"] for row in worth["effects"]):
        unknown.append("Whether what is done helps: no experiment has reached its size yet.")
    if not worth["departures_known"]:
        unknown.append("Whether customers really left: nobody is on record as having left.")
    without = [KPIS[row["name"]].label for row in worth["kpis"] if row["value"] is None]
    if without:
        unknown.append(f"KPIs without a figure: {', '.join(without)}.")
    if worth["roi"]["measured"]["value"] is None:
        unknown.append("The return on investment, as measured: only a comparison could say it.")
    return unknown


def why_a_person(reasons: list[str]) -> str:
    """the risk is high; the account is large -> one phrase."""
    said = "; ".join(phrase(reason) for reason in reasons)
    return said[:1].upper() + said[1:] if said else label("person")
