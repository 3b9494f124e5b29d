"""What must always hold is asked of the rows, and each breach is found and named."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models import F
from django.utils import timezone

from approvals import append_only, services
from approvals.invariants import broken, sentences
from approvals.models import ApprovalRequest, AuditHead, Decision
from approvals.rules import Verdict
from journeys.models import Assessment, Execution, Intervention, InvariantCheck, PipelineRun
from tests.meanwhile import writing_after_each_look_at

pytestmark = pytest.mark.django_db


@pytest.fixture
def approved(sample_run, people):
    request = ApprovalRequest.objects.get(concerning="C004")
    services.decide(
        request_id=request.pk,
        verdict=Verdict.APPROVED,
        fingerprint=request.fingerprint,
        user=people["approver"],
        door="test",
    )
    append_only.remove(connection)
    return ApprovalRequest.objects.get(pk=request.pk)


def names() -> set[str]:
    return {breach.invariant for breach in broken()}


def test_everything_holds_after_a_run_and_a_decision(approved):
    assert broken() == []


def test_an_execution_without_a_decision_is_found(approved):
    pending = Intervention.objects.get(customer_id="C005")
    Execution.objects.create(
        intervention=pending,
        idempotency_key="x",
        status="failed",
        mode="live",
        channel="task",
        claimed_at=timezone.now(),
    )
    assert names() == {"executed_on_a_decision"}


def test_a_decided_request_without_a_decision_is_found(approved):
    Decision.objects.filter(request=approved).delete()
    assert "decided_with_a_decision" in names()


def test_an_approval_by_the_proposer_is_found(approved):
    ApprovalRequest.objects.filter(pk=approved.pk).update(proposed_by_key=approved.decisions.get().actor_key)
    assert names() == {"four_eyes"}


def test_an_approval_by_too_few_is_found(approved):
    ApprovalRequest.objects.filter(pk=approved.pk).update(people_needed=2)
    assert names() == {"quorum"}


def test_a_decision_that_is_not_what_the_audit_says_is_found(approved):
    Decision.objects.filter(request=approved).update(actor_key="user:0")
    assert names() == {"decision_in_the_chain"}


def test_a_request_and_an_intervention_that_are_apart_are_found(approved):
    Intervention.objects.filter(customer_id="C004").update(status="pending")
    assert names() == {"moves_together"}


def test_an_approval_that_nobody_acts_on_is_found(approved):
    long_ago = timezone.now() - timedelta(hours=1)
    ApprovalRequest.objects.filter(pk=approved.pk).update(execute_by=long_ago)
    assert names() == {"no_approval_overdue"}


def test_a_claim_of_a_worker_that_died_is_found(approved):
    intervention = Intervention.objects.get(customer_id="C004")
    Intervention.objects.filter(pk=intervention.pk).update(status="executing")
    Execution.objects.create(
        intervention=intervention,
        idempotency_key="x",
        status="claimed",
        mode="live",
        channel="email",
        claimed_at=timezone.now() - timedelta(hours=1),
    )
    assert names() == {"no_orphaned_claim"}


def test_counts_of_a_run_that_do_not_add_up_are_found(approved):
    run = PipelineRun.objects.get()
    PipelineRun.objects.filter(pk=run.pk).update(counts=run.counts | {"proposed": 2})
    assert names() == {"runs_add_up"}


@pytest.mark.parametrize("to", [{"customer": "C404"}, {"run": 404}])
def test_an_assessment_of_a_customer_or_a_run_that_is_not_there_is_found(sample_run, to):
    row = Assessment.objects.filter(customer="C003")
    row.update(**to)
    assert "assessed_by_a_run" in names()


def test_events_that_are_missing_are_found(approved):
    AuditHead.objects.update(sequence=99)
    assert names() == {"audit_adds_up"}


def test_an_event_behind_the_last_one_that_was_written_is_found(approved):
    AuditHead.objects.update(sequence=F("sequence") - 1)
    assert names() == {"audit_adds_up"}


def test_what_is_written_while_somebody_looks_is_no_break(approved):
    with writing_after_each_look_at("approvals_audit"):
        assert names() == set()


def test_the_command_names_the_rows_exits_with_1_and_keeps_the_result(approved):
    out = StringIO()
    call_command("check_invariants", "--json", stdout=out)
    assert json.loads(out.getvalue()) == {"ok": True, "broken": []}
    assert InvariantCheck.objects.get().ok
    ApprovalRequest.objects.filter(pk=approved.pk).update(people_needed=2)
    out = StringIO()
    with pytest.raises(SystemExit) as stopped:
        call_command("check_invariants", "--json", stdout=out)
    assert stopped.value.code == 1
    assert json.loads(out.getvalue())["broken"][0]["invariant"] == "quorum"
    assert not InvariantCheck.objects.get().ok
    assert len(sentences()) >= 14
