"""The form by which one request is decided: four ways, what each takes, and what it does with a day."""

from datetime import date, timedelta

import pytest
from django.utils import timezone

from approvals.models import ApprovalRequest, AuditEvent, Decision, Delegation
from approvals.rules import Refusal, RejectionCategory, Status, Verdict
from approvals.services.membership import propose_membership
from journeys.models import Customer
from journeys.services import proposals
from tests import acting
from tests.acting import waiting
from tests.desk import client_of, decide_at, on_record, page_of

pytestmark = pytest.mark.django_db

WORDS = ("action", "channel", "subject", "body", "not_before")


def send(user, request: ApprovalRequest, verdict: str, **fields) -> str:
    """Decide as the page's form does, its fields for changes included; the page that follows."""
    unchanged = {f"change_{name}": "\r\n".join(request.payload[name].splitlines()) for name in WORDS}
    data = {"verdict": verdict, "reason": "", "fingerprint": request.fingerprint, **unchanged, **fields}
    return client_of(user).post(decide_at(request), data, follow=True).content.decode()


def fresh(request: ApprovalRequest) -> ApprovalRequest:
    return ApprovalRequest.objects.get(pk=request.pk)


def soon(days: int = 20) -> date:
    return timezone.now().date() + timedelta(days=days)


# -- four ways


def test_the_four_ways_are_offered_and_nothing_is_chosen(waits, people):
    html = client_of(people["approver"]).get(page_of(waits)).content.decode()
    for way in ("approved", "with_changes", "ask_for_changes", "rejected"):
        assert f'name="verdict" value="{way}"' in html
    assert " checked" not in html


def test_an_approval_with_the_fields_for_changes_untouched_approves(waits, people):
    assert "Approved: Usage review" in send(people["approver"], waits, "approved")
    assert fresh(waits).status == Status.APPROVED


def test_a_text_that_was_changed_is_not_approved_as_it_stood(waits, people):
    before = on_record()
    html = send(people["approver"], waits, "approved", change_body="Shall we talk?")
    assert "You changed something, and an approval is of what stands there" in html
    assert "Shall we talk?" in html
    assert on_record() == before


def test_line_ends_and_blanks_around_a_text_are_no_change(people, sample):
    """As a form of a browser sent it, when it was proposed by hand."""
    proposed = proposals.propose(
        customer_id="C003",
        action="engagement_checkin",
        subject="How are you?",
        body="Hello,\r\n\r\nhow are you?",
        reason="They sounded tired.",
        user=people["operator"],
        door="test",
    )
    send(people["approver"], proposed.request, "approved")
    assert fresh(proposed.request).status == Status.APPROVED


def test_a_change_is_kept_beside_the_old_wording_and_left_to_somebody_else(waits, people):
    html = send(people["approver"], waits, "with_changes", change_body="Shall we talk?", reason="Shorter.")
    assert "Changed; somebody else has to decide it now" in html
    changed = fresh(waits)
    assert (changed.payload["body"], changed.status) == ("Shall we talk?", Status.PENDING)
    html = client_of(people["approver"]).get(page_of(waits)).content.decode()
    assert "You changed this yourself" in html
    assert "What was asked for before (1)" in html
    assert "“Shorter.”" in html


def test_with_changes_takes_a_change(waits, people):
    assert "Nothing is different" in send(people["approver"], waits, "with_changes", reason="Same.")
    assert fresh(waits).revision == 1


def test_a_field_that_was_not_sent_is_not_changed(waits, people):
    data = {"verdict": "with_changes", "change_subject": "Shorter", "fingerprint": waits.fingerprint}
    client_of(people["approver"]).post(decide_at(waits), data)
    changed = fresh(waits).payload
    assert (changed["subject"], changed["body"]) == ("Shorter", waits.payload["body"])


def test_asking_for_changes_takes_a_note_and_leads_to_the_next(waits, people):
    assert "Say what should be changed" in send(people["approver"], waits, "ask_for_changes")
    html = send(people["approver"], waits, "ask_for_changes", reason="Call them instead?")
    assert "Sent back for changes: Usage review" in html
    assert waiting("C005").title in html
    assert fresh(waits).returned_note == "Call them instead?"


@pytest.mark.parametrize("way", ["with_changes", "ask_for_changes"])
def test_a_reason_that_would_be_cut_is_refused(waits, people, way):
    html = send(people["approver"], waits, way, change_body="Shall we talk?", reason="x" * 401)
    assert "The reason has 401 characters; with changes, 400 is the most." in html
    assert (fresh(waits).revision, fresh(waits).returned_at) == (1, None)


def test_every_way_leaves_what_others_have_decided_meanwhile_and_shows_what_was_typed(waits, people):
    acting.decide(waits, people["approver2"])
    before = on_record()
    for way in ("approved", "with_changes", "ask_for_changes", "rejected"):
        typed = {"reason": "A long thought.", "category": "other", "change_body": "My own words."}
        html = send(people["approver"], waits, way, **typed)
        assert "already approved (by approver2" in html
        assert "A long thought." in html
        assert "My own words." in html
    assert on_record() == before


@pytest.mark.parametrize("way", ["with_changes", "ask_for_changes"])
def test_who_may_not_decide_may_not_change_or_ask_either(waits, people, way):
    before = on_record()
    data = {"verdict": way, "reason": "So.", "change_body": "So.", "fingerprint": waits.fingerprint}
    assert client_of(people["operator"]).post(decide_at(waits), data).status_code == 403
    assert on_record() == before


def test_somebody_who_stands_in_changes_on_behalf(waits, people):
    now = timezone.now()
    Delegation.objects.create(
        delegator=people["approver"], delegate=people["operator"], starts_at=now, ends_at=now + timedelta(1)
    )
    send(people["operator"], waits, "ask_for_changes", reason="Shorter.", on_behalf_of="approver")
    event = AuditEvent.objects.get(word="request.returned")
    assert event.actor_name == "operator on behalf of approver"


# -- a rejection for bad timing


def test_a_rejection_for_bad_timing_can_say_until_when_the_customer_is_left_alone(waits, people):
    send(
        people["approver"],
        waits,
        "rejected",
        category="bad_timing",
        reason="They move house.",
        day_leave_alone_until=soon().isoformat(),
    )
    assert fresh(waits).status == Status.REJECTED
    customer = Customer.objects.get(pk="C004")
    assert (customer.hold_until, customer.hold_reason) == (soon(), "They move house.")
    event = AuditEvent.objects.get(word="customer.hold")
    assert (event.request_id, event.actor_name, event.reason) == (waits.pk, "approver", "They move house.")
    assert event.after == f"on hold through {soon()}"


def test_the_day_may_stay_empty(waits, people):
    send(people["approver"], waits, "rejected", category="bad_timing", reason="Not now.")
    assert fresh(waits).status == Status.REJECTED
    assert Customer.objects.get(pk="C004").hold_until is None


def reject(request, user, category=RejectionCategory.BAD_TIMING, **days):
    return acting.decide(request, user, Verdict.REJECTED, "Not now.", category=category, days=days)


@pytest.mark.parametrize(
    ("verdict", "category"),
    [(Verdict.REJECTED, RejectionCategory.OTHER), (Verdict.APPROVED, "")],
)
def test_a_day_goes_with_a_rejection_for_bad_timing_only(waits, people, verdict, category):
    before = on_record()
    with pytest.raises(Refusal, match="goes with a rejection for bad timing only"):
        acting.decide(
            waits,
            people["approver"],
            verdict,
            "So.",
            category=category,
            days={"leave_alone_until": soon()},
        )
    assert on_record() == before
    assert Customer.objects.get(pk="C004").hold_until is None


def test_a_day_that_is_past_is_refused_and_the_request_stays_open(waits, people):
    before = on_record()
    with pytest.raises(Refusal, match="is past"):
        reject(waits, people["approver"], leave_alone_until=soon(-1))
    assert on_record() == before


def test_a_day_that_nobody_asked_for_is_refused(waits, people):
    with pytest.raises(Refusal, match="No day called tomorrow"):
        reject(waits, people["approver"], tomorrow=soon(1))
    assert fresh(waits).status == Status.PENDING


def test_a_decision_never_shortens_how_long_a_customer_is_left_alone(waits, people):
    Customer.objects.filter(pk="C004").update(hold_until=soon(40), hold_reason="They asked.")
    before = on_record()
    with pytest.raises(Refusal, match="is left alone through .* already: give a later day, or none"):
        reject(waits, people["approver"], leave_alone_until=soon(30))
    assert on_record() == before
    reject(waits, people["approver"], leave_alone_until=soon(50))
    assert Customer.objects.get(pk="C004").hold_until == soon(50)


def test_who_was_not_to_be_contacted_at_all_stays_so(waits, people):
    Customer.objects.filter(pk="C004").update(do_not_contact=True)
    reject(waits, people["approver"], leave_alone_until=soon())
    assert Customer.objects.get(pk="C004").do_not_contact


def test_a_long_reason_stands_cut_beside_the_customer_and_in_full_in_the_trail(waits, people):
    reason = "word " * 80
    days = {"leave_alone_until": soon()}
    acting.decide(waits, people["approver"], Verdict.REJECTED, reason, category="bad_timing", days=days)
    assert Customer.objects.get(pk="C004").hold_reason.endswith("…")
    assert AuditEvent.objects.get(word="customer.hold").reason == reason.strip()
    assert Decision.objects.get(request=waits).reason == reason.strip()


def test_the_form_asks_for_the_day_where_there_is_a_customer_and_for_none_elsewhere(waits, people):
    approver, manager = client_of(people["approver"]), client_of(people["manager"])
    assert "Leave the customer alone until" in approver.get(page_of(waits)).content.decode()
    other = propose_membership(
        user_name="auditor",
        group="Approvers",
        member=True,
        user=people["operator"],
        reason="We are few.",
        door="test",
    )
    html = manager.get(page_of(other)).content.decode()
    assert "Your decision" in html
    assert "Leave the customer alone until" not in html
    with pytest.raises(Refusal, match="No day called"):
        reject(other, people["manager"], leave_alone_until=soon())


def test_two_who_reject_at_once_hold_once(waits, people):
    reject(waits, people["approver"], leave_alone_until=soon())
    with pytest.raises(Refusal):
        reject(waits, people["approver2"], leave_alone_until=soon(40))
    assert Customer.objects.get(pk="C004").hold_until == soon()
