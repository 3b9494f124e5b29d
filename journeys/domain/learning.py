"""What can be learnt: how well the churn score is calibrated, which playbooks fail, where people overrule the
policy and were right. It only suggests; nothing changes by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .effect import Share, wilson
from .policy import PolicyDocument
from .vocabulary import OutcomeKind

BANDS = 10
# What counts as a success of a playbook.
SUCCESS = (OutcomeKind.RESOLVED, OutcomeKind.IMPROVED_ENGAGEMENT)
# Fewer than so many suggest nothing.
LEAST = 20


def band(score: float) -> int:
    """The tenth of the scale that a score of 0..1 is in: .6 and .69 are 6; 1 is in the last."""
    # .7 is stored a little below or above itself; scores have three places.
    return min(BANDS - 1, int(round(score * 1000) // (1000 // BANDS)))


def band_label(number: int) -> str:
    return f".{number}–{'1' if number == BANDS - 1 else f'.{number + 1}'}"


@dataclass(frozen=True, slots=True)
class Calibration:
    """Of those whose churn score was in this band, how many left in the days that followed."""

    band: int
    churned: Share

    @property
    def expected(self) -> float:
        """The middle of the band, which is what a calibrated score would mean."""
        return (self.band + 0.5) / BANDS

    @property
    def is_off(self) -> bool | None:
        """Whether the middle of the band lies outside the 95 % interval; None for too few."""
        if self.churned.of < LEAST:
            return None
        low, high = wilson(self.churned)
        return not low <= self.expected <= high


@dataclass(frozen=True, slots=True)
class Overrides:
    """Of what people decided with something in common (a band, an action, a rule, a segment): how many they
    overruled, and of the rejections whose days have passed, how many were right."""

    by: str
    key: str
    overruled: Share
    right: Share


class Suggestion(NamedTuple):
    """A change of a field that the evidence speaks for. `suggested` is None where only a person can say what
    it should be."""

    field: str
    now: float | str
    suggested: float | None
    evidence: str


def under_review(success: Share, policy: PolicyDocument) -> bool:
    """Whether a playbook fails too often, with enough outcomes to say so."""
    rules = policy.kpis
    return success.of >= rules.review_from and success.value < rules.review_below


def suggestions(
    *,
    overrides: Sequence[Overrides],
    calibration: Sequence[Calibration],
    playbooks: Sequence[tuple[str, str, Share]],
    policy: PolicyDocument,
) -> list[Suggestion]:
    """`playbooks` are (action, segment, success). Each suggestion names its sizes."""
    return [
        *_confidence_floor(overrides, policy),
        *_medium_tier(calibration, policy),
        *_failing(playbooks, policy),
    ]


def _confidence_floor(overrides: Sequence[Overrides], policy: PolicyDocument) -> list[Suggestion]:
    """Where people overrule most of the lowest band that is proposed at all, and were right, the floor is too
    low."""
    floor = policy.planning.confidence_floor
    lowest = next(
        (row for row in overrides if row.by == "confidence" and row.key == band_label(band(floor))), None
    )
    if lowest is None or lowest.overruled.of < LEAST or lowest.right.of < LEAST:
        return []
    if lowest.overruled.value < 0.5 or lowest.right.value < 0.8:
        return []
    return [
        Suggestion(
            "planning.confidence_floor",
            floor,
            round((band(floor) + 1) / BANDS, 2),
            f"Of {lowest.overruled.of} decided by people at a confidence of {lowest.key}, "
            f"{lowest.overruled.count} were overruled, and {lowest.right.count} of {lowest.right.of} "
            "rejections whose days have passed were right: the customer stayed.",
        )
    ]


def _medium_tier(calibration: Sequence[Calibration], policy: PolicyDocument) -> list[Suggestion]:
    """Where a low band of the churn score leaves surely more often than a higher one, the score ranks them
    wrongly."""
    found = []
    known = [row for row in calibration if row.churned.of >= LEAST]
    for lower, higher in zip(known, known[1:], strict=False):
        if wilson(lower.churned)[0] > wilson(higher.churned)[1]:
            found.append(
                Suggestion(
                    "risk.churn",
                    "as it is",
                    None,
                    f"At a churn score of {band_label(lower.band)}, {lower.churned.count} of "
                    f"{lower.churned.of} left, and at {band_label(higher.band)} only "
                    f"{higher.churned.count} of {higher.churned.of}: the weights rank them wrongly.",
                )
            )
    return found


def _failing(playbooks: Sequence[tuple[str, str, Share]], policy: PolicyDocument) -> list[Suggestion]:
    return [
        Suggestion(
            "planning.playbooks",
            action,
            None,
            f"For {segment or 'no known segment'}, {success.count} of {success.of} succeeded: less than "
            f"{policy.kpis.review_below:.0%}. Another action, another text, or none.",
        )
        for action, segment, success in playbooks
        if under_review(success, policy)
    ]
