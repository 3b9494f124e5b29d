"""The demonstration: where it is refused, that it is the same each time, and that nothing of it is faked."""

import json
import stat
from datetime import date, timedelta
from io import StringIO

import pytest
from django.contrib.auth import get_user_model
from django.core import mail
from django.core.management import CommandError, call_command
from django.utils import timezone
from django_q.models import OrmQ

from approvals.models import ApprovalRequest, AuditEvent, Decision
from approvals.rules import Authority, Status, Verdict
from journeys.demo import people, sample
from journeys.demo.portfolio import Portfolio
from journeys.demo.words import company_name
from journeys.domain.policy import PUBLISHED
from journeys.domain.vocabulary import ExecutionMode, InterventionStatus, Segment, Stage
from journeys.models import (
    Customer,
    Execution,
    ExecutionSwitch,
    Intervention,
    JourneyState,
    Outcome,
    PipelineRun,
    Policy,
    Signal,
)
from journeys.services.policies import in_force
from tests.runs import run_pipeline

DAY = date(2026, 7, 1)


@pytest.fixture
def debug(settings, tmp_path):
    settings.DEBUG = True
    settings.VAR_DIR = tmp_path


def seed_demo(*arguments: str) -> str:
    out = StringIO()
    call_command("seed_demo", *arguments, stdout=out, stderr=out)
    return out.getvalue()


@pytest.fixture
def demo(db, debug):
    """A small one, with two weeks of past."""
    return seed_demo("--customers", "30", "--weeks", "2")


def refusal(*arguments: str, command: str = "seed_demo") -> str:
    with pytest.raises(CommandError) as caught:
        call_command(command, *arguments, stdout=StringIO())
    assert caught.value.returncode == 2
    return str(caught.value)


# --- where it is refused


def test_it_is_refused_where_debug_is_off(db, settings, tmp_path):
    settings.VAR_DIR = tmp_path
    assert "refused where DEBUG is off" in refusal()
    assert not Customer.objects.exists()
    assert not get_user_model().objects.exists()
    assert not people.file().exists()


def test_it_is_not_mixed_with_other_customers(debug, sample):
    assert "they are not the demo's" in refusal()
    assert Customer.objects.count() == 10
    assert not get_user_model().objects.exists()


def test_it_takes_no_account_that_somebody_has(db, debug):
    get_user_model().objects.create_user("manager", password="my own")
    assert "accounts with the names of the demo's people: manager" in refusal()
    assert not Customer.objects.exists()


def test_it_is_refused_while_execution_is_live(db, debug):
    ExecutionSwitch.objects.create(scope="all", mode=ExecutionMode.LIVE, changed_by="somebody")
    assert "Execution is live here" in refusal()
    assert not Customer.objects.exists()


def test_one_that_was_broken_off_says_what_to_do(db, debug):
    Customer.objects.create(customer_id="D0001")
    PipelineRun.objects.create(as_of=DAY, policy=in_force(), door="seed_demo")
    assert "broken off half-way; it cannot be continued. Start again with an empty one" in refusal()


@pytest.mark.parametrize("arguments", [["--customers", "0"], ["--seed", "x"], ["--weeks", "-1"]])
def test_wrong_figures_are_refused(db, debug, arguments):
    with pytest.raises(CommandError, match="is no whole number"):
        call_command("seed_demo", *arguments)


# --- the same each time


def test_the_second_time_nothing_is_changed(demo):
    def all_rows():
        models = (Customer, Signal, Intervention, AuditEvent, Decision, OrmQ, PipelineRun, get_user_model())
        return [list(model.objects.order_by("pk").values()) for model in models]

    before = all_rows()
    said = seed_demo("--customers", "500", "--seed", "7")
    assert "The demo is there already: 30 invented customers (seed 1) and the sample, 2 weeks." in said
    assert "Nothing was changed." in said
    assert all_rows() == before


def test_the_same_seed_and_day_make_the_same_customers():
    assert list(Portfolio(20, 1, DAY)) == list(Portfolio(20, 1, DAY))
    assert list(Portfolio(20, 1, DAY)) == list(Portfolio(50, 1, DAY))[:20]
    assert list(Portfolio(20, 1, DAY)) != list(Portfolio(20, 2, DAY))


def test_what_is_in_the_database_is_what_the_seed_makes(demo):
    today = timezone.now().date()
    made = list(Portfolio(30, 1, today))
    logged = JourneyState.objects.filter(customer__customer_id__gt="D")
    assert sorted(logged.values_list("customer_id", "journey_stage", "state_entered_at")) == sorted(
        (state.customer_id, state.journey_stage, state.state_entered_at)
        for one in made
        for state in one.states
    )
    signals = Signal.objects.filter(signal_id__startswith="D")
    assert sorted(signals.values_list("signal_id", "signal_strength", "detected_at")) == sorted(
        (signal.signal_id, signal.signal_strength, signal.detected_at)
        for one in made
        for signal in one.signals
    )
    profiles = {one.profile.customer_id: one.profile for one in made}
    for customer in Customer.objects.filter(pk__startswith="D"):
        profile = profiles[customer.pk]
        assert (customer.name, customer.email) == (profile.name, profile.email)
        assert customer.account_value == profile.account_value


# --- a portfolio worth looking at


def test_every_move_is_legal_and_every_day_in_order():
    for one in Portfolio(400, 3, DAY):
        stages = [state.journey_stage for state in one.states]
        for before, after in zip(stages, stages[1:], strict=False):
            assert after in PUBLISHED.journey.legal_moves[before]
        days = [state.state_entered_at for state in one.states]
        assert days == sorted(set(days))
        assert days[-1] < DAY
        noticed = [signal.detected_at.date() for signal in one.signals]
        assert noticed == sorted(noticed)
        assert all(days[0] <= day < DAY for day in noticed)


def test_it_has_every_segment_stage_owner_and_oddity():
    made = list(Portfolio(300, 1, DAY))
    profiles = [one.profile for one in made]
    assert {profile.segment for profile in profiles} == set(Segment)
    assert {one.states[-1].journey_stage for one in made} == set(Stage)
    assert {profile.owner for profile in profiles} == {"operator", "manager"}
    assert {profile.currency for profile in profiles} == {"USD", "EUR"}
    renewals = [profile.renewal_date for profile in profiles if profile.renewal_date]
    few = {
        "without an address": [profile for profile in profiles if not profile.email],
        "not to be contacted": [profile for profile in profiles if profile.do_not_contact],
        "on hold": [one for one in made if one.hold_until],
        "of unknown value": [profile for profile in profiles if profile.account_value is None],
        "to renew soon": [day for day in renewals if day <= DAY + timedelta(days=30)],
    }
    assert {what: 1 <= len(found) <= 30 for what, found in few.items()} == dict.fromkeys(few, True)
    kinds = {signal.signal_type for one in made for signal in one.signals}
    assert kinds >= {"usage_drop", "usage_recovery", "failed_onboarding_step", "renewal_intent"}


def test_names_come_once_and_addresses_are_nobodys():
    names = [company_name(number, Segment.SMB) for number in range(21_504)]
    assert len(set(names)) == len(names)
    assert company_name(21_504, Segment.SMB) == f"{names[0]} 2"
    profiles = [one.profile for one in Portfolio(300, 1, DAY)]
    assert len({profile.name for profile in profiles}) == 300
    assert all(profile.email.endswith(".example") for profile in profiles if profile.email)


def test_the_sample_stands_today_as_it_did_on_its_day():
    customers, states, signals = sample.records(DAY)
    assert len(customers) == 10
    entered = {state.customer_id: state for state in states}
    assert entered["C004"].state_entered_at == DAY - timedelta(days=95)
    assert entered["C004"].days_in_state == 90
    assert {s.signal_id: (s.detected_at.date() - DAY).days for s in signals if s.customer_id == "C004"} == {
        "S004": -3,
        "S010": 1,
    }


# --- a past that is not faked


def test_the_weeks_were_run_decided_carried_out_and_measured(demo):
    today = timezone.now().date()
    runs = PipelineRun.objects.order_by("pk")
    assert [run.as_of for run in runs] == [today - timedelta(days=14), today - timedelta(days=7)]
    assert {run.status for run in runs} == {PipelineRun.Status.SUCCEEDED}
    assert not ApprovalRequest.objects.pending().exists()
    assert set(Intervention.objects.values_list("status", flat=True)) <= {
        InterventionStatus.EXECUTED,
        InterventionStatus.RECORDED,
        InterventionStatus.REJECTED,
    }
    outcomes = Outcome.objects.select_related("intervention")
    assert 0 < outcomes.count() < Intervention.objects.count()
    assert all(row.intervention.as_of < row.measured_at <= today for row in outcomes)


def test_a_week_before_anybody_came_is_an_empty_week(db, debug):
    assert "Made the demo" in seed_demo("--customers", "1", "--weeks", "52")
    assert Customer.objects.filter(pk="D0001").exists()
    assert 0 < PipelineRun.objects.count() < 52


def test_people_decided_within_their_authority_and_the_policy_the_rest(demo):
    names = dict(get_user_model().objects.values_list("pk", "username"))
    decided = Decision.objects.filter(authority=Authority.PERSON, request__kind="intervention")
    assert decided.exists()
    for decision in decided.select_related("request"):
        name = names[int(decision.actor_key.removeprefix("user:"))]
        value = decision.request.value_at_stake
        assert name in ("manager", "manager2") or (value is not None and value <= 100_000)
        assert decision.category or decision.verdict == Verdict.APPROVED
        assert decision.fingerprint == decision.request.fingerprint
        assert decision.reason or decision.verdict == Verdict.APPROVED


def test_as_many_different_people_approved_as_it_takes_and_with_a_reason_where_it_is_asked(demo):
    approved = ApprovalRequest.objects.filter(kind="intervention", status=Status.APPROVED)
    for request in approved.filter(decisions__authority=Authority.PERSON).distinct():
        decisions = list(request.decisions.all())
        assert len({decision.actor_key for decision in decisions}) == len(decisions) == request.people_needed
        assert all(decision.reason for decision in decisions) or not request.heightened


def test_the_demos_policy_is_in_force_by_two_people_and_waits_a_quarter_of_a_minute(demo):
    policy = Policy.objects.get(active=True)
    assert (policy.name, policy.rules.clocks.grace_seconds) == ("demo", 15)
    request = ApprovalRequest.objects.filter(kind="policy_activation").latest("pk")
    assert request.payload["policy"] == str(policy)
    assert (request.proposed_by_name, request.decisions.get().actor_name) == ("manager", "manager2")


def test_nothing_was_sent(demo):
    assert mail.outbox == []
    assert set(Execution.objects.values_list("mode", flat=True)) == {ExecutionMode.RECORD_ONLY}
    assert OrmQ.objects.count() == 0


def test_every_event_names_the_door(demo):
    assert set(AuditEvent.objects.values_list("door", flat=True)) == {"seed_demo"}
    seeded = AuditEvent.objects.get(word="portfolio.seeded")
    assert seeded.actor_key == "machine:seed_demo"
    assert seeded.told("customers") == "30"


def test_execution_is_live_at_the_end_by_two_people(demo):
    switch = ExecutionSwitch.objects.get()
    assert (switch.scope, switch.mode) == ("all", ExecutionMode.LIVE)
    request = ApprovalRequest.objects.get(kind="execution_switch")
    assert request.status == Status.APPROVED
    assert request.proposed_by_name == "operator"
    assert request.decisions.get().actor_name == "manager"
    assert "Execution is live." in demo


def test_execution_is_not_live_where_mail_goes_to_a_server(db, debug, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    assert "Execution stays record-only." in seed_demo("--customers", "3", "--weeks", "0")
    assert not ExecutionSwitch.objects.filter(mode=ExecutionMode.LIVE).exists()


def test_todays_run_leaves_the_sample_as_published(demo):
    run = run_pipeline(as_of=timezone.now().date())
    proposed = Intervention.objects.filter(run=run, customer__in=["C001", "C004", "C005"])
    assert dict(proposed.values_list("customer", "status")) == {
        "C001": InterventionStatus.APPROVED,
        "C004": InterventionStatus.PENDING,
        "C005": InterventionStatus.PENDING,
    }
    assert ApprovalRequest.objects.pending().count() > 2


# --- who may log in


def test_everybody_gets_an_account_a_group_and_a_password_that_works(demo, client):
    logins = json.loads(people.file().read_text())
    assert stat.S_IMODE(people.file().stat().st_mode) == 0o600
    assert len(set(logins.values())) == 6
    groups = get_user_model().objects.values_list("username", "groups__name", "is_staff", "is_superuser")
    assert sorted(groups) == [
        ("approver", "Approvers", True, False),
        ("approver2", "Approvers", True, False),
        ("auditor", "Auditors", True, False),
        ("manager", "Managers", True, False),
        ("manager2", "Managers", True, False),
        ("operator", "Operators", True, False),
    ]
    for name, password in logins.items():
        assert get_user_model().objects.get(username=name).check_password(password)


def test_the_passwords_stay_for_a_database_made_anew(db, debug):
    seed_demo("--customers", "1", "--weeks", "0")
    first = people.logins()
    get_user_model().objects.all().delete()
    people.make()
    assert people.logins() == first


def test_demo_logins_prints_them(demo):
    out = StringIO()
    call_command("demo_logins", stdout=out)
    lines = out.getvalue().splitlines()
    assert lines[0].split() == ["user", "password", "may"]
    assert [line.split()[:2] for line in lines[1:]] == [list(pair) for pair in people.logins().items()]
    assert "decides nothing" in lines[1]


def test_demo_logins_says_where_there_are_none(db, debug):
    assert "There are no demo logins here" in refusal(command="demo_logins")
    people.file().write_text("not what it should be")
    assert "cannot be read" in refusal(command="demo_logins")
