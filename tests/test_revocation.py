"""An approval can be taken back until carrying it out has begun, and the grace period makes that real."""

from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone
from django_q.models import OrmQ

from approvals import rules, services
from approvals.models import ApprovalRequest, AuditEvent
from journeys.models import Execution, Intervention
from journeys.services import execution
from tests.acting import approve, decide, let_the_grace_pass, together, waiting
from tests.runs import SAMPLE_DAY, run_pipeline

pytestmark = pytest.mark.django_db


@pytest.fixture
def approved(waits, people):
    decide(waits, people["approver"])
    return Intervention.objects.get(customer_id="C004")


def revoke(intervention, user, reason="They have just called."):
    return services.revoke(request_id=intervention.request.pk, user=user, reason=reason, door="test")


def status(intervention):
    return Intervention.objects.get(pk=intervention.pk).status


# ---- the grace period


def test_what_goes_to_a_customer_waits_ten_minutes_first(approved, live, mailbox):
    waited = approved.not_before - approved.request.decided_at
    assert timedelta(minutes=10) <= waited < timedelta(minutes=10, seconds=5)
    assert execution.execute(intervention_id=approved.pk) is None
    execution.execute_due()
    assert (status(approved), mailbox.envelopes) == ("approved", [])
    assert approved.request.used_at is None


def test_no_bell_is_rung_for_what_waits_and_one_for_what_does_not(approved, people):
    assert not [row for row in OrmQ.objects.all() if approved.pk in row.task["args"]]
    task = approve("C005", people["approver"])
    assert [row for row in OrmQ.objects.all() if task.pk in row.task["args"]]


def test_after_it_the_sweep_sends_it(approved, live, mailbox):
    due = Intervention.objects.due
    assert not due(approved.not_before - timedelta(seconds=1)).filter(pk=approved.pk).exists()
    assert due(approved.not_before).filter(pk=approved.pk).exists()
    let_the_grace_pass()
    execution.execute_due()
    assert status(approved) == "executed"


def test_what_the_policy_approved_alone_waits_as_well(sample_run):
    mail = Intervention.objects.get(customer_id="C001")
    assert mail.authority == "policy published 1"
    assert mail.not_before > timezone.now()


def test_what_stays_in_the_house_does_not_wait(sample_run, people):
    decide(waiting("C005"), people["approver"])
    assert Intervention.objects.get(customer_id="C005").not_before is None


# ---- taking it back


def test_who_could_not_have_given_it_cannot_take_it_back(approved, people):
    for name in ("operator", "auditor"):
        with pytest.raises(rules.NotAuthorised):
            revoke(approved, people[name])
    with pytest.raises(rules.ReasonNeeded):
        revoke(approved, people["approver2"], reason=" ")
    ApprovalRequest.objects.filter(pk=approved.request.pk).update(value_at_stake=500_000)
    with pytest.raises(rules.NotAuthorised, match="ends at"):
        revoke(approved, people["approver"])
    assert status(approved) == "approved"


def test_whoever_could_decide_takes_it_back_with_a_reason(approved, people, live, mailbox):
    revoke(approved, people["approver2"])
    assert (status(approved), approved.request.status) == ("revoked", "revoked")
    let_the_grace_pass()
    assert execution.execute(intervention_id=approved.pk) is None
    execution.execute_due()
    assert ["office@northbeck.example"] not in [envelope.rcpt_tos for envelope in mailbox.envelopes]
    event = AuditEvent.objects.get(word="request.revoked")
    assert (event.reason, event.before, event.after) == ("They have just called.", "approved", "revoked")


def test_what_the_policy_approved_can_be_taken_back_by_a_person(sample_run, people):
    mail = Intervention.objects.get(customer_id="C001")
    revoke(mail, people["approver"])
    assert status(mail) == "revoked"


def test_there_is_nothing_to_take_back_before_there_is_an_approval_nor_twice(waits, people):
    with pytest.raises(rules.AlreadyDecided, match="is pending"):
        services.revoke(request_id=waits.pk, user=people["approver"], reason="No.", door="test")
    decide(waits, people["approver"])
    approved = Intervention.objects.get(customer_id="C004")
    revoke(approved, people["approver"])
    with pytest.raises(rules.AlreadyDecided, match="already revoked .by approver,"):
        revoke(approved, people["approver2"])


def test_once_carrying_it_out_has_begun_it_says_plainly_that_it_is_too_late(approved, people, live, mailbox):
    let_the_grace_pass()
    execution.execute(intervention_id=approved.pk)
    with pytest.raises(rules.TooLate, match="too late to revoke"):
        revoke(approved, people["approver"])
    assert status(approved) == "executed"


def test_between_two_tries_it_is_too_late_too(approved, people, live, bad_mail_server):
    let_the_grace_pass()
    with bad_mail_server(RCPT="451 later"):
        execution.execute(intervention_id=approved.pk)
    assert status(approved) == "approved"
    with pytest.raises(rules.TooLate):
        revoke(approved, people["approver"])


def test_what_was_revoked_is_not_asked_again_at_once(approved, people):
    revoke(approved, people["approver"])
    run_pipeline(SAMPLE_DAY + timedelta(days=1))
    assert not ApprovalRequest.objects.pending().filter(concerning="C004").exists()


@pytest.mark.django_db(transaction=True)
def test_of_a_revocation_and_a_worker_at_the_same_moment_one_is_first(people, approved, live, mailbox):
    let_the_grace_pass()
    answers = together(
        partial(execution.execute, intervention_id=approved.pk),
        partial(revoke, approved, people["approver2"]),
        partial(execution.execute, intervention_id=approved.pk),
    )
    revoked = not isinstance(answers[1], Exception)
    assert revoked or isinstance(answers[1], rules.TooLate)
    assert status(approved) == ("revoked" if revoked else "executed")
    assert len(mailbox.envelopes) == Execution.objects.count() == (0 if revoked else 1)
