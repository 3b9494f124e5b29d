"""From the quorum's value up, and for sensitive actions, it takes two different people; and who they are is
asked again."""

from datetime import timedelta
from functools import partial

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from approvals import rules, services
from approvals.accounts import ActorMiddleware
from approvals.models import ApprovalRequest, AuditEvent, Decision
from approvals.rules import Authority, RejectionCategory, Verdict
from journeys.domain.policy import PolicyError, load
from journeys.models import Customer, Intervention
from journeys.services import policies
from tests.acting import PASSWORD, decide, forget, together, waiting
from tests.runs import run_pipeline

pytestmark = pytest.mark.django_db

SURE = {"reason": "Agreed with the owner.", "password": PASSWORD}


def status() -> str:
    return Intervention.objects.get(customer_id="C004").status


def at_value(value, settings):
    settings.DEBUG = True
    Customer.objects.filter(pk="C004").update(account_value=value)
    run_pipeline()
    return waiting("C004")


# ---- two people


def test_one_approval_is_not_enough_and_the_second_ends_it(big, people):
    first = decide(big, people["manager"], **SURE)
    assert (first.ends, status(), waiting("C004").approvals_given) == (False, "pending", 1)
    second = decide(waiting("C004"), people["manager2"], **SURE)
    assert (second.ends, status()) == (True, "approved")
    request = ApprovalRequest.objects.get(pk=big.pk)
    assert {decision.actor_name for decision in request.decisions.all()} == {"manager", "manager2"}
    words = AuditEvent.objects.filter(request_id=big.pk).order_by("sequence").values_list("word", flat=True)
    assert list(words) == ["request.opened", "request.approved_by_one", "request.approved"]


@pytest.mark.parametrize("superuser", [False, True])
def test_nobody_counts_twice_superuser_or_not(big, people, superuser):
    get_user_model().objects.filter(pk=people["manager"].pk).update(is_superuser=superuser)
    user = get_user_model().objects.get(pk=people["manager"].pk)
    decide(big, user, **SURE)
    with pytest.raises(rules.AlreadyApproved):
        decide(waiting("C004"), user, **SURE)
    assert (status(), Decision.objects.filter(request=big).count()) == ("pending", 1)


def test_both_windows_of_one_person_count_once(big, people):
    seen = ApprovalRequest.objects.get(pk=big.pk)
    decide(big, people["manager"], **SURE)
    with pytest.raises(rules.AlreadyApproved):
        decide(seen, people["manager"], **SURE)
    assert waiting("C004").approvals_given == 1


@pytest.mark.parametrize("after_an_approval", [False, True])
def test_one_rejection_ends_it(big, people, after_an_approval):
    if after_an_approval:
        decide(big, people["manager"], **SURE)
    decide(waiting("C004"), people["manager2"], Verdict.REJECTED, **SURE)
    assert status() == "rejected"
    with pytest.raises(rules.AlreadyDecided, match="rejected .*by manager2"):
        decide(big, people["manager"], **SURE)


def test_the_quorum_begins_at_its_value(sample, people, settings):
    below = at_value(99_999.99, settings)
    assert (below.people_needed, below.heightened) == (1, False)


def test_at_the_quorums_value_it_takes_two(sample, people, settings):
    at = at_value(100_000, settings)
    assert (at.people_needed, at.heightened, at.unroutable) == (2, True, False)
    decide(at, people["approver"], **SURE)
    decide(waiting("C004"), people["approver2"], **SURE)
    assert status() == "approved"


def test_an_unknown_value_counts_as_a_high_one(sample, people, settings):
    assert at_value(None, settings).people_needed == 2


def sensitive(action):
    document = policies.in_force().document
    document["actions"][action]["sensitive"] = True
    return document


def test_a_sensitive_action_takes_two_people_at_any_value(policy_with, people, sample, settings):
    settings.DEBUG = True
    policy_with(sensitive("usage_review_checkin"))
    run_pipeline()
    request = waiting("C004")
    assert (request.people_needed, request.heightened) == (2, False)
    decide(request, people["approver"])
    assert status() == "pending"
    decide(waiting("C004"), people["approver2"])
    assert status() == "approved"


def test_the_policy_decides_no_sensitive_action_alone(policy_with, sample_run, people, sample, settings):
    settings.DEBUG = True
    small = Intervention.objects.get(customer_id="C001")
    assert small.authority == "policy published 1"
    Intervention.objects.filter(pk=small.pk).update(status="expired")
    policy_with(sensitive(small.recommended_action))
    run_pipeline()
    request = waiting("C001")
    assert request.person_reasons == ["sensitive"]
    with pytest.raises(rules.NotAuthorised, match="several people"):
        services.authorise_by_policy([request], policy="ours 1", authority=Authority.POLICY, reason="small")


def test_a_policy_with_a_quorum_where_no_person_decides_is_refused():
    with pytest.raises(PolicyError, match=r"quorum.*account_value"):
        load({"quorum": {"account_value": 10_000.0}})


@pytest.mark.django_db(transaction=True)
def test_of_two_approvals_at_the_same_moment_the_second_looks_again_or_ends_it(people, big):
    """Never does one count for both: either one of them was refused, or both are on record."""
    for _ in range(5):
        request = waiting("C004")
        answers = together(
            partial(decide, request, people["manager"], **SURE),
            partial(decide, request, people["manager2"], **SURE),
        )
        refused = [answer for answer in answers if isinstance(answer, Exception)]
        assert [type(answer) for answer in refused] in ([], [rules.Stale])
        row = ApprovalRequest.objects.get(pk=request.pk)
        assert row.approvals_given == row.decisions.count() == 2 - len(refused)
        assert (row.status == "approved") == (not refused)
        forget(request)
        run_pipeline()


@pytest.mark.django_db(transaction=True)
def test_a_rejection_at_the_moment_of_the_second_approval_leaves_one_end(people, big):
    decide(big, people["manager"], **SURE)
    request = waiting("C004")
    third = people["approver"]
    third.groups.set(people["manager"].groups.all())
    together(
        partial(decide, request, people["manager2"], **SURE),
        partial(decide, request, third, Verdict.REJECTED, **SURE),
    )
    row = ApprovalRequest.objects.get(pk=request.pk)
    [end] = row.decisions.filter(ends=True)
    assert end.verdict == row.status == Intervention.objects.get(pk=row.subject_key).status


# ---- with a reason, and the password


@pytest.mark.parametrize("verdict", [Verdict.APPROVED, Verdict.REJECTED])
@pytest.mark.parametrize("password", [None, "", "a-wrong-password"])
def test_at_this_value_the_right_password_is_asked_again(big, people, verdict, password):
    with pytest.raises(rules.PasswordNeeded):
        decide(big, people["manager"], verdict, reason="Because.", password=password)
    assert not Decision.objects.filter(request=big).exists()


def test_at_this_value_an_approval_needs_a_reason(big, people):
    with pytest.raises(rules.ReasonNeeded):
        decide(big, people["manager"], reason=" ", password=PASSWORD)
    assert waiting("C004").approvals_given == 0


def test_below_it_neither_is_asked(waits, people):
    decide(waits, people["approver"])
    assert status() == "approved"


@pytest.mark.parametrize("category", ["", "whatever"])
def test_a_rejection_needs_one_of_the_categories(waits, people, category):
    with pytest.raises(rules.ReasonNeeded, match="category"):
        decide(waits, people["approver"], Verdict.REJECTED, reason="No.", category=category)
    assert status() == "pending"


def test_every_category_can_be_given_and_is_on_record(waits, people):
    decision = decide(waits, people["approver"], Verdict.REJECTED, reason="No.", category="bad_timing")
    assert decision.category == RejectionCategory.BAD_TIMING
    assert {category.value for category in RejectionCategory} == {
        "wrong_action", "wrong_customer", "bad_timing", "evidence_wrong", "already_handled",
        "policy_too_eager", "other",
    }  # fmt: skip


# ---- after somebody else has set the password


class _Request:
    def __init__(self, user):
        self.user, self.META = user, {"REMOTE_ADDR": "127.0.0.1"}


def set_password(user, by=None):
    """As a page does it; without `by`, as a shell does."""

    def view(request):
        user.set_password(PASSWORD)
        user.save()

    if by is None:
        view(None)
    else:
        ActorMiddleware(view)(_Request(by))


def test_within_24_hours_of_somebody_elses_reset_nobody_decides(waits, people):
    set_password(people["approver"], by=people["manager"])
    with pytest.raises(rules.RecentReset, match="Somebody else has set your password"):
        decide(waits, people["approver"])
    with pytest.raises(rules.RecentReset):
        decide(waits, people["approver"], Verdict.REJECTED, reason="No.")
    event = AuditEvent.objects.get(word="password.set")
    assert event.sentence == "manager set the password of approver"
    decide(waits, people["approver2"])


def test_a_reset_from_a_shell_is_somebody_elses(waits, people):
    set_password(people["approver"])
    with pytest.raises(rules.RecentReset):
        decide(waits, people["approver"])


def test_setting_ones_own_password_blocks_nothing(waits, people):
    set_password(people["approver"], by=people["approver"])
    decide(waits, people["approver"])


def test_after_24_hours_a_reset_is_forgotten(waits, people):
    set_password(people["approver"], by=people["manager"])
    decider = services.decider_of(people["approver"], waits)
    later = decider.reset_at + rules.RESET_QUARANTINE
    rules.check_identity(waits.asked(), decider, later)
    with pytest.raises(rules.RecentReset):
        rules.check_identity(waits.asked(), decider, later - timedelta(seconds=1))


def test_a_delegate_whose_password_was_reset_does_not_decide_for_another(waits, people):
    services.delegate(
        delegator=people["approver2"],
        to=people["operator"],
        starts_at=timezone.now(),
        ends_at=timezone.now() + timedelta(days=1),
        reason="On leave.",
        door="test",
    )
    set_password(people["operator"], by=people["manager"])
    with pytest.raises(rules.RecentReset):
        decide(waits, people["operator"], on_behalf_of=people["approver2"])


# ---- where nobody could ever decide


def test_what_nobody_could_decide_is_opened_all_the_same_and_raised_at_once(sample, people, settings):
    get_user_model().objects.filter(username="manager2").update(is_active=False)
    request = at_value(150_000, settings)
    assert request.unroutable
    event = AuditEvent.objects.get(word="request.unroutable")
    assert (event.request_id, event.sentence) == (request.pk, f"Nobody can decide {request.title}")


def test_a_superuser_without_a_limit_makes_nothing_routable(sample, settings):
    get_user_model().objects.create_superuser("root", password=PASSWORD)
    assert at_value(42_000, settings).unroutable


def test_what_somebody_can_decide_is_not_marked(waits):
    assert not waits.unroutable
    assert not AuditEvent.objects.filter(word="request.unroutable").exists()
