"""What changed since the last score."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from journeys.domain.policy import PUBLISHED
from journeys.domain.shift import PARTS, Scored, shift
from journeys.domain.signals import SignalFact

TODAY = date(2025, 1, 15)
DROP = SignalFact("S1", "usage_drop", 0.6, date(2025, 1, 12))
RECOVERY = SignalFact("S2", "usage_recovery", 0.55, date(2025, 1, 14))
QUIET = {"signals": 0.0, "time_in_state": 0.25, "customer_value": 0.04, "signal_count": 0.0}


def scored(days_ago=0, parts=None, signals=(), stage="engagement", days=95, policy="published 1") -> Scored:
    parts = QUIET | (parts or {})
    return Scored(
        on=TODAY - timedelta(days=days_ago),
        overall=round(sum(parts.values()), 3),
        contributions=parts,
        stage=stage,
        days_in_state=days - days_ago,
        signals=signals,
        policy=policy,
    )


def moved(before: Scored, now: Scored):
    return shift(before, now, PUBLISHED)


def test_a_signal_that_came_in_is_named_with_what_it_did():
    found = moved(scored(7), scored(parts={"signals": 0.12, "signal_count": 0.04}, signals=[DROP]))
    assert (found.before, found.lapse) == (0.29, "a week before")
    assert found.moved_by == "the usage drop of 12 Jan raised it"
    assert found.moves == (
        ("signals", 0.12, "usage drop 0.60 of 12 Jan came in"),
        ("number of signals", 0.04, "0 before, 1 now"),
    )


def test_of_several_that_came_the_one_that_explains_the_direction_is_named():
    before = scored(3, parts={"signals": 0.20}, signals=[DROP])
    found = moved(before, scored(parts={"signals": 0.08}, signals=[DROP, RECOVERY]))
    assert found.moved_by == "the usage recovery of 14 Jan lowered it"


def test_a_signal_that_went_out_of_the_window_is_named():
    found = moved(scored(7, parts={"signals": 0.12}, signals=[DROP]), scored())
    assert found.moved_by == "the usage drop of 12 Jan no longer counts"
    assert found.moves[0].why == "usage drop 0.60 of 12 Jan no longer counts"


def test_days_in_the_same_stage_are_counted_and_a_move_is_named():
    grown = {"time_in_state": 0.30}
    assert moved(scored(7), scored(parts=grown)).moves == (
        ("time in stage", 0.05, "7 days more in engagement"),
    )
    found = moved(scored(7, stage="onboarding"), scored(parts=grown))
    assert found.moved_by == "the move to engagement raised it"
    assert found.moves[0].why == "moved from onboarding to engagement"


def test_where_nothing_moved_nothing_is_said_to_have():
    found = moved(scored(1), scored())
    assert found.moves == ()
    assert found.moved_by == ""
    assert found.lapse == "1 day before"


def test_another_policy_is_the_reason_where_nothing_else_is():
    found = moved(scored(7, policy="published 1"), scored(parts={"customer_value": 0.10}, policy="ours 2"))
    assert found.moved_by == "policy ours 2 weighs it otherwise than published 1"
    assert found.moves[0].why == "policy ours 2 in place of published 1"


def test_a_rise_that_nothing_on_record_explains_has_no_reason_made_up():
    found = moved(scored(7), scored(parts={"customer_value": 0.10}))
    assert found.moves == (("account value", 0.06, ""),)
    assert found.moved_by == "the account value raised it"


def test_of_many_signals_the_newest_three_are_named():
    many = [DROP._replace(signal_id=f"S{n}", detected_on=TODAY - timedelta(days=n)) for n in range(5)]
    (move,) = moved(scored(7), scored(parts={"signals": 0.3}, signals=many)).moves
    assert move.why.count("usage drop") == 3
    assert move.why.endswith("and 2 more came in")


shares = st.integers(0, 300).map(lambda number: number / 1000)
parts = st.fixed_dictionaries(dict.fromkeys(PARTS, shares))


@given(parts, parts)
def test_the_moves_add_up_to_the_difference_and_the_largest_comes_first(before, now):
    found = moved(scored(7, parts=before), scored(parts=now))
    assert round(sum(move.change for move in found.moves), 3) == round(
        sum(now.values()) - sum(before.values()), 3
    )
    sizes = [abs(move.change) for move in found.moves]
    assert sizes == sorted(sizes, reverse=True)
    assert 0 not in sizes
