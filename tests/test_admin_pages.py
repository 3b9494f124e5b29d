"""Every page of the admin: who may see it, and what it shows."""

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver

from approvals.models import ApprovalRequest, AuditEvent, Decision
from journeys.models import Assessment, Customer, Finding, Intervention, Outcome, PipelineRun, Policy, Signal
from journeys.services import switches
from tests.desk import check_html, client_of, page_at

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
        assert client.get(page_at(model, key)).status_code == 403


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
