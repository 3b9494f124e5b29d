"""The demo's customers: invented from a seed, a number and a day, and from nothing else. The same three give
the same customer, whatever the size of the portfolio.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random

from journeys.demo import stories
from journeys.demo.stories import Mood, Stay
from journeys.demo.words import MAILBOXES, address, company_name
from journeys.domain.vocabulary import Segment, SignalSource, Tier
from journeys.records import CustomerRecord, SignalRecord, StateRecord

ID_PREFIX = "D"
_OWNERS = ("operator", "operator", "manager")
# How many of 100 customers are in the segment, and their value a year: least and most, in steps of 500.
_SEGMENTS = {
    Segment.SMB: (48, 3_000, 29_000),
    Segment.MID_MARKET: (33, 24_000, 98_000),
    Segment.ENTERPRISE: (19, 80_000, 340_000),
}
# What somebody writes down; all other kinds are measured.
_BY_HAND = {"champion_left", "negative_sentiment", "positive_sentiment", "renewal_intent"}


@dataclass(frozen=True, slots=True)
class Invented:
    """One customer with the whole of its log. `hold_until` is set on a few who are to be left alone."""

    profile: CustomerRecord
    hold_until: date | None
    states: list[StateRecord]
    signals: list[SignalRecord]


@dataclass(frozen=True, slots=True)
class Portfolio:
    """`customers` of them, as they stand on `day`."""

    customers: int
    seed: int
    day: date

    def numbers(self) -> range:
        return range(1, self.customers + 1)

    def __iter__(self) -> Iterator[Invented]:
        return map(self.customer, self.numbers())

    def customer(self, number: int) -> Invented:
        mood, stays = self._journey(number)
        profile, hold_until = self._profile(number, mood, months=stays[0].days_ago // 30)
        return Invented(profile, hold_until, self._states(number, stays), self._signals(number, mood, stays))

    def states(self, number: int) -> list[StateRecord]:
        """The log of stages alone, which is quicker to make than the customer."""
        return self._states(number, self._journey(number)[1])

    def mood(self, customer_id: str) -> Mood:
        return self._journey(int(customer_id.removeprefix(ID_PREFIX)))[0]

    def random(self, *question: object) -> Random:
        """A source for each question, so that one answer never moves another."""
        text = ":".join(map(str, (self.seed, *question)))
        return Random(text)  # noqa: S311 - it invents data and guards nothing

    def _journey(self, number: int) -> tuple[Mood, list[Stay]]:
        return stories.journey(self.random(number, "journey"))

    def _profile(self, number: int, mood: Mood, *, months: int) -> tuple[CustomerRecord, date | None]:
        random = self.random(number, "profile")
        segment = random.choices(list(_SEGMENTS), [share for share, _, _ in _SEGMENTS.values()])[0]
        _, least, most = _SEGMENTS[segment]
        # Small accounts are more frequent than large ones, within a segment too.
        value = round((least + (most - least) * random.random() ** 1.6) / 500) * 500
        name = company_name(self.seed * 1009 + number, segment)
        likely = {Mood.TROUBLED: Tier.HIGH, Mood.RECOVERED: Tier.MEDIUM, Mood.QUIET: Tier.LOW}[mood]
        renewal = self.day + timedelta(days=random.randint(5, 360)) if random.random() < 0.6 else None
        profile = CustomerRecord(
            customer_id=_customer_id(number),
            name=name,
            email="" if random.random() < 0.04 else address(name, random.choice(MAILBOXES)),
            owner=random.choice(_OWNERS),
            segment=segment.value,
            account_value=None if random.random() < 0.01 else Decimal(value),
            currency="EUR" if random.random() < 0.15 else "USD",
            tenure_months=months + random.choice((0, 0, 6, 18)),
            risk_tier=random.choice((likely, likely, *Tier)).value,
            do_not_contact=random.random() < 0.025,
            renewal_date=renewal,
        )
        hold_until = self.day + timedelta(days=random.randint(3, 30)) if random.random() < 0.02 else None
        return profile, hold_until

    def _states(self, number: int, stays: list[Stay]) -> list[StateRecord]:
        return [
            StateRecord(
                customer_id=_customer_id(number),
                journey_stage=stay.stage.value,
                state_entered_at=self.day - timedelta(days=stay.days_ago),
            )
            for stay in stays
        ]

    def _signals(self, number: int, mood: Mood, stays: list[Stay]) -> list[SignalRecord]:
        random = self.random(number, "signals")
        return [
            SignalRecord(
                signal_id=f"{_customer_id(number)}-S{place:02d}",
                customer_id=_customer_id(number),
                signal_type=sign.kind,
                signal_strength=sign.strength,
                detected_at=datetime.combine(
                    self.day - timedelta(days=sign.days_ago), time(random.randint(6, 19), tzinfo=UTC)
                ),
                journey_stage=stories.stage_on(stays, sign.days_ago).value,
                source=(SignalSource.MANUAL if sign.kind in _BY_HAND else SignalSource.AUTOMATED).value,
            )
            for place, sign in enumerate(stories.signs(random, mood, stays), start=1)
        ]


def _customer_id(number: int) -> str:
    return f"{ID_PREFIX}{number:04d}"
