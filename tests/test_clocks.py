"""Working hours, by examples and by properties."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from approvals.rules import WorkingHours, working_deadline

OFFICE = WorkingHours(frozenset({1, 2, 3, 4, 5}), 8, 18, "UTC")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("asked", "hours", "due"),
    [
        ("2025-01-15 09:00", 4, "2025-01-15 13:00"),  # within a Wednesday
        ("2025-01-15 16:00", 4, "2025-01-16 10:00"),  # two hours are left today
        ("2025-01-17 17:00", 4, "2025-01-20 11:00"),  # over a weekend
        ("2025-01-18 12:00", 4, "2025-01-20 12:00"),  # asked on a Saturday
        ("2025-01-15 03:00", 24, "2025-01-17 12:00"),  # before the day begins
        ("2025-01-15 09:00", 72, "2025-01-24 11:00"),
    ],
)
def test_a_deadline_counts_working_hours_only(asked, hours, due):
    assert working_deadline(at(asked), hours, OFFICE) == at(due)


def test_the_working_day_is_that_of_the_time_zone():
    berlin = WorkingHours(OFFICE.weekdays, 8, 18, "Europe/Berlin")
    assert working_deadline(at("2025-01-15 16:00"), 4, berlin) == at("2025-01-16 10:00")
    assert working_deadline(at("2025-07-16 16:00"), 4, berlin) == at("2025-07-17 10:00")


@given(
    start=st.datetimes(datetime(2024, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - takes its bounds without
    hours=st.integers(1, 200),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
)
def test_a_longer_time_is_never_due_earlier_and_always_in_working_hours(start, hours, zone):
    calendar = WorkingHours(OFFICE.weekdays, 8, 18, zone)
    due = working_deadline(start, hours, calendar)
    assert due >= start + timedelta(hours=hours)
    assert working_deadline(start, hours + 1, calendar) > due
