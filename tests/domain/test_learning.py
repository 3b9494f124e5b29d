"""What figures suggest, and when they suggest nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from journeys.domain.effect import Share
from journeys.domain.learning import Calibration, Overrides, band, band_label, suggestions, under_review
from journeys.domain.policy import PUBLISHED


@pytest.mark.parametrize(
    ("score", "number"), [(0.0, 0), (0.6, 6), (0.699, 6), (0.7, 7), (0.3, 3), (0.999, 9), (1.0, 9)]
)
def test_a_score_is_in_the_band_that_it_is_written_in(score, number):
    assert band(score) == number


@given(st.integers(0, 1000))
def test_no_score_falls_between_the_bands(thousandths):
    assert band(thousandths / 1000) == min(9, thousandths // 100)


def test_a_band_reads_as_it_is_said():
    assert (band_label(6), band_label(9)) == (".6–.7", ".9–1")


@pytest.mark.parametrize(
    ("success", "reviewed"),
    [(Share(9, 20), True), (Share(10, 20), False), (Share(0, 19), False), (Share(0, 0), False)],
)
def test_a_playbook_is_under_review_below_half_from_twenty_on(success, reviewed):
    assert under_review(success, PUBLISHED) is reviewed


def test_a_calibrated_band_is_not_off_and_too_few_say_nothing():
    assert Calibration(6, Share(65, 100)).is_off is False
    assert Calibration(6, Share(20, 100)).is_off is True
    assert Calibration(6, Share(0, 19)).is_off is None
    assert Calibration(6, Share(65, 100)).expected == 0.65


def suggested(**facts):
    return suggestions(**{"overrides": [], "calibration": [], "playbooks": []} | facts, policy=PUBLISHED)


def test_nothing_suggests_nothing():
    assert suggested() == []


def test_where_people_overrule_the_lowest_band_and_are_right_a_higher_floor_is_suggested():
    lowest = Overrides("confidence", ".5–.6", Share(30, 40), Share(26, 30))
    (found,) = suggested(overrides=[lowest])
    assert (found.field, found.now, found.suggested) == ("planning.confidence_floor", 0.5, 0.6)
    assert "30 were overruled" in found.evidence
    assert "26 of 30" in found.evidence


@pytest.mark.parametrize(
    ("overruled", "right"),
    [(Share(12, 19), Share(20, 20)), (Share(15, 40), Share(20, 20)), (Share(30, 40), Share(12, 30))],
)
def test_too_few_or_not_right_suggests_no_other_floor(overruled, right):
    assert suggested(overrides=[Overrides("confidence", ".5–.6", overruled, right)]) == []


def test_bands_that_leave_the_wrong_way_round_are_pointed_at():
    bands = [Calibration(2, Share(60, 100)), Calibration(5, Share(10, 100))]
    (found,) = suggested(calibration=bands)
    assert found.suggested is None
    assert "60 of 100" in found.evidence
    assert suggested(calibration=bands[::-1]) == []


def test_a_failing_playbook_is_named_with_its_sizes():
    (found,) = suggested(playbooks=[("support_followup", "SMB", Share(8, 25))])
    assert "8 of 25" in found.evidence
