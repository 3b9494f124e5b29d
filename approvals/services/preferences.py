"""What a person sets for themselves."""

from approvals import zones
from approvals.models import Preferences
from approvals.rules import Refusal


class NoSuchZone(Refusal):
    code = "no_such_zone"


def choose_monthly_report(*, user, wanted: bool | None) -> None:
    """Whether this person gets the monthly report by mail from now on; None: as their role has it."""
    Preferences.objects.update_or_create(user=user, defaults={"monthly_report": wanted})


def choose_time_zone(*, user, name: str) -> None:
    """Tell this person times in the zone of this name from now on; empty: in their browser's. Raises
    NoSuchZone."""
    if name and name not in zones.known():
        raise NoSuchZone(f"There is no time zone “{name}”: choose one from the list.")
    Preferences.objects.update_or_create(user=user, defaults={"time_zone": name})
