"""The facts move while a request waits, or once it was approved: nobody's word is taken for another thing."""

from datetime import timedelta

import pytest

from approvals import rules, services
from approvals.models import ApprovalRequest, AuditEvent
from journeys import tasks
from journeys.models import Customer, Intervention, Signal
from journeys.services import execution, policies, proposals
from journeys.services.intake import enter_stage, record_signal
from tests.acting import PASSWORD, approve, decide, waiting
from tests.runs import SAMPLE_DAY, run_pipeline

pytestmark = pytest.mark.django_db

SURE = {"reason": "Agreed.", "password": PASSWORD}


def next_run(days=1):
    run_pipeline(SAMPLE_DAY + timedelta(days=days))


def new_signal(kind="low_product_usage", strength=0.2):
    record_signal(
        signal_id=f"N-{kind}",
        customer_id="C004",
        signal_type=kind,
        signal_strength=strength,
        detected_at=SAMPLE_DAY,
    )


def fresh(request):
    return ApprovalRequest.objects.get(pk=request.pk)


# ---- while it waits


def test_the_days_alone_change_nothing(waits, people):
    next_run()
    assert (fresh(waits).revision, fresh(waits).fingerprint) == (1, waits.fingerprint)
    decide(waits, people["approver"])


def test_another_policy_alone_changes_nothing(waits, policy_with):
    policy_with({"clocks": {"grace_seconds": 5}})
    next_run()
    assert fresh(waits).revision == 1


def test_a_new_signal_brings_the_request_up_to_date_and_it_says_what_moved(waits):
    new_signal()
    next_run()
    row = fresh(waits)
    assert (row.status, row.revision) == ("pending", 2)
    assert row.fingerprint != waits.fingerprint
    assert row.moved == ["Low product usage (0.20) came in."]
    assert "N-low_product_usage" in [signal[0] for signal in row.payload["evidence"]]
    assert "N-low_product_usage" in Intervention.objects.get(pk=row.subject_key).triggered_by_signals
    assert AuditEvent.objects.get(word="request.refreshed").reason == row.moved[0]
    old = row.revisions.get()
    assert (old.payload, old.replaced_by_key) == (waits.payload, "machine:pipeline")


def test_what_was_seen_before_can_no_longer_be_decided(waits, people):
    new_signal()
    next_run()
    with pytest.raises(rules.Stale):
        decide(waits, people["approver"])
    decide(fresh(waits), people["approver"])


def test_approvals_given_before_are_void(big, people):
    decide(big, people["manager"], **SURE)
    new_signal()
    next_run()
    row = fresh(big)
    assert row.approvals_given == 0
    decide(row, people["manager2"], **SURE)
    assert fresh(big).status == "pending"
    decide(fresh(big), people["manager"], **SURE)
    assert fresh(big).status == "approved"


def test_a_value_that_moved_is_weighed_anew(waits, people):
    """The payload reads as before, and yet neither an old page nor an old authority counts."""
    Customer.objects.filter(pk="C004").update(account_value=150_000)
    next_run()
    row = fresh(waits)
    assert row.moved == ["The account value was 42,000, is 150,000."]
    assert (row.people_needed, row.heightened, row.value_at_stake) == (2, True, 150_000)
    with pytest.raises(rules.Stale):
        decide(waits, people["approver"])
    with pytest.raises(rules.NotAuthorised):
        decide(row, people["approver"], **SURE)


def test_another_address_is_told(waits):
    Customer.objects.filter(pk="C004").update(email="somebody@else.example")
    next_run()
    row = fresh(waits)
    assert row.payload["recipient"] == "somebody@else.example"
    assert row.moved == ["The recipient was office@northbeck.example, is somebody@else.example."]


def test_all_that_moved_since_it_was_asked_stays_to_be_seen(waits):
    new_signal()
    next_run()
    new_signal("inactivity_warning", 0.1)
    next_run(2)
    came = [text.partition(" (")[0] for text in fresh(waits).moved if "came in" in text]
    assert came == ["Low product usage", "Inactivity warning"]


def test_the_words_that_a_person_changed_stay(waits, people):
    changed = services.change(
        request_id=waits.pk,
        fingerprint=waits.fingerprint,
        changes={"subject": "Monday?", "body": "Our own words."},
        user=people["approver"],
        door="test",
    )
    new_signal()
    next_run()
    row = fresh(changed)
    assert row.revision == 3
    assert (row.payload["subject"], row.payload["body"]) == ("Monday?", "Our own words.")
    with pytest.raises(rules.OwnRequest):
        decide(row, people["approver"])


def test_another_action_that_a_person_chose_is_brought_up_to_date_and_not_replaced(waits, people):
    services.change(
        request_id=waits.pk,
        fingerprint=waits.fingerprint,
        changes={"action": "reengagement_campaign"},
        user=people["approver"],
        door="test",
    )
    new_signal()
    next_run()
    row = waiting("C004")
    assert (row.pk, row.action, row.revision) == (waits.pk, "reengagement_campaign", 3)


def test_what_a_person_proposed_stays_as_they_put_it(sample, people, settings):
    settings.DEBUG = True
    own = proposals.propose(
        customer_id="C004",
        action="usage_review_checkin",
        subject="",
        body="",
        reason="They asked.",
        user=people["operator"],
        door="test",
    ).request
    new_signal()
    run_pipeline()
    assert fresh(own).revision == 1


def test_what_was_more_than_the_policy_may_decide_alone_still_is(policy_with, people, sample, settings):
    settings.DEBUG = True
    policy_with({"authority": {"max_per_run": 0}})
    run_pipeline()
    capped = waiting("C001")
    next_run()
    row = fresh(capped)
    assert (row.revision, row.person_reasons) == (1, ["policy_cap"])


# ---- when it is to be carried out


@pytest.fixture
def approved(waits, people, live):
    return approve("C004", people["approver"])


def lapse(intervention):
    assert execution.execute(intervention_id=intervention.pk) is None
    assert Intervention.objects.get(pk=intervention.pk).status == "lapsed"
    tasks.reconsider(intervention.pk)


def test_a_later_signal_alone_does_not_lapse_it(approved, mailbox):
    new_signal()
    assert execution.execute(intervention_id=approved.pk).status == "done"


def test_a_later_policy_alone_does_not_lapse_it(approved, mailbox, policy_with):
    policy_with({"risk": {"tier": {"high": 0.45, "medium": 0.1}}})
    assert execution.execute(intervention_id=approved.pk).status == "done"


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (25_000, "from which a person decides"),
        (150_000, "from which it takes more people"),
        (None, "become known since, or unknown"),
    ],
)
def test_a_value_that_crossed_a_line_of_the_policy_lapses_it(approved, mailbox, value, line):
    Customer.objects.filter(pk="C004").update(account_value=value)
    lapse(approved)
    assert line in AuditEvent.objects.get(word="request.lapsed").reason
    assert mailbox.envelopes == []


def test_a_value_on_the_same_side_of_all_lines_does_not(approved, mailbox):
    Customer.objects.filter(pk="C004").update(account_value=60_000)
    assert execution.execute(intervention_id=approved.pk).status == "done"


def test_what_lapsed_is_asked_again_at_once_and_says_what_moved(approved, people):
    Signal.objects.filter(pk="S004").update(signal_strength=0.55)
    lapse(approved)
    again = waiting("C004")
    [told] = again.moved
    assert told.startswith("Asked again: the last approval lapsed. Signals it rests on were altered since")
    assert again.level == 0
    decide(again, people["approver"])


def test_a_stage_that_moved_lapses_it(approved, mailbox):
    enter_stage(customer_id="C004", journey_stage="support", state_entered_at=SAMPLE_DAY)
    lapse(approved)
    assert "from engagement to support" in AuditEvent.objects.get(word="request.lapsed").reason
    assert mailbox.envelopes == []


def test_it_is_judged_by_the_policy_it_was_approved_under(approved, mailbox, policy_with):
    """Under the later policy a sum of 42,000 takes two; under its own it took one."""
    policy_with({"quorum": {"account_value": 40_000.0}})
    assert execution.execute(intervention_id=approved.pk).status == "done"
    assert str(policies.in_force()) == "ours 1"
