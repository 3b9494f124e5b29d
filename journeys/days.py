"""The calendar of runs and wishes: days begin and end at midnight UTC, wherever anybody is."""

from datetime import UTC, date

from django.utils import timezone


def today() -> date:
    return timezone.now().astimezone(UTC).date()
