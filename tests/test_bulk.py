"""Many at once: every row is decided on its own, by the same rules, and answers for itself."""

from functools import partial

import pytest

from approvals import rules, services
from approvals.models import ApprovalRequest, AuditEvent
from approvals.services import TooMany
from journeys.models import Customer, Intervention
from tests.acting import PASSWORD, decide, together, waiting
from tests.runs import run_pipeline

pytestmark = pytest.mark.django_db


@pytest.fixture
def two(people, sample_run):
    """C004's mail and C005's task."""
    return [waiting("C004"), waiting("C005")]


def seen(*requests):
    return [(request.pk, request.fingerprint) for request in requests]


def reject(requests, user, reason="Not this month.", category="bad_timing", **told):
    return services.reject_many(
        seen(*requests), category=category, reason=reason, user=user, door="test", **told
    )


def results(answers):
    return [answer.result for answer in answers]


def status(request):
    return ApprovalRequest.objects.get(pk=request.pk).status


def test_more_than_50_are_refused_and_none_is_decided(two, people):
    with pytest.raises(TooMany, match="At most 50"):
        reject(two * 26, people["approver"])
    assert [status(request) for request in two] == ["pending", "pending"]


def test_one_reason_and_category_for_all_of_them(two, people):
    assert results(reject(two, people["approver"])) == ["done", "done"]
    assert [status(request) for request in two] == ["rejected", "rejected"]
    reasons = {event.reason for event in AuditEvent.objects.filter(word="request.rejected")}
    assert reasons == {"Not this month."}
    assert {request.decisions.get().category for request in two} == {"bad_timing"}


@pytest.mark.parametrize("wish", [{"reason": " "}, {"category": ""}])
def test_without_reason_or_category_none_is_rejected(two, people, wish):
    assert results(reject(two, people["approver"], **wish)) == ["reason_needed"] * 2
    assert [status(request) for request in two] == ["pending", "pending"]


def test_each_row_says_what_came_of_it(two, people):
    mail, task = two
    services.claim(request_id=task.pk, user=people["approver2"], door="test")
    answers = reject(two, people["approver"])
    assert results(answers) == ["done", "claimed"]
    assert answers[1].message == "approver2 is reviewing this."
    assert results(reject(two, people["approver2"])) == ["already_decided", "done"]
    assert results(reject([mail], people["operator"])) == ["already_decided"]


def test_the_rules_are_those_of_a_single_decision(two, people):
    mail, task = two
    assert results(reject(two, people["operator"])) == ["not_authorised"] * 2
    services.change(
        request_id=mail.pk,
        fingerprint=mail.fingerprint,
        changes={"body": "Otherwise."},
        user=people["approver"],
        door="test",
    )
    assert results(reject([mail, task], people["approver2"])) == ["stale", "done"]
    assert results(reject([waiting("C004")], people["approver"])) == ["own_request"]
    missing = services.reject_many(
        [(0, "")], category="other", reason="No.", user=people["approver"], door="test"
    )
    assert results(missing) == ["not_found"]


def test_what_somebody_reviewed_who_then_decided_it_is_decided_and_not_claimed(two, people):
    services.claim(request_id=two[0].pk, user=people["approver2"], door="test")
    decide(two[0], people["approver2"])
    [answer] = reject(two[:1], people["approver"])
    assert answer.result == "already_decided"
    assert "by approver2" in answer.message


def test_the_same_row_twice_is_decided_once(two, people):
    assert results(reject([two[0], two[0]], people["approver"])) == ["done", "already_decided"]


def test_from_the_quorum_up_the_password_is_asked_here_too(big, people):
    assert results(reject([big], people["manager"])) == ["password_needed"]
    assert results(reject([big], people["manager"], password="wrong")) == ["password_needed"]
    assert results(reject([big], people["manager"], password=PASSWORD)) == ["done"]


# ---- approving


def approve(requests, user):
    return services.approve_many(seen(*requests), reason="Fine.", user=user, door="test")


def test_approving_many_is_off_by_default(two, people):
    assert results(approve(two, people["approver"])) == ["not_authorised"] * 2
    assert [status(request) for request in two] == ["pending", "pending"]


def test_a_policy_may_allow_it_below_a_value_and_in_some_tiers(policy_with, people, sample, settings):
    settings.DEBUG = True
    policy_with({"bulk": {"below_account_value": 42_000.0, "tiers": ["medium"]}})
    run_pipeline()
    mail, task = waiting("C004"), waiting("C005")
    assert (mail.bulk_allowed, task.risk_tier, task.bulk_allowed) == (False, "medium", True)
    assert results(approve([mail, task], people["approver"])) == ["not_authorised", "done"]
    assert Intervention.objects.get(customer_id="C005").status == "approved"


def test_it_is_never_allowed_in_other_tiers_nor_where_the_value_is_not_known(
    policy_with, people, sample, settings
):
    settings.DEBUG = True
    policy_with({"bulk": {"below_account_value": 1_000_000.0, "tiers": ["low"]}})
    Customer.objects.filter(pk="C005").update(account_value=None)
    run_pipeline()
    assert not waiting("C004").bulk_allowed
    assert not waiting("C005").bulk_allowed


@pytest.mark.django_db(transaction=True)
def test_of_two_selections_at_the_same_moment_each_row_is_done_once(people, two):
    answers = together(
        partial(reject, two, people["approver"]),
        partial(reject, list(reversed(two)), people["approver2"]),
        partial(reject, two, people["manager"]),
    )
    told = [(answer.request_id, answer.result) for selection in answers for answer in selection]
    assert {result for _, result in told} == {"done", "already_decided"}
    for request in two:
        assert told.count((request.pk, "done")) == 1
        assert ApprovalRequest.objects.get(pk=request.pk).decisions.count() == 1
    assert not [answer for answer in answers if isinstance(answer, rules.Refusal)]
