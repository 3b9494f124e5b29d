"""Step 4: which one action is recommended, by which channel, and how soon it should be looked at."""

from collections.abc import Collection
from typing import NamedTuple

from .policy import PolicyDocument
from .risk import RiskScore, value_share
from .vocabulary import Action, Channel, label, phrase


class Plan(NamedTuple):
    """`confidence` is 0..1, kept to 2 places; the thresholds read `confidence_exact`. `priority` is 0..100,
    to one decimal. Below the confidence needed, action, channel and priority are None and `reasons` says why.
    """

    confidence: float
    confidence_exact: float
    action: Action | None
    channel: Channel | None
    priority: float | None
    reasons: tuple[str, ...]


def plan(
    *,
    stage: str,
    kinds: Collection[str],
    total_signals: int,
    risk: RiskScore,
    account_value: float | None,
    has_address: bool,
    policy: PolicyDocument,
) -> Plan:
    """Recommend one action. `kinds` are those of the signals in force; `has_address`: whether the customer
    can be sent an e-mail.
    """
    exact, confidence_reason = _confidence(risk.overall, total_signals, policy)
    floor = policy.planning.confidence_floor
    if exact < floor:
        too_low = f"That is below {floor:.2f}, so nothing is proposed."
        return Plan(round(exact, 2), exact, None, None, None, (confidence_reason, too_low))
    action, action_reason = _action(stage, kinds, policy)
    reasons = (action_reason, confidence_reason)
    channel = policy.actions[action].channel
    if channel is Channel.EMAIL and not has_address:
        channel = Channel.TASK
        reasons += ("The customer has no address, so the account's owner gets a task instead of an e-mail.",)
    return Plan(round(exact, 2), exact, action, channel, _priority(risk, account_value, policy), reasons)


def has_playbook(stage: str | None, policy: PolicyDocument) -> bool:
    return stage in policy.planning.playbooks


def _confidence(overall: float, total_signals: int, policy: PolicyDocument) -> tuple[float, str]:
    confidence = overall
    added = 0.0
    for bonus in policy.planning.confidence_bonuses:
        if total_signals >= bonus.at_signals:
            confidence += bonus.add
            added += bonus.add
    confidence = min(1.0, confidence)
    # Three places: the rounded overall has three, so that a confidence of .498 does not read as .50.
    if added:
        count = f"{total_signals} signals" if total_signals != 1 else "one signal"
        return confidence, f"Confidence {confidence:.3f}: risk {overall:.3f}, and {added:.2f} for {count}."
    return confidence, f"Confidence {confidence:.3f}, as the risk."


def _action(stage: str, kinds: Collection[str], policy: PolicyDocument) -> tuple[Action, str]:
    playbook = policy.planning.playbooks.get(stage)
    if playbook is None:
        action = policy.planning.action_otherwise
        return action, f"No playbook fits the stage {phrase(stage)}: {phrase(action)}."
    for rule in playbook.rules:
        for kind in rule.any_of:
            if kind in kinds:
                return rule.action, f"{label(kind)} in {phrase(stage)} calls for: {phrase(rule.action)}."
    action = playbook.otherwise
    return action, f"No signal in {phrase(stage)} calls for anything more specific: {phrase(action)}."


def _priority(risk: RiskScore, account_value: float | None, policy: PolicyDocument) -> float:
    rules = policy.planning
    weighed = rules.priority_risk_weight * risk.overall + rules.priority_value_weight * value_share(
        account_value, policy
    )
    return round(min(100.0, max(0.0, 100 * weighed * rules.urgency_factor[risk.urgency])), 1)
