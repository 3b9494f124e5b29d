"""The front page: to each role what it can use, what needs the person first, and never an empty page."""

import re
from html import unescape

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from approvals.models import ApprovalRequest, AuditEvent
from approvals.rules import Verdict
from journeys import tasks
from journeys.models import Customer, Execution, Intervention, InvariantCheck, Outcome
from journeys.services import execution, proposals, switches
from tests.acting import approve, decide, waiting
from tests.desk import QUEUE, client_of, on_record, page_of
from tests.front_page import HOUR, QUIET, beat, card, headings, home, staff
from tests.runs import run_pipeline
from tests.test_admin_queue import open_some

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("worker_alive")]

STOP = "/admin/journeys/executionswitch/stop/"


@pytest.fixture
def everything_at_once(people, sample, live, settings):
    """Something in every card."""
    settings.DEBUG = True
    Customer.objects.filter(pk="C005").update(owner="operator")
    run_pipeline()
    execution.execute(intervention_id=approve("C005", people["approver"]).pk)
    proposals.propose(
        customer_id="C003", action="engagement_checkin", subject="", body="", reason="They asked.",
        user=people["operator"], door="test",
    )  # fmt: skip
    switches.set_mode(
        scope="channel", value="email", mode="off", user=people["manager"], reason="Smoke.", door="test"
    )
    switches.set_mode(
        scope="channel", value="email", mode="live", user=people["manager"], reason="It is out.", door="test"
    )
    ApprovalRequest.objects.filter(concerning="C004").update(
        unroutable=True, decision_due_at=timezone.now() + HOUR
    )
    Execution.objects.update(due_at=timezone.now() - HOUR)
    tasks.check_audit_chain()
    InvariantCheck.objects.create(checked_at=timezone.now(), breaches=[["four_eyes", "decision 1"]])
    beat(HOUR)


# ---- to whom it shows what


@pytest.mark.parametrize("who", QUIET)
def test_a_role_finds_what_it_can_use_and_nothing_else(sample_run, people, who):
    assert headings(home(people[who])) == QUIET[who]


def test_who_has_every_role_finds_each_card_once(sample_run, people):
    everything = staff("everything")
    everything.groups.set(Group.objects.all())
    found = headings(home(everything))
    assert len(found) == len(set(found))
    assert set(found) == {heading for quiet in QUIET.values() for heading in quiet}
    assert found[0] == "Yours to decide"


def test_a_superuser_without_a_group_is_told_why_there_is_nothing_to_decide(sample_run):
    root = staff("root", is_superuser=True)
    html = home(root)
    assert "gives no authority to decide" in card(html, "You decide nothing")
    assert not {"Yours to decide", "Due soon"} & set(headings(html))
    assert "The big stop" in headings(html)


def test_who_is_in_no_group_is_told_what_to_do_next(sample_run):
    html = home(staff("nobody"))
    assert headings(html) == []
    assert "You are in no group yet" in html
    assert "Ask whoever looks after the accounts" in html


def test_who_may_only_look_is_told_where(sample_run):
    reader = staff("reader")
    reader.user_permissions.add(Permission.objects.get(codename="view_customer"))
    html = home(reader)
    assert "Nothing here is for you to decide or to do" in html
    assert "in the menu above" in html


@pytest.mark.parametrize("who", [*QUIET, "root", "nobody"])
@pytest.mark.parametrize("busy", [False, True])
def test_every_link_on_it_can_be_opened_by_whom_it_is_shown_to(request, people, who, busy):
    if busy:
        request.getfixturevalue("everything_at_once")
    user = people.get(who) or staff(who, is_superuser=who == "root")
    client = client_of(user)
    html = client.get("/admin/").content.decode()
    links = {unescape(link) for link in re.findall(r'href="(/admin/[^"]*)"', html)} - {"/admin/logout/"}
    assert links
    for link in links:
        assert client.get(link, follow=True).status_code == 200, link


def test_ones_tasks_stand_before_everything_else(everything_at_once, people):
    html = home(people["operator"])
    assert headings(html)[0] == "Your tasks"
    assert "1 h late" in card(html, "Your tasks")
    assert "Your tasks" not in headings(home(people["approver"]))


def test_what_needs_a_person_leads_to_a_list_of_just_that(everything_at_once, people):
    html = home(people["operator"])
    text = card(html, "Needs a person")
    assert "1 tasks are overdue" in text
    assert "1 requests that nobody can decide" in text
    client = client_of(people["operator"])
    trouble = html.split("<h2>Needs a person</h2>")[1].split("</ul>")[0]
    for link, number in re.findall(r'href="([^"]+)"><b>(\d+)</b>', trouble):
        listed = client.get(unescape(link)).context["cl"].result_list
        assert len(listed) == int(number), link
    Execution.objects.update(status="claimed", claimed_at=timezone.now() - HOUR)
    assert "1 stuck: the worker died" in card(home(people["operator"]), "Needs a person")


# ---- the big stop


@pytest.mark.parametrize("who", ["operator", "approver", "manager"])
def test_one_person_stops_everything_from_the_front_page(people, live, who):
    client = client_of(people[who])
    assert f'action="{STOP}"' in home(people[who])
    said = client.post(STOP, {"reason": "The texts are wrong."}, follow=True).content.decode()
    assert "Execution is stopped. Nothing more goes out until two people start it again." in said
    assert switches.current("all") == "off"
    assert AuditEvent.objects.get(word="switch.changed").reason == "The texts are wrong."
    html = home(people[who])
    assert f'action="{STOP}"' not in html
    assert f"stopped by {who}, just now" in card(html, "The big stop")
    assert "Starting again takes two people" in card(html, "The big stop")


def test_opening_the_front_page_stops_nothing(people, live):
    before = on_record()
    for method in (client_of(people["manager"]).get, client_of(people["manager"]).head):
        assert method("/admin/", {"reason": "x"}).status_code == 200
        assert method(STOP).status_code == 405
    assert (switches.current("all"), on_record()) == ("live", before)


def test_who_may_not_stop_has_no_button_and_is_refused(people, live):
    assert STOP not in home(people["auditor"])
    assert client_of(people["auditor"]).post(STOP, {"reason": "x"}).status_code == 403
    assert switches.current("all") == "live"


def test_a_start_that_was_asked_for_leads_to_its_confirmation(people, live):
    switches.stop(scope="all", user=people["operator"], reason="", door="test")
    switches.set_mode(
        scope="all", value="", mode="live", user=people["operator"], reason="Mended.", door="test"
    )
    html = home(people["manager"])
    assert "operator has asked to start again" in card(html, "The big stop")
    assert page_of(ApprovalRequest.objects.get()) in html


def test_what_is_off_besides_is_named(people, live):
    switches.stop(scope="channel", value="email", user=people["operator"], reason="", door="test")
    assert "Off besides: the channel e-mail" in card(home(people["manager"]), "The big stop")


# ---- what it costs

MOST_QUERIES = {"operator": 24, "approver": 22, "manager": 36, "auditor": 20, "nobody": 12}


@pytest.mark.parametrize("who", MOST_QUERIES)
def test_it_costs_as_many_queries_for_much_as_for_little(everything_at_once, people, who):
    user = people.get(who) or staff(who)
    client = client_of(user)

    def cost() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert client.get("/admin/").status_code == 200
        return len(queries)

    decide(waiting("C004"), people["approver2"])
    little = cost()
    for row in open_some(30):
        if row.pk % 2:
            decide(row, people["approver"], Verdict.REJECTED, reason="No.")
    assert cost() <= little + 2  # what is shown only once there is something
    assert cost() <= MOST_QUERIES[who]


def test_the_queue_it_leads_to_is_ones_own(sample_run, people):
    html = home(people["approver"])
    link = re.search(rf'href="({QUEUE}\?view=mine)"', html)
    listed = client_of(people["approver"]).get(link[1]).context["cl"].result_list
    assert len(listed) == 2


def test_nothing_on_record_changes_by_looking(everything_at_once, people):
    before = on_record(), Intervention.objects.count(), Outcome.objects.count()
    for who in QUIET:
        home(people[who])
    assert (on_record(), Intervention.objects.count(), Outcome.objects.count()) == before
