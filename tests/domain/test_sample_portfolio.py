"""The published table comes out to the digit."""

import pytest

from journeys.domain.escalation import unknown_values
from journeys.domain.journey_state import is_legal_move
from journeys.domain.policy import PUBLISHED

from .sample import AS_OF, CUSTOMERS, SIGNALS, assess_sample, days_in_state

ON_RECORDED_DAYS = [
    # customer, overall, tier, urgency, action, confidence, priority, person, churn
    ("C004", 0.502, "medium", "medium", "usage_review_checkin", 0.60, 38.5, True, 0.685),
    ("C005", 0.491, "medium", "low", "support_manager_followup", 0.59, 29.6, True, 0.755),
    ("C010", 0.480, "medium", "low", None, None, None, None, 0.750),
    ("C001", 0.475, "medium", "low", "proactive_outreach", 0.57, 24.7, False, 0.469),
    ("C006", 0.392, "low", "low", None, None, None, None, 0.312),
    ("C007", 0.387, "low", "low", None, None, None, None, 0.478),
    ("C003", 0.193, "low", "low", None, None, None, None, 0.450),
    ("C008", 0.187, "low", "low", None, None, None, None, 0.071),
    ("C002", 0.137, "low", "low", None, None, None, None, 0.071),
    ("C009", 0.118, "low", "low", None, None, None, None, 0.007),
]


@pytest.mark.parametrize("row", ON_RECORDED_DAYS, ids=lambda row: row[0])
def test_the_published_table_on_the_recorded_days(row):
    customer_id, overall, tier, urgency, action, confidence, priority, person, churn = row
    result = assess_sample(customer_id, recorded_days=True)
    assert (result.risk.overall, result.risk.tier, result.risk.urgency) == (overall, tier, urgency)
    assert result.risk.churn == churn
    assert (result.plan.action, result.plan.priority) == (action, priority)
    if action:
        assert result.plan.confidence == confidence
        assert bool(result.person) is person


def test_c004_and_c005_need_a_person_for_their_value_and_c001_needs_none():
    assert assess_sample("C004", recorded_days=True).person == ("value_high",)
    assert assess_sample("C005", recorded_days=True).person == ("value_high",)
    assert assess_sample("C001", recorded_days=True).person == ()


def test_on_derived_days_the_same_three_interventions_come_out_with_the_same_figures():
    proposed = {}
    for customer_id in CUSTOMERS:
        result = assess_sample(customer_id, recorded_days=False)
        if result.plan.action:
            proposed[customer_id] = (result.risk.overall, *result.plan[:1], *result.plan[2:5])
    assert proposed == {
        "C001": (0.475, 0.57, "proactive_outreach", "email", 24.7),
        "C004": (0.502, 0.60, "usage_review_checkin", "email", 38.5),
        "C005": (0.491, 0.59, "support_manager_followup", "task", 29.6),
    }


@pytest.mark.parametrize(
    ("customer_id", "days", "overall", "churn"), [("C007", 167, 0.397, 0.486), ("C009", 6, 0.135, 0.020)]
)
def test_on_derived_days_c007_and_c009_move(customer_id, days, overall, churn):
    result = assess_sample(customer_id, recorded_days=False)
    assert (result.state.days, result.risk.overall, result.risk.churn) == (days, overall, churn)


def test_on_derived_days_nobody_else_moves():
    for customer_id in CUSTOMERS.keys() - {"C007", "C009"}:
        derived = assess_sample(customer_id, recorded_days=False).risk
        recorded = assess_sample(customer_id, recorded_days=True).risk
        assert (derived.overall, derived.churn) == (recorded.overall, recorded.churn), customer_id


@pytest.mark.parametrize("recorded_days", [True, False])
def test_four_customers_are_at_medium_risk_or_above(recorded_days):
    at_risk = {
        customer_id
        for customer_id in CUSTOMERS
        if assess_sample(customer_id, recorded_days=recorded_days).risk.tier != "low"
    }
    assert at_risk == {"C001", "C004", "C005", "C010"}


def test_eleven_of_twelve_signals_match_seven_customers():
    matched = [owner for owner, _ in SIGNALS if owner in CUSTOMERS]
    assert (len(SIGNALS), len(matched), len(set(matched))) == (12, 11, 7)


def test_only_c009_made_an_illegal_move():
    illegal = [c.customer_id for c in CUSTOMERS.values() if not is_legal_move(c.previous, c.stage, PUBLISHED)]
    assert illegal == ["C009"]


def test_the_recorded_days_of_four_customers_do_not_follow_from_the_dates():
    both = {c.customer_id: (c.recorded_days, days_in_state(c.entered_on, AS_OF)) for c in CUSTOMERS.values()}
    assert {customer_id: days for customer_id, days in both.items() if days[0] != days[1]} == {
        "C004": (90, 95),
        "C007": (160, 167),
        "C009": (2, 6),
        "C010": (60, 61),
    }


def test_nothing_in_the_sample_is_missing_or_unknown():
    for c in CUSTOMERS.values():
        assert unknown_values(c.stage, c.segment, c.account_value, PUBLISHED) == ()
    assert all(
        assess_sample(customer_id, recorded_days=True).signals.unknown_kinds == ()
        for customer_id in CUSTOMERS
    )


def test_the_reasons_of_c004_read_as_sentences():
    result = assess_sample("C004", recorded_days=False)
    assert result.state.reasons == (
        "Engagement should take 30 days at most; this customer has been there for 95 (critical above 45).",
        "Engagement usually lasts 30 days; 95 days are more than 1.5 times as long.",
    )
    assert result.signals.reasons == (
        "Raises the risk: usage drop (0.60).",
        "Lowers the risk: usage recovery (0.55).",
    )
    assert result.risk.reasons == (
        "Risk 0.502 (medium): signals 0.130, time in stage 0.250, account value 0.042, "
        "number of signals 0.080.",
    )
    assert result.plan.reasons == (
        "Usage drop in engagement calls for: usage review check-in.",
        "Confidence 0.602: risk 0.502, and 0.10 for 2 signals.",
    )


def test_what_is_too_uncertain_says_so():
    assert assess_sample("C010", recorded_days=True).plan.reasons == (
        "Confidence 0.480, as the risk.",
        "That is below 0.50, so nothing is proposed.",
    )
