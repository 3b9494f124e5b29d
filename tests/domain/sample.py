"""The sample portfolio of the published rules as plain facts, and the steps run over it."""

from datetime import date
from typing import NamedTuple

from journeys.domain.escalation import person_reasons
from journeys.domain.journey_state import StateEvaluation, days_in_state, evaluate
from journeys.domain.planning import Plan, plan
from journeys.domain.policy import PUBLISHED, PolicyDocument
from journeys.domain.risk import RiskScore, score
from journeys.domain.signals import SignalFact, SignalSummary, aggregate, window

AS_OF = date(2025, 1, 15)


class SampleCustomer(NamedTuple):
    customer_id: str
    segment: str
    account_value: float
    stage: str
    entered_on: date
    recorded_days: int
    previous: str | None


CUSTOMERS = {
    row[0]: SampleCustomer(*row)
    for row in (
        ("C001", "SMB", 12_000.0, "onboarding", date(2025, 1, 1), 14, None),
        ("C002", "SMB", 8_000.0, "onboarding", date(2025, 1, 5), 10, None),
        ("C003", "SMB", 5_000.0, "engagement", date(2024, 12, 1), 45, "onboarding"),
        ("C004", "Mid-Market", 42_000.0, "engagement", date(2024, 10, 12), 90, "onboarding"),
        ("C005", "Mid-Market", 38_000.0, "support", date(2025, 1, 8), 7, "engagement"),
        ("C006", "Mid-Market", 46_000.0, "onboarding", date(2025, 1, 3), 12, None),
        ("C007", "Enterprise", 125_000.0, "retention", date(2024, 8, 1), 160, "engagement"),
        ("C008", "Enterprise", 98_000.0, "support", date(2025, 1, 10), 5, "retention"),
        ("C009", "Enterprise", 110_000.0, "engagement", date(2025, 1, 9), 2, "support"),
        ("C010", "SMB", 15_000.0, "engagement", date(2024, 11, 15), 60, "onboarding"),
    )
}

# (customer, signal); C999 is no customer
SIGNALS = [
    ("C001", SignalFact("S001", "support_ticket_spike", 0.82, date(2025, 1, 14))),
    ("C001", SignalFact("S002", "negative_sentiment", 0.67, date(2025, 1, 15))),
    ("C002", SignalFact("S003", "low_product_usage", 0.45, date(2025, 1, 13))),
    ("C004", SignalFact("S004", "usage_drop", 0.60, date(2025, 1, 12))),
    ("C005", SignalFact("S005", "repeat_support_tickets", 0.75, date(2025, 1, 14))),
    ("C006", SignalFact("S006", "failed_onboarding_step", 0.88, date(2025, 1, 15))),
    ("C006", SignalFact("S007", "positive_sentiment", 0.40, date(2025, 1, 16))),
    ("C007", SignalFact("S008", "renewal_intent", 0.30, date(2025, 1, 10))),
    ("C999", SignalFact("S009", "negative_sentiment", 0.90, date(2025, 1, 14))),
    ("C004", SignalFact("S010", "usage_recovery", 0.55, date(2025, 1, 16))),
    ("C010", SignalFact("S011", "inactivity_warning", 0.50, date(2025, 1, 11))),
    ("C005", SignalFact("S012", "support_satisfaction_low", 0.65, date(2025, 1, 15))),
]


class Assessed(NamedTuple):
    state: StateEvaluation
    signals: SignalSummary
    risk: RiskScore
    plan: Plan
    person: tuple[str, ...]


def assess(
    *,
    stage: str,
    days: int,
    signals: list[SignalFact],
    account_value: float | None,
    segment: str = "SMB",
    has_address: bool = True,
    policy: PolicyDocument = PUBLISHED,
) -> Assessed:
    """All steps for one customer, in the order of a run."""
    state = evaluate(stage=stage, days=days, policy=policy)
    summary = aggregate(signals, policy)
    risk = score(signals=summary, state=state, account_value=account_value, policy=policy)
    planned = plan(
        stage=stage,
        kinds=summary.kinds,
        total_signals=summary.total,
        risk=risk,
        account_value=account_value,
        has_address=has_address,
        policy=policy,
    )
    person = person_reasons(
        risk=risk,
        plan=planned,
        account_value=account_value,
        stage=stage,
        segment=segment,
        policy=policy,
    )
    return Assessed(state, summary, risk, planned, person)


def assess_sample(customer_id: str, *, recorded_days: bool) -> Assessed:
    """Assess a sample customer on AS_OF, on the recorded days or on those that follow from the dates."""
    customer = CUSTOMERS[customer_id]
    first, last = window(AS_OF, PUBLISHED)
    return assess(
        stage=customer.stage,
        days=customer.recorded_days if recorded_days else days_in_state(customer.entered_on, AS_OF),
        signals=[
            signal
            for owner, signal in SIGNALS
            if owner == customer_id and first <= signal.detected_on <= last
        ],
        account_value=customer.account_value,
        segment=customer.segment,
    )
