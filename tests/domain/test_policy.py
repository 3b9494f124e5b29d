"""The policy document: complete, described, and refused as a whole when anything is wrong with it."""

import copy

import pytest
from pydantic import ValidationError

from journeys.domain.policy import PUBLISHED, PolicyError, load
from journeys.domain.policy_table import field_rows
from journeys.domain.vocabulary import Action, Channel, Stage


def problems(document) -> list[str]:
    with pytest.raises(PolicyError) as refused:
        load(document)
    return refused.value.problems


def published() -> dict:
    return copy.deepcopy(PUBLISHED.model_dump(mode="json"))


def test_the_published_policy_survives_the_way_through_json():
    assert load(published()) == PUBLISHED
    assert load({}) == PUBLISHED


def test_whole_numbers_may_stand_for_amounts():
    assert load({"escalation": {"account_value": 50_000}}).escalation.account_value == 50_000


def test_what_is_left_out_takes_the_published_value():
    policy = load({"suppression": {"cool_down_days": 3}})
    assert policy.suppression.cool_down_days == 3
    assert policy.suppression.contact_cap_days == 7
    assert policy.risk == PUBLISHED.risk


def test_a_policy_cannot_be_changed():
    with pytest.raises(ValidationError):
        PUBLISHED.suppression.cool_down_days = 1


def test_all_that_is_wrong_is_said_at_once_with_its_path():
    found = problems(
        {
            "journey": {"typical_days": {"onboarding": 0}, "legal_moves": {"support": ["nowhere"]}},
            "signals": {"kinds": {"usage_drop": {"polarity": "sad"}}, "days_back": -1},
            "risk": {"weights": {"signals": 0.5}, "tier": {"high": 0.4, "medium": 0.4}},
            "planning": {"playbooks": {"support": {"otherwise": "send_flowers"}}, "confidence_floor": 1.5},
            "escalation": {"account_value": "30000"},
            "authority": {"max_per_run": True},
            "clocks": {
                "time_zone": "Middle/Earth",
                "working_weekdays": [1, 0],
                "decide_within_working_hours": {"high": 4},
            },
            "execution": {"retry_gaps_seconds": [60, 0]},
            "surprise": 1,
        }
    )
    assert {problem.split(":")[0] for problem in found} == {
        "journey.typical_days.onboarding",
        "journey.legal_moves.support.0",
        "signals.kinds.usage_drop.polarity",
        "signals.days_back",
        "risk.weights",
        "risk.tier",
        "planning.playbooks.support.otherwise",
        "planning.confidence_floor",
        "escalation.account_value",
        "authority.max_per_run",
        "clocks.time_zone",
        "clocks.working_weekdays.1",
        "clocks.decide_within_working_hours",
        "execution.retry_gaps_seconds.1",
        "surprise",
    }


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"surprise": 1}, ["surprise: unknown key"]),
        ({"risk": {"tier": {"high": 0.7, "medium": 0.4, "lowest": 0}}}, ["risk.tier.lowest: unknown key"]),
        (
            {"risk": {"tier": {"high": 0.3, "medium": 0.4}}},
            ["risk.tier: medium (0.4) must be below high (0.3)"],
        ),
        (
            {"risk": {"weights": {"signals": 0.4}}},
            ["risk.weights: the four shares must sum to 1, not to 1.05"],
        ),
        (
            {"planning": {"urgency_factor": {"high": 1.0}}},
            ["planning.urgency_factor: needs a value for medium, low"],
        ),
        (
            {"clocks": {"day_starts_hour": 18, "day_ends_hour": 8}},
            ["clocks: day_starts_hour must be before day_ends_hour"],
        ),
        (
            {"clocks": {"time_zone": "../etc/passwd"}},
            ["clocks.time_zone: '../etc/passwd' is no IANA time zone"],
        ),
    ],
)
def test_a_problem_is_said_in_words(document, expected):
    assert problems(document) == expected


@pytest.mark.parametrize("document", [None, [], "policy", 3])
def test_what_is_no_object_is_no_policy(document):
    assert problems(document) == ["document: Input should be an object"]


def test_what_json_cannot_say_is_no_policy():
    assert problems({"risk": object()})[0].startswith("document: ")
    assert problems({"risk": {"full_account_value": float("nan")}})[0].startswith("risk.full_account_value: ")
    assert problems({"risk": {"full_account_value": float("inf")}})[0].startswith("risk.full_account_value: ")


def test_a_playbook_may_only_name_kinds_that_the_policy_knows():
    document = published()
    document["planning"]["playbooks"]["retention"]["rules"][0]["any_of"] = ["renewal_intent", "full_moon"]
    assert problems(document) == [
        "planning: playbooks.retention.rules.0 names the kind 'full_moon', which signals.kinds does not have"
    ]


def test_every_action_needs_its_entry():
    document = published()
    del document["actions"]["monitor_only"], document["actions"]["general_checkin"]
    assert problems(document) == ["actions: needs an entry for monitor_only, general_checkin"]


def test_an_unknown_action_or_channel_is_refused():
    document = published()
    document["actions"]["send_flowers"] = document["actions"]["monitor_only"]
    document["actions"]["general_checkin"]["channel"] = "pigeon"
    found = problems(document)
    assert [problem.split(":")[0] for problem in found] == [
        "actions.general_checkin.channel",
        "actions.send_flowers",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Hello ${risk_score}", "unknown placeholder risk_score"),
        ("It costs 5 $", "a $ stands alone"),
        ("Hello ${", "a $ stands alone"),
        ("Hello ${customer_name.upper}", "a $ stands alone"),
        ("", "at least 1 character"),
    ],
)
def test_a_template_with_what_cannot_be_filled_in_is_refused(text, problem):
    document = published()
    document["actions"]["general_checkin"]["template"]["to_customer"]["body"] = text
    [found] = problems(document)
    assert found.startswith("actions.general_checkin.template.to_customer.body: ")
    assert problem in found


def test_a_subject_is_one_line():
    document = published()
    document["actions"]["general_checkin"]["template"]["to_owner"]["subject"] = "Hello\nBcc: everybody"
    assert problems(document) == [
        "actions.general_checkin.template.to_owner.subject: must be one line of printable characters"
    ]


def test_an_action_without_a_text_for_customers_cannot_become_an_email():
    document = published()
    document["actions"]["support_manager_followup"]["channel"] = "email"
    assert problems(document) == [
        "actions.support_manager_followup: an action on the channel email needs template.to_customer"
    ]


def test_the_published_channels():
    channels = {action: PUBLISHED.actions[action].channel for action in Action}
    assert {action for action, channel in channels.items() if channel == Channel.TASK} == {
        "onboarding_specialist_call",
        "support_manager_followup",
        "escalated_support_review",
    }
    assert {action for action, channel in channels.items() if channel == Channel.NONE} == {"monitor_only"}
    assert Channel.WEBHOOK not in channels.values()


def test_the_published_figures():
    assert PUBLISHED.authority.model_dump() == {
        "max_per_run": 100,
        "as_of_within_days": 2,
        "auto_approval_for_testing": 25,
        "review_share": 0.05,
    }
    assert PUBLISHED.quorum.model_dump() == {"account_value": 100_000, "people": 2}
    assert PUBLISHED.bulk.model_dump() == {"below_account_value": None, "tiers": ("low",)}
    assert (PUBLISHED.clocks.reminder_share, PUBLISHED.clocks.grace_seconds) == (0.75, 600)
    assert PUBLISHED.suppression.model_dump() == {"cool_down_days": 14, "contact_cap_days": 7}
    assert PUBLISHED.clocks.decide_within_working_hours == {"high": 4, "medium": 24, "low": 72}
    assert PUBLISHED.execution.max_attempts == 5
    assert not any(action.sensitive for action in PUBLISHED.actions.values())


def test_every_stage_has_legal_moves_and_no_playbook_is_for_an_unknown_stage():
    assert set(PUBLISHED.journey.legal_moves) == set(Stage)
    assert set(PUBLISHED.planning.playbooks) == set(Stage) - {Stage.ESCALATION}


def test_every_field_is_described_and_those_with_a_value_show_it():
    rows = list(field_rows())
    assert [path for path, _, description in rows if not description] == []
    values = {path: value for path, value, _ in rows}
    assert values["risk.weights.signals"] == "0.35"
    assert values["clocks.time_zone"] == '"UTC"'
    assert values["execution.retry_gaps_seconds"] == "[60, 300, 1800, 7200]"
    assert values["actions.*.channel"] == ""
    assert len(values) == len(rows)
