"""How much the policy has decided today of what single events brought up: for these a day has the cap that a
run over the portfolio has, as there is no end to their number."""

from datetime import date

from django.db import IntegrityError
from django.db.models import F

from journeys.models import PolicyAllowance


def used(day: date) -> int:
    return PolicyAllowance.objects.filter(pk=day).values_list("used", flat=True).first() or 0


def take(day: date, number: int, *, most: int) -> None:
    """In the transaction that decides. Raises IntegrityError where others have used it up meanwhile."""
    if not number:
        return
    PolicyAllowance.objects.get_or_create(pk=day)
    left = PolicyAllowance.objects.filter(pk=day, used__lte=most - number)
    if not left.update(used=F("used") + number):
        raise IntegrityError("The policy's cap of the day was used up meanwhile.")
