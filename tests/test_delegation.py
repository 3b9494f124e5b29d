"""Standing in for somebody: for a time, with their authority and no more, and never past four eyes."""

from datetime import timedelta
from functools import partial

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from approvals import rules, services
from approvals.models import ApprovalRequest, AuditEvent, AuthorityLimit, Delegation
from journeys.models import Intervention
from journeys.services import proposals
from tests.acting import PASSWORD, decide, together, waiting

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


def delegate(delegator, to, begins=timedelta(0), ends=HOUR):
    now = timezone.now()
    return services.delegate(
        delegator=delegator, to=to, starts_at=now + begins, ends_at=now + ends, reason="Leave.", door="test"
    )


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


# ---- what is refused


def test_nobody_decides_for_somebody_who_has_not_asked_them_to(waits, people):
    with pytest.raises(rules.NotAuthorised, match="do not stand in for approver"):
        decide(waits, people["operator"], on_behalf_of=people["approver"])
    delegate(people["approver"], people["auditor"])
    with pytest.raises(rules.NotAuthorised):
        decide(waits, people["operator"], on_behalf_of=people["approver"])
    with pytest.raises(rules.NotAuthorised):
        decide(waits, people["approver"], on_behalf_of=people["auditor"])


def test_only_within_the_window(waits, people):
    delegate(people["approver"], people["operator"], begins=HOUR, ends=2 * HOUR)
    with pytest.raises(rules.NotAuthorised, match="at this time"):
        decide(waits, people["operator"], on_behalf_of=people["approver"])
    row = Delegation.objects.get()
    Delegation.objects.filter(pk=row.pk).update(
        starts_at=timezone.now() - 2 * HOUR, ends_at=timezone.now() - HOUR
    )
    with pytest.raises(rules.NotAuthorised, match="at this time"):
        decide(waits, people["operator"], on_behalf_of=people["approver"])


def test_never_beyond_the_authority_of_whom_one_stands_in_for(big, people):
    """Not even where one's own reaches further."""
    delegate(people["approver"], people["manager"])
    with pytest.raises(rules.NotAuthorised, match="ends at 100,000"):
        decide(big, people["manager"], on_behalf_of=people["approver"], reason="Yes.", password=PASSWORD)
    AuthorityLimit.objects.filter(name="approvers").delete()
    with pytest.raises(rules.NotAuthorised, match="no authority"):
        decide(big, people["manager"], on_behalf_of=people["approver"], reason="Yes.", password=PASSWORD)


def test_never_what_the_other_was_lent_themselves(waits, people):
    delegate(people["approver"], people["operator"])
    delegate(people["operator"], people["auditor"])
    for principal in ("operator", "approver"):
        with pytest.raises(rules.NotAuthorised):
            decide(waits, people["auditor"], on_behalf_of=people[principal])


@pytest.mark.parametrize("gone", ["approver", "operator"])
def test_not_where_either_of_the_two_is_inactive(waits, people, gone):
    delegate(people["approver"], people["operator"])
    people[gone].is_active = False
    people[gone].save()
    with pytest.raises(rules.NotAuthorised):
        decide(waits, people["operator"], on_behalf_of=people["approver"])


def test_never_by_the_proposer_nor_on_the_proposers_behalf(sample, people):
    proposed = by_hand(people["operator"])
    delegate(people["approver"], people["operator"])
    with pytest.raises(rules.OwnRequest):
        decide(proposed, people["operator"], on_behalf_of=people["approver"])
    decide(proposed, people["manager"], rules.Verdict.REJECTED, reason="No.")
    own = by_hand(people["approver2"])
    delegate(people["approver2"], people["auditor"])
    with pytest.raises(rules.OwnRequest):
        decide(own, people["auditor"], on_behalf_of=people["approver2"])


def test_never_by_who_changed_it_nor_by_whom_they_changed_it_for(waits, people):
    delegate(people["approver"], people["operator"])
    changed = services.change(
        request_id=waits.pk,
        fingerprint=waits.fingerprint,
        changes={"body": "Otherwise."},
        user=people["operator"],
        on_behalf_of=people["approver"],
        door="test",
    )
    with pytest.raises(rules.OwnRequest):
        decide(changed, people["approver"])
    delegate(people["approver2"], people["operator"])
    with pytest.raises(rules.OwnRequest):
        decide(changed, people["operator"], on_behalf_of=people["approver2"])
    decide(changed, people["approver2"])


def test_the_two_count_as_one_of_two_people(big, people):
    """Whoever approves for somebody has approved, and so has the other: neither counts again."""
    sure = {"reason": "Yes.", "password": PASSWORD}
    delegate(people["manager"], people["approver"])
    delegate(people["manager2"], people["approver"])
    decide(big, people["approver"], on_behalf_of=people["manager"], **sure)
    with pytest.raises(rules.AlreadyApproved):
        decide(waiting("C004"), people["manager"], **sure)
    with pytest.raises(rules.AlreadyApproved):
        decide(waiting("C004"), people["approver"], on_behalf_of=people["manager2"], **sure)
    decide(waiting("C004"), people["manager2"], **sure)
    assert Intervention.objects.get(customer_id="C004").status == "approved"


def test_the_password_asked_is_that_of_who_sits_there(big, people):
    people["approver"].set_password("another-long-password")
    delegate(people["manager"], people["approver"])
    decider = partial(services.decider_of, people["approver"], big, on_behalf_of=people["manager"])
    assert not decider(password=PASSWORD).password_given
    assert decider(password="another-long-password").password_given


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_a_circle_is_refused_however_long(people, size):
    ring = [people[name] for name in ("operator", "approver", "approver2", "manager")][:size]
    for giver, taker in zip(ring, ring[1:], strict=False):
        delegate(giver, taker)
    with pytest.raises(rules.Refusal, match="circle"):
        delegate(ring[-1], ring[0])
    assert Delegation.objects.count() == size - 1


def test_what_does_not_overlap_closes_no_circle(people):
    delegate(people["approver"], people["approver2"], ends=HOUR)
    delegate(people["approver2"], people["approver"], begins=HOUR, ends=2 * HOUR)


def test_a_circle_that_was_ended_can_be_closed(people):
    first = delegate(people["approver"], people["approver2"])
    services.end_delegation(delegation_id=first.pk, user=people["approver2"], door="test")
    delegate(people["approver2"], people["approver"])


def test_a_window_that_is_past_or_has_no_length_is_refused(people):
    with pytest.raises(rules.Refusal, match="past"):
        delegate(people["approver"], people["operator"], begins=-2 * HOUR, ends=-HOUR)
    with pytest.raises(rules.Refusal, match="after it begins"):
        delegate(people["approver"], people["operator"], begins=2 * HOUR, ends=HOUR)


def test_the_database_knows_no_delegation_to_oneself(people):
    now = timezone.now()
    with pytest.raises(IntegrityError), transaction.atomic():
        Delegation.objects.create(
            delegator=people["approver"], delegate=people["approver"], starts_at=now, ends_at=now + HOUR
        )


# ---- what it is good for


def test_it_is_recorded_as_x_on_behalf_of_y(waits, people):
    delegate(people["approver"], people["operator"])
    decision = decide(waits, people["operator"], on_behalf_of=people["approver"])
    assert decision.actor_name == "operator on behalf of approver"
    assert decision.people == {f"user:{people[name].pk}" for name in ("operator", "approver")}
    assert decision.event.sentence == f"operator on behalf of approver approved {waits.title}"
    assert Intervention.objects.get(customer_id="C004").authority == "operator on behalf of approver"
    with pytest.raises(rules.AlreadyDecided, match="by operator on behalf of approver"):
        decide(waits, people["approver2"])


def test_one_sees_for_whom_one_stands_in(people):
    delegate(people["approver"], people["operator"])
    delegate(people["manager"], people["operator"], begins=HOUR, ends=2 * HOUR)
    assert services.principals_of(people["operator"]) == [people["approver"]]
    assert services.principals_of(people["approver"]) == []


def test_giving_and_ending_are_on_record_and_only_the_two_end_it(waits, people):
    row = delegate(people["approver"], people["operator"])
    with pytest.raises(rules.NotAuthorised):
        services.end_delegation(delegation_id=row.pk, user=people["manager"], door="test")
    services.end_delegation(delegation_id=row.pk, user=people["operator"], door="test")
    with pytest.raises(rules.Refusal, match="ended already"):
        services.end_delegation(delegation_id=row.pk, user=people["approver"], door="test")
    with pytest.raises(rules.NotAuthorised):
        decide(waits, people["operator"], on_behalf_of=people["approver"])
    given, ended = AuditEvent.objects.filter(kind="delegation").order_by("sequence")
    assert (given.word, given.reason) == ("delegation.given", "Leave.")
    assert (ended.word, ended.actor_key) == ("delegation.ended", f"user:{people['operator'].pk}")


@pytest.mark.django_db(transaction=True)
def test_delegations_made_at_the_same_moment_close_no_circle(people):
    ring = [people[name] for name in ("operator", "approver", "approver2", "manager")]
    for _ in range(3):
        pairs = zip(ring, ring[1:] + ring[:1], strict=True)
        answers = together(*(partial(delegate, giver, taker) for giver, taker in pairs))
        refused = [answer for answer in answers if isinstance(answer, Exception)]
        assert [type(answer) for answer in refused] == [rules.Refusal]
        Delegation.objects.all().delete()
    assert ApprovalRequest.objects.count() == 0
