"""What holds for any customer and any signals."""

import math
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeys.domain.policy import PUBLISHED
from journeys.domain.signals import SignalFact, aggregate
from journeys.domain.vocabulary import Stage

from .sample import assess

KINDS = {
    polarity: sorted(kind for kind, rule in PUBLISHED.signals.kinds.items() if rule.polarity == polarity)
    for polarity in ("negative", "positive", "neutral")
}
strengths = st.floats(0, 1)
any_kind = st.sampled_from([*PUBLISHED.signals.kinds, "a_kind_nobody_knows"])
days_of_detection = st.integers(0, 90).map(lambda back: date(2025, 1, 15) - timedelta(days=back))


@st.composite
def signal_lists(draw, min_size=0):
    rows = draw(st.lists(st.tuples(any_kind, strengths, days_of_detection), min_size=min_size, max_size=12))
    return [SignalFact(f"S{number}", *row) for number, row in enumerate(rows)]


customers = st.fixed_dictionaries(
    {
        "stage": st.sampled_from([*Stage, "a stage nobody knows"]),
        "days": st.integers(0, 2000),
        "account_value": st.none() | st.floats(0, 1e9),
        "segment": st.sampled_from(["SMB", "Mid-Market", "Enterprise", "Startup"]),
        "has_address": st.booleans(),
    }
)


@given(customers, signal_lists())
def test_scores_stay_in_range_and_contributions_sum_to_the_score(customer, signals):
    result = assess(**customer, signals=signals)
    risk = result.risk
    for value in (risk.overall, risk.exact, risk.churn, risk.friction_score, result.signals.signal_risk):
        assert 0 <= value <= 1
    assert abs(math.fsum(risk.contributions) - risk.exact) < 1e-9
    assert 0 <= result.plan.confidence_exact <= 1
    assert result.state.reasons or not result.state.friction
    if result.plan.action:
        assert 0 <= result.plan.priority <= 100
        assert result.plan.channel is not None
    else:
        assert (result.plan.channel, result.plan.priority) == (None, None)


@given(customers, signal_lists())
def test_every_reason_is_a_sentence(customer, signals):
    result = assess(**customer, signals=signals)
    reasons = [
        *result.state.reasons,
        *result.signals.reasons,
        *result.risk.reasons,
        *result.plan.reasons,
    ]
    assert len(reasons) >= 4
    assert all(reason.endswith(".") and "_" not in reason for reason in reasons)


@given(customers, signal_lists(), st.data())
def test_a_stronger_negative_signal_never_lowers_the_risk(customer, signals, data):
    kind = data.draw(st.sampled_from(KINDS["negative"]))
    weaker, stronger = sorted((data.draw(strengths), data.draw(strengths)))
    day = date(2025, 1, 10)
    before = assess(**customer, signals=[*signals, SignalFact("X", kind, weaker, day)])
    after = assess(**customer, signals=[*signals, SignalFact("X", kind, stronger, day)])
    assert after.signals.signal_risk >= before.signals.signal_risk
    assert after.risk.exact >= before.risk.exact
    assert after.risk.churn >= before.risk.churn


@given(signal_lists(), st.data())
def test_a_positive_signal_added_or_stronger_never_raises_the_signal_risk(signals, data):
    kind = data.draw(st.sampled_from(KINDS["positive"]))
    weaker, stronger = sorted((data.draw(strengths), data.draw(strengths)))
    without, weak, strong = (
        aggregate([*signals, *added], PUBLISHED).signal_risk
        for added in (
            [],
            [SignalFact("X", kind, weaker, date(2025, 1, 10))],
            [SignalFact("X", kind, stronger, date(2025, 1, 10))],
        )
    )
    assert without >= weak >= strong


@given(signal_lists(), st.sampled_from([*KINDS["neutral"], "a_kind_nobody_knows"]), strengths)
def test_a_neutral_signal_never_moves_the_signal_risk(signals, kind, strength):
    neutral = SignalFact("X", kind, strength, date(2025, 1, 10))
    with_it, without = aggregate([*signals, neutral], PUBLISHED), aggregate(signals, PUBLISHED)
    assert with_it.signal_risk == without.signal_risk
    assert with_it.total == without.total + 1


@given(signal_lists(min_size=2), st.randoms(use_true_random=False))
def test_the_order_of_arrival_never_matters(signals, random):
    shuffled = list(signals)
    random.shuffle(shuffled)
    assert aggregate(shuffled, PUBLISHED) == aggregate(signals, PUBLISHED)


@given(signal_lists(min_size=2), st.randoms(use_true_random=False))
def test_neither_does_the_order_of_the_days(signals, random):
    days = [signal.detected_on for signal in signals]
    random.shuffle(days)
    moved = [signal._replace(detected_on=day) for signal, day in zip(signals, days, strict=True)]
    before, after = aggregate(signals, PUBLISHED), aggregate(moved, PUBLISHED)
    assert (after.signal_risk, after.mean_strength) == (before.signal_risk, before.mean_strength)


@given(customers, signal_lists(), st.integers(0, 400))
def test_a_longer_stay_never_lowers_the_risk(customer, signals, longer):
    before = assess(**customer, signals=signals).risk
    after = assess(**customer | {"days": customer["days"] + longer}, signals=signals).risk
    assert after.exact >= before.exact
    assert after.churn >= before.churn


@pytest.mark.parametrize("value", [None, 0.0])
def test_an_unknown_value_scores_as_nothing_but_is_decided_by_a_person(value):
    result = assess(stage="support", days=9, signals=[], account_value=value)
    assert result.risk.contributions.customer_value == 0
    assert ("unknown_value" in result.person) is (value is None)
