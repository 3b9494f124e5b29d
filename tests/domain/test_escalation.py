"""When a person must decide."""

import pytest

from journeys.domain.escalation import person_reasons, told, unknown_values
from journeys.domain.planning import Plan
from journeys.domain.policy import PUBLISHED, load
from journeys.domain.vocabulary import PersonReason, Tier

from .test_planning import risk


def reasons_for(
    *, overall=0.5, confidence=0.5, value=10_000.0, stage="engagement", segment="SMB", policy=PUBLISHED
):
    return person_reasons(
        risk=risk(overall),
        plan=Plan(round(confidence, 2), confidence, None, None, None, ()),
        account_value=value,
        stage=stage,
        segment=segment,
        policy=policy,
    )


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, ()),
        ({"overall": 0.699}, ()),
        ({"overall": 0.70}, ("tier_high",)),
        ({"overall": 0.80}, ("tier_high", "urgency_high")),
        ({"value": 29_999.99}, ()),
        ({"value": 30_000.0}, ("value_high",)),
        ({"confidence": 0.749}, ()),  # kept as .75, yet below it
        ({"confidence": 0.75}, ("confidence_high",)),
        ({"value": None}, ("unknown_value",)),
        ({"segment": "Startup"}, ("unknown_value",)),
        ({"segment": None}, ("unknown_value",)),
        ({"segment": ""}, ("unknown_value",)),
        ({"stage": "elsewhere"}, ("unknown_value",)),
        ({"stage": None}, ("unknown_value",)),
        (
            {"overall": 0.9, "confidence": 1.0, "value": 50_000.0, "segment": None},
            ("tier_high", "urgency_high", "value_high", "confidence_high", "unknown_value"),
        ),
    ],
)
def test_each_reason_that_holds_is_stated_in_a_fixed_order(facts, expected):
    assert reasons_for(**facts) == expected


def test_urgency_alone_calls_for_a_person():
    result = person_reasons(
        risk=risk(0.5)._replace(urgency=Tier.HIGH),
        plan=Plan(0.5, 0.5, None, None, None, ()),
        account_value=1.0,
        stage="support",
        segment="SMB",
        policy=PUBLISHED,
    )
    assert result == ("urgency_high",)


def test_a_customer_in_a_stage_without_a_playbook_is_raised_to_a_person_and_is_no_finding():
    assert reasons_for(stage="escalation") == ("unknown_value",)
    assert unknown_values("escalation", "SMB", 1.0, PUBLISHED) == ()


def test_what_is_missing_or_unknown_is_named():
    assert unknown_values("engagement", "Enterprise", 0.0, PUBLISHED) == ()
    assert unknown_values(None, "Startup", None, PUBLISHED) == ("stage", "segment", "account_value")


def test_a_policy_may_know_other_segments_and_other_limits():
    policy = load({"escalation": {"segments": ["Startup"], "account_value": 5_000, "confidence": 0.9}})
    assert reasons_for(segment="Startup", value=4_000.0, policy=policy) == ()
    assert reasons_for(segment="SMB", value=5_000.0, policy=policy) == ("value_high", "unknown_value")


def test_every_reason_is_told_with_the_figure_of_the_policy_in_force():
    lower = load({"escalation": {"account_value": 12_000}})
    assert told("value_high", lower) == "the account is worth 12,000 or more"
    assert told("tier_high", PUBLISHED) == "the risk is 0.70 or more"
    sentences = [told(reason, PUBLISHED) for reason in PersonReason]
    assert len(set(sentences)) == len(PersonReason)
    assert all(not sentence.endswith(".") and "_" not in sentence for sentence in sentences)


def test_a_reason_that_nobody_knows_any_more_is_told_in_its_own_words():
    assert told("solar_flare", PUBLISHED) == "solar flare"
