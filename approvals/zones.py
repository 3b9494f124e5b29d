"""In which time zone a person reads times: the one they chose, else their browser's, else UTC.

Only pages and mail to people ask here. What is stored, chained, exported or answered to programs is UTC.
"""

from datetime import UTC, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from django.core.exceptions import ObjectDoesNotExist

# Set by desk.js, to what the browser says.
COOKIE = "time_zone"
# Files that lie among the zones and are none to choose.
_NO_PLACES = {"Factory", "localtime", "posixrules"}
# Names of an older kind, for places that have one by their town.
_OLD = ("Brazil/", "Canada/", "Chile/", "Etc/", "Mexico/", "SystemV/", "US/")


@cache
def known() -> frozenset[str]:
    """The names that there are. Looked up in this list and never as a file: a cookie may hold anything."""
    return frozenset(available_timezones() - _NO_PLACES)


@cache
def places() -> tuple[str, ...]:
    """Those to choose from, in order: by continent and town, and UTC first."""
    return ("UTC", *sorted(name for name in known() if "/" in name and not name.startswith(_OLD)))


def chosen_by(user) -> str:
    """The name of the zone that this person chose; empty for none, or for one that is no more."""
    try:
        name = user.preferences.time_zone
    except ObjectDoesNotExist:
        return ""
    return name if name in known() else ""


def zone_for(user, browser: str = "") -> tzinfo:
    """`browser`: what the browser says, as it came."""
    name = chosen_by(user) or (browser if browser in known() else "")
    return ZoneInfo(name) if name else UTC
