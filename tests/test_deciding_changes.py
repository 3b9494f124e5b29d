"""Approving with changes, and asking for changes: what stands there then is another thing."""

from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone

from approvals import rules, services
from approvals.models import ApprovalRequest, AuditEvent
from approvals.services import NothingChanged
from approvals.subjects import CannotChange
from journeys.models import Intervention
from journeys.services import execution, policies, proposals
from tests.acting import PASSWORD, decide, forget, let_the_grace_pass, together, waiting
from tests.runs import SAMPLE_DAY, run_pipeline

pytestmark = pytest.mark.django_db


def change(request, user, reason="", on_behalf_of=None, **changes):
    return services.change(
        request_id=request.pk,
        fingerprint=request.fingerprint,
        changes=changes,
        user=user,
        reason=reason,
        door="test",
        on_behalf_of=on_behalf_of,
    )


def send_back(request, user, note="Say when we call."):
    return services.ask_for_changes(
        request_id=request.pk, fingerprint=request.fingerprint, user=user, note=note, door="test"
    )


def answer(request, user, note="Done.", **changes):
    return services.revise(
        request_id=request.pk,
        fingerprint=request.fingerprint,
        changes=changes,
        user=user,
        note=note,
        door="test",
    )


def unmoved(request) -> bool:
    row = ApprovalRequest.objects.get(pk=request.pk)
    return (row.fingerprint, row.revision, row.status) == (request.fingerprint, 1, "pending")


def by_hand(user):
    return proposals.propose(
        customer_id="C003",
        action="engagement_checkin",
        subject="",
        body="",
        reason="They asked for it.",
        user=user,
        door="test",
    ).request


# ---- what cannot be changed


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"recipient": "me@home.example"}, "recipient cannot be changed"),
        ({"evidence": "none"}, "evidence cannot be changed"),
        ({"action": "renewal_health_check"}, "no action of the stage engagement"),
        ({"action": "nothing_we_know"}, "no action of the stage"),
        ({"channel": "fax"}, "There is no channel “fax”"),
        ({"channel": "none"}, "cannot be carried out by the channel"),
        ({"channel": "webhook"}, "No address is set for webhooks"),
        ({"subject": "Hello\nBcc: all@customers.example"}, "one line"),
        ({"not_before": "tomorrow"}, "is no time"),
        ({"not_before": "2999-01-01T09:00"}, "it cannot be later"),
    ],
)
def test_what_would_be_something_else_altogether_is_refused(waits, people, changes, why):
    with pytest.raises(CannotChange, match=why):
        change(waits, people["approver"], **changes)
    assert unmoved(waits)


def test_a_change_that_changes_nothing_is_refused(waits, people):
    with pytest.raises(NothingChanged):
        change(waits, people["approver"], subject=waits.payload["subject"])
    assert unmoved(waits)


def test_who_could_not_decide_it_cannot_change_it(waits, big, people):
    for name in ("operator", "auditor", "approver"):
        with pytest.raises(rules.NotAuthorised):
            change(waiting("C004"), people[name], body="Something else.")
    own = by_hand(people["manager"])
    with pytest.raises(rules.OwnRequest):
        change(own, people["manager"], body="Something else.")
    assert unmoved(own)


def test_a_page_that_shows_what_no_longer_stands_there_changes_nothing(waits, people):
    change(waits, people["approver"], body="First.")
    with pytest.raises(rules.Stale):
        change(waits, people["approver2"], body="Second.")
    assert waiting("C004").payload["body"] == "First."


def test_a_policy_is_confirmed_as_it_is_or_not_at_all(people):
    policy = policies.add_policy(name="ours", document={}, created_by="a test")
    asked = {"policy": policy, "user": people["manager"], "reason": "Why not.", "door": "test"}
    request = policies.propose_activation(**asked)
    with pytest.raises(CannotChange):
        change(request, people["manager2"], policy="another")


# ---- what a change does


def test_a_change_stays_pending_for_somebody_else_always(waits, people):
    changed = change(waits, people["approver"], body="We call you on Monday.", reason="Friendlier.")
    assert (changed.status, changed.revision) == ("pending", 2)
    assert changed.fingerprint != waits.fingerprint
    for attempt in (decide, partial(change, body="Or on Tuesday.")):
        with pytest.raises(rules.OwnRequest):
            attempt(changed, people["approver"])
    with pytest.raises(rules.Stale):
        decide(waits, people["approver2"])
    decide(changed, people["approver2"])
    assert Intervention.objects.get(customer_id="C004").status == "approved"


def test_the_old_stands_beside_the_new_with_who_changed_what_and_why(waits, people):
    changed = change(waits, people["approver"], body="We call you on Monday.", reason="Friendlier.")
    old = changed.revisions.get()
    assert (old.number, old.payload, old.fingerprint) == (1, waits.payload, waits.fingerprint)
    assert (old.replaced_by_key, old.reason) == (f"user:{people['approver'].pk}", "Friendlier.")
    [told] = old.changes
    assert told.startswith("body: ")
    assert told.endswith("→ 'We call you on Monday.'")
    event = AuditEvent.objects.get(word="request.changed")
    assert (event.request_id, event.fingerprint) == (waits.pk, changed.fingerprint)
    assert event.reason == "Friendlier."
    assert "We call you on Monday." in event.told("changes")


def test_what_was_changed_is_what_goes_out(waits, people, live, mailbox):
    decide(change(waits, people["approver"], subject="Monday?", body="We call."), people["approver2"])
    let_the_grace_pass()
    execution.execute(intervention_id=waits.subject_key)
    [envelope] = mailbox.envelopes
    assert b"Subject: Monday?" in envelope.content
    assert b"We call." in envelope.content


def test_another_action_of_the_same_stage_brings_its_own_text_and_channel(waits, people):
    changed = change(waits, people["approver"], action="reengagement_campaign")
    assert changed.title.startswith("Re-engagement campaign for")
    assert changed.payload["subject"] != waits.payload["subject"]
    row = Intervention.objects.get(pk=waits.subject_key)
    assert (row.recommended_action, row.status) == ("reengagement_campaign", "pending")
    quiet = change(changed, people["approver2"], action="monitor_only")
    assert (quiet.payload["channel"], quiet.payload["recipient"]) == ("none", "")
    decide(quiet, people["manager"])
    assert Intervention.objects.get(pk=waits.subject_key).status == "recorded"


def test_a_mail_can_become_a_task_of_the_owner(waits, people):
    changed = change(waits, people["approver"], channel="task")
    assert changed.payload["recipient"] != waits.payload["recipient"]
    assert changed.payload["sender"] == ""
    decide(changed, people["approver2"])
    assert Intervention.objects.get(pk=waits.subject_key).not_before is None


def test_it_can_be_put_off_to_a_time(waits, people, live, mailbox):
    later = timezone.now() + timedelta(hours=20)
    decide(change(waits, people["approver"], not_before=later.isoformat()), people["approver2"])
    row = Intervention.objects.get(pk=waits.subject_key)
    assert row.not_before == later
    assert execution.execute(intervention_id=row.pk) is None
    assert mailbox.envelopes == []


def test_changed_to_a_sensitive_action_it_takes_two_more_people(policy_with, people, sample, settings):
    settings.DEBUG = True
    document = policies.in_force().document
    document["actions"]["reengagement_campaign"]["sensitive"] = True
    policy_with(document)
    run_pipeline()
    changed = change(waiting("C004"), people["approver"], action="reengagement_campaign")
    assert changed.people_needed == 2
    decide(changed, people["approver2"])
    assert Intervention.objects.get(customer_id="C004").status == "pending"
    decide(waiting("C004"), people["manager"])
    assert Intervention.objects.get(customer_id="C004").status == "approved"


def test_a_change_voids_the_approvals_given_so_far(big, people):
    decide(big, people["manager"], reason="Yes.", password=PASSWORD)
    changed = change(waiting("C004"), people["manager2"], body="We call you on Monday.")
    assert (changed.approvals_given, changed.status) == (0, "pending")
    decide(changed, people["manager"], reason="Still yes.", password=PASSWORD)
    assert waiting("C004").approvals_given == 1


def test_changed_back_it_is_not_what_it_was(big, people):
    words = big.payload["body"]
    decide(big, people["manager"], reason="Yes.", password=PASSWORD)
    changed = change(waiting("C004"), people["manager2"], body="We call you on Monday.")
    back = change(changed, people["manager"], body=words)
    assert back.payload["body"] == words
    assert back.fingerprint != big.fingerprint
    assert back.approvals_given == 0
    with pytest.raises(rules.Stale):
        decide(big, people["manager2"], reason="Yes.", password=PASSWORD)


def test_a_change_that_leaves_nobody_who_could_decide_is_marked_as_unroutable(big, people):
    assert not big.unroutable
    changed = change(big, people["manager"], body="We call you on Monday.")
    assert changed.unroutable


def test_the_next_run_leaves_what_a_person_changed(waits, people):
    changed = change(waits, people["approver"], action="reengagement_campaign", body="Our own words.")
    run_pipeline(SAMPLE_DAY + timedelta(days=1))
    row = waiting("C004")
    assert row.pk == changed.pk
    assert (row.action, row.payload["body"]) == ("reengagement_campaign", "Our own words.")


# ---- asking for changes


def test_asking_for_changes_needs_a_note_and_somebody_who_could_decide(waits, people):
    with pytest.raises(rules.ReasonNeeded):
        send_back(waits, people["approver"], note=" ")
    with pytest.raises(rules.NotAuthorised):
        send_back(waits, people["operator"])
    own = by_hand(people["approver"])
    with pytest.raises(rules.OwnRequest):
        send_back(own, people["approver"])
    assert unmoved(waits)
    assert unmoved(own)


def test_while_it_is_with_its_proposer_nobody_decides_or_changes_it(waits, people):
    returned = send_back(waits, people["approver"])
    assert (returned.status, returned.returned_note) == ("pending", "Say when we call.")
    for attempt in (decide, partial(change, body="Mine."), send_back):
        with pytest.raises(rules.Returned):
            attempt(returned, people["approver2"])
    with pytest.raises(rules.Returned):
        decide(returned, people["approver2"], rules.Verdict.REJECTED, reason="No.")
    assert AuditEvent.objects.get(word="request.returned").reason == "Say when we call."


def test_only_its_proposer_answers(sample, people):
    request = send_back(by_hand(people["operator"]), people["approver"])
    for name in ("approver", "approver2", "manager"):
        with pytest.raises(rules.NotAuthorised):
            answer(request, people[name], body="We call on Monday.")
    back = answer(request, people["operator"], body="We call on Monday.")
    assert (back.returned_at, back.payload["body"]) == (None, "We call on Monday.")
    decide(back, people["approver"])


def test_for_a_machine_those_answer_who_may_propose_by_hand(waits, people):
    request = send_back(waits, people["approver"])
    with pytest.raises(rules.NotAuthorised):
        answer(request, people["auditor"], body="Mine.")
    back = answer(request, people["operator"], body="We call on Monday.")
    assert f"user:{people['operator'].pk}" in back.hands
    decide(back, people["approver"])


def test_an_answer_needs_a_question_and_a_note(waits, people):
    with pytest.raises(rules.Refusal, match="Nobody has asked"):
        answer(waits, people["operator"], body="Mine.")
    request = send_back(waits, people["approver"])
    with pytest.raises(rules.ReasonNeeded):
        answer(request, people["operator"], note=" ")


def test_the_answer_may_be_that_it_should_stay_as_it_is(waits, people):
    back = answer(send_back(waits, people["approver"]), people["approver2"], note="It is right as it is.")
    assert (back.fingerprint, back.returned_at) == (waits.fingerprint, None)
    with pytest.raises(rules.OwnRequest):
        decide(back, people["approver2"])
    decide(back, people["approver"])


@pytest.mark.django_db(transaction=True)
def test_of_a_decision_and_a_question_at_the_same_moment_one_is_heard(waits, people):
    for _ in range(4):
        request = by_hand(people["operator"])
        together(
            partial(decide, request, people["approver"]), partial(send_back, request, people["approver2"])
        )
        row = ApprovalRequest.objects.get(pk=request.pk)
        assert (row.status == "approved") == (row.returned_at is None)
        assert row.decisions.count() == (row.status == "approved")
        forget(request)
