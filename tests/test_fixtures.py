"""The fixtures hold the published sample, its history and the demo's groups, to the letter."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group
from django.core.management import call_command

from approvals.models import AuthorityLimit
from journeys.domain.policy import PUBLISHED
from journeys.domain.vocabulary import Channel
from journeys.models import Customer, Intervention, JourneyState, Outcome, Signal
from tests.domain import sample as sample_facts

pytestmark = pytest.mark.django_db

# value, tenure in months, declared tier
DECLARED = {
    "C001": (12_000, 3, "high"),
    "C002": (8_000, 2, "medium"),
    "C003": (5_000, 14, "low"),
    "C004": (42_000, 18, "low"),
    "C005": (38_000, 6, "medium"),
    "C006": (46_000, 4, "high"),
    "C007": (125_000, 36, "low"),
    "C008": (98_000, 10, "medium"),
    "C009": (110_000, 1, "high"),
    "C010": (15_000, 24, "low"),
}

# customer, stage, action, confidence, person needed, signals, latency in ms, generated
HISTORY = {
    "I001": ("C001", "onboarding", "proactive_outreach", 0.78, True, "S001 S002", 240, "2025-01-15"),
    "I002": ("C002", "onboarding", "onboarding_nudge_email", 0.52, False, "S003", 180, "2025-01-14"),
    "I003": ("C004", "engagement", "usage_review_checkin", 0.60, False, "S004", 210, "2025-01-13"),
    "I004": ("C005", "support", "support_manager_followup", 0.81, True, "S005 S012", 320, "2025-01-15"),
    "I005": ("C006", "onboarding", "onboarding_specialist_call", 0.69, True, "S006 S007", 290, "2025-01-16"),
    "I006": ("C007", "retention", "renewal_health_check", 0.40, False, "S008", 150, "2025-01-11"),
    "I007": ("C010", "engagement", "reengagement_campaign", 0.55, False, "S011", 200, "2025-01-12"),
    "I008": ("C004", "engagement", "monitor_only", 0.35, False, "S010", 120, "2025-01-16"),
}

# intervention, outcome, days to resolve, change of satisfaction, of churn risk, saved, overridden, measured
OUTCOMES = {
    "O001": ("I001", "resolved", 3, 1, -0.25, 2_000, False, "2025-01-18"),
    "O002": ("I002", "no_response", None, 0, 0, 0, False, "2025-01-20"),
    "O003": ("I003", "partial_improvement", 7, 0, -0.10, 500, False, "2025-01-20"),
    "O004": ("I004", "resolved", 2, 2, -0.30, 1_500, True, "2025-01-17"),
    "O005": ("I006", "no_action_needed", None, 0, 0, 0, False, "2025-01-19"),
    "O006": ("I007", "improved_engagement", 5, 1, -0.15, 800, False, "2025-01-19"),
}

STAGE_OF_SIGNAL = {
    "S005": "support",
    "S008": "retention",
    "S009": "support",
    "S012": "support",
} | dict.fromkeys(("S004", "S010", "S011"), "engagement")
VIEW = {
    "approvals.view_approvalrequest",
    "approvals.view_authoritylimit",
    "approvals.view_decision",
    "approvals.view_delegation",
    "journeys.view_assessment",
    "journeys.view_assignment",
    "journeys.view_customer",
    "journeys.view_execution",
    "journeys.view_executionswitch",
    "journeys.view_finding",
    "journeys.view_intervention",
    "journeys.view_journeystate",
    "journeys.view_measurement",
    "journeys.view_outcome",
    "journeys.view_pipelinerun",
    "journeys.view_policy",
    "journeys.view_signal",
}


def rows_of(*models) -> list[list[dict]]:
    return [list(model.objects.order_by("pk").values()) for model in models]


def test_the_sample_has_the_ten_customers_as_published(sample):
    rows = {customer.pk: customer for customer in Customer.objects.all()}
    assert rows.keys() == DECLARED.keys()
    for pk, (value, tenure, tier) in DECLARED.items():
        row, published = rows[pk], sample_facts.CUSTOMERS[pk]
        assert (row.segment, row.account_value, row.currency) == (published.segment, Decimal(value), "USD")
        assert (row.tenure_months, row.risk_tier) == (tenure, tier)
        assert (row.do_not_contact, row.hold_until, row.churned_on) == (False, None, None)


def test_every_customer_of_the_sample_has_a_name_an_owner_and_an_address_that_reaches_nobody(sample):
    customers = list(Customer.objects.all())
    assert len({customer.name for customer in customers}) == len({c.email for c in customers}) == 10
    for customer in customers:
        assert customer.name
        assert customer.email.endswith(".example")
        assert customer.owner == ("manager" if customer.segment == "Enterprise" else "operator")


def test_each_customer_of_the_sample_has_one_open_state_with_the_recorded_days(sample):
    found = {
        row.customer_id: (row.journey_stage, row.state_entered_at, row.days_in_state, row.previous_stage)
        for row in JourneyState.objects.filter(left_on=None)
    }
    assert JourneyState.objects.count() == 10
    assert found == {
        pk: (row.stage, row.entered_on, row.recorded_days, row.previous or "")
        for pk, row in sample_facts.CUSTOMERS.items()
    }


def test_the_sample_has_the_twelve_signals_and_one_belongs_to_nobody(sample):
    assert [row.pk for row in Signal.objects.orphaned()] == ["S009"]
    rows = {row.pk: row for row in Signal.objects.all()}
    assert len(rows) == len(sample_facts.SIGNALS) == 12
    for customer_id, fact in sample_facts.SIGNALS:
        row = rows[fact.signal_id]
        assert (row.customer_id, row.signal_type, row.signal_strength) == (
            customer_id,
            fact.kind,
            fact.strength,
        )
        assert row.detected_at == midnight(fact.detected_on)
        assert row.journey_stage == STAGE_OF_SIGNAL.get(row.pk, "onboarding")
        assert row.source == ("manual" if row.pk in ("S005", "S008", "S012") else "automated")


def test_the_history_is_imported_and_has_no_authority_of_its_own(sample):
    call_command("loaddata", "sample_history", verbosity=0)
    rows = {row.pk: row for row in Intervention.objects.all()}
    assert rows.keys() == HISTORY.keys()
    for pk, (customer, stage, action, confidence, person, signals, latency, day) in HISTORY.items():
        row = rows[pk]
        assert (row.customer_id, row.journey_stage, row.recommended_action) == (customer, stage, action)
        assert (row.confidence, row.requires_human_approval) == (confidence, person)
        assert (row.triggered_by_signals, row.evaluation_latency_ms) == (signals.split(), latency)
        assert row.as_of == date.fromisoformat(day)
        assert row.generated_at == midnight(row.as_of)
        assert (row.status, row.origin, row.authority) == ("imported", "imported", "imported")
        assert row.channel == PUBLISHED.actions[action].channel
        assert row.request is None
    assert rows["I008"].channel == Channel.NONE


def test_the_history_has_the_six_outcomes_as_published(sample):
    call_command("loaddata", "sample_history", verbosity=0)
    found = {
        row.pk: (
            row.intervention_id,
            row.outcome,
            row.resolution_time_days,
            row.csat_delta,
            row.churn_risk_delta,
            row.estimated_revenue_saved,
            row.human_override,
            row.measured_at.isoformat(),
        )
        for row in Outcome.objects.all()
    }
    assert found == OUTCOMES
    assert Outcome.objects.exclude(recorded_by="imported").count() == 0


def test_loading_the_sample_and_its_history_again_changes_nothing(sample):
    call_command("loaddata", "sample_history", verbosity=0)
    before = rows_of(Customer, JourneyState, Signal, Intervention, Outcome)
    call_command("loaddata", "sample", "sample_history", verbosity=0)
    assert rows_of(Customer, JourneyState, Signal, Intervention, Outcome) == before


def test_the_sample_can_be_loaded_beside_states_made_otherwise():
    """The fixture gives its states no keys of their own, so they cannot overwrite other rows."""
    other = Customer.objects.create(customer_id="Z1")
    state = JourneyState.objects.create(
        customer=other, journey_stage="support", state_entered_at=date(2025, 1, 1)
    )
    call_command("loaddata", "sample", verbosity=0)
    later = JourneyState.objects.create(
        customer=other,
        journey_stage="engagement",
        state_entered_at=date(2024, 1, 1),
        left_on=state.state_entered_at + timedelta(days=1),
    )
    state.refresh_from_db()
    assert (state.customer_id, later.pk > state.pk) == ("Z1", True)
    assert JourneyState.objects.count() == 12


def permissions_of(group: str) -> set[str]:
    rows = Group.objects.get(name=group).permissions.values_list("content_type__app_label", "codename")
    return {f"{app}.{codename}" for app, codename in rows}


def test_operators_run_propose_record_and_stop_but_decide_nothing(people):
    assert permissions_of("Operators") == VIEW | {
        "journeys.change_customer",
        "journeys.run_pipeline",
        "journeys.propose_intervention",
        "journeys.record_outcome",
        "journeys.close_finding",
        "journeys.link_signal",
        "journeys.stop_execution",
        "journeys.end_execution",
        "approvals.propose_authoritylimit",
        "approvals.view_webhookendpoint",
        "approvals.view_webhookdelivery",
        "approvals.issue_apitoken",
    }
    assert not people["operator"].has_perm("approvals.decide_approvalrequest")


def test_approvers_decide_and_may_stop_but_not_start(people):
    assert permissions_of("Approvers") == VIEW | {
        "approvals.view_requestrevision",
        "approvals.decide_approvalrequest",
        "journeys.propose_intervention",
        "journeys.record_outcome",
        "journeys.stop_execution",
        "approvals.issue_apitoken",
    }


def test_managers_may_do_what_approvers_may_and_change_the_rules(people):
    assert permissions_of("Managers") == permissions_of("Approvers") | {
        "journeys.change_customer",
        "journeys.activate_policy",
        "journeys.add_policy",
        "journeys.start_execution",
        "journeys.end_execution",
        "journeys.run_pipeline",
        "journeys.receive_report",
        "approvals.propose_authoritylimit",
        "approvals.confirm_authoritylimit",
        "approvals.take_over_approvalrequest",
        "approvals.view_webhookendpoint",
        "approvals.view_webhookdelivery",
        "approvals.manage_webhookendpoint",
    }


def test_auditors_see_everything_and_change_nothing(people):
    seen = permissions_of("Auditors")
    assert {name for name in seen if ".view_" not in name} == set()
    assert seen >= VIEW | {
        "approvals.view_auditevent",
        "approvals.view_requestrevision",
        "approvals.view_apitoken",
        "auth.view_user",
        "auth.view_group",
        "axes.view_accessattempt",
        "axes.view_accesslog",
    }


def test_approvers_decide_up_to_100000_and_managers_without_limit_and_nobody_else_decides(people):
    limits = dict(AuthorityLimit.objects.values_list("group__name", "max_value"))
    assert limits == {"Approvers": Decimal("100000"), "Managers": None}


def test_loading_the_people_again_changes_nothing(people):
    before = rows_of(Group, AuthorityLimit, Group.permissions.through)
    call_command("loaddata", "people", verbosity=0)
    assert rows_of(Group, AuthorityLimit) == before[:2]
    assert Group.permissions.through.objects.count() == len(before[2])


def midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
