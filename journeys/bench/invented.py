"""An ordinary portfolio of any size, invented from a seed: its customers, the stage that each is in, and what
was noticed about them in half a year. Streamed into the database; memory stays flat.

It writes past the services, and so only ever into a database made for a measurement.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random

from django.db import transaction

from approvals.rows import insert
from journeys.batches import in_batches
from journeys.domain.policy import PUBLISHED
from journeys.domain.vocabulary import Segment, SignalSource, Stage
from journeys.models import Customer, JourneyState, Signal

# Signals are spread over so many days; the policy looks at half of them.
DAYS = 180
BATCH = 10_000
# Shares of 100, and the median value a year with its spread (of the logarithm).
_SEGMENTS = {
    Segment.SMB: (66, 6_000, 0.7),
    Segment.MID_MARKET: (27, 30_000, 0.5),
    Segment.ENTERPRISE: (7, 110_000, 0.5),
}
# Shares of 100, what came before, and what is noticed of those who are well there.
_STAGES = {
    Stage.ONBOARDING: (10, "", ("low_product_usage", "positive_sentiment", "failed_onboarding_step")),
    Stage.ENGAGEMENT: (42, Stage.ONBOARDING, ("usage_recovery", "positive_sentiment", "inactivity_warning")),
    Stage.SUPPORT: (6, Stage.ENGAGEMENT, ("positive_sentiment", "repeat_support_tickets", "usage_recovery")),
    Stage.RETENTION: (41, Stage.ENGAGEMENT, ("renewal_intent", "positive_sentiment", "low_product_usage")),
    Stage.ESCALATION: (1, Stage.SUPPORT, ("negative_sentiment", "positive_sentiment")),
}
_TROUBLE = (
    "usage_drop",
    "negative_sentiment",
    "support_ticket_spike",
    "repeat_support_tickets",
    "low_product_usage",
)
# With these about 7 of 100 come to be proposed or suppressed by the published policy; the others stay quiet.
_TROUBLED = 0.04
_STAY_OF_TROUBLED, _STAY_OF_QUIET = 1.2, 0.3  # mean stay in the stage, as a share of its typical days
_STRONG, _WEAK = (0.3, 0.95), (0.02, 0.35)
# Share of the signals of one more day that are strong ones.
_TROUBLING = 0.1
_NEW = 0.02
_OWNERS = 200

_CUSTOMER = (
    "customer_id", "name", "email", "owner", "segment", "account_value", "currency", "tenure_months",
    "risk_tier", "do_not_contact", "hold_until", "hold_reason", "renewal_date", "received_at",
)  # fmt: skip
_STATE = (
    "customer_id", "journey_stage", "state_entered_at", "days_in_state", "previous_stage", "days_checked",
    "received_at",
)  # fmt: skip
_SIGNAL = (
    "signal_id", "customer_id", "signal_type", "signal_strength", "detected_at", "journey_stage", "source",
    "received_at", "received_for",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Size:
    """`signals_per_customer` is the mean; their number falls off exponentially."""

    customers: int
    signals_per_customer: float = 5.0
    seed: int = 1


def fill(size: Size, day: date) -> int:
    """Write the portfolio as it stands at the end of `day`. Returns how many signals there are."""
    signals = 0
    for customers, states, noticed in batches(size, day):
        with transaction.atomic():
            insert(Customer, _CUSTOMER, customers)
            insert(JourneyState, _STATE, states)
            insert(Signal, _SIGNAL, noticed)
        signals += len(noticed)
    return signals


def customer_id(number: int) -> str:
    return f"N{number:08}"


def notice(customers: list[str], day: date, seed: int) -> None:
    """One more signal for each of the customers, that day: most say little, as they do every day."""
    random, now = Random(f"{seed}:notice"), _moment(day, 12)
    kinds = [kind for _, _, usual in _STAGES.values() for kind in usual]
    for keys in in_batches(customers, BATCH):
        rows = []
        for key in keys:
            noticed, strengths = (_TROUBLE, _STRONG) if random.random() < _TROUBLING else (kinds, _WEAK)
            kind, strength = random.choice(noticed), round(random.uniform(*strengths), 2)
            source = SignalSource.AUTOMATED.value
            rows.append((f"{key}-new{seed}", key, kind, strength, now, "", source, now, ""))
        with transaction.atomic():
            insert(Signal, _SIGNAL, rows)


def batches(size: Size, day: date) -> Iterator[tuple[list[tuple], list[tuple], list[tuple]]]:
    random = Random(size.seed)
    moments = [_moment(day - timedelta(days=ago), 6 + ago % 14) for ago in range(DAYS)]
    segments, stages = list(_SEGMENTS), list(_STAGES)
    segment_shares = [share for share, _, _ in _SEGMENTS.values()]
    stage_shares = [share for share, _, _ in _STAGES.values()]
    for start in range(0, size.customers, BATCH):
        count = min(BATCH, size.customers - start)
        customers, states, signals = [], [], []
        picked = zip(
            random.choices(segments, segment_shares, k=count),
            random.choices(stages, stage_shares, k=count),
            strict=True,
        )
        for number, (segment, stage) in enumerate(picked, start=start + 1):
            key, troubled = customer_id(number), random.random() < _TROUBLED
            customers.append(_customer(random, key, number, segment, day, moments))
            states.append(_state(random, key, stage, troubled, day, moments))
            signals += _signals(random, key, stage, troubled, size.signals_per_customer, moments)
        yield customers, states, signals


def _customer(random: Random, key: str, number: int, segment: str, day: date, moments: list) -> tuple:
    _, median, spread = _SEGMENTS[segment]
    value = None
    if random.random() > 0.005:
        value = Decimal(round(math.exp(random.gauss(math.log(median), spread)) / 100) * 100)
    held = random.random() < 0.01
    return (
        key,
        f"Company {number}",
        "" if random.random() < 0.04 else f"contact@company{number}.example",
        f"owner{random.randrange(_OWNERS):03}",
        segment.value if random.random() > 0.002 else "",
        value,
        "EUR" if random.random() < 0.15 else "USD",
        random.randrange(1, 96),
        "",
        random.random() < 0.025,
        day + timedelta(days=random.randrange(3, 30)) if held else None,
        "asked for it" if held else "",
        day + timedelta(days=random.randrange(5, 360)) if random.random() < 0.6 else None,
        moments[-1],
    )


def _state(random: Random, key: str, stage: str, troubled: bool, day: date, moments: list) -> tuple:
    typical = PUBLISHED.journey.typical_days.get(stage, PUBLISHED.journey.typical_days_otherwise)
    mean = typical * (_STAY_OF_TROUBLED if troubled else _STAY_OF_QUIET)
    days = int(random.expovariate(1 / mean))
    return (
        key,
        stage.value,
        day - timedelta(days=days),
        days if random.random() < 0.5 else None,
        _STAGES[stage][1],
        # Nearly all were looked at by an earlier run.
        random.random() > _NEW,
        moments[min(days, DAYS - 1)],
    )


def _signals(
    random: Random, key: str, stage: str, troubled: bool, mean: float, moments: list[datetime]
) -> list[tuple]:
    kinds = _TROUBLE if troubled else _STAGES[stage][2]
    least, most = _STRONG if troubled else _WEAK
    rows = []
    for place in range(round(random.expovariate(1 / mean))):
        moment = moments[int(random.random() * DAYS)]
        rows.append(
            (
                f"{key}-{place:03}",
                key,
                kinds[int(random.random() * len(kinds))],
                round(least + (most - least) * random.random(), 2),
                moment,
                stage.value,
                SignalSource.AUTOMATED.value,
                moment,
                "",
            )
        )
    return rows


def _moment(day: date, hour: int) -> datetime:
    return datetime.combine(day, time(hour, tzinfo=UTC))
