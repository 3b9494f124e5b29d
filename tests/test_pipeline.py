"""The loop over the sample portfolio, and what the command answers."""

import json
from datetime import UTC, date, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError
from django.utils import timezone

from approvals import services
from approvals.models import ApprovalRequest
from approvals.rules import Authority, Verdict
from journeys import pipeline
from journeys.models import Assessment, Customer, Finding, Intervention, JourneyState, PipelineRun, Signal
from journeys.pipeline import store
from tests.runs import SAMPLE_DAY, run_pipeline

pytestmark = pytest.mark.django_db


def command(*arguments: str) -> dict:
    out = StringIO()
    call_command("run_pipeline", "--json", *arguments, stdout=out)
    return json.loads(out.getvalue())


def refusal(*arguments: str) -> tuple[int, str, str]:
    """Exit code, message and standard output of a command that must fail."""
    out = StringIO()
    with pytest.raises(CommandError) as refused:
        call_command("run_pipeline", "--json", *arguments, stdout=out)
    return refused.value.returncode, str(refused.value), out.getvalue()


@pytest.fixture
def debug(settings):
    settings.DEBUG = True


def test_the_sample_gives_the_published_figures(sample, debug):
    document = command("--as-of", "2025-01-15", "--full")
    assert document["status"] == "succeeded"
    assert (document["scope"], document["as_of"]) == ("portfolio", "2025-01-15")
    assert document["policy"] == {"name": "published", "version": 1}
    assert document["customers"] == 10
    assert document["signals"] == {"received": 12, "matched": 11, "orphaned": 1}
    assert document["at_risk"] == 4
    assert document["pending_approvals"] == 2
    assert {
        row["customer_id"]: (
            row["recommended_action"],
            row["confidence"],
            row["risk_score"],
            row["priority_score"],
            row["requires_human_approval"],
            row["person_reasons"],
            row["status"],
        )
        for row in document["interventions"]
    } == {
        "C001": ("proactive_outreach", 0.57, 0.475, 24.7, False, [], "approved"),
        "C004": ("usage_review_checkin", 0.6, 0.502, 38.5, True, ["value_high"], "pending"),
        "C005": ("support_manager_followup", 0.59, 0.491, 29.6, True, ["value_high"], "pending"),
    }
    scores = {row["customer_id"]: row for row in document["assessments"]}
    assert {key: row["overall_risk_score"] for key, row in scores.items()} == {
        "C001": 0.475, "C002": 0.137, "C003": 0.193, "C004": 0.502, "C005": 0.491,
        "C006": 0.392, "C007": 0.397, "C008": 0.187, "C009": 0.135, "C010": 0.48,
    }  # fmt: skip
    assert (scores["C007"]["churn_risk_score"], scores["C007"]["days_in_state"]) == (0.486, 167)
    assert (scores["C009"]["churn_risk_score"], scores["C009"]["days_in_state"]) == (0.02, 6)
    assert {(row["kind"], row["subject"]) for row in document["findings"]} == {
        ("orphan_signal", "S009"),
        ("illegal_move", "C009"),
        ("days_mismatch", "C004"),
        ("days_mismatch", "C007"),
        ("days_mismatch", "C009"),
        ("days_mismatch", "C010"),
    }


def test_a_second_run_proposes_nothing_new_and_says_why(sample, debug):
    command("--as-of", "2025-01-15")
    again = command("--as-of", "2025-01-15")
    assert again["interventions"] == []
    assert {row["customer_id"]: row["reason"] for row in again["suppressed"]} == {
        "C001": "in_progress",
        "C004": "already_pending",
        "C005": "already_pending",
    }
    assert again["pending_approvals"] == 2
    assert len(again["findings"]) == 6


def test_with_its_history_everything_is_suppressed_with_a_reason(sample, debug):
    call_command("loaddata", "sample_history", verbosity=0)
    document = command("--as-of", "2025-01-15")
    assert document["interventions"] == []
    assert {row["customer_id"]: row["reason"] for row in document["suppressed"]} == {
        "C001": "cool_down",
        "C004": "cool_down",
        "C005": "cool_down",
    }


def test_recorded_days_are_compared_once_by_the_first_run_that_sees_them(sample, debug):
    command("--as-of", "2025-01-15")
    command("--as-of", "2025-01-20")
    assert Finding.objects.filter(kind="days_mismatch").count() == 4


def test_a_rejected_action_is_not_asked_for_again(sample_run, people):
    request = ApprovalRequest.objects.get(concerning="C005")
    services.decide(
        request_id=request.pk,
        verdict=Verdict.REJECTED,
        fingerprint=request.fingerprint,
        user=people["approver"],
        door="test",
        reason="Already handled by phone.",
        category="already_handled",
    )
    run_pipeline(SAMPLE_DAY + timedelta(days=1))
    assert Assessment.objects.latest("pk").run_id != sample_run.pk
    row = Assessment.objects.exclude(run=sample_run).get(customer_id="C005")
    assert (row.disposition, row.suppression_reason) == ("suppressed", "rejected_before")
    Signal.objects.create(
        signal_id="S100",
        customer_id="C005",
        signal_type="negative_sentiment",
        signal_strength=0.1,
        detected_at=datetime(2025, 1, 16, tzinfo=UTC),
    )
    run_pipeline(SAMPLE_DAY + timedelta(days=2))
    assert Intervention.objects.filter(customer_id="C005", status="pending").exists()


def test_another_action_replaces_the_pending_one(sample_run):
    Signal.objects.filter(pk="S004").delete()
    Signal.objects.create(
        signal_id="S200",
        customer_id="C004",
        signal_type="inactivity_warning",
        signal_strength=0.9,
        detected_at=datetime(2025, 1, 14, tzinfo=UTC),
    )
    run_pipeline()
    rows = dict(Intervention.objects.filter(customer_id="C004").values_list("recommended_action", "status"))
    assert rows == {"usage_review_checkin": "superseded", "reengagement_campaign": "pending"}
    assert ApprovalRequest.objects.filter(concerning="C004", status="pending").count() == 1


def test_a_day_long_past_leaves_the_decision_to_a_person_outside_of_debug(sample):
    document = command("--as-of", "2025-01-15")
    row = next(row for row in document["interventions"] if row["customer_id"] == "C001")
    assert (row["status"], row["person_reasons"]) == ("pending", ["policy_cap"])


def test_beyond_its_cap_the_policy_leaves_the_decision_to_a_person(sample, debug):
    from journeys.services.policies import add_policy

    policy = add_policy(name="careful", document={"authority": {"max_per_run": 0}}, created_by="a test")
    document = command("--as-of", "2025-01-15", "--policy", "careful", "--dry-run")
    row = next(row for row in document["interventions"] if row["customer_id"] == "C001")
    assert row["person_reasons"] == ["policy_cap"]
    assert not policy.active


def test_a_policy_that_is_not_in_force_can_only_be_tried(sample):
    from journeys.services.policies import add_policy

    add_policy(name="bold", document={}, created_by="a test")
    code, message, out = refusal("--policy", "bold")
    assert (code, out) == (2, "")
    assert "not in force" in message


def test_a_dry_run_writes_nothing(sample, debug):
    document = command("--as-of", "2025-01-15", "--dry-run", "--full")
    assert document["run_id"] is None
    assert [row["intervention_id"] for row in document["interventions"]] == [None] * 3
    assert len(document["findings"]) == 6
    assert len(document["assessments"]) == 10
    for model in (PipelineRun, Assessment, Intervention, ApprovalRequest, Finding):
        assert not model.objects.exists()
    assert not JourneyState.objects.filter(days_checked=True).exists()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--customer", "C999"), "C999"),
        (("--as-of", "2999-01-01"), "2999-01-01"),
        (("--policy", "unheard of"), "unheard of"),
        (("--background", "--dry-run"), "exclude each other"),
        (("--auto-approve-for-testing",), "DEBUG is off"),
    ],
)
def test_bad_input_is_named_and_prints_nothing(sample, arguments, named):
    code, message, out = refusal(*arguments)
    assert (code, out) == (2, "")
    assert named in message


def test_no_customers_at_all_is_an_error_and_no_empty_success(db):
    code, message, out = refusal()
    assert (code, out) == (2, "")
    assert "no customers" in message


def test_a_date_that_is_none_is_bad_usage(sample):
    with pytest.raises(CommandError, match="as-of"):
        command("--as-of", "yesterday")


def test_a_second_portfolio_run_is_refused_while_one_is_under_way(sample):
    run = run_pipeline()
    PipelineRun.objects.filter(pk=run.pk).update(status="running", heartbeat_at=timezone.now())
    code, message, out = refusal("--as-of", "2025-01-15")
    assert (code, out) == (3, "")
    assert "under way" in message


def test_a_single_customer_goes_ahead_during_a_portfolio_run(sample):
    run = run_pipeline()
    PipelineRun.objects.filter(pk=run.pk).update(status="running", heartbeat_at=timezone.now())
    document = command("--as-of", "2025-01-15", "--customer", "C004")
    assert (document["scope"], document["customers"]) == ("customer:C004", 1)
    assert [row["reason"] for row in document["suppressed"]] == ["already_pending"]


def test_a_run_without_a_sign_of_life_counts_as_failed(sample):
    run = run_pipeline()
    silent = timezone.now() - timedelta(minutes=6)
    PipelineRun.objects.filter(pk=run.pk).update(status="running", heartbeat_at=silent)
    assert command("--as-of", "2025-01-15")["status"] == "succeeded"
    run.refresh_from_db()
    assert run.status == "failed"
    assert "sign of life" in run.error


def test_a_failed_run_says_at_which_step_and_leaves_nothing_half_written(sample, monkeypatch):
    def broken(case, rules):
        raise ZeroDivisionError("a rule broke")

    monkeypatch.setattr(pipeline.steps.cases, "score_risk", broken)
    out = StringIO()
    with pytest.raises(CommandError, match="failed at risk_scoring") as failed:
        call_command("run_pipeline", "--json", "--as-of", "2025-01-15", stdout=out)
    assert failed.value.returncode == 1
    document = json.loads(out.getvalue())
    assert document["status"] == "failed"
    statuses = {step["name"]: step["status"] for step in document["steps"]}
    assert (statuses["signal_aggregation"], statuses["risk_scoring"]) == ("done", "failed")
    assert statuses["intervention_planning"] == "planned"
    assert not Assessment.objects.exists()
    assert not ApprovalRequest.objects.exists()


def test_goal_and_plan_are_on_record_before_the_run_starts(sample):
    from journeys.services.policies import in_force
    from journeys.services.proposals import PIPELINE

    queued = pipeline.queue(pipeline.plan_run(policy=in_force(), actor=PIPELINE, as_of=SAMPLE_DAY))
    row = PipelineRun.objects.get(pk=queued.pk)
    assert row.status == "queued"
    assert row.goal
    assert [step["name"] for step in row.steps] == [
        "data_loading", "journey_state_evaluation", "signal_aggregation", "risk_scoring",
        "intervention_planning", "human_escalation", "outcome_tracking", "kpi_calculation",
        "roi_calculation", "summary_generation", "report_generation",
    ]  # fmt: skip
    assert {step["status"] for step in row.steps} == {"planned"}
    assert all(set(step["depends_on"]) <= {other["name"] for other in row.steps} for step in row.steps)
    pipeline.run_queued(queued.pk)
    pipeline.run_queued(queued.pk)
    row.refresh_from_db()
    assert row.status == "succeeded"
    assert PipelineRun.objects.count() == 1


def test_background_hands_the_run_to_the_worker(sample):
    document = command("--background")
    assert document == {"run_id": PipelineRun.objects.get().pk, "status": "queued"}


def test_a_range_that_somebody_got_into_is_read_again(sample, debug, monkeypatch):
    written = store.open_proposals
    attempts = []

    def disturbed(drafts, **arguments):
        attempts.append(len(drafts.proposals))
        if len(attempts) == 1:
            raise IntegrityError("somebody opened one for this customer")
        return written(drafts, **arguments)

    monkeypatch.setattr(store, "open_proposals", disturbed)
    run = run_pipeline()
    assert attempts == [3, 3]
    assert run.counts["customers"] == 10
    assert next(step for step in run.steps if step["name"] == "data_loading")["in"] == 10


def test_customers_are_taken_in_ranges_and_every_one_once(sample, debug, settings):
    settings.RANGE_SIZE = 3
    seen = []
    from journeys.services.policies import in_force
    from journeys.services.proposals import PIPELINE

    planned = pipeline.plan_run(policy=in_force(), actor=PIPELINE, as_of=SAMPLE_DAY)
    run = pipeline.run(planned, on_case=lambda case, intervention: seen.append(case.customer.customer_id))
    assert len(seen) == len(set(seen)) == run.counts["customers"] == 10
    assert run.counts["proposed"] == 3
    # Whom the policy may decide comes last: the most urgent of all are its own.
    assert seen == [*sorted(set(seen) - {"C001"}), "C001"]


def test_an_orphaned_signal_joins_its_customer_when_that_arrives(sample, debug):
    run_pipeline()
    Customer.objects.create(customer_id="C999", name="Late Arrival", segment="SMB", account_value=1000)
    JourneyState.objects.create(
        customer_id="C999", journey_stage="support", state_entered_at=date(2025, 1, 14)
    )
    run = run_pipeline()
    assert run.counts["signals"] == {"received": 12, "matched": 12, "orphaned": 0}
    assert Finding.objects.get(kind="orphan_signal").status == "mended"


def test_a_customer_without_an_open_state_is_a_finding_and_no_assessment(sample, debug):
    JourneyState.objects.filter(customer_id="C008").update(left_on=date(2025, 1, 12))
    run = run_pipeline()
    assert Finding.objects.filter(kind="missing_state", subject="C008").exists()
    assert not run.assessments.filter(customer_id="C008").exists()


def test_unknown_values_go_to_a_person_and_are_findings(sample, debug):
    Customer.objects.filter(pk="C001").update(segment="Galactic", account_value=None)
    Signal.objects.filter(pk="S001").update(signal_type="moon_phase")
    Customer.objects.filter(pk="C005").update(account_value=None)
    run_pipeline()
    c005 = Intervention.objects.get(customer_id="C005")
    assert "unknown_value" in c005.person_reasons
    details = set(Finding.objects.filter(kind="unknown_value").values_list("subject", "detail"))
    assert ("C001", "The segment is not known to the policy: Galactic.") in details
    assert ("C005", "The account value is missing.") in details
    assert ("moon_phase", "The policy does not know signals of the kind moon_phase.") in details


def test_without_an_address_a_mail_becomes_a_task_and_the_request_says_so(sample, debug):
    Customer.objects.filter(pk="C004").update(email="")
    run_pipeline()
    row = Intervention.objects.get(customer_id="C004")
    assert row.channel == "task"
    assert any("no address" in reason for reason in row.request.evidence["reasons"]["plan"])


def test_automatic_approval_is_recorded_under_its_own_name(sample, debug):
    document = command("--as-of", "2025-01-15", "--auto-approve-for-testing")
    assert {row["status"] for row in document["interventions"]} == {"approved"}
    authorities = dict(ApprovalRequest.objects.values_list("concerning", "decisions__authority"))
    assert authorities == {
        "C001": Authority.POLICY,
        "C004": Authority.AUTO_APPROVAL_FOR_TESTING,
        "C005": Authority.AUTO_APPROVAL_FOR_TESTING,
    }


def test_automatic_approval_is_refused_where_something_could_go_out(sample, debug, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    assert refusal("--auto-approve-for-testing")[0] == 2
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    settings.WEBHOOK_URL = "http://127.0.0.1:9/hook"
    assert refusal("--auto-approve-for-testing")[0] == 2
