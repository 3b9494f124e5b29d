"""What the gate refuses, and that it decides once."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.utils import timezone

from approvals import rules, services
from approvals.models import ApprovalRequest, AuditEvent, AuthorityLimit, Decision
from approvals.rules import Authority, Status, Verdict
from journeys.models import Customer, Intervention
from journeys.services import proposals

pytestmark = pytest.mark.django_db


@pytest.fixture
def request_of(sample_run):
    def find(customer_id: str) -> ApprovalRequest:
        return ApprovalRequest.objects.get(concerning=customer_id)

    return find


def decide(request, user, verdict=Verdict.APPROVED, **changes):
    arguments = {"fingerprint": request.fingerprint, "door": "test", "reason": ""} | changes
    return services.decide(request_id=request.pk, verdict=verdict, user=user, **arguments)


def nothing_moved(request) -> bool:
    row = ApprovalRequest.objects.get(pk=request.pk)
    return row.status == Status.PENDING and not row.decisions.exists()


def test_an_approval_is_on_record_with_who_when_and_what_was_seen(request_of, people):
    request = request_of("C004")
    decision = decide(request, people["approver"], reason="Usage is down.")
    assert (decision.verdict, decision.authority) == (Verdict.APPROVED, Authority.PERSON)
    assert decision.fingerprint == request.fingerprint
    assert decision.actor_name == "approver"
    assert decision.reason == "Usage is down."
    assert Intervention.objects.get(customer_id="C004").status == "approved"


def test_a_second_decision_is_refused_and_says_who_was_first(request_of, people):
    request = request_of("C004")
    decide(request, people["approver"])
    with pytest.raises(rules.AlreadyDecided, match="approved .*by approver"):
        decide(request, people["approver2"], Verdict.REJECTED, reason="Too late.")
    assert request.decisions.count() == 1


def test_a_decision_past_the_expiry_is_refused(request_of, people):
    request = request_of("C004")
    ApprovalRequest.objects.filter(pk=request.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(rules.TooLate):
        decide(request, people["approver"])
    assert nothing_moved(request)


def test_a_decision_on_something_else_than_stands_there_is_refused(request_of, people):
    request = request_of("C004")
    with pytest.raises(rules.Stale):
        decide(request, people["approver"], fingerprint="0" * 64)
    assert nothing_moved(request)


@pytest.mark.parametrize("superuser", [False, True])
def test_nobody_decides_what_they_proposed(sample, people, superuser):
    proposer = people["approver"]
    proposer.is_superuser = superuser
    proposer.save(update_fields=["is_superuser"])
    by_hand = proposals.propose(
        customer_id="C003",
        action="engagement_checkin",
        subject="",
        body="",
        reason="They asked for it.",
        user=proposer,
        door="test",
    )
    with pytest.raises(rules.OwnRequest):
        decide(by_hand.request, proposer)
    assert nothing_moved(by_hand.request)
    decide(by_hand.request, people["approver2"])


def test_without_permission_nobody_decides(request_of, people):
    for name in ("operator", "auditor"):
        with pytest.raises(rules.NotAuthorised, match="no permission"):
            decide(request_of("C004"), people[name])


def test_being_a_superuser_is_neither_permission_nor_authority(request_of):
    root = get_user_model().objects.create_superuser("root", password="a-long-password")
    with pytest.raises(rules.NotAuthorised, match="no permission"):
        decide(request_of("C004"), root)
    root.user_permissions.add(Permission.objects.get(codename="decide_approvalrequest"))
    with pytest.raises(rules.NotAuthorised, match="no authority"):
        decide(request_of("C004"), root)


def test_an_inactive_user_decides_nothing(request_of, people):
    people["approver"].is_active = False
    with pytest.raises(rules.NotAuthorised):
        decide(request_of("C004"), people["approver"])


def test_authority_reaches_its_limit_and_not_beyond(request_of, people):
    request = request_of("C004")
    limit = AuthorityLimit.objects.get(group__name="Approvers")
    limit.max_value = request.value_at_stake - Decimal("0.01")
    limit.save(update_fields=["max_value"])
    with pytest.raises(rules.NotAuthorised, match="Your authority ends at"):
        decide(request, people["approver"])
    limit.max_value = request.value_at_stake
    limit.save(update_fields=["max_value"])
    decide(request, people["approver"])


def test_an_unknown_value_needs_somebody_without_a_limit(request_of, people):
    request = request_of("C004")
    ApprovalRequest.objects.filter(pk=request.pk).update(value_at_stake=None)
    with pytest.raises(rules.NotAuthorised, match="not known"):
        decide(request, people["approver"])
    decide(request, people["manager"])


def test_a_rejection_needs_a_reason(request_of, people):
    request = request_of("C005")
    with pytest.raises(rules.ReasonNeeded):
        decide(request, people["approver"], Verdict.REJECTED, reason="  ")
    assert nothing_moved(request)
    decide(
        request,
        people["approver"],
        Verdict.REJECTED,
        reason="They have called us already.",
        category="already_handled",
    )
    assert Intervention.objects.get(customer_id="C005").status == "rejected"


def test_the_policy_decides_only_what_a_machine_proposed(sample, people):
    by_hand = proposals.propose(
        customer_id="C003",
        action="engagement_checkin",
        subject="",
        body="",
        reason="They asked for it.",
        user=people["operator"],
        door="test",
    )
    with pytest.raises(rules.NotAuthorised):
        services.authorise_by_policy(
            [by_hand.request], policy="published 1", authority=Authority.POLICY, reason="small"
        )
    assert nothing_moved(by_hand.request)


def test_what_the_policy_decided_is_on_record_as_the_policys(request_of):
    decision = request_of("C001").decisions.get()
    assert (decision.authority, decision.actor_key) == (Authority.POLICY, "policy:published 1")
    assert decision.fingerprint == decision.request.fingerprint


def test_a_request_expires_as_expired_and_not_as_a_refusal(request_of):
    request = request_of("C004")
    later = request.expires_at + timedelta(seconds=1)
    assert services.expire_overdue(actor=proposals.PIPELINE, now=later) >= 1
    request.refresh_from_db()
    assert request.status == Status.EXPIRED
    assert not request.decisions.exists()
    assert Intervention.objects.get(customer_id="C004").status == "expired"


def test_an_approval_that_is_not_used_in_time_expires(request_of, people):
    request = request_of("C004")
    decide(request, people["approver"])
    request.refresh_from_db()
    services.expire_overdue(actor=proposals.PIPELINE, now=request.execute_by + timedelta(seconds=1))
    assert Intervention.objects.get(customer_id="C004").status == "expired"


def test_no_approval_can_be_used_before_there_is_one(request_of):
    pending = request_of("C004")
    with pytest.raises(rules.NoStandingApproval):
        services.use_approval(kind="intervention", subject_key=pending.subject_key, now=timezone.now())


def test_an_approved_payload_that_was_altered_cannot_be_used(request_of, people):
    request = request_of("C004")
    decide(request, people["approver"])
    ApprovalRequest.objects.filter(pk=request.pk).update(
        payload=request.payload | {"body": "Something else."}
    )
    with pytest.raises(rules.NoStandingApproval, match="no longer what was approved"):
        services.use_approval(kind="intervention", subject_key=request.subject_key, now=timezone.now())


def test_an_altered_fingerprint_does_not_help(request_of, people):
    request = request_of("C004")
    decide(request, people["approver"])
    altered = request.payload | {"body": "Something else."}
    ApprovalRequest.objects.filter(pk=request.pk).update(
        payload=altered, fingerprint=rules.fingerprint(altered)
    )
    with pytest.raises(rules.NoStandingApproval, match="no longer what was approved"):
        services.use_approval(kind="intervention", subject_key=request.subject_key, now=timezone.now())


def test_the_database_allows_one_open_request_and_one_open_intervention(request_of):
    request = request_of("C004")
    request.pk = None
    with pytest.raises(IntegrityError), transaction.atomic():
        request.save(force_insert=True)
    intervention = Intervention.objects.get(customer_id="C004")
    intervention.pk = "iv-another"
    with pytest.raises(IntegrityError), transaction.atomic():
        intervention.save(force_insert=True)


def _refused(statement: str, parameters=()) -> bool:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement, parameters)
    except DatabaseError as error:
        return "append-only" in str(error)
    return False


def test_the_database_refuses_to_change_the_audit_and_the_decisions(request_of, people):
    decide(request_of("C004"), people["approver"])
    for table, column in (("approvals_auditevent", "word"), ("approvals_decision", "verdict")):
        assert _refused(f"UPDATE {table} SET {column} = 'x'")
        assert _refused(f"DELETE FROM {table}")
    if connection.vendor == "sqlite":
        for table in ("approvals_auditevent", "approvals_decision"):
            assert _refused(f"INSERT OR REPLACE INTO {table} SELECT * FROM {table} LIMIT 1")
    else:
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        assert _refused("TRUNCATE approvals_auditevent CASCADE")
    assert Decision.objects.count() == 2


def test_the_audit_is_one_chain_without_gaps(request_of, people):
    decide(request_of("C004"), people["approver"])
    events = list(AuditEvent.objects.order_by("sequence").select_related("detail"))
    previous = "0" * 64
    for place, event in enumerate(events, start=1):
        assert event.sequence == place
        assert event.previous_hash == previous
        assert event.hash == rules.chain_hash(previous, event.chained_fields())
        assert event.detail_digest == rules.detail_digest(event.detail.salt, event.detail.document)
        previous = event.hash
    assert [event.word for event in events].count("request.opened") == 3


def test_the_chain_still_verifies_when_names_and_reasons_were_erased(request_of, people):
    decide(request_of("C004"), people["approver"], reason="Because of Ms Example.")
    event = AuditEvent.objects.order_by("-sequence").first()
    event.detail.document, event.detail.salt = None, ""
    event.detail.save()
    event = AuditEvent.objects.get(pk=event.pk)
    assert event.reason == ""
    assert event.hash == rules.chain_hash(event.previous_hash, event.chained_fields())


def test_an_unregistered_audit_word_is_refused(db):
    from approvals.audit import Event, record

    event = Event(word="request.forgotten", actor=proposals.PIPELINE, kind="x", subject_key="1")
    with pytest.raises(ValueError, match=r"request\.forgotten"):
        record([event])


def test_a_customer_who_must_not_be_contacted_cannot_be_proposed_for(sample, people):
    Customer.objects.filter(pk="C003").update(do_not_contact=True)
    with pytest.raises(proposals.Suppressed, match="do not contact"):
        proposals.propose(
            customer_id="C003",
            action="engagement_checkin",
            subject="",
            body="",
            reason="They asked for it.",
            user=people["operator"],
            door="test",
        )


@pytest.mark.parametrize("torn", [{"status": "rejected"}, {"decided_at": timezone.now()}])
def test_what_has_ended_has_a_time_and_what_waits_has_none(request_of, torn):
    request = request_of("C004")
    with pytest.raises(IntegrityError, match="approvals_ends_at_a_time"), transaction.atomic():
        ApprovalRequest.objects.filter(pk=request.pk).update(**torn)
