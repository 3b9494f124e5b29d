"""Who may decide what: by limits of value, tier, action and segment, which two people change."""

from decimal import Decimal
from functools import partial

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission

from approvals import queue, rules, services
from approvals.models import ApprovalRequest, AuditEvent, AuthorityLimit
from approvals.rules import Limit, Weight
from approvals.services import authority, check_may_decide
from journeys.services import policies
from tests.acting import PASSWORD, decide, together, waiting

pytestmark = pytest.mark.django_db


def only_limit(**limit):
    """The one limit of the approvers."""
    AuthorityLimit.objects.filter(group__name="Approvers").update(**limit)


def ask(user, name="approvers", group="Approvers", max_value=Decimal(50_000), reason="Less risk.", **limit):
    return authority.propose_limit(
        name=name,
        group=group,
        max_value=max_value,
        user=user,
        reason=reason,
        door="test",
        **limit,
    )


def standing() -> AuthorityLimit:
    return AuthorityLimit.objects.get(name="approvers")


# ---- what a limit reaches


WEIGHT = Weight(Decimal(42_000), "medium", "usage_review_checkin", "SMB")


@pytest.mark.parametrize(
    ("limit", "reaches"),
    [
        ({}, True),
        ({"max_value": Decimal(42_000)}, True),
        ({"max_value": Decimal("41999.99")}, False),
        ({"tiers": frozenset({"medium"})}, True),
        ({"tiers": frozenset({"low"})}, False),
        ({"actions": frozenset({"usage_review_checkin", "proactive_outreach"})}, True),
        ({"actions": frozenset({"proactive_outreach"})}, False),
        ({"segments": frozenset({"SMB"})}, True),
        ({"segments": frozenset({"Enterprise"})}, False),
        ({"tiers": frozenset({"medium"}), "segments": frozenset({"Enterprise"})}, False),
    ],
)
def test_a_limit_reaches_what_it_names_and_no_more(limit, reaches):
    assert Limit(**{"group": "g", "max_value": None} | limit).reaches(WEIGHT) is reaches


@pytest.mark.parametrize(
    "limit",
    [
        {"max_value": 1_000},
        {"tiers": ["low"]},
        {"actions": ["proactive_outreach"]},
        {"segments": ["Enterprise"]},
    ],
)
def test_beyond_any_of_them_nobody_decides_and_the_queue_agrees(waits, people, limit):
    assert queue.decidable_by(people["approver"]).filter(pk=waits.pk).exists()
    only_limit(**limit)
    with pytest.raises(rules.NotAuthorised):
        decide(waits, people["approver"])
    assert not queue.decidable_by(people["approver"]).filter(pk=waits.pk).exists()


def test_several_limits_add_up_but_do_not_mix(waits, people):
    only_limit(max_value=1_000)
    group = Group.objects.get(name="Approvers")
    AuthorityLimit.objects.create(name="low ones", group=group, max_value=None, tiers=["low"])
    with pytest.raises(rules.NotAuthorised, match="does not cover"):
        decide(waits, people["approver"])
    AuthorityLimit.objects.create(name="medium ones", group=group, max_value=50_000, tiers=["medium"])
    decide(waits, people["approver"])


def test_without_a_limit_there_is_no_authority(waits, people):
    AuthorityLimit.objects.all().delete()
    for name in ("approver", "manager"):
        with pytest.raises(rules.NotAuthorised, match="no authority"):
            decide(waits, people[name])


def test_a_limit_without_the_permission_is_none_superuser_or_not(waits, people):
    operator = people["operator"]
    AuthorityLimit.objects.create(name="theirs", group=Group.objects.get(name="Operators"), max_value=None)
    for superuser in (False, True):
        get_user_model().objects.filter(pk=operator.pk).update(is_superuser=superuser)
        with pytest.raises(rules.NotAuthorised, match="no permission"):
            decide(waits, get_user_model().objects.get(pk=operator.pk))


def test_a_superuser_alone_confirms_no_policy(people):
    root = get_user_model().objects.create_superuser("root", password=PASSWORD)
    policy = policies.add_policy(name="ours", document={}, created_by="a test")
    asked = {"policy": policy, "user": people["manager"], "reason": "Why not.", "door": "test"}
    request = policies.propose_activation(**asked)
    with pytest.raises(rules.NotAuthorised):
        decide(request, root)
    assert not queue.decidable_by(root).exists()
    root.user_permissions.add(Permission.objects.get(codename="activate_policy"))
    assert queue.decidable_by(root).get() == request
    decide(request, root)


def test_the_queue_offers_exactly_what_would_be_accepted(big, people):
    """Four eyes included: what one has changed, or approved already, is not one's own to decide."""
    services.change(
        request_id=ApprovalRequest.objects.get(concerning="C005").pk,
        fingerprint=ApprovalRequest.objects.get(concerning="C005").fingerprint,
        changes={"body": "Otherwise."},
        user=people["approver"],
        door="test",
    )
    decide(big, people["manager"], reason="Yes.", password=PASSWORD)
    for user in people.values():
        offered = set(queue.decidable_by(user))
        for request in ApprovalRequest.objects.pending():
            try:
                check_may_decide(request, user)
            except rules.Refusal:
                assert request not in offered, user
            else:
                assert request in offered, user


# ---- changing it


def test_a_change_of_authority_waits_for_a_second_person(people):
    request = ask(people["manager"])
    assert standing().max_value == 100_000
    assert decide(request, people["manager2"])
    assert standing().max_value == 50_000
    event = AuditEvent.objects.get(word="authority.changed")
    assert (event.before, event.after) == ("Approvers up to 100,000", "Approvers up to 50,000")
    assert (event.actor_key, event.reason) == (f"user:{people['manager2'].pk}", "Less risk.")


@pytest.mark.parametrize("superuser", [False, True])
def test_nobody_confirms_their_own_change_superuser_or_not(people, superuser):
    user = people["manager"]
    get_user_model().objects.filter(pk=user.pk).update(is_superuser=superuser)
    user = get_user_model().objects.get(pk=user.pk)
    request = ask(user)
    with pytest.raises(rules.OwnRequest):
        decide(request, user)
    assert standing().max_value == 100_000


def test_proposing_and_confirming_each_need_their_permission_and_a_reason(people):
    with pytest.raises(rules.NotAuthorised):
        ask(people["approver"])
    with pytest.raises(rules.ReasonNeeded):
        ask(people["manager"], reason=" ")
    request = ask(people["operator"])
    with pytest.raises(rules.NotAuthorised):
        decide(request, people["approver"])
    assert standing().max_value == 100_000


@pytest.mark.parametrize(
    "wish",
    [
        {"group": "Nobody"},
        {"escalates_to": "Nobody"},
        {"name": "not there", "remove": True},
        {"name": " "},
        {"max_value": Decimal(-1)},
        {"max_value": Decimal("NaN")},
        {"max_value": Decimal(100_000), "escalates_to": "Managers"},
    ],
    ids=str,
)
def test_what_makes_no_sense_or_changes_nothing_is_refused(people, wish):
    with pytest.raises(rules.Refusal):
        ask(people["manager"], **wish)
    assert not ApprovalRequest.objects.exists()


def test_a_change_is_asked_for_once_at_a_time(people):
    ask(people["manager"])
    with pytest.raises(rules.Refusal, match="waits for confirmation"):
        ask(people["operator"], max_value=None)


def test_a_change_of_what_has_changed_meanwhile_is_stale(people):
    request = ask(people["manager"])
    only_limit(max_value=10)
    assert "changed meanwhile" in authority.describe(request, people["manager2"])["against"][0]
    with pytest.raises(rules.Stale, match="ask again"):
        decide(request, people["manager2"])
    assert standing().max_value == 10


def test_a_rejected_change_changes_nothing(people):
    decide(ask(people["manager"]), people["manager2"], rules.Verdict.REJECTED, reason="No.")
    assert standing().max_value == 100_000


def test_a_limit_can_be_added_and_taken_away_by_two(waits, people):
    decide(ask(people["manager"], group="", max_value=None, remove=True), people["manager2"])
    with pytest.raises(rules.NotAuthorised, match="no authority"):
        decide(waits, people["approver"])
    decide(
        ask(people["manager"], name="mid", max_value=Decimal(50_000), tiers=("medium",)), people["manager2"]
    )
    decide(waits, people["approver"])


def test_a_confirmed_change_does_not_expire_nor_can_it_be_revoked(people):
    request = ask(people["manager"])
    decide(request, people["manager2"])
    with pytest.raises(rules.TooLate):
        services.revoke(request_id=request.pk, user=people["manager"], reason="Oh.", door="test")


@pytest.mark.django_db(transaction=True)
def test_of_a_smaller_limit_and_a_decision_at_the_same_moment_both_are_what_they_were(people, waits):
    """The decision rests on the limit as it was read: it stands, or is refused, and never stands halfway."""
    request = ask(people["manager"], max_value=Decimal(1))
    answers = together(
        partial(decide, request, people["manager2"]), partial(decide, waiting("C004"), people["approver"])
    )
    assert standing().max_value == 1
    decided = not isinstance(answers[1], Exception)
    assert (ApprovalRequest.objects.get(pk=waits.pk).status == "approved") == decided
    assert decided or isinstance(answers[1], rules.NotAuthorised)
