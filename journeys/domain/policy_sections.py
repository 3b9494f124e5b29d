"""The sections of the policy: every field with its published value, its unit and what it does."""

import math
from string import Template
from typing import Annotated, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from .texts import PLACEHOLDERS, PUBLISHED_TEXTS
from .vocabulary import Action, Channel, Polarity, Segment, Stage, Tier

Share = Annotated[float, Field(ge=0, le=1)]
Factor = Annotated[float, Field(gt=0)]
Amount = Annotated[float, Field(gt=0)]
Days = Annotated[int, Field(ge=1)]
Hours = Annotated[int, Field(ge=1)]
Seconds = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]


class Section(BaseModel):
    """Immutable; an unknown key is an error; numbers are numbers (no strings, no true or false)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def _all_tiers(table: dict) -> dict:
    if missing := [tier.value for tier in Tier if tier not in table]:
        raise ValueError(f"needs a value for {', '.join(missing)}")
    return table


# ---- journey state ----------------------------------------------------------------------------------------


class JourneyPolicy(Section):
    typical_days: dict[Stage, Days] = Field(
        {Stage.ONBOARDING: 14, Stage.ENGAGEMENT: 30, Stage.SUPPORT: 7, Stage.RETENTION: 90},
        description="How many days a stage usually lasts",
    )
    typical_days_otherwise: Days = Field(30, description="How many days any other stage usually lasts")
    friction_limit_days: dict[Stage, Days] = Field(
        {Stage.ONBOARDING: 14, Stage.ENGAGEMENT: 30, Stage.SUPPORT: 5},
        description="Above this many days in the stage there is friction; a stage not named has no limit",
    )
    critical_factor: Annotated[float, Field(ge=1)] = Field(
        1.5,
        description="Health is at risk up to and including this many times the friction limit, then critical",
    )
    stalled_factor: Factor = Field(
        1.5, description="Above this many times the typical days there is friction, in any stage"
    )
    full_friction_factor: Factor = Field(
        2.0, description="The friction score reaches 1 at this many times the typical days"
    )
    legal_moves: dict[Stage, tuple[Stage, ...]] = Field(
        {
            Stage.ONBOARDING: (Stage.ENGAGEMENT, Stage.SUPPORT),
            Stage.ENGAGEMENT: (Stage.SUPPORT, Stage.RETENTION),
            Stage.SUPPORT: (Stage.RETENTION, Stage.ESCALATION),
            Stage.RETENTION: (Stage.SUPPORT, Stage.ENGAGEMENT, Stage.ESCALATION),
            Stage.ESCALATION: (Stage.SUPPORT, Stage.RETENTION),
        },
        description="Which stages may follow a stage; any other move is a finding",
    )


# ---- signals ----------------------------------------------------------------------------------------------


class SignalKind(Section):
    polarity: Polarity = Field(
        description="Whether the kind raises the signal risk, lowers it, or is counted only"
    )
    weight: Share | None = Field(None, description="Weight of the kind; without one, signals.other_weight")


def _negative(weight: float | None = None) -> SignalKind:
    return SignalKind(polarity=Polarity.NEGATIVE, weight=weight)


class SignalsPolicy(Section):
    kinds: dict[str, SignalKind] = Field(
        {
            "negative_sentiment": _negative(0.30),
            "support_ticket_spike": _negative(0.25),
            "usage_drop": _negative(0.20),
            "repeat_support_tickets": _negative(0.15),
            "failed_onboarding_step": _negative(0.10),
            "support_satisfaction_low": _negative(),
            "inactivity_warning": _negative(),
            "positive_sentiment": SignalKind(polarity=Polarity.POSITIVE),
            "renewal_intent": SignalKind(polarity=Polarity.POSITIVE),
            "usage_recovery": SignalKind(polarity=Polarity.POSITIVE),
            "low_product_usage": SignalKind(polarity=Polarity.NEUTRAL),
        },
        description="The kinds the policy knows; any other kind is neutral, and a finding",
    )
    other_weight: Share = Field(0.10, description="Weight of every kind that states none of its own")
    positive_factor: Share = Field(0.5, description="A positive signal counts with this share of its weight")
    days_back: Count = Field(
        90, description="Signals detected in this many days up to the run's day are in force"
    )
    days_ahead: Count = Field(1, description="So are those detected at most this many days after it")


# ---- risk -------------------------------------------------------------------------------------------------


class ScoreWeights(Section):
    signals: Share = Field(0.35, description="Share of the signal risk in the overall score")
    time_in_state: Share = Field(0.25, description="Share of the friction score")
    customer_value: Share = Field(0.20, description="Share of the account value")
    signal_count: Share = Field(0.20, description="Share of the number of signals")

    @model_validator(mode="after")
    def sum_to_one(self) -> Self:
        total = math.fsum((self.signals, self.time_in_state, self.customer_value, self.signal_count))
        if abs(total - 1) > 1e-9:
            raise ValueError(f"the four shares must sum to 1, not to {total:g}")
        return self


class Thresholds(Section):
    high: Share = Field(description="High from this unrounded score on")
    medium: Share = Field(description="Medium from this unrounded score on, below it low")

    @model_validator(mode="after")
    def ordered(self) -> Self:
        if self.medium >= self.high:
            raise ValueError(f"medium ({self.medium:g}) must be below high ({self.high:g})")
        return self


class ChurnWeights(Section):
    signals: Share = Field(0.50, description="Part of the signal risk in the churn risk")
    friction: Share = Field(0.30, description="Added to the churn risk where there is friction, 0..1")
    friction_score: Share = Field(0.20, description="Part of the friction score in the churn risk")


class RiskPolicy(Section):
    weights: ScoreWeights = Field(
        ScoreWeights(), description="The four shares of the overall score; they sum to 1"
    )
    full_account_value: Amount = Field(
        200_000.0,
        description="Account value a year (portfolio currency) that counts in full for risk and priority",
    )
    full_signal_count: Annotated[int, Field(ge=1)] = Field(
        5, description="Number of signals from which on the number counts in full"
    )
    tier: Thresholds = Field(
        Thresholds(high=0.70, medium=0.40), description="Risk tier by overall score, 0..1"
    )
    urgency: Thresholds = Field(
        Thresholds(high=0.80, medium=0.50), description="Urgency by overall score, 0..1"
    )
    churn: ChurnWeights = Field(
        ChurnWeights(), description="The parts of the churn risk, which is kept within 0..1"
    )


# ---- planning ---------------------------------------------------------------------------------------------


class ConfidenceBonus(Section):
    at_signals: Annotated[int, Field(ge=1)] = Field(description="From this many signals in force on")
    add: Share = Field(description="this much is added to the confidence")


class PlaybookRule(Section):
    any_of: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        description="Where any of these kinds is in force"
    )
    action: Action = Field(description="this action is recommended")


class Playbook(Section):
    rules: tuple[PlaybookRule, ...] = Field(
        (), description="Looked at in order; the first that matches is taken"
    )
    otherwise: Action = Field(description="The action where none of the rules matches")


def _playbook(*rules: tuple[Action, tuple[str, ...]], otherwise: Action) -> Playbook:
    return Playbook(
        rules=tuple(PlaybookRule(any_of=kinds, action=action) for action, kinds in rules), otherwise=otherwise
    )


class PlanningPolicy(Section):
    confidence_floor: Share = Field(0.50, description="Below this unrounded confidence nothing is proposed")
    confidence_bonuses: tuple[ConfidenceBonus, ...] = Field(
        (ConfidenceBonus(at_signals=2, add=0.10), ConfidenceBonus(at_signals=3, add=0.10)),
        description="Confidence is the overall score and all of these that apply, at most 1",
    )
    playbooks: dict[Stage, Playbook] = Field(
        {
            Stage.ONBOARDING: _playbook(
                (Action.ONBOARDING_SPECIALIST_CALL, ("failed_onboarding_step",)),
                (Action.ONBOARDING_NUDGE_EMAIL, ("low_product_usage",)),
                (Action.PROACTIVE_OUTREACH, ("support_ticket_spike", "negative_sentiment")),
                otherwise=Action.ONBOARDING_CHECKIN,
            ),
            Stage.ENGAGEMENT: _playbook(
                (Action.USAGE_REVIEW_CHECKIN, ("usage_drop",)),
                (Action.REENGAGEMENT_CAMPAIGN, ("inactivity_warning",)),
                (Action.MONITOR_ONLY, ("usage_recovery",)),
                otherwise=Action.ENGAGEMENT_CHECKIN,
            ),
            Stage.SUPPORT: _playbook(
                (Action.SUPPORT_MANAGER_FOLLOWUP, ("repeat_support_tickets", "support_satisfaction_low")),
                (Action.ESCALATED_SUPPORT_REVIEW, ("negative_sentiment",)),
                otherwise=Action.SUPPORT_FOLLOWUP,
            ),
            Stage.RETENTION: _playbook(
                (Action.RENEWAL_HEALTH_CHECK, ("renewal_intent",)),
                otherwise=Action.RETENTION_CHECKIN,
            ),
        },
        description="Which action is recommended, by stage",
    )
    action_otherwise: Action = Field(
        Action.GENERAL_CHECKIN,
        description="The action in any stage without a playbook; a person then decides",
    )
    priority_risk_weight: Share = Field(0.6, description="Part of the rounded overall score in the priority")
    priority_value_weight: Share = Field(0.4, description="Part of the account value in the priority")
    urgency_factor: Annotated[dict[Tier, Factor], AfterValidator(_all_tiers)] = Field(
        {Tier.HIGH: 1.2, Tier.MEDIUM: 1.0, Tier.LOW: 0.8},
        description="The priority, 0..100, is multiplied by this, by urgency",
    )


# ---- actions ----------------------------------------------------------------------------------------------


class Text(Section):
    subject: Annotated[str, Field(min_length=1, max_length=150)] = Field(
        description="One line: the subject of the e-mail, or the title of the task"
    )
    body: Annotated[str, Field(min_length=1)] = Field(description="The text")

    @field_validator("subject", "body")
    @classmethod
    def known_placeholders(cls, text: str) -> str:
        template = Template(text)
        if not template.is_valid():
            raise ValueError("a $ stands alone; write $$ for the sign itself and ${name} for a placeholder")
        if unknown := sorted(set(template.get_identifiers()) - PLACEHOLDERS.keys()):
            raise ValueError(
                f"unknown placeholder {', '.join(unknown)}; known are {', '.join(sorted(PLACEHOLDERS))}"
            )
        return text

    @field_validator("subject")
    @classmethod
    def one_line(cls, subject: str) -> str:
        if not subject.isprintable():
            raise ValueError("must be one line of printable characters")
        return subject


class ActionTemplate(Section):
    version: Annotated[int, Field(ge=1)] = Field(1, description="Counted up with every change of the text")
    to_customer: Text | None = Field(
        None, description="What the customer reads; needed for the channel email"
    )
    to_owner: Text = Field(
        description="The task of the account's owner, also where the customer has no address"
    )


class ActionPolicy(Section):
    channel: Channel = Field(
        description="How the action is carried out; an e-mail without an address becomes a task"
    )
    sensitive: bool = Field(
        False, description="Whether the gate asks for special care before it is carried out"
    )
    template: ActionTemplate = Field(description="What it says; placeholders are " + ", ".join(PLACEHOLDERS))

    @model_validator(mode="after")
    def sendable(self) -> Self:
        if self.channel == Channel.EMAIL and self.template.to_customer is None:
            raise ValueError("an action on the channel email needs template.to_customer")
        return self


def _published_action(action: Action) -> ActionPolicy:
    text = PUBLISHED_TEXTS[action]
    if action == Action.MONITOR_ONLY:
        channel = Channel.NONE
    else:
        channel = Channel.EMAIL if "to_customer" in text else Channel.TASK
    return ActionPolicy(
        channel=channel,
        template=ActionTemplate(**{audience: Text(**words) for audience, words in text.items()}),
    )


def _all_actions(table: dict) -> dict:
    if missing := [action.value for action in Action if action not in table]:
        raise ValueError(f"needs an entry for {', '.join(missing)}")
    return table


# ---- who decides, and when not ----------------------------------------------------------------------------


class EscalationPolicy(Section):
    account_value: Amount = Field(
        30_000.0, description="From this account value a year on (portfolio currency) a person decides"
    )
    confidence: Share = Field(0.75, description="From this unrounded confidence on a person decides")
    segments: tuple[str, ...] = Field(
        tuple(segment.value for segment in Segment),
        description="The segments the policy knows; for a customer of any other a person decides",
    )


class AuthorityPolicy(Section):
    max_per_run: Count = Field(
        100,
        description="At most this many a run by the policy alone, the most urgent ones; the rest by a person",
    )
    as_of_within_days: Count = Field(
        2,
        description="The policy alone decides only with a run's day this near to today, in days, or in DEBUG",
    )
    auto_approval_for_testing: Count = Field(
        25,
        description="At most this many automatic approvals a run, where testing allows them at all",
    )
    review_share: Share = Field(
        0.05, description="Share of what the policy decided alone that people look at afterwards"
    )


class QuorumPolicy(Section):
    account_value: Amount = Field(
        100_000.0,
        description="From this account value a year on it takes more people, a reason, and the password",
    )
    people: Annotated[int, Field(ge=1, le=5)] = Field(
        2, description="So many different people must approve then, and for every sensitive action"
    )


class BulkPolicy(Section):
    below_account_value: Amount | None = Field(
        None, description="Below this account value several may be approved at once; without it never"
    )
    tiers: tuple[Tier, ...] = Field((Tier.LOW,), description="and only of these risk tiers")


class SuppressionPolicy(Section):
    cool_down_days: Count = Field(
        14, description="The same action is not proposed within this many days of the last"
    )
    contact_cap_days: Count = Field(
        7, description="At most one executed contact per customer, and per address, in this many days"
    )


class ClocksPolicy(Section):
    decide_within_working_hours: Annotated[dict[Tier, Hours], AfterValidator(_all_tiers)] = Field(
        {Tier.HIGH: 4, Tier.MEDIUM: 24, Tier.LOW: 72},
        description="A decision is due within this many working hours, by urgency",
    )
    working_weekdays: Annotated[tuple[Annotated[int, Field(ge=1, le=7)], ...], Field(min_length=1)] = Field(
        (1, 2, 3, 4, 5), description="Working days, as ISO weekdays: 1 is Monday, 7 Sunday"
    )
    day_starts_hour: Annotated[int, Field(ge=0, le=23)] = Field(
        8, description="The working day starts at this hour"
    )
    day_ends_hour: Annotated[int, Field(ge=1, le=24)] = Field(18, description="and ends at this hour")
    time_zone: str = Field("UTC", description="IANA time zone of the working day")
    expiry_factor: Annotated[float, Field(ge=1)] = Field(
        2.0, description="An undecided request expires at this many times its deadline"
    )
    expiry_at_least_hours: Hours = Field(72, description="but never before this many hours")
    reminder_share: Share = Field(
        0.75, description="A reminder is due once this share of the time to decide has passed"
    )
    grace_seconds: Count = Field(
        600,
        description="What goes to a customer waits this many seconds after its approval, to be revoked",
    )
    execute_by_hours: Hours = Field(
        48, description="An approval expires unless it is carried out in this many hours"
    )
    task_due_working_hours: Hours = Field(
        24,
        description="A task is overdue after this many working hours (our own figure, not a published one)",
    )

    @field_validator("time_zone")
    @classmethod
    def known_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (LookupError, ValueError, OSError) as error:
            raise ValueError(f"{name!r} is no IANA time zone") from error
        return name

    @model_validator(mode="after")
    def day_has_hours(self) -> Self:
        if self.day_starts_hour >= self.day_ends_hour:
            raise ValueError("day_starts_hour must be before day_ends_hour")
        return self


class ExecutionPolicy(Section):
    retry_gaps_seconds: tuple[Seconds, ...] = Field(
        (60, 300, 1800, 7200),
        description="Pauses in seconds before the 2nd, 3rd ... attempt at what surely did not go out",
    )

    @property
    def max_attempts(self) -> int:
        return 1 + len(self.retry_gaps_seconds)
