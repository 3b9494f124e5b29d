"""Whom an experiment leaves alone, and whom never."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeys.domain import holdout
from journeys.domain.holdout import Arm
from journeys.domain.policy import PUBLISHED, PolicyError, load
from journeys.domain.suppression import CustomerHistory, Situation, suppress

DAY = date(2025, 1, 15)
TENTH = load({"holdout": {"share": 0.1}})


def test_nobody_is_held_out_unless_a_policy_says_so():
    assert PUBLISHED.holdout.share == 0
    assert not holdout.is_on(PUBLISHED, DAY)


def test_an_experiment_ends_after_its_last_day():
    rules = load({"holdout": {"share": 0.1, "ends_on": "2025-01-15"}})
    assert holdout.is_on(rules, DAY)
    assert not holdout.is_on(rules, date(2025, 1, 16))


@pytest.mark.parametrize(
    ("case", "part"),
    [
        ({}, True),
        ({"tier": "high"}, False),
        ({"value": 30_000.0}, False),
        ({"value": None}, False),
        ({"channel": "none"}, False),
        ({"channel": None}, False),
    ],
)
def test_who_is_excluded_or_of_unknown_value_is_never_drawn(case, part):
    facts = {"channel": "email", "tier": "medium", "value": 29_999.0} | case
    assert holdout.takes_part(**facts, policy=TENTH) is part


@given(st.text(min_size=1, max_size=64))
def test_a_draw_is_the_same_whenever_it_is_made(customer_id):
    assert holdout.draw(customer_id, TENTH) == holdout.draw(customer_id, load({"holdout": {"share": 0.1}}))


@given(st.text(min_size=1, max_size=64), st.floats(0.01, 0.25), st.floats(0.25, 0.5))
def test_a_greater_share_keeps_those_who_were_held_out(customer_id, small, great):
    if holdout.draw(customer_id, load({"holdout": {"share": small}})) is Arm.HELD_OUT:
        assert holdout.draw(customer_id, load({"holdout": {"share": great}})) is Arm.HELD_OUT


def test_about_the_share_is_held_out_and_the_next_experiment_draws_anew():
    ids = [f"C{number:05}" for number in range(20_000)]
    again = load({"holdout": {"share": 0.1, "experiment": "second"}})
    first = {key for key in ids if holdout.draw(key, TENTH) is Arm.HELD_OUT}
    second = {key for key in ids if holdout.draw(key, again) is Arm.HELD_OUT}
    assert 0.09 < len(first) / len(ids) < 0.11
    # Drawn independently, a tenth of a tenth is held out twice.
    assert 0.006 < len(first & second) / len(ids) < 0.014


@pytest.mark.parametrize(
    "rules", [{"share": 0.6}, {"share": -0.1}, {"base_share": 0.01}, {"experiment": ""}, {"tiers": []}]
)
def test_a_hold_out_that_makes_no_sense_is_refused(rules):
    with pytest.raises(PolicyError):
        load({"holdout": rules})


def test_being_held_out_is_the_last_reason_not_to_contact():
    now = Situation("medium", "support", frozenset())

    def reason(**facts):
        return suppress(
            action="support_followup",
            channel="email",
            facts=CustomerHistory(now=now, held_out="first", **facts),
            as_of=DAY,
            policy=TENTH,
        )

    assert reason().reason == "held_out"
    assert "“first”" in reason().detail
    assert reason(do_not_contact=True).reason == "do_not_contact"
    assert reason(last_contact_on=DAY).reason == "contacted_recently"
