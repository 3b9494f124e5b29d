"""Cost, value and return of one population, and what they rest on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeys.domain.roi import Assumptions, Population, costs, roi, sensitivity

GIVEN = Assumptions(
    review_rate_per_hour=60.0,
    review_cap_minutes=30.0,
    channel_cost={"email": 0.5, "task": 20.0},
    infrastructure_per_month=300.0,
)


def population(**values) -> Population:
    defaults = {
        "executed": 4,
        "review_minutes": (6.0, 90.0),
        "reviews_unseen": 1,
        "by_channel": {"email": 2, "task": 1, "none": 1},
        "window_days": 30,
        "reported_value": 1_000.0,
        "measured_value": None,
    }
    return Population(**defaults | values)


def test_costs_are_review_up_to_the_cap_sends_and_the_share_of_infrastructure():
    found = costs(population(), GIVEN)
    # 6 minutes, 30 of the 90, and 30 for the review that nobody was seen to open, at 1 a minute.
    assert found == (66.0, 21.0, 300.0)
    assert found.total == 387.0


def test_what_is_not_known_has_no_return():
    assert roi(None, 100.0) is None
    assert roi(100.0, 0.0) is None
    assert roi(300.0, 100.0) == 2.0
    assert roi(0.0, 100.0) == -1.0


def test_each_assumption_is_halved_and_doubled_alone():
    rows = {row.assumption: row for row in sensitivity(population(), GIVEN)}
    assert set(rows) == set(Assumptions.__dataclass_fields__)
    rate = rows["review_rate_per_hour"]
    assert rate.reported_half == pytest.approx((1_000 - 354) / 354)
    assert rate.reported_double == pytest.approx((1_000 - 453) / 453)
    assert rate.measured_half is rate.measured_double is None
    assert rows["channel_cost"].reported_double == pytest.approx((1_000 - 408) / 408)


money = st.floats(0, 10_000)


@given(money, money, st.floats(0.01, 500), st.floats(0, 90), st.floats(0.01, 2_000))
def test_a_dearer_assumption_never_raises_the_return(reported, measured, rate, cap, month):
    given_ = Assumptions(
        review_rate_per_hour=rate,
        review_cap_minutes=cap,
        channel_cost={"email": 0.5},
        infrastructure_per_month=month,
    )
    of = population(reported_value=reported, measured_value=measured)
    for row in sensitivity(of, given_):
        assert row.reported_double <= row.reported_half + 1e-9
        assert row.measured_double <= row.measured_half + 1e-9
