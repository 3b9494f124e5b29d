"""What a proposal asks the gate for: the text, the frozen payload, the evidence, and the policy's terms."""

from datetime import datetime
from typing import NamedTuple

from django.conf import settings

from approvals.rules import Actor
from approvals.services import Facets, NewRequest, Terms
from journeys.cases import Case
from journeys.domain import content
from journeys.domain.policy import PolicyDocument
from journeys.domain.vocabulary import Channel, label
from journeys.models import Intervention, Policy
from journeys.services.policies import clocks_of
from journeys.standing import evidence_row

KIND = "intervention"
AGENT = "journey_orchestrator"


class AskedBefore(NamedTuple):
    """That it was asked before and came to nothing: how often it expired, and what is to be said."""

    level: int
    moved: tuple[str, ...]


class Care(NamedTuple):
    """How many people a decision takes, whether with password and reason, and whether several at once."""

    people_needed: int
    heightened: bool
    bulk_allowed: bool


PIPELINE = Actor(key="machine:pipeline", name="the pipeline", door="pipeline")


def recipient(case: Case, channel: str) -> str:
    if channel == Channel.EMAIL:
        return case.customer.email
    if channel == Channel.TASK:
        return case.customer.owner
    return settings.WEBHOOK_URL if channel == Channel.WEBHOOK else ""


def render_content(case: Case, action: str, channel: str, rules: PolicyDocument) -> content.Content:
    return content.render(action=action, channel=channel, facts=_names(case), policy=rules)


def _names(case: Case) -> dict:
    """What the templates are filled in with."""
    return {
        "customer_id": case.customer.customer_id,
        "customer_name": case.customer.name,
        "owner_name": case.owner_name,
        "stage": label(case.stage.journey_stage).lower(),
        "days_in_state": case.state.days,
    }


def build_request(
    intervention: Intervention,
    case: Case,
    text: content.Content,
    *,
    policy: Policy,
    rules: PolicyDocument,
    now: datetime,
    reason: str = "",
    before: AskedBefore | None = None,
) -> NewRequest:
    urgency = case.risk.urgency
    return NewRequest(
        kind=KIND,
        subject_key=intervention.pk,
        concerning=intervention.customer_id,
        title=f"{label(intervention.recommended_action)} for {case.display_name}"[:200],
        summary=(reason or summary_of(case))[:400],
        payload=build_payload(intervention, case, text, policy),
        evidence=_facts(case, reason),
        facets=Facets(
            value_at_stake=case.customer.exact_value,
            currency=case.customer.currency,
            segment=case.customer.segment,
            action=intervention.recommended_action,
            risk_tier=case.risk.tier,
            urgency=urgency,
            risk_score=case.risk.overall,
            confidence=case.plan.confidence,
            priority_score=intervention.priority_score or 0.0,
        ),
        terms=_terms(intervention, case, rules, now, level=before.level if before else 0),
        person_reasons=intervention.person_reasons,
        policy=str(policy),
        moved=before.moved if before else (),
    )


def _terms(
    intervention: Intervention, case: Case, rules: PolicyDocument, now: datetime, *, level: int
) -> Terms:
    care = care_for(intervention.recommended_action, case.value, case.risk.tier, rules)
    return Terms(**care._asdict(), level=level, **clocks_of(rules, case.risk.urgency, now))


def care_for(action: str, value: float | None, tier: str, rules: PolicyDocument) -> Care:
    """By the policy; an unknown value counts as a high one."""
    high = value is None or value >= rules.quorum.account_value
    sensitive = rules.actions[action].sensitive
    below = rules.bulk.below_account_value
    small = below is not None and value is not None and value < below
    return Care(
        people_needed=rules.quorum.people if high or sensitive else 1,
        heightened=high,
        bulk_allowed=small and not sensitive and tier in rules.bulk.tiers,
    )


def build_payload(intervention: Intervention, case: Case, text: content.Content, policy: Policy) -> dict:
    """What the action means: exactly this is approved, fingerprinted and sent."""
    mail = intervention.channel == Channel.EMAIL
    return {
        "customer_id": intervention.customer_id,
        "action": intervention.recommended_action,
        "channel": intervention.channel,
        "recipient": intervention.recipient,
        "sender": settings.DEFAULT_FROM_EMAIL if mail else "",
        "reply_to": settings.REPLY_TO_EMAIL if mail else "",
        "subject": text.subject,
        "body": text.body,
        "template_version": text.template_version,
        "not_before": "",
        "parameters": {},
        "evidence": evidence_of(case),
        "journey_stage": intervention.journey_stage,
        "policy": str(policy),
    }


def _facts(case: Case, reason: str) -> dict:
    """The facts as they were when it was asked: what the page shows, and what a replay needs."""
    return {
        "reason": reason,
        "stage": case.stage.journey_stage,
        "entered_on": case.stage.state_entered_at.isoformat(),
        "previous_stage": case.stage.previous_stage,
        "days_in_state": case.state.days,
        "health": case.state.health,
        "signals": evidence_of(case),
        "segment": case.customer.segment,
        "account_value": case.value,
        "has_address": bool(case.customer.email),
        "names": _names(case),
        "signal_risk": case.summary.signal_risk,
        "overall_risk_score": case.risk.overall,
        "churn_risk_score": case.risk.churn,
        "contributions": case.risk.contributions._asdict(),
        "reasons": {
            "state": list(case.state.reasons),
            "signals": list(case.summary.reasons),
            "risk": list(case.risk.reasons),
            "plan": list(case.plan.reasons),
        },
    }


def evidence_of(case: Case) -> list[list]:
    return [evidence_row(*signal) for signal in sorted(case.signals, key=lambda signal: signal.signal_id)]


def summary_of(case: Case) -> str:
    """Why, in one line: the stage first where it stalls, then what was noticed."""
    strongest = [label(kind).lower() for kind in dict.fromkeys(reversed(case.summary.kinds))]
    noticed = ", ".join(strongest[:3]).capitalize()
    stay = f"{case.state.days} days in {label(case.stage.journey_stage).lower()}"
    return f"{noticed}; {stay}" if noticed else f"No signals; {stay}"
