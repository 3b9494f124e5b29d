"""The portfolio as the latest run left it: its risk, what is at stake, what moved, and how it came to this.

Read from snapshots, so that it takes as long for a million customers as for ten. Reads only.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from journeys.domain.vocabulary import Segment, Stage, Tier
from journeys.models import PipelineRun, PortfolioSnapshot

TREND_DAYS = 90
# Lowest first: a tier further to the right is a higher risk.
_RANK = {Tier.LOW: 0, Tier.MEDIUM: 1, Tier.HIGH: 2}


@dataclass(frozen=True, slots=True)
class Tiers:
    """How many customers of each tier; `name` is what they have in common, "" where there is no word."""

    name: str
    high: int
    medium: int
    low: int

    @property
    def assessed(self) -> int:
        return self.high + self.medium + self.low

    @property
    def at_risk(self) -> int:
        return self.high + self.medium

    @property
    def share(self) -> float | None:
        return self.at_risk / self.assessed if self.assessed else None


@dataclass(frozen=True, slots=True)
class Revenue:
    """Values a year in one currency, each customer once. `valued` and `unvalued` count the customers at risk
    whose value is known, and is not; of all assessed ones, `total` is what is known."""

    currency: str
    high: Decimal = Decimal(0)
    medium: Decimal = Decimal(0)
    low: Decimal = Decimal(0)
    valued: int = 0
    unvalued: int = 0

    @property
    def total(self) -> Decimal:
        return self.high + self.medium + self.low

    @property
    def at_risk(self) -> Decimal | None:
        """None where nothing is known of anybody at risk."""
        return None if self.unvalued and not self.valued else self.high + self.medium

    @property
    def share(self) -> float | None:
        """Of all that is known, what is at risk."""
        return float(self.at_risk / self.total) if self.total and self.at_risk is not None else None


@dataclass(frozen=True, slots=True)
class Risen:
    """A customer whose tier rose; `risk` is 0..1."""

    customer_id: str
    segment: str
    before: str
    after: str
    risk: float


@dataclass(frozen=True, slots=True)
class Movement:
    """From tier to tier since an earlier run. `counts` by (tier then, tier now), with "" for not assessed.
    `risen` are the first of those who rose, highest risk first."""

    since: PipelineRun
    counts: dict[tuple[str, str], int]
    risen: tuple[Risen, ...]

    @property
    def up(self) -> int:
        return self._sum(lambda step: step > 0)

    @property
    def down(self) -> int:
        return self._sum(lambda step: step < 0)

    @property
    def unmoved(self) -> int:
        return self._sum(lambda step: step == 0)

    def _sum(self, test) -> int:
        return sum(
            number
            for (before, after), number in self.counts.items()
            if before and after and test(_RANK[Tier(after)] - _RANK[Tier(before)])
        )


@dataclass(frozen=True, slots=True)
class Day:
    """The portfolio after the last run of a day."""

    run_id: int
    as_of: date
    tiers: Tiers
    revenue: tuple[Revenue, ...]


@dataclass(frozen=True, slots=True)
class Protected:
    """See `reports.snapshots.protected`. `value` of `of_value` in one currency."""

    currency: str
    value: Decimal
    of_value: Decimal
    customers: int
    of_customers: int


@dataclass(frozen=True, slots=True)
class Portfolio:
    """Of one segment, or of all (`segment` is None). `movement` is None without an earlier run, and `trend`
    is oldest first. `protected` is of the whole portfolio, whatever the segment, and empty where no outcome
    is on record."""

    run: PipelineRun
    segment: str | None
    tiers: Tiers
    by_stage: tuple[Tiers, ...]
    by_segment: tuple[Tiers, ...]
    revenue: tuple[Revenue, ...]
    movement: Movement | None
    trend: tuple[Day, ...]
    protected: tuple[Protected, ...]
    protected_facts: dict


def latest(*, segment: str | None = None) -> Portfolio | None:
    """As of the latest run over the portfolio that succeeded; None before the first. `segment` narrows
    everything down but `by_segment`, which compares them. Two queries."""
    snapshots = PortfolioSnapshot.objects.filter(run__status=PipelineRun.Status.SUCCEEDED)
    found = (
        snapshots.select_related("since")
        .defer("since__report", "since__steps")
        .order_by("-as_of", "-run_id")
        .first()
    )
    if found is None:
        return None
    run = PipelineRun.objects.defer("report", "steps").select_related("policy").get(pk=found.pk)
    cells = _narrowed(found.cells, segment)
    return Portfolio(
        run=run,
        segment=segment,
        tiers=_tiers("", cells),
        by_stage=_grouped(cells, 0, Stage),
        by_segment=_grouped(found.cells, 1, Segment),
        revenue=revenue(cells),
        movement=_movement(found, segment),
        trend=_trend(found.as_of, segment),
        protected=tuple(_protected(row) for row in found.protected["revenue"]),
        protected_facts=found.protected,
    )


def _narrowed(cells: list, segment: str | None) -> list:
    return cells if segment is None else [cell for cell in cells if cell[1] == segment]


def _tiers(name: str, cells: Iterable[list]) -> Tiers:
    counts: Counter = Counter()
    for _, _, _, tier, customers, _, _ in cells:
        counts[tier] += customers
    return Tiers(name, *(counts[tier] for tier in Tier))


def _grouped(cells: list, place: int, words) -> tuple[Tiers, ...]:
    """For each word, in its order; what there is no word for comes last, where there is any."""
    groups = defaultdict(list)
    for cell in cells:
        groups[cell[place]].append(cell)
    names = [*words, ""] if "" in groups else list(words)
    return tuple(_tiers(str(name), groups[name]) for name in names)


def revenue(cells: Iterable[list]) -> tuple[Revenue, ...]:
    """By currency, of cells as a snapshot keeps them."""
    currencies = defaultdict(list)
    for cell in cells:
        currencies[cell[2]].append(cell)
    return tuple(_revenue_in(currency, currencies[currency]) for currency in sorted(currencies))


def _revenue_in(currency: str, cells: list) -> Revenue:
    sums = dict.fromkeys(Tier, Decimal(0))
    valued = unvalued = 0
    for _, _, _, tier, customers, known, value in cells:
        sums[Tier(tier)] += Decimal(value)
        if tier != Tier.LOW:
            valued += known
            unvalued += customers - known
    return Revenue(currency, *(sums[tier] for tier in Tier), valued, unvalued)


def _movement(found: PortfolioSnapshot, segment: str | None) -> Movement | None:
    if found.since is None:
        return None
    counts: Counter = Counter()
    for of, before, after, customers in found.moves:
        if segment is None or of == segment:
            counts[before, after] += customers
    risen = (Risen(*row) for row in found.risen)
    return Movement(
        found.since, dict(counts), tuple(row for row in risen if segment is None or row.segment == segment)
    )


def _trend(until: date, segment: str | None) -> tuple[Day, ...]:
    """One point a day on which there was a run: the last of that day."""
    rows = (
        PortfolioSnapshot.objects.filter(
            run__status=PipelineRun.Status.SUCCEEDED,
            as_of__gt=until - timedelta(days=TREND_DAYS),
            as_of__lte=until,
        )
        .order_by("as_of", "run_id")
        .values_list("as_of", "run_id", "cells")
    )
    days = {}
    for as_of, run_id, cells in rows:
        days[as_of] = run_id, _narrowed(cells, segment)
    return tuple(
        Day(run_id, as_of, _tiers("", cells), revenue(cells)) for as_of, (run_id, cells) in days.items()
    )


def _protected(row: dict) -> Protected:
    return Protected(
        row["currency"],
        Decimal(row["value"]),
        Decimal(row["of_value"]),
        row["customers"],
        row["of_customers"],
    )
