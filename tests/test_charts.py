"""The geometry of the charts."""

from datetime import date, timedelta

from journeys import charts
from journeys.charts import Dot, Stay

TODAY = date(2025, 1, 15)
PARTS = {"signals": 0.13, "time_in_state": 0.25, "customer_value": 0.042, "signal_count": 0.08}


def test_the_parts_of_a_score_lie_end_to_end_and_add_up():
    bar = charts.score_bar(PARTS)
    assert round(sum(part.value for part in bar), 3) == 0.502
    for left, right in zip(bar, bar[1:], strict=False):
        assert abs(left.x + left.width - right.x) < 0.2
    assert bar[-1].x + bar[-1].width <= charts.WIDTH


def test_everything_on_a_timeline_lies_within_it():
    stays = [Stay("Onboarding", TODAY - timedelta(days=400), TODAY - timedelta(days=95)),
             Stay("Engagement", TODAY - timedelta(days=95), None)]  # fmt: skip
    dots = [Dot(f"signal {n}", TODAY - timedelta(days=n), ("negative", "positive")[n % 2]) for n in range(40)]
    drawn = charts.timeline(
        stays, [*dots, Dot("tomorrow", TODAY + timedelta(days=1), "neutral")], until=TODAY
    )
    assert all(bar.x >= 0 and bar.x + bar.width <= charts.WIDTH for bar in drawn.bars)
    assert all(0 <= dot.x <= charts.WIDTH and 0 < dot.y < drawn.height for dot in drawn.dots)
    assert len(drawn.dots) == 41
    assert all((dot.y < drawn.top) == (dot.tone == "negative") for dot in drawn.dots)


def test_labels_on_one_level_keep_their_distance():
    dots = [Dot(f"signal {n}", TODAY - timedelta(days=n), "negative") for n in range(20)]
    drawn = charts.timeline([], dots, until=TODAY)
    for level in {dot.y for dot in drawn.dots}:
        labelled = sorted(dot.x for dot in drawn.dots if dot.y == level and dot.text)
        assert all(b - a >= 150 for a, b in zip(labelled, labelled[1:], strict=False))


def test_a_timeline_of_nothing_is_still_one():
    assert charts.timeline([], [], until=TODAY).height > 0
