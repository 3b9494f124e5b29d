"""A stop that works: one person makes execution more careful, two make it less so."""

from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone

from approvals.models import ApprovalRequest, AuditEvent
from approvals.rules import AlreadyDecided, NotAuthorised, NotFound, OwnRequest, ReasonNeeded, Stale, Verdict
from approvals.services import expire_overdue
from journeys.domain.vocabulary import ExecutionMode, SwitchScope
from journeys.models import ExecutionSwitch, Intervention
from journeys.services import execution, switches
from journeys.services.switches import AlreadyAsked, Unchanged
from tests.acting import approve, decide, together

pytestmark = pytest.mark.django_db


def switch(scope, mode, value=""):
    return ExecutionSwitch.objects.create(scope=scope, value=value, mode=mode, changed_by="a test")


def set_mode(user, mode, scope="all", value="", reason="It is time."):
    return switches.set_mode(scope=scope, value=value, mode=mode, user=user, reason=reason, door="test")


def mode_of_c004(**changes):
    facts = {"channel": "email", "action": "usage_review_checkin", "customer_id": "C004"} | changes
    return switches.mode_for(**facts)


def last_change():
    return AuditEvent.objects.filter(word="switch.changed").order_by("sequence").last()


@pytest.fixture
def approved(sample_run, people):
    return approve("C004", people["approver"])


# ---- which mode holds


def test_without_any_switch_nothing_is_sent():
    assert mode_of_c004() == ExecutionMode.RECORD_ONLY


def test_without_a_switch_for_all_no_other_switch_makes_it_live():
    switch("channel", "live", "email")
    assert mode_of_c004() == ExecutionMode.RECORD_ONLY


@pytest.mark.parametrize(
    ("rows", "mode"),
    [
        ([("all", "live", "")], "live"),
        ([("all", "live", ""), ("channel", "record_only", "email")], "record_only"),
        ([("all", "live", ""), ("channel", "off", "task")], "live"),
        ([("all", "live", ""), ("action", "off", "usage_review_checkin")], "off"),
        ([("all", "live", ""), ("customer", "off", "C005")], "live"),
        ([("all", "live", ""), ("customer", "record_only", "C004"), ("channel", "off", "email")], "off"),
        ([("all", "off", ""), ("customer", "live", "C004")], "off"),
    ],
)
def test_the_most_careful_switch_that_applies_counts(rows, mode):
    for row in rows:
        switch(*row)
    assert mode_of_c004() == mode


@pytest.mark.parametrize(
    ("scope", "value"),
    [("all", ""), ("channel", "email"), ("action", "usage_review_checkin"), ("customer", "C004")],
)
def test_each_switch_stops_what_it_names_and_what_is_approved_waits(
    approved, people, live, mailbox, scope, value
):
    switches.stop(scope=scope, value=value, user=people["operator"], reason="Stop!", door="test")
    assert execution.execute(intervention_id=approved.pk) is None
    execution.execute_due()
    assert Intervention.objects.get(pk=approved.pk).status == "approved"
    assert ["office@northbeck.example"] not in [envelope.rcpt_tos for envelope in mailbox.envelopes]


def test_a_switch_of_another_holds_nothing_back(approved, people, live, mailbox):
    for scope, value in (("channel", "task"), ("action", "retention_checkin"), ("customer", "C005")):
        switches.stop(scope=scope, value=value, user=people["operator"], door="test")
    assert execution.execute_due() == 2
    assert len(mailbox.envelopes) == 2


# ---- more careful: one person, at once


def test_one_person_stops_everything_at_once_and_it_is_on_record(people, live):
    switches.stop(
        scope="all", user=people["operator"], reason="Wrong text.", door="test", address="127.0.0.1"
    )
    assert mode_of_c004() == ExecutionMode.OFF
    change = last_change()
    assert (change.before, change.after, change.reason) == ("live", "off", "Wrong text.")
    assert change.sentence == "operator set execution (everything) from live to off"
    assert ExecutionSwitch.objects.get().changed_by == "operator"


def test_a_stop_needs_no_reason_but_a_permission(people, live):
    with pytest.raises(NotAuthorised):
        switches.stop(scope="all", user=people["auditor"], reason="Please.", door="test")
    assert mode_of_c004() == ExecutionMode.LIVE
    switches.stop(scope="all", user=people["approver"], door="test")
    assert mode_of_c004() == ExecutionMode.OFF


def test_a_stop_where_no_switch_was_set_is_a_stop(people, live):
    switches.stop(scope="channel", value="email", user=people["operator"], door="test")
    assert (last_change().before, last_change().after) == ("live", "off")
    assert mode_of_c004() == ExecutionMode.OFF


def test_from_live_to_record_only_is_more_careful_too(people, live):
    assert set_mode(people["operator"], "record_only") is None
    assert mode_of_c004() == ExecutionMode.RECORD_ONLY


def test_what_stands_already_is_not_set_again(people):
    with pytest.raises(Unchanged, match="everything is record only already"):
        set_mode(people["operator"], "record_only")
    with pytest.raises(Unchanged):
        set_mode(people["operator"], "live", scope="channel", value="email")


@pytest.mark.parametrize(
    ("scope", "value"),
    [("all", "email"), ("channel", "fax"), ("action", ""), ("customer", "C999"), ("planet", "earth")],
)
def test_a_switch_for_what_there_is_not_is_refused(sample, people, scope, value):
    with pytest.raises(NotFound):
        set_mode(people["operator"], "off", scope=scope, value=value)
    assert not ExecutionSwitch.objects.exists()


# ---- less careful: two people


def test_starting_takes_a_second_person(people):
    request = set_mode(people["operator"], "live", reason="The texts are checked.")
    assert mode_of_c004() == ExecutionMode.RECORD_ONLY
    decide(request, people["manager"])
    assert mode_of_c004() == ExecutionMode.LIVE
    change = last_change()
    assert (change.before, change.after, change.request_id) == ("record_only", "live", request.pk)
    assert change.actor_key == f"user:{people['manager'].pk}"


def test_nobody_confirms_their_own_start_superuser_or_not(people):
    manager = people["manager"]
    request = set_mode(manager, "live")
    with pytest.raises(OwnRequest):
        decide(request, manager)
    manager.is_superuser = True
    manager.save()
    with pytest.raises(OwnRequest):
        decide(request, manager)
    assert mode_of_c004() == ExecutionMode.RECORD_ONLY


def test_who_may_only_stop_cannot_confirm_a_start(people):
    request = set_mode(people["operator"], "live")
    with pytest.raises(NotAuthorised):
        decide(request, people["approver"])
    with pytest.raises(NotAuthorised):
        set_mode(people["auditor"], "live")
    assert mode_of_c004() == ExecutionMode.RECORD_ONLY


def test_a_start_needs_a_reason_for_the_second_person(people):
    with pytest.raises(ReasonNeeded):
        set_mode(people["operator"], "live", reason=" ")
    assert not ApprovalRequest.objects.exists()


def test_a_start_is_asked_for_once(people):
    set_mode(people["operator"], "live")
    with pytest.raises(AlreadyAsked):
        set_mode(people["approver"], "live")
    assert ApprovalRequest.objects.count() == 1


def test_a_rejected_start_changes_nothing(people):
    request = set_mode(people["operator"], "live")
    decide(request, people["manager"], Verdict.REJECTED, "Not yet.")
    assert mode_of_c004() == ExecutionMode.RECORD_ONLY
    assert last_change() is None


def test_a_stop_ends_the_request_for_a_start(people):
    request = set_mode(people["operator"], "live")
    switches.stop(scope="all", user=people["approver"], door="test")
    with pytest.raises(AlreadyDecided):
        decide(request, people["manager"])
    assert ApprovalRequest.objects.get().status == "superseded"
    assert mode_of_c004() == ExecutionMode.OFF


def test_a_start_asked_from_a_mode_that_no_longer_holds_is_not_applied(people):
    request = set_mode(people["operator"], "live")
    switch("all", "off")
    with pytest.raises(Stale, match="is off by now"):
        decide(request, people["manager"])
    assert ApprovalRequest.objects.get().status == "pending"
    assert mode_of_c004() == ExecutionMode.OFF
    assert "this can only be rejected" in switches.describe(request)["against"][0]


def test_a_confirmed_start_is_used_and_does_not_expire(people):
    decide(set_mode(people["operator"], "live"), people["manager"])
    expire_overdue(actor=execution.WORKER, now=timezone.now() + timedelta(days=365))
    assert ApprovalRequest.objects.get().status == "approved"
    assert mode_of_c004() == ExecutionMode.LIVE


def test_the_page_is_told_the_facts(sample, people, live):
    set_mode(people["operator"], "off", scope="customer", value="C004")
    request = set_mode(people["operator"], "live", scope="customer", value="C004")
    assert request.title == "Execution for the customer C004: from off to live"
    assert request.concerning == "C004"
    assert switches.describe(request) == {
        "scope": "customer",
        "value": "C004",
        "target": "the customer C004",
        "before": "off",
        "after": "live",
        "against": [],
    }


@pytest.mark.django_db(transaction=True)
def test_of_a_stop_and_a_start_at_the_same_moment_the_stop_remains(people):
    for _ in range(5):
        ExecutionSwitch.objects.all().delete()
        request = set_mode(people["operator"], "live")
        together(
            partial(decide, request, people["manager"]),
            partial(switches.stop, scope="all", user=people["approver"], door="test"),
            partial(set_mode, people["operator"], "off"),
        )
        assert switches.current(SwitchScope.ALL) == ExecutionMode.OFF
