"""The page on which a request is decided, and the one address that decides."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from approvals.models import ApprovalRequest, Decision
from approvals.rules import Verdict
from approvals.services import decide
from journeys.models import Customer, Intervention, Signal
from journeys.services import policies, proposals, switches
from journeys.services.execution import execute
from tests.acting import let_the_grace_pass
from tests.desk import QUEUE, check_html, client_of, decide_at, on_record, page_of
from tests.runs import run_pipeline

pytestmark = pytest.mark.django_db


@pytest.fixture
def request_of(sample_run):
    def find(customer_id: str) -> ApprovalRequest:
        return ApprovalRequest.objects.get(concerning=customer_id)

    return find


@pytest.fixture
def by_hand(sample, people):
    intervention = proposals.propose(
        customer_id="C003",
        action="engagement_checkin",
        subject="How are you?",
        body="Hello, how are you?",
        reason="They sounded tired.",
        user=people["operator"],
        door="test",
    )
    return intervention.request


def form(request, verdict="approved", **changes) -> dict:
    return {"verdict": verdict, "reason": "", "fingerprint": request.fingerprint} | changes


def test_the_page_shows_exactly_what_will_go_out_and_to_whom(request_of, people):
    request = request_of("C004")
    html = client_of(people["approver"]).get(page_of(request)).content.decode()
    assert "This e-mail goes to the customer" in html
    assert request.payload["recipient"] in html
    assert request.payload["subject"].replace("'", "&#x27;") in html
    assert "Execution is set to record only" in html
    check_html(html)


def test_what_speaks_against_it_comes_before_why_it_is_proposed(request_of, people):
    html = client_of(people["approver"]).get(page_of(request_of("C004"))).content.decode()
    against = html.index("What speaks against it")
    assert against < html.index("Why it is proposed")
    assert "sage recovery (0.55 on 16 Jan 2025) speaks for the customer" in html
    assert "4 days after the latest bad news (usage drop)" in html
    assert "this added 0.04 to the risk and 0.10 to the confidence" in html


def test_the_contributions_shown_add_up_to_the_score(request_of, people):
    response = client_of(people["approver"]).get(page_of(request_of("C004")))
    bar = response.context["evidence"]["bar"]
    assert round(sum(part.value for part in bar), 3) == 0.502
    assert "= .502" in response.content.decode()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"do_not_contact": True}, "marked “do not contact”"),
        ({"hold_until": "2100-01-01"}, "on hold through 1 Jan 2100"),
        ({"email": "new@elsewhere.example"}, "the recipient is now new@elsewhere.example"),
        ({"renewal_date": "2025-02-01"}, "The renewal is close"),
        ({"churned_on": "2025-01-14"}, "The customer left on 14 Jan 2025"),
    ],
)
def test_what_moved_since_it_was_asked_is_said(request_of, people, change, said):
    Customer.objects.filter(pk="C004").update(**change)
    html = client_of(people["approver"]).get(page_of(request_of("C004"))).content.decode()
    assert said in html


def test_a_signal_that_came_in_since_is_named(request_of, people):
    request = request_of("C004")
    Signal.objects.create(
        signal_id="S900", customer_id="C004", signal_type="usage_drop", signal_strength=0.9,
        detected_at=timezone.now() - timedelta(days=3000),
    )  # fmt: skip
    html = client_of(people["approver"]).get(page_of(request)).content.decode()
    assert "Noticed since this was asked" in html


def test_nothing_is_preselected_and_nothing_filled_in(request_of, people):
    html = client_of(people["approver"]).get(page_of(request_of("C004"))).content.decode()
    assert " checked" not in html
    assert 'value="approved"' in html
    assert 'value="rejected"' in html


def test_an_approval_is_recorded_and_leads_to_the_next_one(request_of, people):
    request = request_of("C004")
    response = client_of(people["approver"]).post(decide_at(request), form(request), follow=True)
    assert response.redirect_chain == [(page_of(request_of("C005")), 302)]
    assert "Approved: Usage review check-in" in response.content.decode()
    decision = Decision.objects.get(request=request)
    assert (decision.verdict, decision.actor_name) == ("approved", "approver")
    assert decision.event.door == "admin"
    assert decision.event.told("address") == "127.0.0.1"
    assert Intervention.objects.get(customer_id="C004").status == "approved"


def test_after_the_last_one_comes_the_queue(request_of, people):
    client = client_of(people["approver"])
    client.post(decide_at(request_of("C004")), form(request_of("C004")))
    last = request_of("C005")
    response = client.post(decide_at(last), form(last, "rejected", reason="No.", category="other"))
    assert response.url == QUEUE


def test_a_rejection_without_a_reason_is_refused(request_of, people):
    request, before = request_of("C004"), on_record()
    response = client_of(people["approver"]).post(decide_at(request), form(request, "rejected"))
    assert "A rejection needs a reason" in response.content.decode()
    assert on_record() == before


def test_a_decision_that_names_no_verdict_is_refused(request_of, people):
    request, before = request_of("C004"), on_record()
    for verdict in ("", "expired", "maybe"):
        response = client_of(people["approver"]).post(decide_at(request), form(request, verdict))
        assert "errorlist" in response.content.decode()
        assert on_record() == before


def test_a_stale_page_is_refused_and_the_text_typed_is_kept(request_of, people):
    request, before = request_of("C004"), on_record()
    response = client_of(people["approver"]).post(
        decide_at(request), form(request, fingerprint="0" * 64, reason="I typed <this> at length.")
    )
    html = response.content.decode()
    assert "has changed since you opened it" in html
    assert "I typed &lt;this&gt; at length." in html
    assert f'value="{request.fingerprint}"' in html
    assert on_record() == before


def test_who_comes_second_learns_who_was_first_and_keeps_their_text(request_of, people):
    request = request_of("C004")
    client_of(people["approver"]).post(decide_at(request), form(request))
    response = client_of(people["approver2"]).post(
        decide_at(request), form(request, "rejected", reason="My own long reason.")
    )
    html = response.content.decode()
    assert "already approved (by approver" in html
    assert "My own long reason." in html


@pytest.mark.parametrize("method", ["get", "head", "put", "delete", "options"])
def test_only_a_post_decides(request_of, people, method):
    request, before = request_of("C004"), on_record()
    call = getattr(client_of(people["approver"]), method)
    response = call(f"{decide_at(request)}?verdict=approved&fingerprint={request.fingerprint}")
    assert response.status_code == 405
    assert on_record() == before


def test_a_post_without_the_csrf_token_decides_nothing(request_of, people):
    request, before = request_of("C004"), on_record()
    client = Client(enforce_csrf_checks=True)
    client.force_login(people["approver"])
    assert client.post(decide_at(request), form(request)).status_code == 403
    assert on_record() == before


@pytest.mark.parametrize("superuser", [False, True])
def test_nobody_decides_what_they_proposed_superuser_or_not(by_hand, people, superuser):
    operator = people["operator"]
    operator.is_superuser = superuser
    operator.save(update_fields=["is_superuser"])
    client, before = client_of(operator), on_record()
    html = client.get(page_of(by_hand)).content.decode()
    assert "You proposed this yourself; somebody else has to decide it." in html
    assert '<button type="submit" class="go">Decide' not in html
    response = client.post(decide_at(by_hand), form(by_hand))
    assert response.status_code == 403
    assert "You proposed this yourself" in response.content.decode()
    assert on_record() == before


def test_somebody_else_decides_what_was_proposed_by_hand(by_hand, people):
    client = client_of(people["approver"])
    html = client.get(page_of(by_hand)).content.decode()
    assert "operator asks: “They sounded tired.”" in html
    assert "Hello, how are you?" in html
    client.post(decide_at(by_hand), form(by_hand))
    assert ApprovalRequest.objects.get(pk=by_hand.pk).status == "approved"


def test_who_may_not_decide_is_told_why_and_gets_no_form(request_of, people):
    request = request_of("C004")
    ApprovalRequest.objects.filter(pk=request.pk).update(value_at_stake=100_001)
    html = client_of(people["approver"]).get(page_of(request)).content.decode()
    assert "You cannot decide this" in html
    assert "Your authority ends at 100,000; the value at stake is 100,001." in html
    html = client_of(people["operator"]).get(page_of(request)).content.decode()
    assert "You have no permission to decide requests of this kind." in html


def test_one_that_ran_out_of_time_cannot_be_decided(request_of, people):
    request = request_of("C004")
    ApprovalRequest.objects.filter(pk=request.pk).update(expires_at=timezone.now())
    client = client_of(people["approver"])
    assert "The time to decide ran out" in client.get(page_of(request)).content.decode()
    before = on_record()
    assert "This request has expired" in client.post(decide_at(request), form(request)).content.decode()
    assert on_record() == before


def test_a_decided_request_says_by_whom_why_and_what_became_of_it(request_of, people):
    request = request_of("C004")
    client_of(people["approver"]).post(decide_at(request), form(request, reason="They need it."))
    let_the_grace_pass()
    execute(intervention_id=request.subject_key)
    html = client_of(people["auditor"]).get(page_of(request)).content.decode()
    assert "The decision" in html
    assert "They need it." in html
    assert "Record only: nothing was sent." in html
    assert f"/admin/approvals/auditevent/?actor_key=user%3A{people['approver'].pk}" in html
    assert "Your decision" not in html


def test_what_the_policy_decided_says_so(request_of, people):
    html = client_of(people["approver"]).get(page_of(request_of("C001"))).content.decode()
    assert "On the authority of the policy in force; no person was asked." in html


def test_an_automatic_approval_for_testing_is_loud(sample, people, settings):
    settings.DEBUG = True
    run_pipeline(auto_approve_for_testing=True)
    client = client_of(people["approver"])
    assert "made automatically, for testing, still stand" in client.get("/admin/").content.decode()
    request = ApprovalRequest.objects.get(concerning="C004")
    assert "Approved automatically, for testing" in client.get(page_of(request)).content.decode()


def test_a_missing_request_leads_home_and_says_so(people):
    client = client_of(people["approver"])
    response = client.get(f"{QUEUE}999/change/", follow=True)
    assert "doesn’t exist" in response.content.decode()
    assert client.post(f"{QUEUE}999/decide/", {}).status_code == 302


def test_another_policy_shows_what_it_would_change(sample_run, people):
    document = policies.in_force().document
    document["escalation"]["account_value"] = 20000.0
    policy = policies.add_policy(name="careful", document=document, created_by="test")
    request = policies.propose_activation(
        policy=policy, user=people["manager"], reason="Look closer.", door="test"
    )
    html = client_of(people["manager"]).get(page_of(request)).content.decode()
    assert "escalation.account_value" in html
    assert "20000.0" in html
    assert "You proposed this yourself" in html
    check_html(html)


def test_starting_execution_shows_from_what_to_what(people):
    request = switches.set_mode(
        scope="all", mode="live", user=people["operator"], reason="The pilot begins.", door="test"
    )
    html = client_of(people["manager"]).get(page_of(request)).content.decode()
    assert "from <b>record only</b> to <b>live</b>" in html
    assert "The pilot begins." in html
    decide(
        request_id=request.pk, verdict=Verdict.APPROVED, fingerprint=request.fingerprint,
        user=people["manager"], door="test",
    )  # fmt: skip
    assert "Execution is live" in client_of(people["manager"]).get("/admin/").content.decode()
