"""The status of a KPI, and what a tier says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeys.domain.kpis import KPIS, Direction, KpiStatus, headline, status_of
from journeys.domain.policy import PUBLISHED, PolicyError, load

UP, DOWN = Direction.HIGHER, Direction.LOWER
WORST_FIRST = ["critical", "at_risk", "not_known", "on_track", "exceeded"]
statuses = st.lists(st.sampled_from(list(KpiStatus)), min_size=1, max_size=12)
positive = st.floats(0.001, 1_000)


@pytest.mark.parametrize(
    ("value", "target", "direction", "status"),
    [
        (0.5, 0.5, UP, "exceeded"),
        (0.41, 0.5, UP, "on_track"),
        (0.4, 0.5, UP, "on_track"),
        (0.39, 0.5, UP, "at_risk"),
        (0.25, 0.5, UP, "at_risk"),
        (0.24, 0.5, UP, "critical"),
        (0.0, 0.5, UP, "critical"),
        (-0.2, 0.5, UP, "critical"),
        (24, 24, DOWN, "exceeded"),
        (30, 24, DOWN, "on_track"),
        (40, 24, DOWN, "at_risk"),
        (48, 24, DOWN, "at_risk"),
        (49, 24, DOWN, "critical"),
        (0.0, 0.02, DOWN, "exceeded"),
        (0.0, 0.0, DOWN, "exceeded"),
        (0.1, 0.0, DOWN, "critical"),
        (0.0, 0.0, UP, "exceeded"),
        (None, 0.5, UP, "not_known"),
        (0.5, None, DOWN, "not_known"),
    ],
)
def test_a_status_follows_from_value_target_and_direction(value, target, direction, status):
    assert status_of(value, target, direction) == status


@given(positive, positive)
def test_lower_is_better_compares_target_with_value(value, target):
    assert status_of(value, target, DOWN) == status_of(target, value, UP)


@given(positive, positive, st.floats(1, 10))
def test_a_better_value_never_has_a_worse_status(value, target, factor):
    rank = WORST_FIRST.index
    assert rank(status_of(value * factor, target, UP)) >= rank(status_of(value, target, UP))
    assert rank(status_of(value / factor, target, DOWN)) >= rank(status_of(value, target, DOWN))


@given(statuses)
def test_a_tier_says_what_its_worst_part_says(parts):
    assert headline(parts) == min(parts, key=WORST_FIRST.index)


@given(statuses)
def test_what_is_not_known_never_improves_a_tier(parts):
    rank = WORST_FIRST.index
    assert rank(headline([*parts, KpiStatus.NOT_KNOWN])) <= rank(headline(parts))
    assert headline([*parts, KpiStatus.NOT_KNOWN]) not in (KpiStatus.EXCEEDED, KpiStatus.ON_TRACK)


def test_a_tier_of_nothing_is_not_known():
    assert headline([]) == KpiStatus.NOT_KNOWN


def test_every_definition_says_what_it_means_and_what_it_is_made_of():
    for kpi in KPIS.values():
        assert all((kpi.label, kpi.words, kpi.numerator, kpi.denominator, kpi.rows)), kpi.name
    assert {kpi.tier for kpi in KPIS.values()} == {"operational", "effectiveness", "business"}
    assert PUBLISHED.kpis.targets == {name: kpi.target for name, kpi in KPIS.items()}


def test_a_target_for_a_kpi_that_is_not_there_is_refused():
    with pytest.raises(PolicyError, match="there is no KPI lifetime_value"):
        load({"kpis": {"targets": {"lifetime_value": 0.05}}})
