"""Whoever is among the most urgent of all is found, though most of the others are not looked at twice."""

from hypothesis import given
from hypothesis import strategies as st

from journeys.pipeline.urgent import Candidate, MostUrgent, rank

PRIORITIES = st.one_of(st.integers(0, 5).map(float), st.floats(0, 100))


@st.composite
def ranges(draw) -> list[list[Candidate]]:
    priorities = draw(st.lists(st.lists(PRIORITIES, max_size=8), max_size=12))
    return [
        [(priority, f"C{number:02}{place}") for place, priority in enumerate(some)]
        for number, some in enumerate(priorities)
    ]


def left(most: int, found: list[list[Candidate]]) -> list[Candidate]:
    urgent, kept = MostUrgent(most), []
    for some in found:
        those = [candidate for candidate in some if urgent.may_include(candidate)]
        urgent.see(those)
        kept += those
    return kept


@given(st.integers(0, 6), ranges())
def test_none_of_the_most_urgent_is_passed_over(most, found):
    everybody = [candidate for some in found for candidate in some]
    assert sorted(left(most, found), key=rank)[:most] == sorted(everybody, key=rank)[:most]


@given(st.integers(1, 6), ranges())
def test_what_others_have_seen_helps_and_changes_nothing(most, found):
    """As several processes do, of which each hears of some of the others' ranges."""
    urgent, kept = MostUrgent(most), []
    for number, some in enumerate(found):
        if number % 2:
            urgent.see(kept)
        kept += [candidate for candidate in some if urgent.may_include(candidate)]
    everybody = [candidate for some in found for candidate in some]
    assert sorted(kept, key=rank)[:most] == sorted(everybody, key=rank)[:most]


def test_who_is_less_urgent_than_enough_others_is_not_looked_at_again():
    tens = [[(float(ten + place), f"C{ten + place}") for place in range(10)] for ten in range(90, -1, -10)]
    assert len(left(5, tens)) == 10
    assert left(0, tens) == []
