"""Deriving a recommendation again, from the facts that its request froze and the policy it was made under."""

from datetime import date
from typing import NamedTuple

from approvals.models import ApprovalRequest
from approvals.rules import Proposer, fingerprint
from journeys.domain import content
from journeys.domain.escalation import person_reasons
from journeys.domain.journey_state import evaluate
from journeys.domain.planning import plan
from journeys.domain.risk import score
from journeys.domain.signals import SignalFact, aggregate
from journeys.domain.vocabulary import PersonReason
from journeys.services import policies

# Reasons that are not of the rules: the run's cap, and that a person proposed it.
_NOT_BY_RULE = {PersonReason.POLICY_CAP, PersonReason.BY_HAND}


class Difference(NamedTuple):
    """`recorded` stands on the request, `derived` comes out now."""

    what: str
    recorded: object
    derived: object


def replay(request: ApprovalRequest) -> list[Difference]:
    """What comes out differently now; nothing, where the recommendation is identical.

    What a person proposed or changed is not derived: then only the scores are compared. Raises NoSuchPolicy
    where the policy is gone, KeyError for a request that froze no facts.
    """
    facts, payload = request.evidence, request.payload
    rules = policies.find(request.policy).rules
    value = facts["account_value"]
    signals = [SignalFact(row[0], row[1], row[2], date.fromisoformat(row[3])) for row in facts["signals"]]
    state = evaluate(stage=facts["stage"], days=facts["days_in_state"], policy=rules)
    summary = aggregate(signals, rules)
    risk = score(signals=summary, state=state, account_value=value, policy=rules)
    planned = plan(
        stage=facts["stage"],
        kinds=summary.kinds,
        total_signals=summary.total,
        risk=risk,
        account_value=value,
        has_address=facts["has_address"],
        policy=rules,
    )
    reasons = person_reasons(
        risk=risk,
        plan=planned,
        account_value=value,
        stage=facts["stage"],
        segment=facts["segment"],
        policy=rules,
    )
    pairs = [
        ("signal_risk", facts["signal_risk"], summary.signal_risk),
        ("overall_risk_score", facts["overall_risk_score"], risk.overall),
        ("churn_risk_score", facts["churn_risk_score"], risk.churn),
        ("contributions", facts["contributions"], risk.contributions._asdict()),
        ("risk_tier", request.risk_tier, risk.tier),
        ("urgency", request.urgency, risk.urgency),
        ("confidence", request.confidence, planned.confidence),
        ("evidence", payload["evidence"], facts["signals"]),
        ("fingerprint", request.fingerprint, fingerprint(payload)),
    ]
    if request.proposer == Proposer.MACHINE and not request.editors:
        asked = sorted(set(request.person_reasons) - _NOT_BY_RULE)
        text = content.render(
            action=payload["action"], channel=payload["channel"], facts=facts["names"], policy=rules
        )
        pairs += [
            ("action", payload["action"], planned.action),
            ("channel", payload["channel"], planned.channel),
            ("priority_score", request.priority_score, planned.priority),
            ("person_reasons", asked, sorted(reason.value for reason in reasons)),
            ("subject", payload["subject"], text.subject),
            ("body", payload["body"], text.body),
        ]
    return [Difference(*pair) for pair in pairs if pair[1] != pair[2]]
