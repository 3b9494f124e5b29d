"""Mail to people: who is told of what, once, by mail servers that work and that break."""

import email
import email.policy
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import transaction
from django.utils import timezone

from approvals import postbox, services
from approvals.models import ApprovalRequest, AuthorityLimit, Notice
from approvals.rules import Actor, Status, Verdict, WorkingHours, is_working
from approvals.services import Facets, NewRequest, Terms, notices
from journeys import tasks
from journeys.models import Intervention
from journeys.services import outcomes, proposals, upkeep
from tests.acting import decide, waiting
from tests.runs import SAMPLE_DAY, run_pipeline
from tests.servers import BREAK, HANG, free_port

pytestmark = pytest.mark.django_db

MACHINE = Actor(key="machine:test", name="a test", door="test")


@pytest.fixture
def addresses(people):
    """Everybody has one."""
    for user in people.values():
        user.email = f"{user.get_username()}@desk.example"
        user.save(update_fields=["email"])
    return people


@pytest.fixture
def mailbox(mailbox, settings):
    """With patience: on a busy machine one of many mails may take its time."""
    settings.EMAIL_TIMEOUT = 5
    return mailbox


@pytest.fixture
def asked(addresses):
    """`asked(...)`: a request of high urgency over 10,000, unless it is told otherwise."""
    numbers = iter(range(10**6))

    def ask(*, count=1, title="Call Northwind", value=10_000, urgency="high", proposer=MACHINE, at=None):
        now = at or timezone.now()
        terms = Terms(
            remind_at=now + timedelta(hours=3),
            decision_due_at=now + timedelta(hours=4),
            expires_at=now + timedelta(days=3),
            execute_within_hours=48,
        )
        facets = Facets(value_at_stake=Decimal(value), currency="USD", urgency=urgency, risk_tier=urgency)
        new = [
            NewRequest(
                kind="test", subject_key=f"{next(numbers)}", title=title, summary="Private words.",
                payload={"body": "Dear customer"}, facets=facets, terms=terms,
            )
            for _ in range(count)
        ]  # fmt: skip
        rows = services.open_requests(new, proposer=proposer)
        return rows[0] if count == 1 else rows

    return ask


def told(kind=None):
    """Who has a notice of this kind, by name, in order."""
    rows = Notice.objects.filter(**({"kind": kind} if kind else {}))
    return sorted(rows.values_list("recipient__username", flat=True))


def letters(mailbox):
    return [email.message_from_bytes(one.content, policy=email.policy.default) for one in mailbox.envelopes]


def to(mailbox):
    return sorted(address for envelope in mailbox.envelopes for address in envelope.rcpt_tos)


DECIDERS = ["approver", "approver2", "manager", "manager2"]


# ---- who is told


def test_what_is_urgent_is_announced_once_to_everybody_who_could_decide_it(asked, mailbox):
    request = asked()
    assert told("new") == DECIDERS
    assert postbox.send_due() == 4
    assert postbox.send_due() == 0
    assert to(mailbox) == sorted(f"{name}@desk.example" for name in DECIDERS)
    letter = letters(mailbox)[0]
    assert letter["Subject"] == "Urgent: Call Northwind"
    text = letter.get_content()
    assert f"http://testserver/admin/approvals/approvalrequest/{request.pk}/change/" in text
    assert "$10,000" in text
    assert "Opening a page decides nothing" in text
    assert "Private words" not in text
    assert "Dear customer" not in text


@pytest.mark.parametrize("urgency", ["medium", "low", ""])
def test_what_is_not_urgent_waits_for_the_morning(asked, urgency):
    asked(urgency=urgency)
    assert told() == []


def test_beyond_an_approvers_authority_only_those_are_told_who_reach_it(asked):
    asked(value=150_000)
    assert told("new") == ["manager", "manager2"]


def test_nobody_is_told_of_their_own_proposal(asked, people):
    asked(proposer=services.actor_of(people["manager"], door="test"))
    assert told("new") == ["approver", "approver2", "manager2"]


@pytest.mark.parametrize("lacking", [{"is_active": False}, {"is_staff": False}, {"email": ""}])
def test_only_active_staff_with_an_address_is_told(asked, people, lacking):
    get_user_model().objects.filter(pk=people["approver"].pk).update(**lacking)
    asked()
    assert told("new") == ["approver2", "manager", "manager2"]


def test_who_left_meanwhile_is_not_written_to(asked, people, mailbox):
    asked()
    get_user_model().objects.filter(pk=people["approver"].pk).update(is_active=False)
    assert postbox.send_due() == 3
    assert Notice.objects.get(recipient=people["approver"]).state == "dropped"


def test_who_stands_in_is_told_too(asked, people):
    now = timezone.now()
    services.delegate(
        delegator=people["manager"], to=people["approver"], starts_at=now, reason="",
        ends_at=now + timedelta(days=1), door="test",
    )  # fmt: skip
    asked(value=150_000)
    assert told("new") == ["approver", "manager", "manager2"]


def test_what_was_decided_meanwhile_is_not_announced_any_more(asked, mailbox):
    request = asked()
    ApprovalRequest.objects.filter(pk=request.pk).update(status=Status.SUPERSEDED, decided_at=timezone.now())
    assert postbox.send_due() == 0
    assert mailbox.envelopes == []


def test_a_run_announces_what_it_asks_people_and_not_what_the_policy_decides(addresses, sample, settings):
    settings.DEBUG = True
    run_pipeline()
    urgent = ApprovalRequest.objects.pending().filter(urgency="high")
    announced = set(Notice.objects.filter(kind="new").values_list("request", flat=True))
    assert announced == {row.pk for row in urgent}


def test_what_is_opened_in_vain_is_told_to_nobody(asked):
    with transaction.atomic():
        asked()
        transaction.set_rollback(True)
    assert told() == []


def test_the_reminder_comes_once_to_who_can_decide(asked, mailbox):
    request = asked(urgency="medium")
    for _ in range(2):
        services.remind_due(actor=MACHINE, now=request.remind_at)
    assert told() == told("reminder") == DECIDERS
    postbox.send_due()
    assert letters(mailbox)[0]["Subject"] == "Still waiting: Call Northwind"


def test_an_escalation_goes_to_the_members_of_the_group_as_well(asked, addresses, mailbox):
    Group.objects.create(name="Board").user_set.add(addresses["auditor"])
    AuthorityLimit.objects.update(escalates_to=Group.objects.get(name="Board"))
    request = asked(urgency="medium")
    for _ in range(2):
        services.escalate_due(actor=MACHINE, now=request.decision_due_at)
    assert told("escalated") == sorted([*DECIDERS, "auditor"])
    assert postbox.send_due() == 5
    assert "It was escalated to Board." in letters(mailbox)[0].get_content()


def test_what_nobody_can_decide_goes_to_who_can_mend_that(asked, mailbox):
    AuthorityLimit.objects.all().delete()
    asked()
    assert told("new") == []
    assert told("unroutable") == ["manager", "manager2"]
    postbox.send_due()
    assert letters(mailbox)[0]["Subject"] == "Nobody can decide: Call Northwind"


def test_what_can_be_decided_at_last_is_announced_then(asked):
    held = list(AuthorityLimit.objects.all())
    AuthorityLimit.objects.all().delete()
    asked()
    AuthorityLimit.objects.bulk_create(held)
    assert services.reroute_due(actor=MACHINE) == 1
    assert told("new") == DECIDERS


# ---- many at once


def test_many_at_once_are_one_mail_each_beyond_the_first_twenty(asked, mailbox):
    asked(count=15)
    asked(count=60)
    asked(count=60)
    assert Notice.objects.filter(kind="new").values("request").distinct().count() == 20
    assert told("many") == DECIDERS
    assert Notice.objects.count() == 21 * 4
    now = timezone.now()
    assert postbox.send_due(now=now) == 80
    assert postbox.send_due(now=now + timedelta(minutes=3)) == 4
    last = letters(mailbox)[-1]
    assert last["Subject"] == "135 requests of high urgency"
    assert "http://testserver/admin/approvals/approvalrequest/" in last.get_content()


def test_of_many_nobody_is_told_who_can_decide_none(asked, mailbox):
    asked(count=25, value=150_000)
    postbox.send_due(now=timezone.now() + timedelta(minutes=3))
    assert not {"approver@desk.example", "approver2@desk.example"} & set(to(mailbox))
    dropped = Notice.objects.filter(kind="many", state="dropped")
    assert sorted(dropped.values_list("recipient__username", flat=True)) == ["approver", "approver2"]


def test_many_reminders_are_few_mails(asked):
    request = asked(count=30, urgency="low")[0]
    services.remind_due(actor=MACHINE, now=request.remind_at)
    assert len(told("reminder")) == 80
    assert told("many") == DECIDERS


# ---- the digest


WEDNESDAY = datetime(2025, 1, 15, 9, tzinfo=UTC)


def test_the_digest_says_number_stake_due_and_the_first_five(asked, people, mailbox):
    rows = asked(count=6, urgency="low")
    late = timezone.now() - timedelta(hours=1)
    other = timezone.now() + timedelta(days=2)
    ApprovalRequest.objects.update(decision_due_at=other)
    ApprovalRequest.objects.filter(pk__in=[row.pk for row in rows[-2:]]).update(decision_due_at=late)
    asked(urgency="low", value=150_000, title="Call Contoso")
    postbox.write_digests_of(date(2025, 1, 15))
    postbox.write_digests_of(date(2025, 1, 15))
    assert told() == told("digest") == DECIDERS
    assert postbox.send_due() == 4
    by_name = {one["To"].partition("@")[0]: one for one in letters(mailbox)}
    assert by_name["approver"]["Subject"] == "Waiting for you: 6 requests"
    text = by_name["approver"].get_content()
    assert "6 requests, $60,000 a year at stake; " in text
    assert "2 due today" in text
    assert text.count("- Call Northwind") == 5
    assert f"/approvalrequest/{rows[-1].pk}/change/" in text
    assert "Contoso" not in text
    assert "7 requests, $210,000" in by_name["manager"].get_content()


def test_nothing_is_mailed_to_who_has_nothing(addresses):
    postbox.write_digests_of(date(2025, 1, 15))
    assert told() == []


def test_what_was_all_decided_before_it_went_out_is_no_digest(asked, mailbox):
    request = asked(urgency="low")
    postbox.write_digests_of(date(2025, 1, 15))
    ApprovalRequest.objects.filter(pk=request.pk).update(status=Status.SUPERSEDED, decided_at=timezone.now())
    assert postbox.send_due() == 0


@pytest.mark.parametrize(
    ("moment", "due"),
    [
        (WEDNESDAY, True),
        (WEDNESDAY.replace(hour=7), True),  # 8 in Berlin
        (WEDNESDAY.replace(hour=6, minute=59), False),
        (WEDNESDAY.replace(hour=17), False),
        (WEDNESDAY + timedelta(days=3), False),
    ],
)
def test_the_working_day_is_that_of_the_policys_time_zone(moment, due):
    assert is_working(moment, WorkingHours(frozenset({1, 2, 3, 4, 5}), 8, 18, "Europe/Berlin")) is due


def test_the_sweep_writes_a_digest_once_a_day(asked, mailbox, policy_with):
    every_hour = {"day_starts_hour": 0, "day_ends_hour": 24, "working_weekdays": [1, 2, 3, 4, 5, 6, 7]}
    policy_with({"clocks": every_hour}, name="day and night")
    first = asked(urgency="low")
    for _ in range(2):
        tasks.sweep()
    assert len(mailbox.envelopes) == 4
    ApprovalRequest.objects.filter(pk=first.pk).update(status=Status.SUPERSEDED, decided_at=timezone.now())
    asked(urgency="low")
    upkeep.sweep()
    assert len(mailbox.envelopes) == 4


# ---- the outcome


def test_the_outcome_goes_to_who_decided(addresses, waits, mailbox):
    decide(waits, addresses["approver"])
    Intervention.objects.filter(pk=waits.subject_key).update(status="executed")
    told_of = {
        "intervention_id": waits.subject_key, "outcome": "resolved", "resolution_time_days": None,
        "csat_delta": None, "churn_risk_delta": None, "estimated_revenue_saved": None,
        "human_override": None, "measured_at": SAMPLE_DAY, "user": addresses["operator"], "door": "test",
    }  # fmt: skip
    outcomes.record_outcome(**told_of)
    assert told("outcome") == ["approver"]
    Notice.objects.exclude(kind="outcome").delete()
    postbox.send_due()
    [letter] = letters(mailbox)
    assert letter["Subject"] == f"Outcome: {waits.title}"
    assert "The outcome that was recorded: resolved." in letter.get_content()


def test_what_the_policy_decided_has_nobody_to_tell(addresses, sample_run):
    decided = ApprovalRequest.objects.filter(status=Status.APPROVED).first()
    services.tell_outcome(decided, outcome="resolved", outcome_key="o1")
    services.tell_outcome(None, outcome="resolved", outcome_key="o2")
    assert told("outcome") == []


# ---- off


def test_notices_can_be_turned_off(asked, settings, mailbox):
    request = asked()
    settings.NOTICES = False
    asked()
    services.remind_due(actor=MACHINE, now=request.remind_at)
    postbox.write_digests_of(date(2025, 1, 15))
    assert len(told()) == 4
    assert postbox.send_due() == 0


def test_a_demo_tells_nobody_of_its_past(db, settings, tmp_path):
    settings.DEBUG, settings.VAR_DIR = True, tmp_path
    call_command("seed_demo", "--customers", "20", "--weeks", "1", verbosity=0)
    assert not Notice.objects.exists()


def test_within_silence_nothing_is_written_and_after_it_again(asked):
    with notices.silently():
        asked()
    assert told() == []
    asked()
    assert told() == DECIDERS


# ---- sending


def one(asked, people):
    """Just one notice, to the approver."""
    asked()
    Notice.objects.exclude(recipient=people["approver"]).delete()
    return Notice.objects.get()


def state(notice):
    return Notice.objects.get(pk=notice.pk).state


def test_what_was_claimed_by_a_worker_that_died_is_not_sent_again(asked, people, mailbox):
    notice = one(asked, people)
    now = timezone.now()
    assert postbox._claim(notice, now)
    assert not postbox._claim(Notice.objects.get(), now)
    assert postbox.send_due(now=now) == 0
    assert state(notice) == "sending"
    assert postbox.send_due(now=now + timedelta(minutes=11)) == 0
    assert state(notice) == "uncertain"
    assert mailbox.envelopes == []


def test_what_the_server_refuses_for_now_is_tried_five_times(asked, people, bad_mail_server):
    notice = one(asked, people)
    now = timezone.now()
    with bad_mail_server(RCPT="451 not now"):
        for attempt in range(1, 8):
            postbox.send_due(now=now)
            row = Notice.objects.get()
            assert (row.attempts, row.state) == (min(attempt, 5), "failed" if attempt >= 5 else "waiting")
            now += timedelta(hours=1)
    assert "451 not now" in Notice.objects.get().failed
    assert state(notice) == "failed"


def test_what_is_refused_for_good_is_not_tried_again_and_holds_up_nobody(asked, people, bad_mail_server):
    asked()
    with bad_mail_server(RCPT="550 no such user"):
        assert postbox.send_due() == 0
    assert set(Notice.objects.values_list("state", "attempts")) == {("failed", 1)}


def test_after_a_refusal_it_arrives_once(asked, people, bad_mail_server, mail_to):
    notice = one(asked, people)
    with bad_mail_server(MESSAGE="452 full"):
        postbox.send_due()
    assert state(notice) == "waiting"
    with bad_mail_server() as server:
        assert postbox.send_due() == 0
        assert postbox.send_due(now=timezone.now() + timedelta(minutes=3)) == 1
        assert postbox.send_due(now=timezone.now() + timedelta(hours=3)) == 0
        assert len(server.messages) == 1


@pytest.mark.parametrize("how", [BREAK, HANG])
def test_where_the_server_broke_off_half_way_it_is_not_sent_again(asked, bad_mail_server, how):
    asked()
    with bad_mail_server(MESSAGE=how) as server:
        postbox.send_due()
        assert len(server.messages) == 1
    states = sorted(Notice.objects.values_list("state", flat=True))
    assert states == ["uncertain", "waiting", "waiting", "waiting"]


def test_a_server_that_is_away_costs_no_attempt_and_ends_the_round(asked, mail_to):
    asked()
    mail_to(free_port())
    for _ in range(7):
        assert postbox.send_due() == 0
    assert set(Notice.objects.values_list("state", "attempts")) == {("waiting", 0)}


def test_a_server_that_hangs_does_not_hold_up_the_sweep(asked, bad_mail_server):
    asked(count=20)
    with bad_mail_server(GREETING=HANG):
        began = timezone.now()
        tasks.sweep()
        assert timezone.now() - began < timedelta(seconds=4)
    assert set(Notice.objects.values_list("state", flat=True)) == {"waiting"}


def test_a_slow_server_is_left_after_its_round(asked, mailbox, monkeypatch):
    asked()
    clock = iter([0, 1, 21])
    monkeypatch.setattr(postbox, "monotonic", lambda: next(clock))
    assert postbox.send_due() == 1


def test_what_is_old_is_no_news(asked, mailbox):
    asked()
    Notice.objects.update(created_at=timezone.now() - timedelta(days=4))
    assert postbox.send_due() == 0
    assert set(Notice.objects.values_list("state", flat=True)) == {"dropped"}


# ---- what somebody else wrote


def test_no_header_can_be_injected_by_a_title(asked, people, mailbox):
    asked(title="Call\r\nBcc: all@desk.example\n\nhttp://elsewhere.example\x0b")
    postbox.send_due()
    assert to(mailbox) == sorted(f"{name}@desk.example" for name in DECIDERS)
    for letter in letters(mailbox):
        assert letter["Bcc"] is None
        assert letter["Subject"] == "Urgent: Call Bcc: all@desk.example http://elsewhere.example"
        assert not any(line.startswith(("Bcc", "http://else")) for line in letter.get_content().splitlines())


def test_no_header_can_be_injected_by_an_address(asked, people, mailbox):
    get_user_model().objects.filter(pk=people["approver"].pk).update(
        email="a@desk.example\nBcc: b@desk.example"
    )
    asked()
    assert postbox.send_due() == 3
    assert Notice.objects.get(recipient=people["approver"]).state == "failed"
    assert len(mailbox.envelopes) == 3


def test_a_title_stands_in_the_mail_as_it_is(asked, mailbox):
    asked(title="Call Müller & Söhne <Nord> {{ x }}")
    postbox.send_due()
    assert letters(mailbox)[0]["Subject"].strip() == "Urgent: Call Müller & Söhne <Nord> {{ x }}"


# ---- the link


def test_the_link_opens_the_page_and_decides_nothing(addresses, sample_run, mailbox, client):
    request = waiting("C004")
    services.remind_due(actor=proposals.PIPELINE, now=request.remind_at)
    postbox.send_due()
    [address] = {
        line for letter in letters(mailbox) for line in letter.get_content().splitlines()
        if line.endswith(f"/approvalrequest/{request.pk}/change/")
    }  # fmt: skip
    path = address.removeprefix("http://testserver")
    assert client.get(path).status_code == 302  # to the login
    client.force_login(addresses["approver"], backend="cjo_site.backends.AccountBackend")
    assert client.get(path).status_code == 200
    assert client.head(path).status_code in (200, 405)
    row = ApprovalRequest.objects.get(pk=request.pk)
    assert (row.status, row.decisions.count()) == ("pending", 0)


def test_a_rejection_ends_what_would_have_been_told(people, addresses, waits, mailbox):
    services.remind_due(actor=MACHINE, now=waits.remind_at)
    decide(waits, people["approver"], Verdict.REJECTED, reason="No.")
    Notice.objects.exclude(request=waits).delete()
    assert postbox.send_due() == 0
