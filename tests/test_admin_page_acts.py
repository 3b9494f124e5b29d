"""What can be done from the pages of customers, runs, tasks, switches and policies, and by whom."""

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from approvals.models import ApprovalRequest, AuditEvent
from approvals.rules import Verdict
from approvals.services import decide
from journeys.models import Customer, Execution, Finding, Intervention, Outcome, PipelineRun
from journeys.services import policies, switches
from journeys.services.execution import execute
from tests.desk import check_html, client_of, on_record, page_at
from tests.runs import run_pipeline

pytestmark = pytest.mark.django_db


@pytest.fixture
def task(sample, people, live):
    """C005's task, which is with the owner: operator."""
    Customer.objects.filter(pk="C005").update(owner="operator")
    run_pipeline()
    request = ApprovalRequest.objects.get(concerning="C005")
    decide(
        request_id=request.pk,
        verdict=Verdict.APPROVED,
        fingerprint=request.fingerprint,
        user=people["approver"],
        door="test",
    )
    assert execute(intervention_id=request.subject_key).status == "with_owner"
    return Intervention.objects.get(pk=request.subject_key)


def test_the_orphan_is_visible_and_says_what_it_waits_for(sample_run, people):
    client = client_of(people["operator"])
    listed = client.get("/admin/journeys/signal/", {"customer": "unknown"}).context["cl"].result_list
    assert [row.pk for row in listed] == ["S009"]
    html = client.get(page_at("signal", "S009")).content.decode()
    assert "There is no such customer" in html
    assert "customer/C999/" not in html
    assert "customer/C004/" in client.get("/admin/journeys/signal/").content.decode()


def test_a_proposal_by_hand_leads_to_its_request(sample, people):
    form = {"action": "engagement_checkin", "subject": "", "body": "", "reason": "They asked."}
    response = client_of(people["operator"]).post("/admin/journeys/customer/C003/propose/", form, follow=True)
    assert "Somebody else decides it" in response.content.decode()
    assert "You proposed this yourself" in response.content.decode()
    assert Intervention.objects.get(customer_id="C003").agent_name == "operator"


@pytest.mark.parametrize(
    ("who", "change", "status", "said"),
    [
        ("operator", {"reason": ""}, 200, "This field is required"),
        ("operator", {"action": "general_checkin; drop"}, 200, "Select a valid choice"),
        ("auditor", {}, 403, "You have no permission to propose interventions"),
    ],
)
def test_a_proposal_that_is_refused_says_why_and_keeps_the_text(sample, people, who, change, status, said):
    form = {
        "action": "engagement_checkin",
        "subject": "",
        "body": "My <b>text",
        "reason": "Why not.",
    } | change
    response = client_of(people[who]).post("/admin/journeys/customer/C003/propose/", form)
    html = response.content.decode()
    assert response.status_code == status
    assert said in html
    assert "My &lt;b&gt;text" in html
    assert not Intervention.objects.exists()


def test_a_proposal_against_a_wish_is_refused_in_words(sample, people):
    Customer.objects.filter(pk="C003").update(do_not_contact=True)
    form = {"action": "engagement_checkin", "reason": "They asked."}
    response = client_of(people["operator"]).post("/admin/journeys/customer/C003/propose/", form)
    assert "marked “do not contact”" in response.content.decode()


def test_a_wish_is_kept_with_its_reason_and_stands_in_the_trail(sample, people):
    form = {"hold_until": "2100-01-01", "do_not_contact": "", "reason": "They are merging."}
    client = client_of(people["operator"])
    assert client.post("/admin/journeys/customer/C003/wish/", form).status_code == 302
    customer = Customer.objects.get(pk="C003")
    assert (str(customer.hold_until), customer.hold_reason) == ("2100-01-01", "They are merging.")
    event = AuditEvent.objects.get(word="customer.hold")
    assert (event.before, event.after) == ("may be contacted", "on hold through 2100-01-01")
    assert "leave alone until 1 Jan 2100" in client.get(page_at("customer", "C003")).content.decode()
    again = client.post("/admin/journeys/customer/C003/wish/", form)
    assert "is set so already" in again.content.decode()
    past = client.post("/admin/journeys/customer/C003/wish/", form | {"hold_until": "2020-01-01"})
    assert "is past" in past.content.decode()
    assert str(Customer.objects.get(pk="C003").hold_until) == "2100-01-01"


def test_wishes_outcomes_and_findings_are_refused_to_those_without_the_permission(sample_run, people):
    client = client_of(people["auditor"])
    finding = Finding.objects.first()
    done = Intervention.objects.get(customer_id="C001")
    Intervention.objects.filter(pk=done.pk).update(status="executed")
    posts = {
        "/admin/journeys/customer/C003/wish/": {"do_not_contact": "on", "reason": "Because."},
        f"/admin/journeys/finding/{finding.pk}/dismiss/": {"note": "Because."},
        "/admin/journeys/signal/S009/link/": {"customer_id": "C003", "note": "Because."},
        "/admin/journeys/executionswitch/stop/": {"reason": "Because."},
        "/admin/journeys/executionswitch/set/": {"what": "all", "mode": "live", "reason": "Because."},
        "/admin/journeys/pipelinerun/run-now/": {},
        f"/admin/journeys/intervention/{done.pk}/outcome/": {
            "outcome": "resolved", "measured_at": "2025-01-20",
        },
    }  # fmt: skip
    before = on_record()
    for address, form in posts.items():
        response = client.post(address, form)
        assert response.status_code == 403, address
        assert "no permission" in response.content.decode(), address
    assert on_record() == before
    assert not PipelineRun.objects.filter(status="queued").exists()


def test_nothing_is_done_by_a_get(sample_run, people):
    root = people["manager"]
    root.is_superuser = True
    root.save(update_fields=["is_superuser"])
    client, before = client_of(root), on_record()
    intervention = Intervention.objects.first()
    addresses = [
        *(f"customer/C003/{name}/" for name in ("propose", "wish", "end-wish")),
        *(f"intervention/{intervention.pk}/{name}/" for name in ("finish", "end", "outcome")),
        "executionswitch/stop/", "executionswitch/set/", "pipelinerun/run-now/",
        f"pipelinerun/{PipelineRun.objects.first().pk}/cancel/",
        *(f"finding/{Finding.objects.first().pk}/{name}/" for name in ("dismiss", "link")),
        "signal/S009/link/", "policy/1/activate/",
    ]  # fmt: skip
    for address in addresses:
        for method in (client.get, client.head):
            assert method(f"/admin/journeys/{address}").status_code == 405, address
    assert on_record() == before


def test_the_pipeline_is_queued_once(sample, people):
    client = client_of(people["operator"])
    assert client.post("/admin/journeys/pipelinerun/run-now/").status_code == 302
    queued = PipelineRun.objects.get()
    assert (queued.status, queued.requested_by_name, queued.door) == ("queued", "operator", "admin")
    again = client.post("/admin/journeys/pipelinerun/run-now/")
    assert "queued or under way already" in again.content.decode()
    assert PipelineRun.objects.count() == 1
    check_html(client.get(page_at("pipelinerun", queued.pk)).content.decode())


def test_a_run_shows_its_plan_what_it_held_back_and_its_report(sample_run, people, settings):
    second = run_pipeline()
    client = client_of(people["operator"])
    html = client.get(page_at("pipelinerun", second.pk)).content.decode()
    assert "Journey state evaluation" in html
    assert "Suppressed anew: 3" in html
    assert "Already waiting for a decision" in html
    report = client.get(f"/admin/journeys/pipelinerun/{second.pk}/report/").content.decode()
    check_html(report)
    assert '<article class="report">' in report
    assert client.get("/admin/journeys/pipelinerun/report/").context["row"].pk == second.pk
    assert client.get("/admin/journeys/pipelinerun/999/report/").status_code == 404
    assert client.post("/admin/journeys/pipelinerun/report/").status_code == 405


def test_without_a_run_the_report_says_where_to_go(people):
    html = client_of(people["operator"]).get("/admin/journeys/pipelinerun/report/").content.decode()
    assert "There is no report yet" in html


def test_the_owner_finds_the_task_at_home_and_ends_it(task, people):
    client = client_of(people["operator"])
    assert f"/admin/journeys/intervention/{task.pk}/change/" in client.get("/admin/").content.decode()
    address = f"/admin/journeys/intervention/{task.pk}/finish/"
    impossible = client.post(address, {"done": "no", "note": ""})
    assert "Say why it was impossible" in impossible.content.decode()
    assert client.post(address, {"done": "yes", "note": "Called them."}).status_code == 302
    assert Intervention.objects.get(pk=task.pk).status == "executed"
    assert "Your tasks" not in client.get("/admin/").content.decode()


def test_somebody_elses_task_is_not_ended(task, people):
    client = client_of(people["approver"])
    response = client.post(f"/admin/journeys/intervention/{task.pk}/finish/", {"done": "yes", "note": ""})
    assert response.status_code == 403
    assert Intervention.objects.get(pk=task.pk).status == "executing"


def test_an_owner_without_a_role_sees_the_task_and_nothing_else(task):
    owner = get_user_model().objects.create_user("owner", password="a-long-password", is_staff=True)
    Execution.objects.update(assignee="owner")
    client = client_of(owner)
    assert client.get(page_at("intervention", task.pk)).status_code == 200
    other = Intervention.objects.exclude(pk=task.pk).first()
    assert client.get(page_at("intervention", other.pk)).status_code == 403


def test_a_stuck_execution_is_listed_and_ended_by_a_person(task, people):
    Execution.objects.update(status="claimed", claimed_at=timezone.now() - timedelta(hours=1))
    client = client_of(people["operator"])
    listed = client.get("/admin/journeys/execution/", {"trouble": "stuck"}).context["cl"].result_list
    assert len(listed) == 1
    assert "stuck: the worker died" in client.get("/admin/").content.decode()
    assert "Nobody knows whether it went out" in client.get(page_at("intervention", task.pk)).content.decode()
    address = f"/admin/journeys/intervention/{task.pk}/end/"
    assert client.post(address, {"went_out": "", "note": "Asked."}).status_code == 200
    assert client.post(address, {"went_out": "no", "note": "Asked the owner."}).status_code == 302
    assert Intervention.objects.get(pk=task.pk).status == "failed"


def test_overdue_tasks_are_listed(task, people):
    Execution.objects.update(due_at=timezone.now() - timedelta(hours=1))
    client = client_of(people["operator"])
    listed = client.get("/admin/journeys/execution/", {"trouble": "overdue"}).context["cl"].result_list
    assert len(listed) == 1
    assert "tasks are overdue" in client.get("/admin/").content.decode()


def test_an_outcome_is_recorded_with_what_was_measured_and_nothing_more(history, people):
    address = "/admin/journeys/intervention/I005/outcome/"
    form = {"outcome": "resolved", "measured_at": "2025-01-20", "resolution_time_days": "4"}
    client = client_of(people["operator"])
    assert client.post(address, form).status_code == 302
    outcome = Outcome.objects.get(intervention_id="I005")
    assert outcome.outcome_id.startswith("out-")
    assert (outcome.resolution_time_days, outcome.csat_delta, outcome.human_override) == (4, None, None)
    assert outcome.recorded_by == "operator"
    assert AuditEvent.objects.get(word="outcome.recorded").after == "resolved"
    html = client.get(page_at("intervention", "I005")).content.decode()
    assert "not known" in html
    for change, said in (
        ({"measured_at": "2100-01-01"}, "lies ahead"),
        ({"measured_at": "2025-01-01"}, "is before that"),
        ({"churn_risk_delta": "2"}, "less than or equal to 1"),
    ):
        response = client.post(address, form | change)
        assert said in response.content.decode()
    assert Outcome.objects.filter(intervention_id="I005").count() == 1


def test_what_was_not_carried_out_has_no_outcome(sample_run, people):
    pending = Intervention.objects.get(customer_id="C004")
    response = client_of(people["operator"]).post(
        f"/admin/journeys/intervention/{pending.pk}/outcome/",
        {"outcome": "resolved", "measured_at": "2025-01-20"},
    )
    assert "nothing was done yet" in response.content.decode()
    assert not Outcome.objects.exists()


def test_stopping_takes_one_and_starting_two(people):
    client = client_of(people["operator"])
    assert client.post("/admin/journeys/executionswitch/stop/", {"reason": ""}).status_code == 302
    assert switches.current("all") == "off"
    assert "Execution is off." in client.get("/admin/journeys/executionswitch/").content.decode()
    form = {"what": "all", "mode": "live", "reason": "All is well."}
    assert client.post("/admin/journeys/executionswitch/set/", form).status_code == 302
    assert switches.current("all") == "off"
    html = client.get("/admin/journeys/executionswitch/").content.decode()
    assert "Waits for a second person" in html
    check_html(html)
    for typed, said in (
        ({"what": "channel:fax"}, "Select a valid choice"),
        ({"what": "customer", "customer": "C404"}, "There is no customer “C404” to switch."),
        ({"what": "customer", "customer": " "}, "Enter the customer&#x27;s id."),
        ({"customer": "C004"}, "Leave it empty, or choose “One customer”."),
    ):
        wrong = client.post("/admin/journeys/executionswitch/set/", form | typed)
        assert said in wrong.content.decode(), typed


def test_a_finding_is_dismissed_with_a_note(sample_run, people):
    finding = Finding.objects.get(kind="orphan_signal")
    client = client_of(people["operator"])
    address = f"/admin/journeys/finding/{finding.pk}/dismiss/"
    assert client.post(address, {"note": " "}).status_code == 200
    assert client.post(address, {"note": "A test account."}).status_code == 302
    assert Finding.objects.get(pk=finding.pk).status == "dismissed"
    assert "A test account." in client.get(page_at("finding", finding.pk)).content.decode()


def test_another_policy_is_asked_for_by_one_and_put_in_force_by_another(people):
    document = policies.in_force().document
    document["suppression"]["cool_down_days"] = 21
    policy = policies.add_policy(name="patient", document=document, created_by="test")
    address = f"/admin/journeys/policy/{policy.pk}/activate/"
    assert client_of(people["operator"]).post(address, {"note": "Please."}).status_code == 403
    client = client_of(people["manager"])
    assert "suppression.cool_down_days" in client.get(page_at("policy", policy.pk)).content.decode()
    assert client.post(address, {"note": "They asked for peace."}).status_code == 302
    assert ApprovalRequest.objects.get(kind="policy_activation").status == "pending"
    assert policies.in_force().name == "published"
