"""The return of one population: the interventions executed in a window. Cost and value are of the same ones.

Two values stand side by side and are never added: the one that outcomes report, and the one that the
comparison with those held out supports.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """Policy fields. Money is in one currency, which the caller names."""

    review_rate_per_hour: float
    review_cap_minutes: float
    channel_cost: dict[str, float]
    infrastructure_per_month: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """What was counted. `review_minutes` has a figure for each review that somebody was seen to open, the
    others are in `reviews_unseen`; `by_channel` counts what was sent. A value is None where it is not known.
    """

    executed: int
    review_minutes: tuple[float, ...]
    reviews_unseen: int
    by_channel: dict[str, int]
    window_days: int
    reported_value: float | None
    measured_value: float | None


class Costs(NamedTuple):
    review: float
    channel: float
    infrastructure: float

    @property
    def total(self) -> float:
        return self.review + self.channel + self.infrastructure


class Sensitivity(NamedTuple):
    """The return if one assumption were half, or double, of what it is."""

    assumption: str
    value: float | dict[str, float]
    reported_half: float | None
    reported_double: float | None
    measured_half: float | None
    measured_double: float | None


def costs(of: Population, given: Assumptions) -> Costs:
    """Every review counts with the time from its opening to the decision, at most the cap; one that nobody
    was seen to open counts with the whole cap."""
    cap = given.review_cap_minutes
    minutes = sum(min(measured, cap) for measured in of.review_minutes) + of.reviews_unseen * cap
    return Costs(
        review=minutes / 60 * given.review_rate_per_hour,
        channel=sum(
            number * given.channel_cost.get(channel, 0.0) for channel, number in of.by_channel.items()
        ),
        infrastructure=given.infrastructure_per_month * of.window_days / 30,
    )


def roi(value: float | None, cost: float) -> float | None:
    """(value − cost) ÷ cost; None where the value is not known or there was no cost."""
    return None if value is None or cost <= 0 else (value - cost) / cost


def sensitivity(of: Population, given: Assumptions) -> list[Sensitivity]:
    """For each assumption alone, the others as they are."""
    rows = []
    for name in Assumptions.__dataclass_fields__:
        value = getattr(given, name)
        half, double = (
            costs(of, replace(given, **{name: _times(value, factor)})).total for factor in (0.5, 2.0)
        )
        rows.append(
            Sensitivity(
                name,
                value,
                roi(of.reported_value, half),
                roi(of.reported_value, double),
                roi(of.measured_value, half),
                roi(of.measured_value, double),
            )
        )
    return rows


def _times(value: float | dict[str, float], factor: float) -> float | dict[str, float]:
    if isinstance(value, dict):
        return {name: amount * factor for name, amount in value.items()}
    return value * factor
