"""What came of what was done alike."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from journeys.domain.precedents import Count, Done, precedents

DAY = date(2025, 1, 15)


def done(outcome: str | None, days: float | None = None, ago: int = 0) -> Done:
    return Done(DAY - timedelta(days=ago), outcome, days)


def test_outcomes_are_counted_with_the_median_of_the_days_that_are_known():
    found = precedents(
        [
            done("resolved", 3, 40),
            done("resolved", 5),
            done("resolved"),
            done("no_response", None, 9),
            done(None),
        ]
    )
    assert found.counts == (Count("resolved", 3, 4.0, 2), Count("no_response", 1, None, 0))
    assert (found.number, found.open) == (5, 1)
    assert (found.first, found.last) == (DAY - timedelta(days=40), DAY)


def test_open_is_counted_as_open_and_never_as_an_outcome():
    found = precedents([done(None), done(None)])
    assert (found.number, found.open, found.counts) == (2, 2, ())


def test_of_nothing_nothing_is_known():
    assert precedents([]) == (0, 0, (), None, None, 0)


def test_what_was_only_recorded_is_told_apart():
    assert precedents([done("resolved"), done("resolved")._replace(only_recorded=True)]).only_recorded == 1


outcomes = st.sampled_from([None, "resolved", "no_response", "partial_improvement"])


@given(st.lists(st.builds(done, outcomes, st.none() | st.floats(0, 400), st.integers(0, 500)), max_size=30))
def test_the_counts_add_up(rows):
    found = precedents(rows)
    assert sum(count.number for count in found.counts) + found.open == found.number == len(rows)
    assert all(count.measured <= count.number for count in found.counts)
    assert all((count.days is None) == (count.measured == 0) for count in found.counts)
