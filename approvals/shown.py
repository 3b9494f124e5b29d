"""How moments, money and scores read. A distance in time is told from a `now` that is handed in; a moment in
the time zone that is active (see `approvals.zones`), which is UTC wherever nobody is looking."""

from datetime import date, datetime, timedelta
from decimal import Decimal

from django.utils import timezone

_SIGNS = {"USD": "$", "EUR": "€", "GBP": "£"}
_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def span(length: timedelta) -> str:
    """ "24 min", "3 h 12 min", "30 h", "12 days"; whole units, rounded down."""
    if length < _MINUTE:
        return "less than a minute"
    if length < _HOUR:
        return f"{length // _MINUTE} min"
    if length < 10 * _HOUR:
        minutes = length % _HOUR // _MINUTE
        return f"{length // _HOUR} h {minutes} min" if minutes else f"{length // _HOUR} h"
    if length < 2 * _DAY:
        return f"{length // _HOUR} h"
    return f"{length // _DAY} days"


def relative(moment: datetime, now: datetime) -> str:
    """ "5 h ago" or "in 5 h"."""
    distance = moment - now
    if abs(distance) < _MINUTE:
        return "just now"
    return f"in {span(distance)}" if distance > timedelta(0) else f"{span(-distance)} ago"


def absolute(moment: datetime) -> str:
    """ "Tue 24 Nov 2026, 14:00 UTC"."""
    at = timezone.localtime(moment)
    return f"{at:%a} {at.day} {at:%b %Y, %H:%M} {zone_of(at)}"


def time_of_day(moment: datetime) -> str:
    """ "14:00 UTC", where the day is plain."""
    at = timezone.localtime(moment)
    return f"{at:%H:%M} {zone_of(at)}"


def zone_of(at: datetime) -> str:
    """The short name of the zone at that time, which tells summer from winter: "CET", "UTC"; "UTC+05:30" for
    a zone that has only figures for a name."""
    name = at.tzname() or ""
    return name if name.isalpha() else f"UTC{at.isoformat()[-6:]}"


def zone_name() -> str:
    """The active zone, as people call it: "America/New York"."""
    return timezone.get_current_timezone_name().replace("_", " ")


def day(on: date) -> str:
    """ "24 Nov 2026"; a day is the same in every zone."""
    return f"{on.day} {on:%b %Y}"


def money(value: Decimal | float | None, currency: str) -> str:
    """ "$42,000", "CHF 1,200.50"; "not known" for None, which is never 0."""
    if value is None:
        return "not known"
    value = Decimal(value)
    figure = f"{value:,.0f}" if value == value.to_integral_value() else f"{value:,.2f}"
    return f"{_SIGNS[currency]}{figure}" if currency in _SIGNS else f"{currency} {figure}".strip()


def brief(value: Decimal | float, currency: str) -> str:
    """ "$1.2M", "€600k": for the scale of a chart."""
    value, unit = Decimal(value), ""
    for power, sign in ((9, "B"), (6, "M"), (3, "k")):
        if value >= 10**power:
            value, unit = value / 10**power, sign
            break
    return money(Decimal(0), currency).removesuffix("0") + f"{value.normalize():f}{unit}"


def score(value: float | None, places: int = 2) -> str:
    """A score of 0..1 as ".50"; "1.00" for 1, "not known" for None."""
    if value is None:
        return "not known"
    figure = f"{value:.{places}f}"
    return figure.removeprefix("0") if figure.startswith("0.") else figure


def signed(change: float, places: int = 3) -> str:
    """A change of a score, as "+.130" or "−.020"."""
    return f"{'+' if change > 0 else '−'}{score(abs(change), places)}"


def adding_up(parts: dict[str, float], places: int = 3) -> dict[str, float]:
    """The parts rounded so that what is shown adds up to the rounded total: where rounding each would miss
    it, the parts that were cut the most get the last digits."""
    unit = 10**places
    floors = {name: int(part * unit) for name, part in parts.items()}
    missing = round(sum(parts.values()) * unit) - sum(floors.values())
    by_loss = sorted(parts, key=lambda name: floors[name] - parts[name] * unit)
    return {name: (floors[name] + (name in by_loss[:missing])) / unit for name in parts}
