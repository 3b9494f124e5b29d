"""Every page of the admin: who may see it, what can be done from it, and what it never does."""

from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver
from django.utils import timezone

from approvals.models import ApprovalRequest, AuditEvent, Decision
from approvals.rules import Verdict
from approvals.services import decide
from journeys.models import (
    Assessment,
    Customer,
    Execution,
    Finding,
    Intervention,
    Outcome,
    PipelineRun,
    Policy,
    Signal,
)
from journeys.services import policies, switches
from journeys.services.execution import execute
from tests.desk import check_html, client_of, on_record
from tests.runs import run_pipeline

pytestmark = pytest.mark.django_db

ROLES = ("operator", "approver", "manager", "auditor")
EVERYBODY = set(ROLES)
LISTS = {
    "journeys/customer": EVERYBODY,
    "journeys/journeystate": EVERYBODY,
    "journeys/signal": EVERYBODY,
    "journeys/policy": EVERYBODY,
    "journeys/pipelinerun": EVERYBODY,
    "journeys/assessment": EVERYBODY,
    "journeys/intervention": EVERYBODY,
    "journeys/execution": EVERYBODY,
    "journeys/executionswitch": EVERYBODY,
    "journeys/outcome": EVERYBODY,
    "journeys/finding": EVERYBODY,
    "approvals/approvalrequest": EVERYBODY,
    "approvals/decision": EVERYBODY,
    "approvals/auditevent": EVERYBODY,
    "approvals/authoritylimit": {"operator", "approver", "manager", "auditor"},
    "auth/user": {"auditor"},
    "auth/group": {"auditor"},
}


@pytest.fixture
def history(sample):
    call_command("loaddata", "sample_history", verbosity=0)


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


def page(model: str, key) -> str:
    return f"/admin/journeys/{model}/{key}/change/"


# -- who sees what


@pytest.mark.parametrize("who", ROLES)
@pytest.mark.parametrize("address", LISTS)
def test_a_list_is_for_those_who_may_see_it(sample_run, history, people, address, who):
    response = client_of(people[who]).get(f"/admin/{address}/")
    assert response.status_code == (200 if who in LISTS[address] else 403)
    if response.status_code == 200:
        check_html(response.content.decode())


@pytest.mark.parametrize(
    "address", [*LISTS, "journeys/pipelinerun/report", "approvals/approvalrequest/1/change"]
)
def test_who_is_not_logged_in_is_led_to_the_login(sample_run, client, address):
    response = client.get(f"/admin/{address}/")
    assert response.status_code == 302
    assert response.url.startswith("/admin/login/")


def test_who_is_no_member_of_the_staff_sees_nothing(sample_run):
    stranger = get_user_model().objects.create_user("stranger", password="a-long-password")
    for address in ("", *(f"{name}/" for name in LISTS)):
        assert client_of(stranger).get(f"/admin/{address}").status_code == 302


def test_staff_without_a_role_sees_no_page_but_home_and_their_own_trail(sample_run):
    nobody = get_user_model().objects.create_user("nobody", password="a-long-password", is_staff=True)
    client = client_of(nobody)
    html = client.get("/admin/").content.decode()
    check_html(html)
    assert "/admin/journeys/customer/" not in html
    for address in LISTS:
        expected = 200 if address == "approvals/auditevent" else 403
        assert client.get(f"/admin/{address}/").status_code == expected, address
    for model, key in (("customer", "C004"), ("pipelinerun", 1)):
        assert client.get(page(model, key)).status_code == 403


def test_every_row_of_the_sample_has_a_page(sample_run, history, people):
    client = client_of(people["auditor"])
    rows = [
        (model._meta.app_label, model._meta.model_name, row.pk)
        for model in (
            Customer, Signal, Policy, PipelineRun, Assessment, Intervention, Finding, Outcome,
            ApprovalRequest, Decision, AuditEvent,
        )
        for row in model.objects.all()[:15]
    ]  # fmt: skip
    for app, model, key in rows:
        response = client.get(f"/admin/{app}/{model}/{key}/change/")
        assert response.status_code == 200, (model, key)
        check_html(response.content.decode())


def test_home_shows_a_role_what_it_may_use(sample_run, people):
    html = {who: client_of(people[who]).get("/admin/").content.decode() for who in ROLES}
    for page_of_role in html.values():
        check_html(page_of_role)
        assert "Execution is record-only." in page_of_role
        assert "The worker gives no sign of life" in page_of_role
    assert "Yours to decide" in html["approver"]
    assert "Usage review check-in for" in html["approver"]
    assert "Yours to decide" not in html["operator"]
    assert ">Trail<" in html["auditor"]
    assert ">Trail<" not in html["approver"]


@pytest.mark.parametrize("address", ["journeys/customer/", "journeys/intervention/", "journeys/signal/", ""])
def test_a_page_costs_no_query_per_row(sample_run, history, people, address):
    client = client_of(people["operator"])
    with CaptureQueriesContext(connection) as queries:
        assert client.get(f"/admin/{address}").status_code == 200
    assert len(queries) <= (24 if address == "" else 12)


@pytest.mark.parametrize("address", ["journeys/", "approvals/"])
def test_the_page_of_an_app_lists_its_pages(people, address):
    html = client_of(people["auditor"]).get(f"/admin/{address}").content.decode()
    check_html(html)
    assert "The worker gives no sign" not in html


def test_a_list_never_counts_a_whole_table(sample_run, people):
    with CaptureQueriesContext(connection) as queries:
        client_of(people["auditor"]).get("/admin/approvals/auditevent/")
    counts = [query["sql"] for query in queries if "COUNT(" in query["sql"] and "auditevent" in query["sql"]]
    assert counts
    assert all("LIMIT 10000" in sql for sql in counts)


def test_the_admin_of_the_queue_stays_switched_off():
    names = {
        pattern.name
        for resolver in get_resolver().url_patterns
        for pattern in getattr(resolver, "url_patterns", [])
        if getattr(pattern, "name", None)
    }
    assert not [name for name in names if name.startswith("django_q")]


# -- the trail


def test_a_name_leads_to_its_trail_for_those_who_may_see_it(sample_run, people):
    link = "/admin/approvals/auditevent/?actor_key=policy%3Apublished+1"
    address = "/admin/approvals/decision/"
    assert link in client_of(people["auditor"]).get(address).content.decode()
    assert link not in client_of(people["operator"]).get(address).content.decode()


def test_everybody_has_the_page_of_their_own_trail_and_auditors_those_of_all(sample_run, people):
    switches.stop(scope="all", user=people["operator"], reason="Smoke.", door="test")
    switches.stop(scope="channel", value="email", user=people["manager"], reason="Fire.", door="test")
    address = "/admin/approvals/auditevent/"
    own = client_of(people["operator"]).get(address).content.decode()
    assert "Your trail" in own
    assert "Smoke." in own
    assert "Fire." not in own
    others = client_of(people["operator"]).get(address, {"actor_key": f"user:{people['manager'].pk}"})
    assert "Fire." not in others.content.decode()
    fire = AuditEvent.objects.get(actor_key=f"user:{people['manager'].pk}")
    assert client_of(people["operator"]).get(f"{address}{fire.pk}/change/").status_code == 302
    seen = client_of(people["auditor"]).get(address, {"actor_key": f"user:{people['manager'].pk}"})
    html = seen.content.decode()
    assert "The trail of manager" in html
    assert "manager set execution" in html
    assert "Smoke." not in html


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ({"concerning": "C004"}, "C004"),
        ({"q": "C004"}, "C004"),
        ({"request_id": "x"}, None),
        ({"q": "#999"}, None),
    ],
)
def test_the_trail_is_narrowed_down_in_the_url(sample_run, people, query, word):
    response = client_of(people["auditor"]).get("/admin/approvals/auditevent/", query)
    assert {event.concerning for event in response.context["cl"].result_list} == ({word} if word else set())


@pytest.mark.parametrize("typed", ["K-7", "k-7", "Zephyr", "zephyr T", "ZEPHYR"])
def test_a_customer_is_found_by_the_beginning_of_id_or_name(sample_run, people, typed):
    Customer.objects.create(customer_id="K-77", name="ZEPHYR Tools" if typed.isupper() else "Zephyr Tools")
    Customer.objects.create(customer_id="XK-77", name="The Zephyr")
    listed = client_of(people["operator"]).get("/admin/journeys/customer/", {"q": typed})
    assert [row.pk for row in listed.context["cl"].result_list] == ["K-77"]


@pytest.mark.parametrize("query", [{"disposition": "suppressed"}, {"suppression_reason": "on_hold"}])
def test_what_was_suppressed_is_listed_by_reason_or_all_of_it(sample_run, people, query):
    some = Assessment.objects.filter(customer__in=["C004", "C005"])
    assert some.update(disposition="suppressed", suppression_reason="on_hold") == 2
    listed = client_of(people["operator"]).get("/admin/journeys/assessment/", query).context["cl"].result_list
    there = Assessment.objects.filter(**query).order_by("-pk")
    assert there
    assert list(listed) == list(there)


# -- what can be done from a page, and by whom


def test_the_orphan_is_visible_and_says_what_it_waits_for(sample_run, people):
    client = client_of(people["operator"])
    listed = client.get("/admin/journeys/signal/", {"customer": "unknown"}).context["cl"].result_list
    assert [row.pk for row in listed] == ["S009"]
    html = client.get(page("signal", "S009")).content.decode()
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
    assert "leave alone until 1 Jan 2100" in client.get(page("customer", "C003")).content.decode()
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
    check_html(client.get(page("pipelinerun", queued.pk)).content.decode())


def test_a_run_shows_its_plan_what_it_held_back_and_its_report(sample_run, people, settings):
    second = run_pipeline()
    client = client_of(people["operator"])
    html = client.get(page("pipelinerun", second.pk)).content.decode()
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
    assert client.get(page("intervention", task.pk)).status_code == 200
    other = Intervention.objects.exclude(pk=task.pk).first()
    assert client.get(page("intervention", other.pk)).status_code == 403


def test_a_stuck_execution_is_listed_and_ended_by_a_person(task, people):
    Execution.objects.update(status="claimed", claimed_at=timezone.now() - timedelta(hours=1))
    client = client_of(people["operator"])
    listed = client.get("/admin/journeys/execution/", {"trouble": "stuck"}).context["cl"].result_list
    assert len(listed) == 1
    assert "stuck: the worker died" in client.get("/admin/").content.decode()
    assert "Nobody knows whether it went out" in client.get(page("intervention", task.pk)).content.decode()
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
    html = client.get(page("intervention", "I005")).content.decode()
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
    assert "A test account." in client.get(page("finding", finding.pk)).content.decode()


def test_another_policy_is_asked_for_by_one_and_put_in_force_by_another(people):
    document = policies.in_force().document
    document["suppression"]["cool_down_days"] = 21
    policy = policies.add_policy(name="patient", document=document, created_by="test")
    address = f"/admin/journeys/policy/{policy.pk}/activate/"
    assert client_of(people["operator"]).post(address, {"note": "Please."}).status_code == 403
    client = client_of(people["manager"])
    assert "suppression.cool_down_days" in client.get(page("policy", policy.pk)).content.decode()
    assert client.post(address, {"note": "They asked for peace."}).status_code == 302
    assert ApprovalRequest.objects.get(kind="policy_activation").status == "pending"
    assert policies.in_force().name == "published"
