"""What the signals in force add up to."""

from datetime import date

import pytest

from journeys.domain.policy import PUBLISHED, load
from journeys.domain.signals import SignalFact, aggregate, window

DAY = date(2025, 1, 10)


def signal(kind: str, strength: float, signal_id: str = "S1", day: date = DAY) -> SignalFact:
    return SignalFact(signal_id, kind, strength, day)


def test_signals_of_the_ninety_days_before_and_one_day_after_are_in_force():
    assert window(date(2025, 1, 15), PUBLISHED) == (date(2024, 10, 17), date(2025, 1, 16))


def test_no_signals_mean_no_signal_risk_and_say_so():
    summary = aggregate([], PUBLISHED)
    assert (summary.signal_risk, summary.total) == (0.0, 0)
    assert (summary.mean_strength, summary.max_strength) == (None, None)
    assert summary.reasons == ("No signals are in force.",)


@pytest.mark.parametrize(
    ("signals", "expected"),
    [
        ([signal("usage_drop", 0.6)], 0.6),
        ([signal("support_ticket_spike", 0.82), signal("negative_sentiment", 0.67)], 0.738),
        ([signal("usage_drop", 0.6), signal("usage_recovery", 0.55)], 0.37),
        ([signal("failed_onboarding_step", 0.88), signal("positive_sentiment", 0.4)], 0.453),
        ([signal("renewal_intent", 0.3)], 0.0),  # never below 0
        ([signal("low_product_usage", 1.0)], 0.0),  # neutral: nothing to divide by
        ([signal("usage_drop", 0.6), signal("low_product_usage", 1.0)], 0.6),
    ],
)
def test_the_signal_risk_is_a_weighted_mean_in_which_good_news_counts_half(signals, expected):
    assert aggregate(signals, PUBLISHED).signal_risk == expected


def test_neutral_and_unknown_kinds_only_count_in_the_total():
    summary = aggregate(
        [
            signal("usage_drop", 0.6, "S1"),
            signal("low_product_usage", 0.9, "S2"),
            signal("from_another_planet", 0.3, "S3"),
            signal("from_another_planet", 0.3, "S4"),
        ],
        PUBLISHED,
    )
    assert (summary.total, summary.negative, summary.positive) == (4, 1, 0)
    assert summary.signal_risk == 0.6
    assert summary.unknown_kinds == ("from_another_planet",)
    assert (summary.mean_strength, summary.max_strength) == (0.525, 0.9)
    assert summary.reasons == (
        "Raises the risk: usage drop (0.60).",
        "Counts as a signal, neither good nor bad: low product usage (0.90).",
        "Counts as a signal, of a kind the policy does not know: from another planet.",
    )


def test_kinds_and_ids_are_ordered_by_day_and_id():
    summary = aggregate(
        [
            signal("usage_drop", 0.5, "S3", date(2025, 1, 12)),
            signal("renewal_intent", 0.5, "S2", date(2025, 1, 12)),
            signal("usage_drop", 0.7, "S9", date(2025, 1, 3)),
        ],
        PUBLISHED,
    )
    assert summary.signal_ids == ("S9", "S2", "S3")
    assert summary.kinds == ("usage_drop", "renewal_intent", "usage_drop")
    assert summary.negative_ids == ("S9", "S3")
    assert summary.reasons[0] == "Raises the risk: usage drop (2 times, up to 0.70)."


def test_a_kind_is_what_the_policy_says_it_is():
    policy = load(
        {
            "signals": {
                "kinds": {
                    **PUBLISHED.model_dump(mode="json")["signals"]["kinds"],
                    "contract_dispute": {"polarity": "negative", "weight": 0.4},
                },
                "days_back": 7,
            }
        }
    )
    assert aggregate([signal("contract_dispute", 0.9)], policy).signal_risk == 0.9
    assert aggregate([signal("contract_dispute", 0.9)], PUBLISHED).signal_risk == 0.0
    assert window(date(2025, 1, 15), policy)[0] == date(2025, 1, 8)
