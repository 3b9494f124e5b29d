"""The front page of whoever manages, audits or operates: the queue, the trail, the worker and the runs."""

import re
import statistics
from datetime import timedelta
from html import unescape

import pytest
from django.utils import timezone
from django_q.models import Schedule
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from approvals import services
from approvals.invariants import sentences
from approvals.models import ApprovalRequest, AuditEvent, AuditHead, ChainCheck, Decision
from cjo_site.front_page import managing
from cjo_site.front_page.viewer import Viewer
from journeys import tasks
from journeys.models import Finding, Heartbeat, InvariantCheck, PipelineRun
from journeys.services import policies
from tests.acting import decide, waiting
from tests.front_page import HOUR, QUIET, beat, card, home, staff
from tests.runs import run_pipeline
from tests.test_admin_queue import open_some

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("worker_alive")]


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


def test_a_quiet_day_is_said_to_be_quiet(people):
    html = home(people["operator"])
    assert "Nothing: no execution is stuck" in card(html, "Needs a person")
    assert "Nothing is open: all that came in fits." in card(html, "What came in wrong")


def test_findings_are_counted_by_kind_and_lead_to_them(sample_run, people):
    html = home(people["operator"])
    assert "1 signal of an unknown customer" in card(html, "What came in wrong")
    Finding.objects.update(status=Finding.Status.DISMISSED)
    assert "Nothing is open" in card(home(people["operator"]), "What came in wrong")
