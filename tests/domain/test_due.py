"""The day on which a customer has to be looked at again, tried against looking every day."""

import random
from dataclasses import replace
from datetime import date, timedelta
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from journeys.domain import holdout
from journeys.domain.due import Lines
from journeys.domain.journey_state import days_in_state
from journeys.domain.policy import PUBLISHED, PolicyDocument, load
from journeys.domain.signals import SignalFact, window
from journeys.domain.suppression import (
    CustomerHistory,
    OpenIntervention,
    PastAction,
    Rejection,
    Situation,
    suppress,
)
from journeys.domain.vocabulary import Action, Stage

from .sample import assess

AS_OF = date(2025, 6, 1)
# So many days are looked at one by one where none is due.
LOOKED_AHEAD = 300
NOTHING = Situation("", "", frozenset())


class Known(NamedTuple):
    """What is known of a customer, whatever the day."""

    stage: str
    entered_on: date
    signals: list[SignalFact]
    value: float | None
    segment: str
    has_address: bool
    history: CustomerHistory
    followed: bool = False


def days_from(first: int, last: int) -> st.SearchStrategy[date]:
    return st.integers(first, last).map(lambda days: AS_OF + timedelta(days=days))


kinds = st.sampled_from([*PUBLISHED.signals.kinds, "a_kind_nobody_knows"])
signal_lists = st.lists(st.tuples(kinds, st.floats(0, 1), days_from(-100, 40)), max_size=7).map(
    lambda rows: [SignalFact(f"S{number}", *row) for number, row in enumerate(rows)]
)
actions = st.sampled_from([action.value for action in Action])
histories = st.builds(
    CustomerHistory,
    now=st.just(NOTHING),
    do_not_contact=st.sampled_from([False, False, False, True]),
    hold_until=st.none() | days_from(-3, 30),
    open=st.none()
    | st.builds(OpenIntervention, st.sampled_from(["pending", "approved"]), actions, st.booleans()),
    recent=st.lists(st.builds(PastAction, actions, st.just("executed"), days_from(-30, 5)), max_size=14).map(
        tuple
    ),
    rejected=st.lists(
        st.builds(
            Rejection,
            actions,
            st.sampled_from(["low", "medium", "high"]),
            st.sampled_from([stage.value for stage in Stage]),
            st.frozensets(st.sampled_from([f"S{number}" for number in range(7)]), max_size=7),
        ),
        max_size=6,
    ).map(tuple),
    last_contact_on=st.none() | days_from(-10, 3),
    held_out=st.sampled_from(["", "", "first"]),
)
known = st.builds(
    Known,
    stage=st.sampled_from([*(stage.value for stage in Stage), "a stage nobody knows"]),
    entered_on=days_from(-250, 10),
    signals=signal_lists,
    value=st.none() | st.floats(0, 300_000),
    segment=st.sampled_from(["SMB", "Enterprise", "Startup"]),
    has_address=st.booleans(),
    history=histories,
    followed=st.booleans(),
)
thousandths = st.integers(0, 1000).map(lambda number: number / 1000)
weights = st.sampled_from(
    [(0.35, 0.25, 0.2, 0.2), (0.1, 0.7, 0.1, 0.1), (0.5, 0.0, 0.3, 0.2), (0.0, 1.0, 0.0, 0.0)]
)


@st.composite
def policies(draw) -> PolicyDocument:
    def thresholds() -> dict:
        medium, high = sorted(draw(st.lists(st.floats(0, 1), min_size=2, max_size=2, unique=True)))
        return {"medium": medium, "high": high}

    names = ("signals", "time_in_state", "customer_value", "signal_count")
    return load(
        {
            "journey": {
                "critical_factor": draw(st.floats(1, 4)),
                "stalled_factor": draw(st.floats(0.1, 4)),
                "full_friction_factor": draw(st.floats(0.1, 9)),
                "typical_days_otherwise": draw(st.integers(1, 10**8)),
            },
            "signals": {"days_back": draw(st.integers(0, 120)), "days_ahead": draw(st.integers(0, 3))},
            "risk": {
                "weights": dict(zip(names, draw(weights), strict=True)),
                "tier": thresholds(),
                "urgency": thresholds(),
            },
            "planning": {"confidence_floor": draw(thousandths | st.floats(0, 1))},
            "escalation": {"confidence": draw(thousandths | st.floats(0, 1))},
            "suppression": {
                "cool_down_days": draw(st.integers(0, 40)),
                "contact_cap_days": draw(st.integers(0, 20)),
            },
            "holdout": {"share": 0.5, "ends_on": draw(st.none() | days_from(-2, 40).map(str))},
        }
    )


class Looked(NamedTuple):
    """What all rules say on a day: the decision, and the first day on which it is due again."""

    decision: tuple
    due_on: date | None


def look(customer: Known, day: date, policy: PolicyDocument, lines: Lines) -> Looked:
    first, last = window(day, policy)
    signals = [signal for signal in customer.signals if first <= signal.detected_on <= last]
    found = assess(
        stage=customer.stage,
        days=days_in_state(customer.entered_on, day),
        signals=signals,
        account_value=customer.value,
        segment=customer.segment,
        has_address=customer.has_address,
        policy=policy,
    )
    suppression = None
    if found.plan.action:
        now = Situation(found.risk.tier, customer.stage, frozenset(found.signals.negative_ids))
        takes_part = holdout.is_on(policy, day) and holdout.takes_part(
            channel=found.plan.channel, tier=found.risk.tier, value=customer.value, policy=policy
        )
        held_out = customer.history.held_out if takes_part else ""
        suppression = suppress(
            action=found.plan.action,
            channel=found.plan.channel,
            facts=replace(customer.history, now=now, held_out=held_out),
            as_of=day,
            policy=policy,
        )
    return Looked(
        (
            found.state.health,
            found.risk.tier,
            found.risk.urgency,
            found.plan.action,
            found.plan.channel,
            found.person if found.plan.action else (),
            suppression,
        ),
        lines.due_on(
            as_of=day,
            stage=customer.stage,
            entered_on=customer.entered_on,
            state=found.state,
            signals=signals,
            summary=found.signals,
            ahead=min(
                (signal.detected_on for signal in customer.signals if signal.detected_on > last), default=None
            ),
            risk=found.risk,
            plan=found.plan,
            suppression=suppression,
            followed=customer.followed,
        ),
    )


# A few good signs that leave one after the other, and a bad one that stays behind them.
near_a_line = st.builds(
    Known,
    stage=st.sampled_from(["engagement", "retention"]),
    entered_on=days_from(-30, 0),
    signals=st.tuples(
        st.lists(st.tuples(st.just("positive_sentiment"), st.floats(0, 1), days_from(-90, -1)), max_size=5),
        st.lists(st.tuples(st.just("usage_drop"), st.floats(0.3, 1), days_from(-60, 0)), max_size=2),
    ).map(
        lambda lists: [SignalFact(f"S{number}", *row) for number, row in enumerate([*lists[0], *lists[1]])]
    ),
    value=st.floats(0, 60_000),
    segment=st.just("SMB"),
    has_address=st.just(True),
    history=st.just(CustomerHistory(NOTHING)),
)


@settings(max_examples=500)
@given(known | near_a_line, st.just(PUBLISHED) | policies())
def test_until_a_customer_is_due_every_day_comes_to_the_same_decision(customer, policy):
    lines = Lines(policy)
    decision, due_on = look(customer, AS_OF, policy, lines)
    assert due_on is None or due_on > AS_OF
    until = AS_OF + timedelta(days=LOOKED_AHEAD)
    day = AS_OF + timedelta(days=1)
    while day < min(due_on or until, until):
        assert look(customer, day, policy, lines).decision == decision, day
        day += timedelta(days=1)


def test_it_is_the_very_day_of_each_kind_of_line():
    stay = {"entered_on": AS_OF - timedelta(days=3), "signals": [], "value": 1_000.0}
    quiet = Known(
        stage="retention", segment="SMB", has_address=True, history=CustomerHistory(NOTHING), **stay
    )
    lines = Lines(PUBLISHED)

    def due(**changed) -> int | None:
        day = look(quiet._replace(**changed), AS_OF, PUBLISHED, lines).due_on
        return day and (day - AS_OF).days

    # above 1.5 times 90 days; above a limit of 14, of 5
    assert due() == 136 - 3
    assert due(stage="onboarding") == 15 - 3
    assert due(stage="support") == 6 - 3
    # 0.12 for three signals, 0.1 for the account and so 0.08 for the time make a confidence of 0.5
    three = {
        "signals": [SignalFact(f"S{number}", "low_product_usage", 0.5, AS_OF) for number in range(3)],
        "value": 100_000.0,
    }
    assert due(**three) == 58 - 3
    reached = look(quiet._replace(**three), AS_OF + timedelta(days=58 - 3), PUBLISHED, lines)
    assert reached.decision[3] == "retention_checkin"
    # long over every line
    assert due(stage="onboarding", entered_on=AS_OF - timedelta(days=400)) is None
    # a signal that leaves after 90 days, where that can cross a line or an outcome is measured
    leaving = [SignalFact("S1", "renewal_intent", 0.5, AS_OF - timedelta(days=80))]
    assert due(signals=leaving) == 136 - 3
    assert due(signals=leaving, followed=True) == 11
    trouble = SignalFact("S2", "usage_drop", 1.0, AS_OF)
    assert due(signals=[*leaving, trouble], value=20_000.0) == 11
    # one that comes into force a day before its own
    assert due(signals=[SignalFact("S1", "usage_drop", 0.5, AS_OF + timedelta(days=9))]) == 8


@pytest.mark.parametrize(
    ("history", "days"),
    [
        (CustomerHistory(NOTHING), 1),
        (CustomerHistory(NOTHING, open=OpenIntervention("approved", "monitor_only", False)), None),
        (CustomerHistory(NOTHING, do_not_contact=True), None),
        (CustomerHistory(NOTHING, hold_until=AS_OF + timedelta(days=5)), 6),
        (CustomerHistory(NOTHING, recent=(PastAction("general_checkin", "executed", AS_OF),)), 14),
        (CustomerHistory(NOTHING, last_contact_on=AS_OF - timedelta(days=2)), 5),
    ],
    ids=["proposed", "open", "do not contact", "on hold", "cool-down", "contact cap"],
)
def test_what_stands_in_the_way_is_due_when_it_ends(history, days):
    """By a policy that always proposes, and of which no days in the stage cross a line."""
    policy = load({"planning": {"confidence_floor": 0.0}, "risk": {"full_account_value": 1.0}})
    customer = Known("escalation", AS_OF - timedelta(days=400), [], 1.0, "SMB", True, history)
    due_on = look(customer, AS_OF, policy, Lines(policy)).due_on
    assert due_on == (days and AS_OF + timedelta(days=days))


def test_of_an_ordinary_portfolio_few_are_due_on_an_ordinary_day():
    """Five signals each, spread over 180 days; looked at every day on which they are due, for two months."""
    chance = random.Random(7)
    lines = Lines(PUBLISHED)
    stays = {"onboarding": 14, "engagement": 60, "support": 5, "retention": 240, "escalation": 30}
    portfolio = []
    for number in range(300):
        stage = chance.choices(list(stays), weights=[10, 35, 8, 45, 2])[0]
        portfolio.append(
            Known(
                stage,
                AS_OF - timedelta(days=chance.randrange(2 * stays[stage])),
                [
                    SignalFact(
                        f"S{number}",
                        chance.choice(list(PUBLISHED.signals.kinds)),
                        chance.random(),
                        AS_OF + timedelta(days=chance.randrange(-119, 61)),
                    )
                    for number in range(5)
                ],
                chance.lognormvariate(9.5, 1),
                "SMB",
                True,
                # What would be proposed was done, and is in its cool-down: what is open is due every day.
                CustomerHistory(
                    NOTHING,
                    do_not_contact=number % 20 == 0,
                    recent=tuple(
                        PastAction(action.value, "executed", AS_OF + timedelta(days=chance.randrange(50, 61)))
                        for action in Action
                    ),
                ),
            )
        )
    due = [AS_OF] * len(portfolio)
    shares = []
    for day in (AS_OF + timedelta(days=days) for days in range(60)):
        looked = 0
        for place, customer in enumerate(portfolio):
            if due[place] is not None and due[place] <= day:
                due[place] = look(customer, day, PUBLISHED, lines).due_on
                looked += 1
        shares.append(looked / len(portfolio))
    assert sum(shares[1:]) / len(shares[1:]) < 0.15
