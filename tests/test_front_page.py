"""The front page: to each role what it can use, what needs the person first, and never an empty page."""

import re
import statistics
from datetime import timedelta
from html import unescape

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.models import Schedule
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from approvals import services
from approvals.invariants import sentences
from approvals.models import ApprovalRequest, AuditEvent, AuditHead, ChainCheck, Decision
from approvals.rules import Actor, Verdict
from cjo_site.front_page import managing
from cjo_site.front_page.viewer import Viewer
from journeys import tasks
from journeys.models import (
    Customer,
    Execution,
    Finding,
    Heartbeat,
    Intervention,
    InvariantCheck,
    Outcome,
    PipelineRun,
)
from journeys.services import execution, outcomes, policies, proposals, switches
from tests.acting import approve, decide, let_the_grace_pass, waiting
from tests.desk import QUEUE, check_html, client_of, on_record, page_of
from tests.runs import run_pipeline
from tests.test_admin_queue import open_some

pytestmark = pytest.mark.django_db

STOP = "/admin/journeys/executionswitch/stop/"
HOUR = timedelta(hours=1)
# What each role finds on its page on a quiet day, from top to bottom.
QUIET = {
    "operator": [
        "Needs a person", "Last runs over all customers", "The big stop", "The worker", "What came in wrong",
    ],
    "approver": ["Yours to decide", "What your last decisions led to", "Due soon", "The big stop"],
    "manager": [
        "Yours to decide", "The portfolio", "Needs a person", "What your last decisions led to",
        "Last runs over all customers", "Due soon", "The big stop", "The queue of everybody",
        "What the policy did alone today", "The worker",
    ],
    "auditor": [
        "Changes of the rules that wait for a second person", "The trail", "The audit’s chain",
        "What must always hold",
    ],
}  # fmt: skip


@pytest.fixture(autouse=True)
def alive(db):
    beat(timedelta(0))


def beat(ago: timedelta) -> None:
    Heartbeat.objects.update_or_create(name="worker", defaults={"beat_at": timezone.now() - ago})


def home(user) -> str:
    answer = client_of(user).get("/admin/")
    assert answer.status_code == 200
    html = answer.content.decode()
    check_html(html)
    return html


def headings(html: str) -> list[str]:
    return [unescape(text).split(":")[0] for text in re.findall(r"<h2>(.*?)</h2>", html)]


def card(html: str, heading: str) -> str:
    """What one card says, as text."""
    cards = re.findall(r"<section.*?</section>", html, re.S)
    [found] = [text for text in cards if f"<h2>{heading}" in text]
    text = " ".join(unescape(re.sub(r"<[^>]+>", " ", found)).split())
    return re.sub(r" (?=[,.:;])", "", text)


def fresh(request: ApprovalRequest) -> ApprovalRequest:
    return ApprovalRequest.objects.get(pk=request.pk)


def staff(name: str, **fields):
    return get_user_model().objects.create_user(name, password="a-long-password", is_staff=True, **fields)


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


# ---- for whoever decides


def test_the_most_pressing_of_ones_own_stands_first_with_what_is_at_stake(sample_run, people):
    text = card(home(people["approver"]), "Yours to decide")
    assert text.startswith("Yours to decide 2 requests, $80,000 a year at stake")
    assert text.index("Usage review check-in for") < text.index("Support manager follow-up for")


def test_what_one_proposed_oneself_is_not_to_decide_but_waits_for_somebody_else(sample_run, people):
    proposals.propose(
        customer_id="C003", action="engagement_checkin", subject="", body="", reason="They asked.",
        user=people["approver"], door="test",
    )  # fmt: skip
    html = home(people["approver"])
    title = waiting("C003").title
    assert title not in card(html, "Yours to decide")
    assert title in card(html, "Proposed by you, waiting for somebody else")
    assert title in card(home(people["approver2"]), "Yours to decide")


def test_what_one_is_reviewing_is_told_with_its_end_and_not_afterwards(waits, people):
    services.claim(request_id=waits.pk, user=people["approver"], door="test")
    until = fresh(waits).claimed_until
    told = f"You are reviewing {waits.title} until {until:%H:%M} UTC"
    assert told in card(home(people["approver"]), "Yours to decide")
    assert "You are reviewing" not in home(people["approver2"])
    ApprovalRequest.objects.filter(pk=waits.pk).update(claimed_until=timezone.now())
    assert "You are reviewing" not in home(people["approver"])


def test_who_stands_in_for_somebody_finds_what_they_would_decide(waits, people):
    now = timezone.now()
    assert "Yours to decide" not in headings(home(people["auditor"]))
    services.delegate(
        delegator=people["approver"], to=people["auditor"], starts_at=now, ends_at=now + HOUR, reason="",
        door="test",
    )  # fmt: skip
    text = card(home(people["auditor"]), "Yours to decide")
    assert waits.title in text
    assert "in place of approver" in text


def test_what_is_due_within_a_day_stands_soonest_first_with_what_is_left(people):
    rows = open_some(7)
    now = timezone.now()
    for hours, row in zip((23, 3, 2, 1, 30, 0.5, 40), rows, strict=True):
        ApprovalRequest.objects.filter(pk=row.pk).update(decision_due_at=now + hours * HOUR)
    text = card(home(people["approver"]), "Due soon")
    soonest = [rows[5], rows[3], rows[2], rows[1], rows[0]]
    assert re.findall(r"Request \d+", text) == [row.title for row in soonest]
    assert "29 min" in text


def test_where_nothing_is_due_soon_the_next_is_named(people):
    [row] = open_some(1)
    ApprovalRequest.objects.update(decision_due_at=timezone.now() + 50 * HOUR)
    text = card(home(people["approver"]), "Due soon")
    assert "Nothing of yours is due within a day" in text
    assert row.title in text


def test_where_nothing_waits_it_says_what_comes_next(people):
    html = home(people["approver"])
    assert "Nothing waits for you. New requests come with the next run" in card(html, "Yours to decide")
    assert "You have decided nothing yet" in card(html, "What your last decisions led to")
    assert "Due soon" not in headings(html)


def test_a_proposal_that_was_sent_back_asks_for_an_answer(waits, people):
    request = proposals.propose(
        customer_id="C003", action="engagement_checkin", subject="", body="", reason="They asked.",
        user=people["operator"], door="test",
    ).request  # fmt: skip
    services.ask_for_changes(
        request_id=request.pk, fingerprint=request.fingerprint, user=people["approver"], note="Shorter.",
        door="test",
    )  # fmt: skip
    html = home(people["operator"])
    assert "Shorter." in card(html, "Sent back to you")
    assert headings(html)[0] == "Sent back to you"
    assert "Proposed by you, waiting for somebody else" not in headings(html)
    assert "Sent back to you" not in headings(home(people["approver2"]))


# ---- what came of one's decisions


def led_to(user) -> str:
    return card(home(user), "What your last decisions led to")


def test_an_approval_waits_with_its_time_and_then_tells_what_happened(waits, people, live, mailbox):
    decide(waits, people["approver"])
    assert "waits to be carried out 47 h" in led_to(people["approver"])
    let_the_grace_pass()
    execution.execute_due()
    assert "executed not known yet" in led_to(people["approver"])
    outcomes.record_outcome(
        intervention_id=waits.subject_key, outcome="resolved", measured_at=timezone.now().date(),
        resolution_time_days=None, csat_delta=None, churn_risk_delta=None, estimated_revenue_saved=None,
        human_override=None, user=people["operator"], door="test",
    )  # fmt: skip
    assert "executed Resolved" in led_to(people["approver"])


def test_on_record_only_is_not_called_sent(waits, people):
    decide(waits, people["approver"])
    let_the_grace_pass()
    execution.execute_due()
    assert "put on record only, nothing was sent" in led_to(people["approver"])


def test_what_was_handed_to_the_owner_is_with_the_owner(people, sample, live, settings):
    settings.DEBUG = True
    Customer.objects.filter(pk="C005").update(owner="operator")
    run_pipeline()
    execution.execute(intervention_id=approve("C005", people["approver"]).pk)
    assert "a task, with operator" in led_to(people["approver"])


def test_a_rejection_leads_to_nothing(waits, people):
    decide(waits, people["approver"], Verdict.REJECTED, reason="They left.")
    assert "Rejected not done –" in led_to(people["approver"])


def test_what_was_taken_back_and_what_expired_are_told_apart(waits, people):
    decide(waits, people["approver"])
    services.revoke(request_id=waits.pk, user=people["approver2"], reason="They called.", door="test")
    assert "taken back: nothing was done" in led_to(people["approver"])
    other = waiting("C005")
    decide(other, people["approver"])
    ApprovalRequest.objects.filter(pk=other.pk).update(execute_by=timezone.now())
    services.expire_overdue(actor=Actor(key="machine:test", name="a test", door="test"))
    text = led_to(people["approver"])
    assert "expired: it was not carried out in time" in text
    assert "taken back: nothing was done" in text


def test_an_approval_that_lapsed_says_so(waits, people, live):
    decide(waits, people["approver"])
    let_the_grace_pass()
    Customer.objects.filter(pk="C004").update(email="other@elsewhere.example")
    execution.execute_due()
    assert "lapsed: the facts had moved" in led_to(people["approver"])


def test_one_of_two_waits_for_the_other_and_is_void_after_a_change(big, people):
    password = "a-long-password"
    decide(big, people["manager"], reason="Yes.", password=password)
    assert "waits for somebody else too" in led_to(people["manager"])
    services.change(
        request_id=big.pk, fingerprint=big.fingerprint, changes={"body": "Short."}, reason="Shorter.",
        user=people["manager2"], door="test",
    )  # fmt: skip
    assert "void: it was changed since" in led_to(people["manager"])


def test_a_change_of_the_rules_is_in_force(people):
    switches.set_mode(
        scope="all", value="", mode="live", user=people["operator"], reason="Ready.", door="test"
    )
    request = ApprovalRequest.objects.get()
    decide(request, people["manager"])
    assert f"{request.title} just now Approved in force" in led_to(people["manager"])


def test_only_ones_own_decisions_and_the_last_eight(people):
    for row in open_some(10):
        decide(row, people["approver"], Verdict.REJECTED, reason="No.")
    assert re.findall(r"Request \d+", led_to(people["approver"])) == [f"Request {n}" for n in range(9, 1, -1)]
    assert "You have decided nothing yet" in led_to(people["approver2"])


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


# ---- for whoever manages


@given(st.lists(st.integers(min_value=0, max_value=10**6), min_size=1, max_size=9))
@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
def test_the_age_of_the_queue_is_that_of_what_waits(people, seconds):
    ApprovalRequest.objects.all().delete()
    now = timezone.now()
    for row, waited in zip(open_some(len(seconds)), seconds, strict=True):
        ApprovalRequest.objects.filter(pk=row.pk).update(requested_at=now - timedelta(seconds=waited))
    pending = ApprovalRequest.objects.pending()
    median = managing._median_wait(pending, len(seconds), now)
    assert abs(median - timedelta(seconds=statistics.median(seconds))) < timedelta(milliseconds=1)
    assert managing.queue_age(Viewer(people["manager"], now))["number"] == len(seconds)


def test_the_age_of_the_queue_in_words(people):
    assert "Nobody is waiting for a decision" in card(home(people["manager"]), "The queue of everybody")
    now = timezone.now()
    for row, hours in zip(open_some(3), (1, 5, 30), strict=True):
        ApprovalRequest.objects.filter(pk=row.pk).update(requested_at=now - hours * HOUR)
    ApprovalRequest.objects.filter(pk=row.pk).update(decision_due_at=now, unroutable=True)
    text = card(home(people["manager"]), "The queue of everybody")
    assert "waiting 3 oldest 30 h median wait 5 h late 1 nobody can decide 1" in text


def test_what_the_policy_did_alone_today_is_told_by_action(sample_run, people):
    decide(waiting("C004"), people["approver"])
    text = card(home(people["manager"]), "What the policy did alone today")
    alone = Decision.objects.filter(authority="policy").count()
    assert f"{alone} approved without a person, beside 1 decision of people" in text
    assert "Proactive outreach: 1" in text


def test_what_it_did_before_midnight_is_not_todays(sample_run, people):
    viewer = Viewer(people["manager"], timezone.now() + timedelta(days=1))
    assert managing.by_policy(viewer)["number"] == 0


# ---- for whoever audits


def test_the_trail_says_how_many_events_came_today(people):
    before = AuditEvent.objects.count()
    open_some(3)
    text = card(home(people["auditor"]), "The trail")
    assert f"The trail: {before + 3} events today" in text
    assert "a machine asked for Request 2" in text


def test_events_of_other_days_are_not_todays(people, monkeypatch):
    yesterday = timezone.now() - timedelta(days=1)
    with monkeypatch.context() as past:
        past.setattr("approvals.audit.timezone.now", lambda: yesterday)
        open_some(2)
    open_some(1)
    assert "The trail: 1 event today" in card(home(people["auditor"]), "The trail")


def test_where_nothing_is_on_record_it_says_what_will_be(db):
    html = home(staff("root", is_superuser=True))
    assert "Nothing is on record yet" in card(html, "The trail: 0 events today")
    assert "Nobody has verified it yet" in card(html, "The audit’s chain")


def chain_of(people) -> str:
    return card(home(people["auditor"]), "The audit’s chain")


def test_the_chain_claims_no_more_than_was_verified(people):
    open_some(2)
    assert "Nobody has verified it yet" in chain_of(people)
    tasks.check_audit_chain()
    text = chain_of(people)
    last = AuditHead.objects.get().sequence
    assert f"internally consistent verified just now, events 1 to {last}" in text
    assert "Never compared with a head that was kept elsewhere" in text
    assert "unaltered" not in text
    services.check_chain(kept_head=AuditHead.objects.get().hash)
    assert f"unaltered up to event {last}, against a head that was kept elsewhere, just now" in chain_of(
        people
    )


@pytest.mark.parametrize(("address", "told"), [("", "It is mailed to nobody"), ("a@b.example", "every day")])
def test_it_says_whether_anybody_keeps_the_head_elsewhere(people, settings, address, told):
    settings.AUDIT_HEAD_EMAIL = address
    assert told in chain_of(people)


@pytest.mark.parametrize("who", ["auditor", "manager"])
def test_a_broken_chain_is_an_alarm(people, who):
    assert "chain is broken" not in home(people[who])
    ChainCheck.objects.create(
        checked_at=timezone.now(), events=9, head="f" * 64, problems=[[5, "was altered"]]
    )
    html = unescape(home(people[who]))
    assert "The audit’s chain is broken." in html
    assert "Event 5: was altered" in html
    assert "chain is broken" not in home(people["approver"])


def test_what_must_always_hold_is_told_in_words(people):
    assert "Nobody has looked yet" in card(home(people["auditor"]), "What must always hold")
    tasks.check_invariants()
    text = card(home(people["auditor"]), "What must always hold")
    assert f"all of it held {len(sentences())} rules, looked at just now" in text
    InvariantCheck.objects.update(breaches=[["four_eyes", "decision 7 on request 3"]])
    for who in ("auditor", "operator", "manager"):
        html = unescape(home(people[who]))
        assert "Something that must always hold does not." in html
        assert "“Nobody decided what they proposed.” – not so: decision 7 on request 3" in html
        assert "four_eyes" not in html


def test_changes_of_the_rules_that_wait_are_named_with_who_asked(people):
    heading = "Changes of the rules that wait for a second person"
    assert "Nobody has asked for another policy" in card(home(people["auditor"]), heading)
    open_some(1)  # of value: that is no change of the rules
    policy = policies.add_policy(name="patient", document={}, created_by="test")
    policies.propose_activation(policy=policy, user=people["manager"], reason="Calmer.", door="test")
    text = card(home(people["auditor"]), heading)
    assert "Put policy patient 1 in force asked by manager just now: “Calmer.”" in text
    assert "Request 0" not in text


# ---- for whoever operates


def test_a_dead_worker_is_an_alarm_for_everybody_and_says_what_to_do(people):
    for ago, told in ((HOUR, "the last was 1 h ago"), (None, "there never was one")):
        Heartbeat.objects.all().delete()
        if ago:
            beat(ago)
        for who in QUIET:
            text = " ".join(re.sub(r"<[^>]+>", "", home(people[who])).split())
            assert f"The worker gives no sign of life: {told}" in text
            assert ("manage.py qcluster" in text) == (who in ("operator", "manager")), who
    assert "no sign of life" in card(home(people["operator"]), "The worker")


def test_a_worker_that_lives_is_told_with_its_last_sign_and_late_schedules(people):
    Schedule.objects.update(next_run=timezone.now() + HOUR)
    text = card(home(people["operator"]), "The worker")
    assert "alive last sign of life just now Every schedule is in time" in text
    Schedule.objects.filter(name="sweep").update(next_run=timezone.now() - HOUR)
    Schedule.objects.filter(name="daily run").delete()
    text = card(home(people["operator"]), "The worker")
    assert "The schedule “sweep” is 1 h late." in text
    assert "The schedule “daily run” is missing" in text


def test_the_last_runs_stand_with_their_figures_and_the_next_is_named(sample, people, settings):
    assert "has not run yet. Run it now" in card(home(people["operator"]), "Last runs over all customers")
    settings.DEBUG = True
    runs = [run_pipeline() for _ in range(6)]
    PipelineRun.objects.filter(pk=runs[-1].pk).update(status="failed", counts={})
    text = card(home(people["operator"]), "Last runs over all customers")
    assert [f"Run {run.pk}" for run in reversed(runs[1:])] == re.findall(r"Run \d+", text)
    assert "Failed – – – –" in text
    assert re.search(r"The next daily run: in .* UTC", text)


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


def test_a_quiet_day_is_said_to_be_quiet(people):
    html = home(people["operator"])
    assert "Nothing: no execution is stuck" in card(html, "Needs a person")
    assert "Nothing is open: all that came in fits." in card(html, "What came in wrong")


def test_findings_are_counted_by_kind_and_lead_to_them(sample_run, people):
    html = home(people["operator"])
    assert "1 signal of an unknown customer" in card(html, "What came in wrong")
    Finding.objects.update(status=Finding.Status.DISMISSED)
    assert "Nothing is open" in card(home(people["operator"]), "What came in wrong")


def test_ones_tasks_stand_before_everything_else(everything_at_once, people):
    html = home(people["operator"])
    assert headings(html)[0] == "Your tasks"
    assert "1 h late" in card(html, "Your tasks")
    assert "Your tasks" not in headings(home(people["approver"]))


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
