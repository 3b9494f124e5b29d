"""Deciding through the API: the same gate, on what was seen, in a person's own name."""

import json
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from approvals.models import ApprovalRequest, AuditEvent, Decision, Delegation
from approvals.rules import Status
from tests import acting
from tests.acting import PASSWORD, together
from tests.api import Caller, problem, token_of
from tests.desk import on_record

pytestmark = pytest.mark.django_db


@pytest.fixture
def as_(people):
    """`as_("approver")` calls with that person's own token."""

    def call(name: str) -> Caller:
        return Caller(token_of(people[name], "approvals:read", "approvals:decide", personal=True)[1])

    return call


def at(request: ApprovalRequest, act: str = "") -> str:
    return f"approval-requests/{request.pk}{act and '/'}{act}"


def seen(request: ApprovalRequest, **body) -> dict:
    return {"fingerprint": request.fingerprint, **body}


REJECTION = {"reason": "They are in talks with us.", "category": "bad_timing"}


# ---- who decides


def test_an_approval_goes_on_record_like_one_on_the_pages(waits, as_, people):
    answer = as_("approver").post(at(waits, "approve"), seen(waits, reason="Fine."))
    assert answer.status_code == 200, answer.content
    told = json.loads(answer.content)
    assert told["status"] == "approved"
    decision = Decision.objects.get(request=waits)
    assert (decision.verdict, decision.authority, decision.reason) == ("approved", "person", "Fine.")
    event = decision.event
    assert (event.actor_key, event.door) == (f"user:{people['approver'].pk}", "api")
    assert event.detail.document["token"].startswith("test (")
    assert told["decisions"][0]["id"] == decision.pk


def test_a_rejection_takes_a_category_and_a_reason(waits, as_):
    approver = as_("approver")
    told = problem(approver.post(at(waits, "reject"), seen(waits)), 422, "validation-failed")
    assert {error["pointer"] for error in told["errors"]} == {"/reason", "/category"}
    answer = approver.post(at(waits, "reject"), seen(waits, **REJECTION))
    assert json.loads(answer.content)["decisions"][0]["category"] == "bad_timing"


def test_a_services_token_never_decides_for_a_person(waits, people):
    before = on_record()
    for caller in (
        Caller(token_of(people["approver"], "approvals:read")[1]),
        Caller(_with_every_scope(token_of(people["approver"], "approvals:read"))),
    ):
        for act in ("approve", "reject", "claim", "revoke", "ask-for-changes", "approve-with-changes"):
            problem(caller.post(at(waits, act), seen(waits, **REJECTION)), 403, "person-needed")
    # Making the tokens stands on record, and nothing else.
    assert on_record()[:2] == before[:2]


def _with_every_scope(made) -> str:
    """As if somebody had written to the table."""
    token, text = made
    token.scopes = ["approvals:read", "approvals:decide"]
    token.save()
    return text


def test_a_personal_token_without_the_scope_decides_nothing(waits, people):
    caller = Caller(token_of(people["approver"], "approvals:read", personal=True)[1])
    problem(caller.post(at(waits, "approve"), seen(waits)), 403, "scope-missing")


def test_a_session_decides_with_the_csrf_token_only(waits, people):
    client = Client(enforce_csrf_checks=True)
    client.force_login(people["approver"])
    path = f"/api/v1/{at(waits, 'approve')}"
    problem(client.post(path, seen(waits), content_type="application/json"), 403, "forbidden")
    client.get("/admin/")
    token = client.cookies["csrftoken"].value
    answer = client.post(path, seen(waits), content_type="application/json", headers={"X-CSRFToken": token})
    assert answer.status_code == 200


def test_nobody_decides_what_they_proposed_and_is_told_who_did(waits, as_, people):
    ApprovalRequest.objects.filter(pk=waits.pk).update(
        proposed_by_key=f"user:{people['approver'].pk}", proposed_by_name="approver"
    )
    told = problem(as_("approver").post(at(waits, "approve"), seen(waits)), 403, "own-request")
    assert told["last_event"].keys() == {"word", "sentence", "by", "at"}


def test_whoever_has_no_authority_is_refused(waits, as_):
    problem(as_("operator").post(at(waits, "approve"), seen(waits)), 403, "not-authorised")


def test_whoever_may_not_see_requests_decides_none(waits, people, as_):
    caller = as_("approver")
    people["approver"].groups.clear()
    problem(caller.post(at(waits, "approve"), seen(waits)), 403, "permission-missing")


def test_at_a_high_value_the_password_is_asked_again_and_one_is_not_enough(big, as_):
    manager = as_("manager")
    body = seen(big, reason="Worth it.")
    problem(manager.post(at(big, "approve"), body), 403, "password-needed")
    problem(manager.post(at(big, "approve"), body | {"password": "wrong"}), 403, "password-needed")
    answer = manager.post(at(big, "approve"), body | {"password": PASSWORD})
    told = json.loads(answer.content)
    assert (told["status"], told["approvals_given"]) == ("pending", 1)
    again = manager.post(at(big, "approve"), body | {"password": PASSWORD})
    problem(again, 409, "already-approved")
    second = as_("manager2").post(at(big, "approve"), body | {"password": PASSWORD})
    assert json.loads(second.content)["status"] == "approved"


def test_a_password_that_was_sent_is_never_told_again(big, as_):
    answer = as_("manager").post(at(big, "approve"), seen(big, password=7, reason="My secret word"))
    assert b"secret word" not in answer.content


def test_somebody_who_stands_in_decides_on_behalf(big, as_, people):
    now = timezone.now()
    Delegation.objects.create(
        delegator=people["manager"], delegate=people["approver"], starts_at=now, ends_at=now + timedelta(1)
    )
    body = seen(big, reason="For them.", password=PASSWORD, on_behalf_of="manager")
    assert as_("approver").post(at(big, "approve"), body).status_code == 200
    assert Decision.objects.get(request=big).on_behalf_of_key == f"user:{people['manager'].pk}"
    body["on_behalf_of"] = "manager2"
    problem(as_("approver2").post(at(big, "approve"), body), 403, "not-authorised")


# ---- on what was seen


ACTS = {
    "approve": {},
    "reject": REJECTION,
    "approve-with-changes": {"changes": {"body": "Shorter."}},
    "ask-for-changes": {"note": "Shorter."},
    "revise": {"note": "No."},
    "claim": {},
    "release": {},
    "hand-on": {"to": "approver2"},
    "take-over": {"note": "They are away."},
    "revoke": {"reason": "Not now."},
}


def test_the_acts_above_are_all_there_are(waits, as_):
    from approvals.api.requests import ApprovalRequests

    assert {extra.url_path for extra in ApprovalRequests.get_extra_actions()} == ACTS.keys()


@pytest.mark.parametrize("act", ACTS)
def test_whoever_does_not_say_what_they_saw_is_asked_to(waits, as_, act):
    before = on_record()[:2]
    caller = as_("manager")
    for headers in ({}, {"If-Match": "*"}, {"If-Match": "nonsense"}):
        told = problem(caller.post(at(waits, act), ACTS[act], **headers), 428, "precondition-needed")
        assert told["last_event"]["by"] == "the pipeline"
        assert told["last_event"]["at"]
    assert on_record()[:2] == before


@pytest.mark.parametrize("act", sorted(ACTS.keys() - {"revise", "revoke"}))
def test_what_was_seen_and_is_not_there_any_more_decides_nothing(waits, as_, act):
    before = on_record()[:2]
    caller = as_("manager")
    for headers in ({"If-Match": f'"{"0" * 64}"'}, {}):
        body = ACTS[act] | ({} if headers else {"fingerprint": "0" * 64})
        told = problem(caller.post(at(waits, act), body, **headers), 412, "stale")
        assert told["last_event"]["by"]
    assert on_record()[:2] == before


def test_an_approval_that_is_not_the_one_that_was_seen_is_not_revoked(waits, as_, people):
    acting.decide(waits, people["approver2"])
    body = {"fingerprint": "0" * 64, "reason": "Not now."}
    problem(as_("approver").post(at(waits, "revoke"), body), 412, "stale")
    assert ApprovalRequest.objects.get(pk=waits.pk).status == Status.APPROVED


def test_the_etag_of_the_request_says_what_was_seen(waits, as_):
    approver = as_("approver")
    etag = approver.get(at(waits))["ETag"]
    answer = approver.post(at(waits, "approve"), {}, **{"If-Match": etag})
    assert answer.status_code == 200
    assert answer["ETag"] != etag


def test_that_somebody_reviews_it_changes_the_etag_and_not_what_was_seen(waits, as_):
    approver, other = as_("approver"), as_("approver2")
    etag = approver.get(at(waits))["ETag"]
    assert other.post(at(waits, "claim"), seen(waits)).status_code == 200
    assert approver.get(at(waits))["ETag"] != etag
    assert approver.post(at(waits, "approve"), {}, **{"If-Match": etag}).status_code == 200


def test_header_and_body_must_name_the_same(waits, as_):
    answer = as_("approver").post(at(waits, "approve"), seen(waits), **{"If-Match": f'"{"0" * 64}"'})
    problem(answer, 400, "bad-request")


def test_who_was_first_and_when_is_told_to_whoever_is_second(waits, as_, people):
    acting.decide(waits, people["approver2"])
    decided_at = ApprovalRequest.objects.get(pk=waits.pk).decided_at
    for act in ("approve", "reject", "claim", "ask-for-changes"):
        answer = as_("approver").post(at(waits, act), seen(waits, **ACTS[act]))
        told = problem(answer, 409, "already-decided")
        assert (told["state"], told["by"]) == ("approved", "approver2")
        assert told["at"][:19] == decided_at.isoformat()[:19]


def test_a_request_that_is_not_there_is_not_found(waits, as_):
    for act, body in ACTS.items():
        path = f"approval-requests/999999/{act}"
        problem(as_("approver").post(path, seen(waits, **body)), 404, "not-found")


def test_get_decides_nothing(waits, as_):
    before = on_record()[:2]
    for act in ACTS:
        problem(as_("approver").get(at(waits, act)), 405, "method-not-allowed")
    assert on_record()[:2] == before


@pytest.mark.django_db(transaction=True)
def test_of_two_who_approve_at_the_same_moment_one_is_first(waits, people):
    texts = [
        token_of(people[name], "approvals:read", "approvals:decide", personal=True)[1]
        for name in ("approver", "approver2", "manager", "manager2")
    ]
    answers = together(
        *(lambda text=text: Caller(text).post(at(waits, "approve"), seen(waits)) for text in texts)
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert Decision.objects.filter(request=waits).count() == 1


# ---- the other acts


def test_changing_leaves_it_to_somebody_else(waits, as_):
    approver = as_("approver")
    answer = approver.post(at(waits, "approve-with-changes"), seen(waits, changes={"body": "Shorter."}))
    told = json.loads(answer.content)
    assert (told["status"], told["revision"], told["payload"]["body"]) == ("pending", 2, "Shorter.")
    body = {"fingerprint": told["fingerprint"]}
    problem(approver.post(at(waits, "approve"), body), 403, "own-request")
    assert as_("approver2").post(at(waits, "approve"), body).status_code == 200


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({}, "nothing-changed"),
        ({"customer_id": "C001"}, "cannot-change"),
        ({"channel": "pigeon"}, "cannot-change"),
        ({"not_before": "0001-01-01T00:00:00+14:00"}, "cannot-change"),
        ({"not_before": "soon"}, "cannot-change"),
        ({"body": 7}, "validation-failed"),
        ({"body": "\u0000"}, "validation-failed"),
        ({"subject": "a\nb"}, "cannot-change"),
    ],
)
def test_a_change_that_cannot_be_is_refused(waits, as_, changes, kind):
    answer = as_("approver").post(at(waits, "approve-with-changes"), seen(waits, changes=changes))
    problem(answer, 422, kind)
    assert ApprovalRequest.objects.get(pk=waits.pk).revision == 1


def test_sent_back_and_answered(waits, as_, people):
    approver, operator = as_("approver"), as_("operator")
    assert approver.post(at(waits, "ask-for-changes"), seen(waits, note="Shorter.")).status_code == 200
    problem(approver.post(at(waits, "approve"), seen(waits)), 409, "returned")
    answer = operator.post(at(waits, "revise"), seen(waits, note="Done.", changes={"body": "Short."}))
    assert json.loads(answer.content)["payload"]["body"] == "Short."


def test_a_review_is_claimed_handed_on_taken_over_and_released(waits, as_):
    one, two, manager = as_("approver"), as_("approver2"), as_("manager")
    assert json.loads(one.post(at(waits, "claim"), seen(waits)).content)["claimed_by_name"] == "approver"
    problem(two.post(at(waits, "claim"), seen(waits)), 409, "claimed")
    answer = one.post(at(waits, "hand-on"), seen(waits, to="approver2"))
    assert json.loads(answer.content)["claimed_by_name"] == "approver2"
    problem(one.post(at(waits, "hand-on"), seen(waits, to="nobody")), 422, "validation-failed")
    answer = manager.post(at(waits, "take-over"), seen(waits, note="They are away."))
    assert json.loads(answer.content)["claimed_by_name"] == "manager"
    problem(one.post(at(waits, "release"), seen(waits)), 403, "not-authorised")
    answer = manager.post(at(waits, "release"), seen(waits))
    assert json.loads(answer.content)["claimed_by_name"] == ""


def test_an_approval_is_revoked_until_it_was_used(waits, as_, people):
    acting.decide(waits, people["approver2"])
    body = seen(waits, reason="Not now.")
    assert json.loads(as_("approver").post(at(waits, "revoke"), body).content)["status"] == "revoked"
    told = problem(as_("approver").post(at(waits, "revoke"), body), 409, "already-decided")
    assert told["by"] == "approver"


# ---- reading


def test_that_a_person_has_seen_the_evidence_goes_on_record_and_a_program_is_none(waits, as_, people):
    def viewed() -> list[str]:
        events = AuditEvent.objects.filter(word="request.viewed", request_id=waits.pk)
        return [event.actor_key for event in events]

    Caller(token_of(people["approver"], "approvals:read")[1]).get(at(waits))
    as_("operator").get(at(waits))
    for fields in ("id,status", "id,evidence", "fingerprint,payload"):
        as_("approver").get(f"{at(waits)}?fields={fields}")
    approver = as_("approver")
    approver.client.head(f"/api/v1/{at(waits)}", headers=approver.headers)
    assert viewed() == []
    as_("approver").get(at(waits))
    as_("approver").get(at(waits))
    assert viewed() == [f"user:{people['approver'].pk}"]


def test_what_the_caller_could_decide_can_be_asked_for(waits, as_, people):
    path = "approval-requests?decidable=true&status=pending"
    rows = json.loads(as_("approver").get(path).content)["results"]
    assert waits.pk in [row["id"] for row in rows]
    assert json.loads(as_("operator").get(path).content)["results"] == []


# ---- what comes in


@pytest.mark.parametrize(
    ("raw", "status", "kind"),
    [
        (b"{", 400, "malformed"),
        (b"[]", 400, "malformed"),
        (b'"x"', 400, "malformed"),
        (b"null", 400, "malformed"),
        (b'{"reason": NaN}', 400, "malformed"),
        (b'{"reason": Infinity}', 400, "malformed"),
        (b'{"reason": 1e999}', 400, "malformed"),
        (b'{"reason": ' + b"9" * 5000 + b"}", 400, "malformed"),
        (b'{"reason": "x", "reason": "y"}', 400, "malformed"),
        (b'{"reason": "\xff"}', 400, "malformed"),
        (b'{"reason": ' + b"[" * 100_000, 400, "malformed"),
        (b'{"reason": ' + b"[" * 50 + b"]" * 50 + b"}", 400, "malformed"),
        (b'{"reason": ' + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}", 400, "malformed"),
        (b'{"reason": "' + b"x" * 5_000_001 + b'"}', 413, "too-large"),
        (b'{"reason": "\\u0000"}', 422, "validation-failed"),
        (b'{"reason": "\\ud800"}', 422, "validation-failed"),
        (b'{"reason": "\\u001b[31m"}', 422, "validation-failed"),
        (b'{"reason": 7}', 422, "validation-failed"),
        (b'{"reason": ["x"]}', 422, "validation-failed"),
        (b'{"reason": null}', 422, "validation-failed"),
        (b'{"resaon": "x"}', 422, "validation-failed"),
        (b'{"\\ud800": "x"}', 422, "validation-failed"),
        (b'{"a/b~c": "x"}', 422, "validation-failed"),
        (b'{"fingerprint": "x"}', 422, "validation-failed"),
        (b'{"reason": "' + b"x" * 2001 + b'"}', 422, "validation-failed"),
    ],
    ids=lambda value: repr(value[:30]) if isinstance(value, bytes) else str(value),
)
def test_a_body_that_cannot_be_meant_is_refused_and_nothing_is_written(waits, as_, raw, status, kind):
    caller, before = as_("approver"), on_record()
    problem(caller.post(at(waits, "approve"), raw=raw), status, kind)
    assert on_record()[:2] == before[:2]


def test_a_field_that_is_not_known_is_pointed_at(waits, as_):
    told = problem(
        as_("approver").post(at(waits, "approve"), seen(waits, **{"a/b~c": 1})), 422, "validation-failed"
    )
    assert told["errors"] == [{"pointer": "/a~1b~0c", "detail": "There is no such field here."}]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_a_body_that_is_no_json_is_refused_by_its_kind(waits, as_, kind):
    caller = as_("approver")
    answer = caller.client.post(
        f"/api/v1/{at(waits, 'approve')}", b"x=1", content_type=kind, headers=caller.headers
    )
    problem(answer, 415, "unsupported-media-type")


def test_no_body_is_an_empty_one(waits, as_):
    caller = as_("approver")
    answer = caller.post(at(waits, "claim"), raw=b"", **{"If-Match": caller.get(at(waits))["ETag"]})
    assert answer.status_code == 200


def test_a_post_takes_no_parameters(waits, as_):
    answer = as_("approver").post(at(waits, "approve") + "?dry_run=true", seen(waits))
    problem(answer, 400, "bad-query")
    assert ApprovalRequest.objects.get(pk=waits.pk).status == Status.PENDING
