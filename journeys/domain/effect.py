"""What an action caused: those who were eligible for it against those who were held out, with 95 % intervals.

Sources: R. G. Newcombe, "Interval estimation for the difference between independent proportions: comparison
of eleven methods", Statistics in Medicine 17 (1998), method 10; B. L. Welch, "The generalization of
'Student's' problem when several different population variances are involved", Biometrika 34 (1947); the
sample size is the usual one for two proportions with unpooled variances.
"""

import math
from collections.abc import Iterable
from enum import StrEnum
from statistics import NormalDist
from typing import NamedTuple

LEVEL = 0.95
# With fewer than so many in either arm an interval says next to nothing: by action and segment none is given.
LEAST_PER_ARM = 30


class Verdict(StrEnum):
    """What may be said. `collecting`: the number that was planned has not been reached yet."""

    COLLECTING = "collecting"
    INCONCLUSIVE = "inconclusive"
    HELPS = "helps"
    HARMS = "harms"


class Share(NamedTuple):
    """So many of so many."""

    count: int
    of: int

    @property
    def value(self) -> float | None:
        return self.count / self.of if self.of else None


class Sample(NamedTuple):
    """Measured figures, summed up: how many, their mean, and the sum of squared distances from it."""

    of: int = 0
    mean: float = 0.0
    squares: float = 0.0

    @property
    def variance(self) -> float | None:
        """Unbiased; None for fewer than two."""
        return self.squares / (self.of - 1) if self.of > 1 else None


class Difference(NamedTuple):
    """The treated less the held out, with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


def sample(values: Iterable[float]) -> Sample:
    """Sums figures up as they come (Welford), so that none of them has to be kept."""
    of, mean, squares = 0, 0.0, 0.0
    for value in values:
        of += 1
        distance = value - mean
        mean += distance / of
        squares += distance * (value - mean)
    return Sample(of, mean, squares)


def wilson(share: Share, *, level: float = LEVEL) -> tuple[float, float] | None:
    """Wilson's score interval of one share; None of nothing."""
    if not share.of:
        return None
    z = _z(level)
    n, p = share.of, share.count / share.of
    centre = p + z * z / (2 * n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def difference_of_shares(treated: Share, held_out: Share, *, level: float = LEVEL) -> Difference | None:
    """Newcombe's hybrid score interval. None where an arm is empty: nothing is known then."""
    if not treated.of or not held_out.of:
        return None
    p1, (low1, high1) = treated.value, wilson(treated, level=level)
    p2, (low2, high2) = held_out.value, wilson(held_out, level=level)
    value = p1 - p2
    return Difference(
        value,
        max(-1.0, value - math.hypot(p1 - low1, high2 - p2)),
        min(1.0, value + math.hypot(high1 - p1, p2 - low2)),
    )


def difference_of_means(treated: Sample, held_out: Sample, *, level: float = LEVEL) -> Difference | None:
    """Welch's interval, for unequal variances. None where an arm has fewer than two figures."""
    if treated.of < 2 or held_out.of < 2:
        return None
    value = treated.mean - held_out.mean
    parts = [arm.variance / arm.of for arm in (treated, held_out)]
    error = sum(parts)
    if error == 0:
        return Difference(value, value, value)
    freedom = error**2 / (parts[0] ** 2 / (treated.of - 1) + parts[1] ** 2 / (held_out.of - 1))
    half = _student(1 - (1 - level) / 2, freedom) * math.sqrt(error)
    return Difference(value, value - half, value + half)


def verdict(difference: Difference | None, *, final: bool, lower_is_better: bool) -> Verdict:
    """What may be said of a difference.

    Nothing is, before the comparison is `final`: that is the guard against peeking. Who looks every day, and
    stops at the first interval without 0, is wrong far more often than one time in twenty. So the size is
    fixed beforehand, and the verdict rests on those who entered first, up to that size: to look more often,
    or for longer, cannot change it.
    """
    if not final or difference is None:
        return Verdict.COLLECTING
    if difference.low <= 0 <= difference.high:
        return Verdict.INCONCLUSIVE
    return Verdict.HELPS if (difference.high < 0) == lower_is_better else Verdict.HARMS


def customers_needed(
    *, base: float, difference: float, held_share: float, power: float, level: float = LEVEL
) -> int | None:
    """How many customers in both arms together it takes to see a share fall from `base` by `difference`,
    where `held_share` of them is held out, with this power. All are shares, 0..1.

    From .15 by .05 with a tenth held out at 80 %: 4,317. None where nobody is, or all are, held out, or the
    question has no answer.
    """
    after = base - difference
    if not 0 < held_share < 1 or difference == 0 or not (0 <= base <= 1 and 0 <= after <= 1):
        return None
    z = _z(level) + NormalDist().inv_cdf(power)
    per_customer = base * (1 - base) / held_share + after * (1 - after) / (1 - held_share)
    # Rounded first: 100 customers must not become 101 by the last bit of a float.
    return math.ceil(round(z * z * per_customer / difference**2, 6))


def months_needed(customers: int | None, eligible_a_month: float | None) -> float | None:
    """Until so many have entered, at that rate; None where either is not known."""
    if customers is None or not eligible_a_month:
        return None
    return customers / eligible_a_month


def _z(level: float) -> float:
    return NormalDist().inv_cdf(1 - (1 - level) / 2)


def _student(probability: float, freedom: float) -> float:
    """The quantile of Student's distribution above its middle, by bisection."""
    low, high = 0.0, 1.0
    while _student_below(high, freedom) < probability:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _student_below(middle, freedom) < probability else (low, middle)
    return (low + high) / 2


def _student_below(t: float, freedom: float) -> float:
    """The probability of a value below `t`, which is 0 or more."""
    return 1 - 0.5 * _incomplete_beta(freedom / (freedom + t * t), freedom / 2, 0.5)


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function, by Lentz's continued fraction (Numerical Recipes 6.4)."""
    if x <= 0 or x >= 1:
        return min(1.0, max(0.0, x))
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    if x > (a + 1) / (a + b + 2):
        return 1 - front * _fraction(1 - x, b, a) / b
    return front * _fraction(x, a, b) / a


def _fraction(x: float, a: float, b: float) -> float:
    tiny = 1e-300
    c, d = 1.0, 1 / ((1 - (a + b) * x / (a + 1)) or tiny)
    result = d
    for m in range(1, 400):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / ((1 + term * d) or tiny)
            c = (1 + term / c) or tiny
            result *= d * c
        if abs(d * c - 1) < 1e-14:
            break
    return result
