"""Intervals, verdicts and sizes: published examples, properties, and coverage on planted effects."""

import math
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeys.domain import effect
from journeys.domain.effect import (
    Difference,
    Share,
    Verdict,
    customers_needed,
    difference_of_means,
    difference_of_shares,
    months_needed,
    sample,
    verdict,
    wilson,
)


@st.composite
def shares(draw, least=0):
    of = draw(st.integers(least, 5_000))
    return Share(draw(st.integers(0, of)), of)


def test_an_empty_arm_says_nothing():
    assert difference_of_shares(Share(0, 0), Share(3, 10)) is None
    assert difference_of_shares(Share(3, 10), Share(0, 0)) is None
    assert wilson(Share(0, 0)) is None
    assert Share(0, 0).value is None


@pytest.mark.parametrize(
    ("treated", "held_out", "low", "high"),
    [
        # Newcombe (1998), table II, method 10.
        (Share(56, 70), Share(48, 80), 0.0524, 0.3339),
        (Share(9, 10), Share(3, 10), 0.1705, 0.8090),
        (Share(10, 10), Share(0, 20), 0.6791, 1.0),
        (Share(0, 10), Share(0, 20), -0.1611, 0.2775),
    ],
)
def test_the_interval_of_shares_is_newcombes(treated, held_out, low, high):
    found = difference_of_shares(treated, held_out)
    assert (found.low, found.high) == pytest.approx((low, high), abs=6e-5)


@given(shares(least=1), shares(least=1))
def test_an_interval_holds_its_difference_and_stays_within_what_is_possible(treated, held_out):
    found = difference_of_shares(treated, held_out)
    assert -1 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1


@given(shares(least=1), shares(least=1))
def test_swapping_the_arms_turns_the_interval_round(treated, held_out):
    found, turned = difference_of_shares(treated, held_out), difference_of_shares(held_out, treated)
    assert (turned.value, turned.low, turned.high) == pytest.approx((-found.value, -found.high, -found.low))


def test_the_interval_of_means_is_welchs():
    # NIST/SEMATECH e-Handbook of Statistical Methods, 7.3.1: Welch on two unequal samples, by hand.
    first, second = (
        [42.1, 41.0, 41.3, 41.8, 42.4, 42.8, 43.2, 42.3, 41.8, 42.7],
        [42.7, 43.6, 43.8, 43.3, 42.5],
    )
    found = difference_of_means(sample(first), sample(second))
    m1, m2 = sum(first) / 10, sum(second) / 5
    v1 = sum((x - m1) ** 2 for x in first) / 9 / 10
    v2 = sum((x - m2) ** 2 for x in second) / 4 / 5
    freedom = (v1 + v2) ** 2 / (v1**2 / 9 + v2**2 / 4)
    assert 9 < freedom < 10
    # Student's quantile at .975 lies between those of 9 and of 10 degrees of freedom (tables).
    half = (found.high - found.low) / 2 / math.sqrt(v1 + v2)
    assert 2.228 < half < 2.262
    assert found.value == pytest.approx(m1 - m2)


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(1, 12.7062), (2, 4.3027), (5, 2.5706), (30, 2.0423), (1e7, 1.95996)]
)
def test_students_quantile_is_that_of_the_tables(freedom, quantile):
    assert effect._student(0.975, freedom) == pytest.approx(quantile, abs=1e-4)


def test_means_of_fewer_than_two_say_nothing():
    assert difference_of_means(sample([1.0]), sample([1.0, 2.0])) is None
    assert difference_of_means(sample([]), sample([])) is None


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=40))
def test_a_sample_sums_up_without_keeping_its_figures(values):
    found = sample(iter(values))
    mean = math.fsum(values) / len(values)
    assert found.mean == pytest.approx(mean, abs=1e-9)
    assert found.variance == pytest.approx(
        math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1), abs=1e-6
    )


# What may be said


def test_nothing_is_said_before_the_planned_size_however_clear_it_looks():
    clear = Difference(-0.3, -0.4, -0.2)
    assert verdict(clear, final=False, lower_is_better=True) is Verdict.COLLECTING
    assert verdict(None, final=True, lower_is_better=True) is Verdict.COLLECTING


@pytest.mark.parametrize(
    ("low", "high", "lower_is_better", "says"),
    [
        (-0.08, -0.02, True, Verdict.HELPS),
        (0.02, 0.08, True, Verdict.HARMS),
        (-0.08, -0.02, False, Verdict.HARMS),
        (0.02, 0.08, False, Verdict.HELPS),
        (-0.02, 0.02, True, Verdict.INCONCLUSIVE),
        (0.0, 0.02, True, Verdict.INCONCLUSIVE),
    ],
)
def test_a_verdict_needs_an_interval_without_0(low, high, lower_is_better, says):
    found = Difference((low + high) / 2, low, high)
    assert verdict(found, final=True, lower_is_better=lower_is_better) is says


# How many it takes


def test_from_15_to_10_percent_with_a_tenth_held_out_takes_about_4300_customers():
    needed = customers_needed(base=0.15, difference=0.05, held_share=0.1, power=0.8)
    assert needed == 4317
    assert months_needed(needed, 500) == pytest.approx(8.6, abs=0.05)


def test_a_question_without_an_answer_has_none():
    assert customers_needed(base=0.15, difference=0.05, held_share=0.0, power=0.8) is None
    assert customers_needed(base=0.15, difference=0.0, held_share=0.1, power=0.8) is None
    assert customers_needed(base=0.1, difference=0.2, held_share=0.1, power=0.8) is None
    assert months_needed(4317, 0) is None
    assert months_needed(4317, None) is None
    assert months_needed(None, 10) is None


@given(
    st.floats(0.05, 0.5),
    st.floats(0.2, 0.9),
    st.floats(0.05, 0.5),
    st.floats(0.5, 0.9),
    st.floats(0.01, 0.09),
)
def test_a_smaller_difference_and_a_greater_power_take_more(base, part, held, power, more):
    needed = customers_needed(base=base, difference=base * part, held_share=held, power=power)
    assert customers_needed(base=base, difference=base * part / 2, held_share=held, power=power) >= needed
    assert customers_needed(base=base, difference=base * part, held_share=held, power=power + more) >= needed


# On data with a planted effect


def _left(random: Random, customers: int, share: float) -> Share:
    return Share(sum(random.random() < share for _ in range(customers)), customers)


@pytest.mark.parametrize("planted", [0.0, 0.05, -0.05])
def test_the_intervals_of_shares_cover_a_planted_effect_at_their_rate(planted):
    random, rounds = Random(1), 1_200
    covered = 0
    for _ in range(rounds):
        found = difference_of_shares(_left(random, 540, 0.15 + planted), _left(random, 60, 0.15))
        covered += found.low <= planted <= found.high
    # 95 %, and four standard errors of 1,200 rounds to either side.
    assert 0.925 <= covered / rounds <= 0.978


@pytest.mark.parametrize("planted", [0.0, 0.05, -0.05])
def test_the_intervals_of_means_cover_a_planted_effect_at_their_rate(planted):
    random, rounds = Random(2), 1_200
    covered = 0
    for _ in range(rounds):
        treated = sample(random.gauss(0.4 + planted, 0.1) for _ in range(60))
        held_out = sample(random.gauss(0.4, 0.25) for _ in range(12))
        found = difference_of_means(treated, held_out)
        covered += found.low <= planted <= found.high
    assert 0.925 <= covered / rounds <= 0.975


@pytest.mark.parametrize(("planted", "says"), [(-0.05, Verdict.HELPS), (0.05, Verdict.HARMS)])
def test_at_the_size_that_was_asked_for_a_planted_effect_is_mostly_seen(planted, says):
    random, rounds = Random(3), 60
    base = 0.15 if planted < 0 else 0.10
    customers = customers_needed(base=0.15, difference=0.05, held_share=0.1, power=0.8)
    seen = 0
    for _ in range(rounds):
        found = difference_of_shares(
            _left(random, round(customers * 0.9), base + planted), _left(random, round(customers * 0.1), base)
        )
        seen += verdict(found, final=True, lower_is_better=True) is says
    # 80 % power, and three standard errors of 60 rounds below it.
    assert seen / rounds >= 0.64


def test_without_an_effect_who_waits_for_the_size_is_seldom_wrong_and_who_peeks_often_is():
    """Why nothing is said before: looked at twenty times on the way, an interval without 0 turns up far more
    often than one time in twenty."""
    random, rounds, looks = Random(4), 250, 20
    wrong_at_the_end = wrong_by_peeking = 0
    for _ in range(rounds):
        treated, held_out, peeked = Share(0, 0), Share(0, 0), False
        for _ in range(looks):
            more, other = _left(random, 45, 0.15), _left(random, 15, 0.15)
            treated = Share(treated.count + more.count, treated.of + more.of)
            held_out = Share(held_out.count + other.count, held_out.of + other.of)
            found = difference_of_shares(treated, held_out)
            excludes = not found.low <= 0 <= found.high
            peeked |= excludes
        wrong_by_peeking += peeked
        wrong_at_the_end += excludes
    assert wrong_at_the_end / rounds < 0.09
    assert wrong_by_peeking / rounds > 0.15
