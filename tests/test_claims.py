"""Who is reviewing a request: seen by everybody, and never a lock."""

from datetime import timedelta
from functools import partial

import pytest
from django.utils import timezone

from approvals import rules, services
from approvals.models import ApprovalRequest, AuditEvent
from tests.acting import decide, together, waiting

pytestmark = pytest.mark.django_db


def claim(request, user):
    return services.claim(request_id=request.pk, user=user, door="test")


def lapse(request):
    ApprovalRequest.objects.filter(pk=request.pk).update(claimed_until=timezone.now())


def test_who_could_not_decide_it_cannot_claim_it(waits, people):
    for name in ("operator", "auditor"):
        with pytest.raises(rules.NotAuthorised):
            claim(waits, people[name])
    decide(waits, people["approver"])
    with pytest.raises(rules.AlreadyDecided):
        claim(waits, people["approver2"])


def test_what_somebody_is_reviewing_is_not_claimed_by_another(waits, people):
    claim(waits, people["approver"])
    with pytest.raises(rules.Claimed, match="approver is reviewing this until"):
        claim(waits, people["approver2"])


def test_a_claim_is_seen_for_a_quarter_of_an_hour_and_can_be_renewed(waits, people):
    claimed = claim(waits, people["approver"])
    now = timezone.now()
    assert claimed.claimed_by_name == "approver"
    assert claimed.is_claimed(now)
    assert timedelta(minutes=14) < claimed.claimed_until - now <= timedelta(minutes=15)
    assert not claimed.is_claimed(claimed.claimed_until)
    assert claim(waits, people["approver"]).claimed_until > claimed.claimed_until


def test_a_claim_that_lapsed_is_anybodys(waits, people):
    claim(waits, people["approver"])
    lapse(waits)
    assert claim(waits, people["approver2"]).claimed_by_name == "approver2"


def test_a_claim_informs_and_locks_nobody_out(waits, people):
    claim(waits, people["approver"])
    decide(waits, people["approver2"])
    assert ApprovalRequest.objects.get(pk=waits.pk).status == "approved"


def test_it_is_handed_on_only_by_its_owner_to_somebody_who_could_decide(waits, people):
    def hand_on(user, to):
        return services.hand_on(request_id=waits.pk, user=people[user], to=people[to], door="test")

    with pytest.raises(rules.NotAuthorised, match="You are not reviewing"):
        hand_on("approver", "approver2")
    claim(waits, people["approver"])
    with pytest.raises(rules.NotAuthorised):
        hand_on("approver2", "manager")
    with pytest.raises(rules.NotAuthorised):
        hand_on("approver", "operator")
    assert hand_on("approver", "approver2").claimed_by_name == "approver2"
    event = AuditEvent.objects.get(word="request.handed_on")
    assert event.after == f"user:{people['approver2'].pk}"


def test_it_is_taken_over_with_the_permission_and_a_note(waits, people):
    def take_over(user, note):
        return services.take_over(request_id=waits.pk, user=people[user], note=note, door="test")

    claim(waits, people["approver"])
    with pytest.raises(rules.NotAuthorised, match="take over"):
        take_over("approver2", "They are ill.")
    with pytest.raises(rules.ReasonNeeded):
        take_over("manager", " ")
    assert take_over("manager", "They are ill.").claimed_by_name == "manager"
    event = AuditEvent.objects.get(word="request.taken_over")
    assert (event.before, event.reason) == (f"user:{people['approver'].pk}", "They are ill.")


def test_only_its_owner_releases_it(waits, people):
    claim(waits, people["approver"])
    with pytest.raises(rules.NotAuthorised):
        services.release(request_id=waits.pk, user=people["manager"], door="test")
    services.release(request_id=waits.pk, user=people["approver"], door="test")
    assert not waiting("C004").is_claimed(timezone.now())


@pytest.mark.django_db(transaction=True)
def test_of_two_claims_at_the_same_moment_one_is_told_who_was_faster(waits, people):
    for _ in range(5):
        users = (people["approver"], people["approver2"], people["manager"])
        answers = together(*(partial(claim, waits, user) for user in users))
        [mine] = [answer for answer in answers if not isinstance(answer, Exception)]
        assert {type(answer) for answer in answers if answer is not mine} == {rules.Claimed}
        assert waiting("C004").claimed_by_name == mine.claimed_by_name
        lapse(waits)
