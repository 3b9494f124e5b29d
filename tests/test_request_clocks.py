"""What time does to a request: a reminder, an escalation, an end that is nobody's no, and asking again."""

from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import Group
from django.utils import timezone

from approvals import rules, services
from approvals.models import ApprovalRequest, AuditEvent, AuthorityLimit
from approvals.rules import Limit, Weight, escalation_target
from journeys import tasks
from journeys.domain.policy import PUBLISHED
from journeys.models import Intervention
from journeys.services import policies, proposals
from journeys.services.policies import clocks_of
from tests.acting import approve, decide, waiting
from tests.runs import SAMPLE_DAY, run_pipeline

pytestmark = pytest.mark.django_db

NEXT_DAY = SAMPLE_DAY + timedelta(days=1)
SECOND = timedelta(seconds=1)


def expire(request, now=None):
    return services.expire_overdue(actor=proposals.PIPELINE, now=now or request.expires_at)


def events(request, word):
    return AuditEvent.objects.filter(request_id=request.pk, word=word)


def fresh(request):
    return ApprovalRequest.objects.get(pk=request.pk)


# ---- how long it has


MONDAY = datetime(2025, 1, 13, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("urgency", "remind", "due", "expires"),
    [
        ("high", "2025-01-13 11:00", "2025-01-13 12:00", "2025-01-16 08:00"),
        ("medium", "2025-01-14 16:00", "2025-01-15 12:00", "2025-01-17 16:00"),
        ("low", "2025-01-20 12:00", "2025-01-22 10:00", "2025-01-31 12:00"),
    ],
)
def test_the_published_clocks_from_a_monday_morning(urgency, remind, due, expires):
    clocks = clocks_of(PUBLISHED, urgency, MONDAY)
    told = [clocks[name] for name in ("remind_at", "decision_due_at", "expires_at")]
    assert [f"{moment:%Y-%m-%d %H:%M}" for moment in told] == [remind, due, expires]
    assert clocks["execute_within_hours"] == 48


@pytest.mark.parametrize("urgency", ["high", "medium", "low"])
@pytest.mark.parametrize("hours", range(0, 168, 7))
def test_a_reminder_comes_first_and_nothing_expires_within_72_hours(urgency, hours):
    asked = MONDAY + timedelta(hours=hours)
    clocks = clocks_of(PUBLISHED, urgency, asked)
    assert asked < clocks["remind_at"] < clocks["decision_due_at"] < clocks["expires_at"]
    assert clocks["expires_at"] - asked >= timedelta(hours=72)


# ---- reminder and escalation


def test_a_reminder_is_due_at_three_quarters_and_comes_once(waits):
    before = waits.remind_at - SECOND
    assert services.remind_due(actor=proposals.PIPELINE, now=before) == 0
    services.remind_due(actor=proposals.PIPELINE, now=waits.remind_at)
    services.remind_due(actor=proposals.PIPELINE, now=waits.expires_at)
    assert events(waits, "request.reminded").count() == 1
    assert fresh(waits).reminded_at == waits.remind_at


def test_late_it_goes_to_the_group_that_the_limit_names_once(waits, people):
    services.escalate_due(actor=proposals.PIPELINE, now=waits.decision_due_at - SECOND)
    assert fresh(waits).routed_to == ""
    for _ in range(2):
        services.escalate_due(actor=proposals.PIPELINE, now=waits.decision_due_at)
    row = fresh(waits)
    assert (row.routed_to, row.status) == ("Managers", "pending")
    event = events(waits, "request.escalated").get()
    assert event.sentence == f"{waits.title} is late and was escalated to Managers"
    decide(row, people["approver"])  # who could decide it still can


def test_what_no_limit_escalates_stays_with_those_who_can_decide_it(big):
    services.escalate_due(actor=proposals.PIPELINE, now=big.expires_at)
    assert fresh(big).routed_to == ""
    assert events(big, "request.escalated").get().after == "nobody else"


def test_what_is_decided_is_neither_reminded_nor_escalated(waits, people):
    decide(waits, people["approver"])
    services.remind_due(actor=proposals.PIPELINE, now=waits.expires_at)
    services.escalate_due(actor=proposals.PIPELINE, now=waits.expires_at)
    assert not events(waits, "request.reminded").exists()
    assert not events(waits, "request.escalated").exists()


def chain(*pairs):
    return [Limit(group=group, max_value=None, escalates_to=to) for group, to in pairs]


@pytest.mark.parametrize(
    ("limits", "steps", "target"),
    [
        (chain(), 1, ""),
        (chain(("A", "B")), 1, "B"),
        (chain(("A", "B")), 3, "B"),
        (chain(("A", "B"), ("B", "C")), 2, "C"),
        (chain(("A", "B"), ("B", "A")), 9, "A"),
    ],
)
def test_each_level_goes_one_group_further_and_never_round_in_a_circle(limits, steps, target):
    assert escalation_target(limits, Weight(None), steps=steps) == target


def test_the_narrowest_limit_that_reaches_says_to_whom():
    limits = [
        Limit(group="few", max_value=10, escalates_to="not these"),
        Limit(group="wide", max_value=None, escalates_to="Board"),
        Limit(group="narrow", max_value=50, escalates_to="Leads"),
    ]
    assert escalation_target(limits, Weight(42)) == "Leads"
    assert escalation_target(limits, Weight(60)) == "Board"


# ---- the end of it


def test_before_its_time_it_does_not_expire(waits):
    expire(waits, waits.expires_at - SECOND)
    assert fresh(waits).status == "pending"


def test_expired_is_its_own_end_and_nobodys_refusal(waits, people):
    assert expire(waits) >= 1
    row = fresh(waits)
    assert (row.status, row.decisions.count()) == ("expired", 0)
    assert Intervention.objects.get(pk=waits.subject_key).status == "expired"
    assert events(waits, "request.expired").get().actor_key == "machine:pipeline"
    with pytest.raises(rules.AlreadyDecided):
        decide(row, people["approver"])


def test_what_expired_starts_no_cool_down_and_is_asked_again_one_level_higher(waits):
    expire(waits)
    run_pipeline(NEXT_DAY)
    again = waiting("C004")
    assert (again.level, again.routed_to) == (1, "Managers")
    [told] = again.moved
    assert told.startswith("Asked again, one level higher: the last request expired on")


def test_each_time_it_is_one_more(waits):
    Group.objects.create(name="Board")
    AuthorityLimit.objects.filter(name="managers").update(escalates_to=Group.objects.get(name="Board"))
    expire(waits)
    run_pipeline(NEXT_DAY)
    expire(waiting("C004"))
    run_pipeline(NEXT_DAY + timedelta(days=1))
    assert (waiting("C004").level, waiting("C004").routed_to) == (2, "Board")


def test_what_was_rejected_is_not_asked_again_at_any_level(waits, people):
    decide(waits, people["approver"], rules.Verdict.REJECTED, reason="No.")
    run_pipeline(NEXT_DAY)
    assert not ApprovalRequest.objects.pending().filter(concerning="C004").exists()


def test_an_approval_holds_48_hours_and_what_was_not_carried_out_is_asked_again(waits, people):
    intervention = approve("C004", people["approver"])
    row = fresh(waits)
    assert row.execute_by - row.decided_at == timedelta(hours=48)
    expire(row, row.execute_by)
    assert Intervention.objects.get(pk=intervention.pk).status == "expired"
    run_pipeline(NEXT_DAY)
    assert waiting("C004").level == 1


def test_the_sweep_does_it_all(waits, people):
    past = timezone.now() - SECOND
    ApprovalRequest.objects.filter(pk=waits.pk).update(remind_at=past, decision_due_at=past)
    tasks.sweep()
    row = fresh(waits)
    assert row.reminded_at
    assert (row.routed_to, row.status) == ("Managers", "pending")
    ApprovalRequest.objects.filter(pk=waits.pk).update(expires_at=past)
    tasks.sweep()
    assert fresh(waits).status == "expired"


def test_what_is_with_its_proposer_expires_as_well(waits, people):
    services.ask_for_changes(
        request_id=waits.pk, fingerprint=waits.fingerprint, user=people["approver"], note="Why?", door="test"
    )
    expire(waits)
    assert fresh(waits).status == "expired"


def test_a_change_of_the_rules_has_clocks_too(people):
    policy = policies.add_policy(name="ours", document={}, created_by="a test")
    asked = {"policy": policy, "user": people["manager"], "reason": "Why not.", "door": "test"}
    request = policies.propose_activation(**asked)
    expire(request)
    assert fresh(request).status == "expired"
    assert str(policies.in_force()) == "published 1"
