"""Never twice, never against a wish: scenarios that read as the policy does."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from journeys.domain.policy import PUBLISHED, load
from journeys.domain.suppression import (
    CustomerHistory,
    OpenIntervention,
    PastAction,
    Rejection,
    Situation,
    suppress,
)

AS_OF = date(2025, 1, 15)
NOW = Situation(tier="medium", stage="engagement", negative_signal_ids=frozenset({"S1"}))
CLEAN = CustomerHistory(now=NOW)
ACTION, OTHER = "usage_review_checkin", "engagement_checkin"


def reason(facts: CustomerHistory, *, action=ACTION, channel="email", as_of=AS_OF, policy=PUBLISHED):
    found = suppress(action=action, channel=channel, facts=facts, as_of=as_of, policy=policy)
    return found.reason if found else None


def opened(status: str, action: str = ACTION, by_person: bool = False) -> CustomerHistory:
    return replace(CLEAN, open=OpenIntervention(status, action, by_person))


def past(days_ago: int, action: str = ACTION, status: str = "executed") -> CustomerHistory:
    return replace(CLEAN, recent=(PastAction(action, status, AS_OF - timedelta(days=days_ago)),))


def rejected(action=ACTION, tier="medium", stage="engagement", signal_ids=("S1",)) -> CustomerHistory:
    return replace(CLEAN, rejected=(Rejection(action, tier, stage, frozenset(signal_ids)),))


def contacted(days_ago: int) -> CustomerHistory:
    return replace(CLEAN, last_contact_on=AS_OF - timedelta(days=days_ago))


@pytest.mark.parametrize(
    ("scenario", "facts", "expected"),
    [
        ("nothing on record", CLEAN, None),
        # wishes
        ("do not contact", replace(CLEAN, do_not_contact=True), "do_not_contact"),
        ("on hold until tomorrow", replace(CLEAN, hold_until=AS_OF + timedelta(days=1)), "on_hold"),
        ("on hold through today", replace(CLEAN, hold_until=AS_OF), "on_hold"),
        ("on hold until yesterday", replace(CLEAN, hold_until=AS_OF - timedelta(days=1)), None),
        # what is open
        ("the same one is pending", opened("pending"), "already_pending"),
        ("the same one is pending, by a person", opened("pending", ACTION, True), "already_pending"),
        ("another one of the machine is pending", opened("pending", OTHER), None),
        ("another one of a person is pending", opened("pending", OTHER, True), "person_pending"),
        ("the same one is approved", opened("approved"), "in_progress"),
        ("another one is approved", opened("approved", OTHER), "in_progress"),
        ("another one is executing", opened("executing", OTHER), "in_progress"),
        ("nobody knows whether another one went out", opened("unknown", OTHER), "in_progress"),
        # what was done
        ("done today", past(0), "cool_down"),
        ("done 13 days ago", past(13), "cool_down"),
        ("done 14 days ago", past(14), None),
        ("done after the run's day", past(-30), "cool_down"),
        ("recorded lately", past(3, status="recorded"), "cool_down"),
        ("revoked lately", past(3, status="revoked"), "cool_down"),
        ("imported as done lately", past(3, status="imported"), "cool_down"),
        ("another action was done lately", past(3, OTHER), None),
        # what was refused
        ("rejected, nothing has moved", rejected(), "rejected_before"),
        ("rejected, a signal has gone since", rejected(signal_ids=("S0", "S1")), "rejected_before"),
        ("rejected, a negative signal is new", rejected(signal_ids=("S0",)), None),
        ("rejected, the tier has moved", rejected(tier="low"), None),
        ("rejected, the stage has moved", rejected(stage="onboarding"), None),
        ("another action was rejected", rejected(OTHER), None),
        # the contact cap
        ("contacted today", contacted(0), "contacted_recently"),
        ("contacted 6 days ago", contacted(6), "contacted_recently"),
        ("contacted 7 days ago", contacted(7), None),
        ("contacted after the run's day", contacted(-2), "contacted_recently"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_suppresses_an_action(scenario, facts, expected):
    assert reason(facts) == expected, scenario


def test_of_several_reasons_the_first_in_the_published_order_is_named():
    facts = CustomerHistory(
        now=NOW,
        do_not_contact=True,
        hold_until=AS_OF,
        open=OpenIntervention("pending", ACTION, False),
        recent=(PastAction(ACTION, "executed", AS_OF),),
        rejected=(Rejection(ACTION, "medium", "engagement", frozenset({"S1"})),),
        last_contact_on=AS_OF,
    )
    order = []
    for without in (
        {"do_not_contact": False},
        {"hold_until": None},
        {"open": None},
        {"recent": ()},
        {"rejected": ()},
        {"last_contact_on": None},
    ):
        order.append(reason(facts))
        facts = replace(facts, **without)
    assert order == [
        "do_not_contact",
        "on_hold",
        "already_pending",
        "cool_down",
        "rejected_before",
        "contacted_recently",
    ]
    assert reason(facts) is None


@pytest.mark.parametrize(
    "facts",
    [replace(CLEAN, do_not_contact=True), replace(CLEAN, hold_until=AS_OF), contacted(1)],
    ids=["do not contact", "on hold", "contacted yesterday"],
)
def test_what_sends_nothing_is_held_back_by_no_wish_and_no_cap(facts):
    assert reason(facts, channel="none") is None
    assert reason(facts, channel="task") is not None
    assert reason(facts, channel="webhook") is not None


def test_what_sends_nothing_is_still_not_done_twice():
    assert reason(past(3), channel="none") == "cool_down"
    assert reason(opened("executing", OTHER), channel="none") == "in_progress"


def test_positive_news_does_not_bring_a_rejected_action_back():
    facts = replace(rejected(), now=NOW._replace(negative_signal_ids=frozenset()))
    assert reason(facts) == "rejected_before"


def test_the_latest_of_several_counts_for_the_cool_down():
    recent = tuple(PastAction(ACTION, "executed", AS_OF - timedelta(days=days)) for days in (40, 2, 20))
    found = suppress(
        action=ACTION,
        channel="email",
        facts=replace(CLEAN, recent=recent),
        as_of=AS_OF,
        policy=PUBLISHED,
    )
    assert found.detail == (
        "Usage review check-in was carried out on 13 Jan 2025; asked again from 27 Jan 2025."
    )


@pytest.mark.parametrize(
    ("facts", "detail"),
    [
        (replace(CLEAN, do_not_contact=True), "The customer is marked “do not contact”."),
        (replace(CLEAN, hold_until=date(2025, 2, 1)), "The customer is on hold through 1 Feb 2025."),
        (
            opened("executing", OTHER),
            "Engagement check-in is under way (executing); asked again once it has ended.",
        ),
        (opened("pending"), "Usage review check-in already waits for a decision."),
        (
            opened("pending", OTHER, True),
            "Engagement check-in, which a person proposed or changed, waits for a decision; "
            "asked again once it is decided.",
        ),
        (
            past(0, status="imported"),
            "Usage review check-in stands in the imported history on 15 Jan 2025; "
            "asked again from 29 Jan 2025.",
        ),
        (
            rejected(),
            "Usage review check-in was rejected; asked again once the tier or the stage moves, "
            "or a negative signal is added.",
        ),
        (
            contacted(1),
            "The customer was contacted on 14 Jan 2025, and at most one contact in 7 days is allowed; "
            "asked again from 21 Jan 2025.",
        ),
    ],
)
def test_every_suppression_says_why_and_until_when(facts, detail):
    found = suppress(action=ACTION, channel="email", facts=facts, as_of=AS_OF, policy=PUBLISHED)
    assert found.detail == detail


def test_the_days_are_the_policys():
    policy = load({"suppression": {"cool_down_days": 3, "contact_cap_days": 0}})
    assert reason(past(3), policy=policy) is None
    assert reason(contacted(0), policy=policy) is None
