"""What moved a score, and the line that shows it: told from what was concluded, never from what was not."""

import re
from datetime import UTC, date, datetime, time, timedelta

from hypothesis import given
from hypothesis import strategies as st

from journeys import score_chart
from journeys.score_moves import Happening, Point, moves

DAY = date(2026, 11, 1)
LINES = {"medium": 0.4, "high": 0.7}


def at(days: int) -> date:
    return DAY + timedelta(days=days)


def made(days: int, hour: int = 5) -> datetime:
    return datetime.combine(at(days), time(hour), UTC)


def point(days: int, score: float, *, signals: float | None = None, hour: int = 5) -> Point:
    """All of the score from signals, unless it is told how much; the rest from the time in the stage."""
    signals = score if signals is None else signals
    parts = {
        "signals": signals,
        "time_in_state": score - signals,
        "customer_value": 0.0,
        "signal_count": 0.0,
    }
    tier = "high" if score >= 0.7 else "medium" if score >= 0.4 else "low"
    return Point(at(days), made(days, hour), score, tier, parts)


def noticed(days: int, text: str = "usage drop .60", direction: str = "up", weight: float = 0.6, **when):
    return Happening(at(days), when.get("received", made(days, 4)), text, direction, weight)


def chart(points, found=(), until=None):
    return score_chart.draw(points, moves(points, found), medium=0.4, high=0.7, until=until or points[-1].day)


# -- what moved it


def test_a_step_names_what_was_first_counted_in_it():
    found = [noticed(3, "early"), noticed(9, "late"), noticed(-5, "before all")]
    steps = moves([point(0, 0.2), point(7, 0.5), point(14, 0.8)], found)
    assert [[h.text for h in step.happenings] for step in steps] == [["early"], ["late"]]
    assert [round(step.change, 3) for step in steps] == [0.3, 0.3]


def test_what_arrived_late_is_counted_when_it_arrived_and_not_on_its_day():
    late = noticed(3, received=made(8))
    steps = moves([point(0, 0.2), point(7, 0.2, signals=0.1), point(14, 0.6)], [late])
    assert [step.until for step in steps if step.happenings] == [at(14)]


def test_what_came_after_the_run_of_its_day_is_counted_by_the_next():
    steps = moves([point(0, 0.2), point(1, 0.5)], [noticed(0, received=made(0, 14))])
    assert [len(step.happenings) for step in steps] == [1]


def test_of_several_conclusions_on_one_day_the_last_stands():
    steps = moves([point(0, 0.2), point(7, 0.5), point(7, 0.6, hour=9)], [])
    assert [(step.before, step.after) for step in steps] == [(0.2, 0.6)]


def test_days_that_changed_nothing_are_no_steps():
    assert moves([point(0, 0.2), point(1, 0.2), point(2, 0.2)], []) == []
    assert moves([point(0, 0.2)], [noticed(0)]) == []
    assert moves([], []) == []


def test_the_mere_passing_of_days_is_one_step_and_a_crossed_line_is_told_on_its_own():
    drifting = [point(day, round(0.32 + day * 0.02, 2), signals=0.1) for day in range(8)]
    steps = moves(drifting, [])
    assert [(step.since, step.until) for step in steps] == [
        (at(0), at(3)),
        (at(3), at(4)),
        (at(4), at(7)),
    ]
    assert [step.crossed for step in steps] == [False, True, False]
    assert steps[0].parts == (("time in stage", 0.06),)


def test_what_did_not_change_is_not_named():
    """Each part alone is rounded; what is shown of them still adds up."""
    parts = {"signals": 0.1001, "time_in_state": 0.2004, "customer_value": 0.0075, "signal_count": 0.08}
    later = parts | {"time_in_state": 0.2299, "signals": 0.1504}
    first = Point(at(0), made(0), round(sum(parts.values()), 3), "low", parts)
    second = Point(at(7), made(7), round(sum(later.values()), 3), "low", later)
    (step,) = moves([first, second], [])
    assert [label for label, _ in step.parts] == ["signals", "time in stage"]
    assert round(sum(change for _, change in step.parts), 3) == round(step.change, 3)


@given(
    st.lists(st.tuples(st.integers(0, 60), st.floats(0, 1), st.floats(0, 1)), max_size=20),
    st.lists(st.tuples(st.integers(-10, 70), st.integers(0, 80)), max_size=10),
)
def test_the_steps_lead_from_the_first_score_to_the_last_and_lose_nothing(scores, days):
    points = [point(day, round(score, 3), signals=round(score, 3) * share) for day, score, share in scores]
    points.sort(key=lambda row: row.made_at)
    found = [noticed(day, f"number {n}", received=made(arrived)) for n, (day, arrived) in enumerate(days)]
    steps = moves(points, found)
    told = [happening for step in steps for happening in step.happenings]
    assert len(told) == len(set(told))
    for step in steps:
        assert step.since < step.until
        if step.parts:
            assert abs(sum(change for _, change in step.parts) - step.change) < 0.0011
    if points:
        total = points[-1].score - points[0].score
        last_of_first_day = [row for row in points if row.day == points[0].day][-1]
        total = points[-1].score - last_of_first_day.score
        assert abs(sum(step.change for step in steps) - total) < 0.0011 * (1 + len(points))
        counted = {
            happening
            for happening in found
            if happening.day <= points[-1].day
            and happening.received_at <= points[-1].made_at
            and not (
                happening.day <= last_of_first_day.day and happening.received_at <= last_of_first_day.made_at
            )
        }
        assert set(told) == counted


# -- the line


def test_one_conclusion_makes_no_line():
    assert chart([point(0, 0.5)]) is None
    assert score_chart.draw([], [], medium=0.4, high=0.7, until=DAY) is None


def test_the_line_holds_each_score_until_the_next_one_and_slopes_nowhere():
    drawn = chart([point(0, 0.2), point(7, 0.8), point(9, 0.5)], until=at(20))
    assert re.fullmatch(r"M[\d.]+ [\d.]+( H[\d.]+ V[\d.]+){2} H[\d.]+", drawn.path)
    assert drawn.path.endswith(f"H{drawn.right:g}")


def test_a_day_without_a_conclusion_needs_no_row_to_be_drawn():
    sparse = chart([point(0, 0.2), point(7, 0.8)], until=at(20))
    dense = chart(
        [point(0, 0.2), *(point(day, 0.2) for day in range(1, 7)), point(7, 0.8), point(20, 0.8)],
        until=at(20),
    )
    assert sparse.path == dense.path


def test_the_bands_are_the_tiers_of_the_policy_and_fill_the_chart():
    drawn = chart([point(0, 0.2), point(7, 0.8)])
    assert [band.tier for band in drawn.bands] == ["high", "medium", "low"]
    assert sum(band.height for band in drawn.bands) == drawn.bottom - drawn.top
    assert drawn.bands[0].y == drawn.top
    assert [label.text for label in drawn.levels] == ["1.00", ".70", ".40", "0"]


def test_a_mark_lies_on_the_line_where_the_score_moved_and_says_which_way():
    drawn = chart(
        [point(0, 0.2), point(7, 0.8), point(14, 0.3)],
        [
            noticed(3, "usage drop .60"),
            noticed(4, "tickets .90", weight=0.9),
            noticed(9, "recovery .70", "down"),
        ],
    )
    up, down = drawn.marks
    assert (up.tone, down.tone) == ("negative", "positive")
    assert up.text == "▲ tickets .90, +1 more"
    assert down.text == "▼ recovery .70"
    assert up.y < down.y
    assert "usage drop .60" in up.title
    assert ".20 to .80" in up.title


def test_a_crossed_line_is_marked_also_where_nothing_happened():
    drawn = chart([point(0, 0.39, signals=0.1), point(1, 0.41, signals=0.1)])
    assert [mark.text for mark in drawn.marks] == ["▲ time in stage"]


@given(st.lists(st.floats(0, 1), min_size=2, max_size=40), st.data())
def test_everything_lies_within_the_chart_and_no_two_labels_overlap(scores, data):
    points = [point(day * 3, score) for day, score in enumerate(scores)]
    days = data.draw(st.lists(st.integers(0, 3 * len(scores)), max_size=30))
    drawn = chart(points, [noticed(day, f"a signal of some length .{n:02}") for n, day in enumerate(days)])
    boxes = []
    for mark in drawn.marks:
        assert drawn.left <= mark.x <= drawn.right
        assert drawn.top <= mark.y <= drawn.bottom
        if mark.text:
            left, top, right, bottom = mark.box
            assert left >= 0
            assert right <= score_chart.WIDTH
            assert top >= 0
            assert bottom <= drawn.bottom
            assert not any(
                left < other[2] and other[0] < right and top < other[3] and other[1] < bottom
                for other in boxes
            )
            boxes.append(mark.box)
    assert len(boxes) <= score_chart.LABELS
    if len(drawn.marks) > len(boxes) > 0:
        # The most that any unlabelled one moved is no more than the most that a labelled one did.
        assert max(mark.moved for mark in drawn.marks) == max(m.moved for m in drawn.marks if m.text)


def test_ticks_keep_their_distance():
    drawn = chart([point(0, 0.2), point(400, 0.8)])
    places = [tick.x for tick in drawn.ticks]
    assert places == sorted(places)
    assert all(b - a >= 60 for a, b in zip(places, places[1:], strict=False))
    assert drawn.ticks[0].label == "1 Nov 2026"
