"""What the request page says beside the form: what speaks against it, what moved and is known, why you."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.utils import timezone

from approvals import services
from approvals.models import ApprovalRequest, AuthorityLimit
from approvals.rules import Verdict
from approvals.services.authority import propose_limit
from approvals.services.membership import propose_membership
from approvals.services.people import Deciders, others_who_may
from journeys.hindsight import ALIKE, done_alike
from journeys.models import Customer, Execution, ExecutionSwitch, Intervention, Outcome, Signal
from journeys.services import proposals, switches
from tests import acting
from tests.acting import waiting
from tests.desk import check_html, client_of, page_of
from tests.runs import SAMPLE_DAY, run_pipeline

pytestmark = pytest.mark.django_db


def html_of(request: ApprovalRequest, user) -> str:
    html = client_of(user).get(page_of(request)).content.decode()
    check_html(html)
    return html


def done(customer_id: str, action="usage_review_checkin", *, ago=3, status="executed", mode="live", **more):
    """An intervention that was carried out some days before the sample's day."""
    day = SAMPLE_DAY - timedelta(days=ago)
    at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    row = Intervention.objects.create(
        customer_id=customer_id,
        agent_name="test",
        origin="imported" if status == "imported" else "machine",
        recommended_action=action,
        status=status,
        as_of=day,
        generated_at=at,
        ended_at=at,
        **{"channel": "email", "recipient": "somebody@else.example"} | more,
    )
    if status == "executed":
        Execution.objects.create(
            intervention=row,
            idempotency_key=row.pk,
            status="done",
            mode=mode,
            channel=row.channel,
            claimed_at=at,
            finished_at=at,
        )
    return row


def came_of(intervention: Intervention, outcome: str, days: float | None = None, after: int = 1) -> None:
    Outcome.objects.create(
        outcome_id=f"O-{intervention.pk}-{outcome}",
        intervention=intervention,
        outcome=outcome,
        resolution_time_days=days,
        measured_at=intervention.as_of + timedelta(days=after),
    )


# -- what speaks against it


def test_what_speaks_against_it_comes_first_of_all(waits, people):
    html = html_of(waits, people["approver"])
    assert html.index("What speaks against it") < html.index("What will happen")
    assert html.index("What will happen") < html.index("Why it is proposed")


def other_customer(**fields) -> Customer:
    known = {"customer_id": "C042", "name": "Alpine Foods", "email": "ops@alpine-foods.example"}
    return Customer.objects.create(**known | fields)


def plant(request: ApprovalRequest, **payload) -> None:
    """A flaw from before the request was opened: its fingerprint is of these words."""
    changed = request.payload | payload
    ApprovalRequest.objects.filter(pk=request.pk).update(payload=changed)


def test_a_text_meant_for_another_customer_is_said_to_be(waits, people):
    other_customer()
    body = waits.payload["body"].replace(waits.evidence["names"]["customer_name"], "Alpine Foods")
    plant(waits, body=body, subject=waits.payload["subject"])
    html = html_of(waits, people["approver"])
    assert "The text names another customer: Alpine Foods (C042)." in html
    assert "The text does not name Northbeck Outfitters, as its template does" in html


def test_a_text_with_the_name_of_a_customer_whom_nobody_knows_is_not_this_ones_either(waits, people):
    plant(waits, body="Hello,\n\nwe noticed that Unheard Of Ltd has used the product less.")
    html = html_of(waits, people["approver"])
    assert "The text names another customer" not in html
    assert "The text does not name Northbeck Outfitters" in html


def test_words_that_a_person_chose_need_no_name(waits, people):
    services.change(
        request_id=waits.pk, fingerprint=waits.fingerprint, changes={"body": "Shall we talk?"},
        user=people["approver2"], door="test",
    )  # fmt: skip
    assert "does not name" not in html_of(waits, people["approver"])


def test_the_words_of_the_template_name_nobody(waits, people):
    other_customer(name="Hello")
    other_customer(customer_id="C043", name="Would")
    assert "names another customer" not in html_of(waits, people["approver"])


def test_an_address_at_another_customers_domain_is_told(waits, people):
    other_customer()
    Customer.objects.filter(pk="C004").update(email="team@Alpine-Foods.example")
    Intervention.objects.filter(pk=waits.subject_key).update(recipient="team@Alpine-Foods.example")
    plant(waits, recipient="team@Alpine-Foods.example")
    html = html_of(waits, people["approver"])
    assert "which is that of another customer: Alpine Foods (C042)." in html


def test_what_was_asked_for_another_customer_is_told(waits, people):
    plant(waits, customer_id="C005")
    assert "It was asked for the customer C005, not for this one." in html_of(waits, people["approver"])


def test_repeated_contact_is_told_with_what_it_was(waits, people):
    done("C004", "onboarding_nudge_email", ago=9)
    done("C004", "engagement_checkin", ago=8)
    done("C004", "engagement_checkin", ago=2, mode="record_only")
    html = html_of(waits, people["approver"])
    assert "The customer was contacted 8 days ago: engagement check-in on 7 Jan 2025." in html
    assert "That makes 2 contacts in 30 days." in html


def test_a_contact_with_the_same_address_for_another_customer_is_told(waits, people):
    other_customer()
    done("C042", "engagement_checkin", ago=10, recipient=waits.payload["recipient"])
    html = html_of(waits, people["approver"])
    assert "The same address was written to 10 days ago, for Alpine Foods (C042)" in html


def test_what_waits_for_the_same_address_is_told(waits, people):
    other_customer()
    done("C042", "retention_checkin", ago=0, status="pending", recipient=waits.payload["recipient"])
    html = html_of(waits, people["approver"])
    assert (
        "Something else is on its way to the same address: retention check-in for Alpine Foods (C042)."
        in html
    )


def test_why_somebody_is_left_alone_is_told(waits, people):
    Customer.objects.filter(pk="C004").update(hold_until=date(2100, 1, 1), hold_reason="They move house.")
    html = html_of(waits, people["approver"])
    assert "on hold through 1 Jan 2100" in html
    assert "Noted about contact: “They move house.”" in html


def test_a_reason_from_a_hold_that_is_over_is_not_told(waits, people):
    Customer.objects.filter(pk="C004").update(hold_until=date(2024, 1, 1), hold_reason="They moved house.")
    assert "They moved house" not in html_of(waits, people["approver"])


def test_a_success_since_the_bad_news_is_told(waits, people):
    came_of(done("C004", "engagement_checkin", ago=20), "resolved", after=19)
    html = html_of(waits, people["approver"])
    assert "It may be done already: what came of engagement check-in of 26 Dec 2024" in html


def test_open_tickets_are_told(sample, people, settings):
    settings.DEBUG = True
    Signal.objects.create(
        signal_id="S700", customer_id="C004", signal_type="support_ticket_spike", signal_strength=0.7,
        detected_at=datetime(2025, 1, 10, 9, tzinfo=UTC),
    )  # fmt: skip
    run_pipeline()
    assert "Tickets may still be open: support ticket spike" in html_of(waiting("C004"), people["approver"])


def test_what_speaks_against_it_is_of_no_interest_once_it_is_decided(waits, people):
    acting.decide(waits, people["approver"])
    assert "What speaks against it" not in html_of(waits, people["approver"])


def test_who_asks_for_their_own_authority_is_told_to(people):
    request = propose_membership(
        user_name="operator", group="Approvers", member=True, user=people["operator"], reason="We are few.",
        door="test",
    )  # fmt: skip
    assert "operator asks this for their own account." in html_of(request, people["manager"])


def test_a_change_of_authority_that_was_overtaken_says_so(people):
    request = propose_limit(
        name="approvers", group="Approvers", max_value=50_000, user=people["operator"], reason="Too much.",
        door="test",
    )  # fmt: skip
    assert "What speaks against it" not in html_of(request, people["manager"])
    AuthorityLimit.objects.filter(name="approvers").update(max_value=70_000)
    html = html_of(request, people["manager"])
    assert "The limit was changed meanwhile: this can only be rejected" in html


def test_a_switch_that_was_moved_meanwhile_says_so(people):
    request = switches.set_mode(
        scope="all", mode="live", user=people["operator"], reason="The pilot begins.", door="test"
    )
    ExecutionSwitch.objects.create(scope="all", mode="off", changed_by="test")
    html = html_of(request, people["manager"])
    assert "It is off by now: this can only be rejected, and asked again." in html


# -- what changed since the last score


@pytest.fixture
def a_week_later(people, sample, settings):
    """C004 was scored on 8 January, before its drop in usage, and again on the 15th."""
    settings.DEBUG = True
    late = Signal.objects.filter(customer_id="C004")
    kept = list(late.values())
    late.delete()
    run_pipeline(as_of=SAMPLE_DAY - timedelta(days=7))
    for fields in kept:
        Signal.objects.create(**fields | {"received_at": timezone.now()})
    run_pipeline()
    return waiting("C004")


def test_what_moved_the_score_since_the_last_run_is_told(a_week_later, people):
    html = html_of(a_week_later, people["approver"])
    assert "A week before it was .292; the usage drop of 12 Jan raised it." in html
    assert "usage drop 0.60 of 12 Jan, usage recovery 0.55 of 16 Jan came in" in html
    assert "number of signals +.080 (0 before, 2 now)" in html


def test_the_first_score_of_a_customer_is_said_to_be_the_first(waits, people):
    assert "No run had scored this customer before." in html_of(waits, people["approver"])


def test_a_second_run_on_the_same_day_moves_nothing(waits, people):
    run_pipeline()
    html = html_of(waiting("C005"), people["approver"])
    assert "No run had scored this customer before." in html  # the request rests on the first run still


def test_a_signal_that_arrived_after_the_last_run_came_in_since_however_old_it_is(sample, people, settings):
    settings.DEBUG = True
    run_pipeline(as_of=SAMPLE_DAY - timedelta(days=1))
    acting.decide(waiting("C004"), people["approver"], Verdict.REJECTED, "Not so.")
    Signal.objects.create(
        signal_id="S700", customer_id="C004", signal_type="negative_sentiment", signal_strength=0.9,
        detected_at=datetime(2024, 12, 20, 9, tzinfo=UTC),
    )  # fmt: skip
    run_pipeline()
    html = html_of(waiting("C004"), people["approver"])
    assert "negative sentiment 0.90 of 20 Dec" in html


def test_a_request_that_was_brought_up_to_date_is_compared_with_the_run_before_that(a_week_later, people):
    Signal.objects.create(
        signal_id="S700", customer_id="C004", signal_type="negative_sentiment", signal_strength=0.9,
        detected_at=datetime(2025, 1, 16, 9, tzinfo=UTC),
    )  # fmt: skip
    run_pipeline(as_of=SAMPLE_DAY + timedelta(days=1))
    request = waiting("C004")
    assert request.revision > 1
    html = html_of(request, people["approver"])
    assert "1 day before it was .502; the negative sentiment of 16 Jan raised it." in html


def test_a_proposal_by_hand_is_compared_with_the_last_run(sample_run, people):
    row = proposals.propose(
        customer_id="C003", action="engagement_checkin", subject="", body="", reason="They sounded tired.",
        user=people["operator"], door="test",
    )  # fmt: skip
    html = html_of(row.request, people["approver"])
    assert "days before it was .193; the time in engagement raised it." in html
    assert "more in engagement" in html


# -- what came of the last ten like it


def test_outcomes_are_counted_with_sizes_days_and_the_period(waits, people):
    Customer.objects.filter(pk="C006").update(segment="Mid-Market")
    for ago, outcome, days in ((40, "resolved", 3.0), (35, "resolved", 5.0), (33, "no_response", None)):
        came_of(done("C006", ago=ago), outcome, days)
    done("C006", ago=31)
    html = html_of(waits, people["approver"])
    assert "The last ten like it: usage review check-in, Mid-Market" in html
    found = done_alike(Intervention.objects.get(pk=waits.subject_key), "Mid-Market")
    assert (found.number, found.open) == (4, 1)
    assert [(count.outcome, count.number, count.days) for count in found.counts] == [
        ("resolved", 2, 4.0),
        ("no_response", 1, None),
    ]
    assert "4 days, median" in html
    assert "nothing recorded yet" in html
    assert "So far only 4, done from 6 Dec 2024 to 15 Dec 2024." in html


def test_only_what_was_done_with_the_same_action_in_the_same_segment_counts(waits):
    done("C001", ago=40)
    done("C006", "engagement_checkin", ago=40)
    done("C006", ago=40, status="rejected")
    done("C006", ago=40, status="approved")
    assert done_alike(Intervention.objects.get(pk=waits.subject_key), "Mid-Market").number == 0


def test_the_latest_ten_are_taken_and_of_each_the_outcome_measured_last(waits):
    for ago in range(31, 31 + ALIKE + 2):
        row = done("C006", ago=ago, status="imported" if ago % 2 else "executed")
        came_of(row, "no_response", after=1)
        came_of(row, "resolved", 2.0, after=5)
    found = done_alike(Intervention.objects.get(pk=waits.subject_key), "Mid-Market")
    assert found.number == ALIKE
    assert found.last == SAMPLE_DAY - timedelta(days=31)
    assert [(count.outcome, count.number) for count in found.counts] == [("resolved", ALIKE)]


def test_what_was_only_recorded_is_said_to_be(waits, people):
    done("C006", ago=40, mode="record_only")
    assert "All were record-only: nothing was sent." in html_of(waits, people["approver"])


def test_where_nothing_like_it_was_done_nothing_is_claimed(waits, people):
    assert "None like it was done yet" in html_of(waits, people["approver"])


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL scans a table that is this small")
def test_the_last_ten_are_found_by_an_index(waits):
    rows = Intervention.objects.filter(recommended_action="usage_review_checkin", status="executed")
    plan = rows.order_by("-generated_at")[:300].explain()
    assert "journeys_intervention_alike" in plan
    assert "TEMP B-TREE" not in plan


# -- why you


def test_the_rules_that_ask_for_a_person_are_told_with_their_figures(waits, people):
    html = html_of(waits, people["approver"])
    assert "A person decides because the account is worth 30,000 or more" in html
    assert "You may decide up to 100,000, inclusive." in html


def test_who_else_may_decide_is_named(waits, people):
    people["manager"].first_name, people["manager"].last_name = "Ines", "Okafor"
    people["manager"].save()
    html = html_of(waits, people["approver"])
    assert "approver2, Ines Okafor and manager2 may, too." in html


def test_who_is_alone_is_told_so(big, people):
    people["manager2"].delete()
    html = html_of(big, people["manager"])
    assert "Nobody else may decide it." in html
    assert "<b>It takes 2 people</b>" in html


def test_many_others_are_counted(waits, people):
    for number in range(60):
        user = type(people["approver"]).objects.create_user(f"a{number:02}", is_staff=True)
        user.groups.add(Group.objects.get(name="Approvers"))
    html = html_of(waits, people["approver"])
    assert "a00, a01, a02 and more than 47 others may, too." in html


def test_others_are_those_whom_the_gate_would_let_decide(big, waits_for_all, people):
    """By one query what `Deciders` finds by reading everybody."""
    for request in waits_for_all:
        for user in people.values():
            wanted = sorted(one.get_username() for one in Deciders().of(request) if one != user)
            assert others_who_may(request, user, most=100).names == wanted


@pytest.fixture
def waits_for_all(big, people):
    """Requests of every sort: of two people with one's approval, changed, by hand, without a limit."""
    people["operator"].user_permissions.add(
        Permission.objects.get(codename="decide_approvalrequest", content_type__app_label="approvals")
    )
    people["approver2"].is_active = False
    people["approver2"].save()
    acting.decide(big, people["manager"], reason="So.", password=acting.PASSWORD)
    c005 = waiting("C005")
    services.change(
        request_id=c005.pk, fingerprint=c005.fingerprint, changes={"body": "Shorter."},
        user=people["approver"], door="test",
    )  # fmt: skip
    propose_limit(
        name="approvers", group="Approvers", max_value=50_000, user=people["operator"], reason="Too much.",
        door="test",
    )  # fmt: skip
    AuthorityLimit.objects.filter(name="approvers").update(tiers=["high"])
    return list(ApprovalRequest.objects.pending())


# -- how it came to stand so


def test_the_last_words_of_the_trail_stand_beside_the_decision(waits, people):
    for name in ("approver", "approver2", "manager"):
        html = html_of(waits, people[name])
    so_far = html[html.index("So far") :]
    assert so_far.index("manager opened the evidence of it") < so_far.index("approver2 opened")
    assert "Earlier (1)" in so_far


def test_the_page_takes_few_queries_however_much_was_done_before(
    waits, people, django_assert_max_num_queries
):
    for ago in range(31, 60):
        done("C006", ago=ago)
        came_of(done("C004", ago=ago), "resolved")
    client = client_of(people["approver"])
    client.get(page_of(waits))
    with django_assert_max_num_queries(52):
        client.get(page_of(waits))
