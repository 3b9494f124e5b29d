"""The sections of the policy on what it was worth, and how long that is kept: outcomes, hold-outs, retention,
KPIs and the return."""

from datetime import date
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from .kpis import KPIS
from .policy_sections import Amount, Days, Section, Share
from .vocabulary import Channel, Tier

_NotNegative = Annotated[float, Field(ge=0)]


def _known_kpis(table: dict) -> dict:
    if unknown := [name for name in table if name not in KPIS]:
        raise ValueError(f"there is no KPI {', '.join(unknown)}")
    return table


def _all_channels(table: dict) -> dict:
    if missing := [channel.value for channel in Channel if channel not in table]:
        raise ValueError(f"needs a value for {', '.join(missing)}")
    return table


class OutcomesPolicy(Section):
    checkpoint_days: Annotated[tuple[Days, ...], Field(min_length=1)] = Field(
        (7, 30, 90), description="So many days after its execution a run measures what became of a customer"
    )
    proxy_days: Days = Field(
        30, description="The checkpoint at which our own score and the stage are compared"
    )
    truth_days: Days = Field(
        90, description="The checkpoint up to which renewal and departure count as what came of an action"
    )

    @model_validator(mode="after")
    def they_are_measured(self) -> Self:
        for name in ("proxy_days", "truth_days"):
            if getattr(self, name) not in self.checkpoint_days:
                raise ValueError(f"{name} ({getattr(self, name)}) is none of checkpoint_days")
        return self


class HoldOutPolicy(Section):
    share: Annotated[float, Field(ge=0, le=0.5)] = Field(
        0.0,
        description="Share of those who would be contacted that is deliberately not, to measure the effect",
    )
    experiment: Annotated[str, Field(min_length=1, max_length=60)] = Field(
        "first", description="Name of the experiment; another name draws anew, the same never does"
    )
    below_account_value: Amount = Field(
        30_000.0, description="Nobody of this account value a year or more, or of none known, is held out"
    )
    tiers: Annotated[tuple[Tier, ...], Field(min_length=1)] = Field(
        (Tier.MEDIUM, Tier.LOW), description="and nobody of another risk tier than these"
    )
    ends_on: date | None = Field(
        None, description="The last day on which customers enter and are held out; without one it goes on"
    )
    base_share: Share = Field(
        0.15, description="Share of customers expected to leave within outcomes.truth_days if left alone"
    )
    smallest_difference: Annotated[float, Field(gt=0, le=1)] = Field(
        0.05, description="The smallest fall of that share that is worth being seen"
    )
    power: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.8, description="The probability with which a fall of that size is to be seen"
    )

    @model_validator(mode="after")
    def can_fall(self) -> Self:
        if self.smallest_difference > self.base_share:
            raise ValueError("smallest_difference is more than base_share, from which it is to fall")
        return self


class RetentionPolicy(Section):
    assessments_days: Annotated[int, Field(ge=400)] = Field(
        730,
        description="An assessment is deleted so many days after another took its place; never one that a "
        "proposal rests on",
    )
    marked_runs_days: Days = Field(
        30, description="A run for what was received of which nothing came is deleted after so many days"
    )


class KpisPolicy(Section):
    window_days: Days = Field(30, description="KPIs and the return are of so many days up to the run's day")
    targets: Annotated[dict[str, float | None], AfterValidator(_known_kpis)] = Field(
        {name: kpi.target for name, kpi in KPIS.items()},
        description="The target of each KPI (our own figures, not published ones); null or left out: none",
    )
    repeat_days: Days = Field(
        30, description="Another intervention with the customer within so many days is a repeat"
    )
    ticket_signals: tuple[str, ...] = Field(
        ("support_ticket_spike", "repeat_support_tickets"),
        description="An intervention before the first signal of these kinds is proactive",
    )
    learning_days: Days = Field(365, description="Playbooks and overrides are judged over so many days")
    review_below: Share = Field(0.5, description="A playbook that succeeds less often is under review,")
    review_from: Annotated[int, Field(ge=1)] = Field(20, description="once it has so many outcomes")


class RoiPolicy(Section):
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = Field(
        "USD", description="Currency of the costs below; only value in it is set against them"
    )
    review_rate_per_hour: _NotNegative = Field(60.0, description="What an hour of review costs")
    review_cap_minutes: _NotNegative = Field(
        30.0,
        description="At most so many minutes count for one review; as many where nobody saw it opened",
    )
    channel_cost: Annotated[dict[Channel, _NotNegative], AfterValidator(_all_channels)] = Field(
        {Channel.EMAIL: 0.05, Channel.WEBHOOK: 0.05, Channel.TASK: 20.0, Channel.NONE: 0.0},
        description="What one intervention costs, by channel; a task includes the owner's time",
    )
    infrastructure_per_month: _NotNegative = Field(
        200.0, description="What running the product costs in 30 days"
    )
