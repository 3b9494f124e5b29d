"""Step 5: whether a person must decide, and why."""

from .planning import Plan, has_playbook
from .policy import PolicyDocument
from .risk import RiskScore
from .vocabulary import PersonReason, Stage, Tier, phrase

_STAGES = frozenset(Stage)


def person_reasons(
    *,
    risk: RiskScore,
    plan: Plan,
    account_value: float | None,
    stage: str | None,
    segment: str | None,
    policy: PolicyDocument,
) -> tuple[PersonReason, ...]:
    """Every reason for which a person must decide, in a fixed order; none: the policy is the authority.

    A stage without a playbook counts as unknown here, though it is no finding: no rule was made for it, and a
    customer whom no rule fits is raised to a person.
    """
    reasons = []
    if risk.tier is Tier.HIGH:
        reasons.append(PersonReason.TIER_HIGH)
    if risk.urgency is Tier.HIGH:
        reasons.append(PersonReason.URGENCY_HIGH)
    if account_value is not None and account_value >= policy.escalation.account_value:
        reasons.append(PersonReason.VALUE_HIGH)
    if plan.confidence_exact >= policy.escalation.confidence:
        reasons.append(PersonReason.CONFIDENCE_HIGH)
    if unknown_values(stage, segment, account_value, policy) or not has_playbook(stage, policy):
        reasons.append(PersonReason.UNKNOWN_VALUE)
    if plan.action is not None and policy.actions[plan.action].sensitive:
        reasons.append(PersonReason.SENSITIVE)
    return tuple(reasons)


def told(reason: str, policy: PolicyDocument) -> str:
    """The rule behind a reason, with the figure that the policy sets, as the end of "a person decides
    because ..."."""
    rules = policy.escalation
    return {
        PersonReason.TIER_HIGH: f"the risk is {policy.risk.tier.high:.2f} or more",
        PersonReason.URGENCY_HIGH: f"it is urgent (the risk is {policy.risk.urgency.high:.2f} or more)",
        PersonReason.VALUE_HIGH: f"the account is worth {rules.account_value:,.0f} or more",
        PersonReason.CONFIDENCE_HIGH: f"the confidence is {rules.confidence:.2f} or more",
        PersonReason.UNKNOWN_VALUE: "the stage, the segment or the account value is not known to the policy",
        PersonReason.SENSITIVE: "the action is marked as sensitive",
        PersonReason.POLICY_CAP: "it is more than the policy may decide alone",
        PersonReason.BY_HAND: "a person proposed it",
    }.get(reason) or phrase(reason)


def unknown_values(
    stage: str | None, segment: str | None, account_value: float | None, policy: PolicyDocument
) -> tuple[str, ...]:
    """Which of "stage", "segment" and "account_value" are missing or not known to the policy: findings."""
    unknown = ()
    if stage not in _STAGES:
        unknown += ("stage",)
    if segment not in policy.escalation.segments:
        unknown += ("segment",)
    if account_value is None:
        unknown += ("account_value",)
    return unknown
