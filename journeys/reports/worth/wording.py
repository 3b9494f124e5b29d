"""How the figures are written, on the page and in the report. Pure."""

from journeys.domain.kpis import KPIS, Direction, Unit
from journeys.domain.vocabulary import label
from journeys.reports.wording import NOT_KNOWN, count, money, number, shares

ASSUMPTIONS = {
    "review_rate_per_hour": "An hour of review",
    "review_cap_minutes": "Minutes of a review, at most",
    "channel_cost": "One sending, by channel",
    "infrastructure_per_month": "Infrastructure in 30 days",
}


def written(row: dict) -> str:
    """The value of a KPI's row."""
    return _written(row["name"], row["value"], row["currency"])


def target(row: dict) -> str:
    if row["target"] is None:
        return "none set"
    mark = "at least" if row["direction"] == Direction.HIGHER else "at most"
    return f"{mark} {_written(row['name'], row['target'], row['currency'])}"


def made_of(row: dict) -> str:
    """Numerator and denominator: 2 of 6, or 17 ÷ 4."""
    if row["value"] is None:
        return "nothing to count" if not row["denominator"] else "no figure on record"
    if row["currency"]:
        of = row["denominator"]
        whole = count(of) if KPIS[row["name"]].unit == Unit.MONEY else money(_cents(of), row["currency"])
        return f"{money(_cents(row['numerator']), row['currency'])} ÷ {whole}"
    if KPIS[row["name"]].unit == Unit.SHARE:
        return shares({"numerator": round(row["numerator"]), "denominator": row["denominator"]})
    return f"{number(row['numerator'], 2)} ÷ {number(row['denominator'], _places(row['denominator']))}"


def trend(row: dict) -> list[tuple[str, str, str]]:
    """(since when, by how much, better or worse) for what can be compared."""
    found = []
    for name, since in (("last_run", "last run"), ("month_ago", "30 days ago")):
        before = row[name]
        if before is None or row["value"] is None:
            continue
        moved = row["value"] - before
        if abs(moved) < 1e-9:
            found.append((since, "unchanged", ""))
            continue
        good = (moved > 0) == (row["direction"] == Direction.HIGHER)
        text = _written(row["name"], abs(moved), row["currency"], points=True)
        found.append((since, f"{'+' if moved > 0 else '−'}{text}", "better" if good else "worse"))
    return found


def _written(name: str, value: float | None, currency: str, *, points: bool = False) -> str:
    if value is None:
        return NOT_KNOWN
    unit = KPIS[name].unit
    if unit in (Unit.SHARE, Unit.RATIO):
        places = 1 if unit == Unit.SHARE else 0
        return f"{number(value * 100, places)}{' points' if points else ' %'}"
    if unit == Unit.MONEY:
        return money(_cents(value), currency)
    if unit == Unit.SCORE:
        return number(value, 3)
    if unit == Unit.HOURS and value < 1:
        return f"{number(value * 3600, 1)} s" if value * 60 < 1 else f"{number(value * 60, 1)} min"
    units = {Unit.SECONDS: "s", Unit.HOURS: "h", Unit.DAYS: "days"}
    return f"{number(value, 2)} {units[unit]}"


def _places(value: float) -> int:
    return 0 if value == int(value) else 2


def _cents(value: float) -> str:
    return f"{value:.2f}"


def amount(value: float | None, currency: str) -> str:
    return NOT_KNOWN if value is None else money(_cents(value), currency)


def percent(value: float | None, places: int = 1) -> str:
    return NOT_KNOWN if value is None else f"{number(value * 100, places)} %"


def interval(difference: dict | None) -> str:
    """−2.1 points (−5.0 to +0.8)."""
    if difference is None:
        return NOT_KNOWN
    value, low, high = (_points(difference[name]) for name in ("value", "low", "high"))
    return f"{value} points ({low} to {high})"


def _points(value: float) -> str:
    return ("+" if value > 0 else "") + number(value * 100, 1)


def share_of(arm: dict) -> str:
    """12.0 % (3 of 25)."""
    return f"{percent(arm['value'])} ({arm['count']:,} of {arm['of']:,})" if arm["of"] else NOT_KNOWN


def score_row(measure: dict) -> tuple[str, str, str]:
    """Both arms and the difference of our own score."""
    arms = (measure["treated"], measure["held_out"])
    known = measure["difference"]
    return (
        *(NOT_KNOWN if arm["value"] is None else f"{_signed(arm['value'])} ({arm['of']:,})" for arm in arms),
        f"{_signed(known['value'])} ({_signed(known['low'])} to {_signed(known['high'])})"
        if known
        else NOT_KNOWN,
    )


def _signed(value: float) -> str:
    return ("+" if value > 0 else "") + number(value, 3)


def verdict_sentence(row: dict, *, departures_known: bool) -> str:
    """What an experiment says, and what guards it."""
    if not departures_known:
        return (
            "Nobody is on record as having left, so nothing can be said: either all stayed, or it is "
            "not recorded."
        )
    planned = count(row["planned"], "customer") if row["planned"] else "an unknown number"
    sentences = {
        "collecting": f"Collecting: no verdict before the first {planned} have had their {row['days']} days; "
        f"{row['complete']:,} of those entered have. The interval below is an interim one and is not guarded "
        "against peeking.",
        "inconclusive": "Inconclusive: an effect of 0 lies within the interval.",
        "helps": "It helps: fewer of those treated left than of those held out.",
        "harms": "It harms: more of those treated left than of those held out.",
    }
    if row["over"] and not row["final"]:
        return (
            f"Inconclusive: the experiment ended after {row['complete']:,} customers, before the "
            f"{planned} that "
            "were planned; the interval is not guarded against having been stopped when it looked well."
        )
    text = sentences[row["verdict"]]
    if row["final"]:
        text += (
            f" It rests on the first {planned} who entered, as planned, so looking often did not change it."
        )
    return text


def assumption(name: str, value: float | dict, currency: str) -> str:
    if isinstance(value, dict):
        return ", ".join(
            f"{label(channel).lower()} {amount(cost, currency)}" for channel, cost in value.items()
        )
    return number(value) if name == "review_cap_minutes" else amount(value, currency)


def roi_sentences(money_: dict) -> list[str]:
    """What has to be known beside a return."""
    said = []
    if money_["reviews_unseen"]:
        said.append(
            f"{count(money_['reviews_unseen'], 'review')} of {money_['reviews']:,} count with the whole "
            f"{number(money_['assumptions']['review_cap_minutes'])} minutes, as nobody was seen to open them."
        )
    if money_["record_only"]:
        said.append(
            f"{money_['record_only']:,} of {money_['executed']:,} went through on record only: nothing "
            "was sent, "
            "so they cost what they cost, and nothing that is reported of them counts."
        )
    for row in money_["left_out"]:
        why = "in another currency" if row["sent"] else "on record only"
        said.append(
            f"Left out: {amount(row['value'], row['currency'])} reported by "
            f"{count(row['outcomes'], 'outcome')} {why}."
        )
    if money_["measured"]["value"] is None:
        said.append("The measured value is not known: no experiment has come to a verdict.")
    return said
