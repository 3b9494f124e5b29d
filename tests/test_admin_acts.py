"""What can be done in the admin with a request beside deciding it, through the same services."""

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from approvals.models import ApprovalRequest, AuditEvent, AuthorityLimit, Delegation
from approvals.rules import Status
from journeys.models import Intervention
from tests.acting import waiting
from tests.desk import QUEUE, client_of, decide_at, page_of

pytestmark = pytest.mark.django_db


def post(user, request, act: str, **data):
    address = page_of(request).replace("/change/", f"/{act}/")
    form = {"fingerprint": request.fingerprint} | data
    return client_of(user).post(address, form, follow=True).content.decode()


def fresh(request) -> ApprovalRequest:
    return ApprovalRequest.objects.get(pk=request.pk)


@pytest.fixture
def c004(sample_run, people) -> ApprovalRequest:
    return waiting("C004")


def test_it_can_be_sent_back_and_answered(c004, people):
    html = post(people["approver"], c004, "decide", verdict="ask_for_changes", reason="Call them instead?")
    assert "Sent back for changes" in html
    assert "Call them instead?" in client_of(people["operator"]).get(page_of(c004)).content.decode()
    answer = {name: c004.payload[name] for name in ("action", "channel", "subject", "body", "not_before")}
    post(people["operator"], c004, "revise", **answer, note="They asked for mail.")
    assert fresh(c004).returned_at is None
    form = {"verdict": "approved", "reason": "", "fingerprint": c004.fingerprint}
    client_of(people["approver"]).post(decide_at(c004), form)
    assert fresh(c004).status == Status.APPROVED


def test_who_is_reviewing_is_seen_in_the_queue_and_on_the_page(c004, people):
    post(people["approver"], c004, "claim")
    assert (
        "approver is reviewing this until"
        in client_of(people["approver2"]).get(page_of(c004)).content.decode()
    )
    assert "<td" in client_of(people["approver2"]).get(QUEUE).content.decode()
    post(people["approver"], c004, "hand-on", to="manager")
    assert fresh(c004).claimed_by_name == "manager"
    post(people["manager"], c004, "release")
    assert fresh(c004).claimed_by_key == ""


def test_taking_over_takes_the_permission_and_a_note(c004, people):
    post(people["approver"], c004, "claim")
    post(people["approver2"], c004, "take-over", note="She is ill.")
    assert fresh(c004).claimed_by_name == "approver"
    post(people["manager"], c004, "take-over", note="She is ill.")
    assert fresh(c004).claimed_by_name == "manager"


def test_an_approval_can_be_taken_back_until_it_is_used(c004, people):
    form = {"verdict": "approved", "reason": "", "fingerprint": c004.fingerprint}
    client_of(people["approver"]).post(decide_at(c004), form)
    post(people["approver2"], c004, "revoke", reason="They have just called.")
    assert fresh(c004).status == Status.REVOKED
    assert Intervention.objects.get(customer_id="C004").status == "revoked"


def test_several_are_rejected_for_one_reason_and_each_answers_for_itself(c004, people):
    c005 = waiting("C005")
    selected = [f"{row.pk}:{row.fingerprint}" for row in (c004, c005)] + ["99999:x"]
    data = {"selected": selected, "verdict": "rejected", "category": "bad_timing", "reason": "Holidays."}
    html = client_of(people["approver"]).post(f"{QUEUE}decide-several/", data, follow=True).content.decode()
    assert "Rejected 2 of 3." in html
    assert "#99999: There is no request 99999." in html
    assert {fresh(c004).status, fresh(c005).status} == {Status.REJECTED}


def test_a_selection_of_nothing_is_refused(c004, people):
    data = {"verdict": "rejected", "category": "bad_timing", "reason": "Holidays."}
    html = client_of(people["approver"]).post(f"{QUEUE}decide-several/", data).content.decode()
    assert "Select the requests in the list first" in html


def test_several_are_approved_only_where_the_policy_allows_it(c004, people):
    page = client_of(people["approver"]).get(QUEUE).content.decode()
    assert ">Reject</option>" in page
    assert ">Approve</option>" not in page
    ApprovalRequest.objects.filter(pk=c004.pk).update(bulk_allowed=True)
    c005 = waiting("C005")
    selected = [f"{row.pk}:{row.fingerprint}" for row in (c004, c005)]
    data = {"selected": selected, "verdict": "approved", "reason": ""}
    html = client_of(people["approver"]).post(f"{QUEUE}decide-several/", data, follow=True).content.decode()
    assert "Approved 1 of 2." in html
    assert (fresh(c004).status, fresh(c005).status) == (Status.APPROVED, Status.PENDING)


def test_that_the_evidence_was_opened_is_on_record_once(c004, people):
    for _ in range(3):
        client_of(people["approver"]).get(page_of(c004))
    client_of(people["auditor"]).get(page_of(c004))
    viewed = AuditEvent.objects.filter(request_id=c004.pk, word="request.viewed")
    assert [event.told("actor_name") for event in viewed] == ["approver"]


def test_somebody_can_stand_in_and_decides_on_behalf(c004, people):
    begins, ends = timezone.now() - timedelta(minutes=1), timezone.now() + timedelta(days=1)
    data = {
        "to": "operator",
        "starts_at": f"{begins:%Y-%m-%d %H:%M:%S}",
        "ends_at": f"{ends:%Y-%m-%d %H:%M:%S}",
        "reason": "Away.",
    }
    client_of(people["approver"]).post("/admin/approvals/delegation/delegate/", data)
    assert Delegation.objects.get().delegate == people["operator"]
    form = {"verdict": "approved", "reason": "", "fingerprint": c004.fingerprint, "on_behalf_of": "approver"}
    client_of(people["operator"]).post(decide_at(c004), form)
    assert fresh(c004).decisions.get().actor_name == "operator on behalf of approver"
    delegation = Delegation.objects.get()
    client_of(people["operator"]).post(f"/admin/approvals/delegation/{delegation.pk}/end/")
    assert Delegation.objects.get().revoked_at


def test_a_change_of_authority_waits_for_a_second_person(people):
    limit = AuthorityLimit.objects.get(name="approvers")
    data = {"group": "Approvers", "max_value": "50000", "escalates_to": "Managers", "reason": "Too much."}
    address = f"/admin/approvals/authoritylimit/{limit.pk}/propose-change/"
    client_of(people["operator"]).post(address, data)
    limit.refresh_from_db()
    assert limit.max_value == 100_000
    request = ApprovalRequest.objects.get(kind="authority_limit")
    page = client_of(people["manager"]).get(page_of(request)).content.decode()
    assert "<b>50,000</b>" in page
    form = {"verdict": "approved", "reason": "", "fingerprint": request.fingerprint}
    client_of(people["manager"]).post(decide_at(request), form)
    limit.refresh_from_db()
    assert limit.max_value == 50_000


def test_the_trail_is_exported_by_those_who_may_read_it(c004, people):
    address = f"/admin/approvals/auditevent/export/?concerning={c004.concerning}"
    assert client_of(people["approver"]).get(address).status_code == 403
    answer = client_of(people["auditor"]).get(address)
    lines = [json.loads(line) for line in b"".join(answer.streaming_content).splitlines()]
    assert {line["concerning"] for line in lines} == {"C004"}


def test_get_does_nothing_on_any_of_them(c004, people):
    before = AuditEvent.objects.count()
    for act in (
        "revise",
        "claim",
        "release",
        "hand-on",
        "take-over",
        "revoke",
    ):
        address = page_of(c004).replace("/change/", f"/{act}/")
        assert client_of(people["manager"]).get(address).status_code == 405
    assert AuditEvent.objects.count() == before
