"""The words of the product, and what people read for each of them.

Every word is a `StrEnum` member, so it equals the plain string that stands in the database, in JSON and in
imported records. A word that the outside world sends and that is not here stays a plain string.
"""

from enum import StrEnum
from functools import lru_cache


class Stage(StrEnum):
    ONBOARDING = "onboarding"
    ENGAGEMENT = "engagement"
    SUPPORT = "support"
    RETENTION = "retention"
    ESCALATION = "escalation"


class Tier(StrEnum):
    """How high a risk is; the same three words say how urgent it is."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class Health(StrEnum):
    HEALTHY = "healthy"
    AT_RISK = "at_risk"
    CRITICAL = "critical"


class Segment(StrEnum):
    SMB = "SMB"
    MID_MARKET = "Mid-Market"
    ENTERPRISE = "Enterprise"


class SignalSource(StrEnum):
    AUTOMATED = "automated"
    MANUAL = "manual"


class Polarity(StrEnum):
    """What a kind of signal says about the customer."""

    NEGATIVE = "negative"
    POSITIVE = "positive"
    NEUTRAL = "neutral"


class Action(StrEnum):
    ONBOARDING_SPECIALIST_CALL = "onboarding_specialist_call"
    ONBOARDING_NUDGE_EMAIL = "onboarding_nudge_email"
    PROACTIVE_OUTREACH = "proactive_outreach"
    ONBOARDING_CHECKIN = "onboarding_checkin"
    USAGE_REVIEW_CHECKIN = "usage_review_checkin"
    REENGAGEMENT_CAMPAIGN = "reengagement_campaign"
    MONITOR_ONLY = "monitor_only"
    ENGAGEMENT_CHECKIN = "engagement_checkin"
    SUPPORT_MANAGER_FOLLOWUP = "support_manager_followup"
    ESCALATED_SUPPORT_REVIEW = "escalated_support_review"
    SUPPORT_FOLLOWUP = "support_followup"
    RENEWAL_HEALTH_CHECK = "renewal_health_check"
    RETENTION_CHECKIN = "retention_checkin"
    GENERAL_CHECKIN = "general_checkin"


class Channel(StrEnum):
    EMAIL = "email"
    WEBHOOK = "webhook"
    TASK = "task"
    NONE = "none"


class OutcomeKind(StrEnum):
    RESOLVED = "resolved"
    NO_RESPONSE = "no_response"
    PARTIAL_IMPROVEMENT = "partial_improvement"
    NO_ACTION_NEEDED = "no_action_needed"
    IMPROVED_ENGAGEMENT = "improved_engagement"
    MONITOR_ONLY = "monitor_only"


class InterventionStatus(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    EXECUTING = "executing"
    EXECUTED = "executed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    RECORDED = "recorded"
    REJECTED = "rejected"
    EXPIRED = "expired"
    LAPSED = "lapsed"
    REVOKED = "revoked"
    SUPERSEDED = "superseded"
    IMPORTED = "imported"


class FindingKind(StrEnum):
    ORPHAN_SIGNAL = "orphan_signal"
    ILLEGAL_MOVE = "illegal_move"
    DAYS_MISMATCH = "days_mismatch"
    FUTURE_SIGNAL = "future_signal"
    UNKNOWN_VALUE = "unknown_value"
    MISSING_STATE = "missing_state"
    BAD_RECORD = "bad_record"
    HELD_RECORD = "held_record"


class PersonReason(StrEnum):
    """Why a person has to decide."""

    TIER_HIGH = "tier_high"
    URGENCY_HIGH = "urgency_high"
    VALUE_HIGH = "value_high"
    CONFIDENCE_HIGH = "confidence_high"
    UNKNOWN_VALUE = "unknown_value"
    SENSITIVE = "sensitive"
    POLICY_CAP = "policy_cap"
    BY_HAND = "by_hand"


class SuppressionReason(StrEnum):
    """Why an action that was planned is not proposed, or one that was approved is not carried out."""

    DO_NOT_CONTACT = "do_not_contact"
    ON_HOLD = "on_hold"
    IN_PROGRESS = "in_progress"
    ALREADY_PENDING = "already_pending"
    PERSON_PENDING = "person_pending"
    COOL_DOWN = "cool_down"
    REJECTED_BEFORE = "rejected_before"
    CONTACTED_RECENTLY = "contacted_recently"
    HELD_OUT = "held_out"


class Disposition(StrEnum):
    """What became of an assessed customer in a run."""

    PROPOSED = "proposed"
    SUPPRESSED = "suppressed"
    BELOW_CONFIDENCE = "below_confidence"


class Origin(StrEnum):
    """Where an intervention comes from."""

    MACHINE = "machine"
    PERSON = "person"
    IMPORTED = "imported"


class ExecutionMode(StrEnum):
    """How far execution goes, most careful first."""

    OFF = "off"
    RECORD_ONLY = "record_only"
    LIVE = "live"


class ExecutionStatus(StrEnum):
    CLAIMED = "claimed"
    RETRYING = "retrying"
    WITH_OWNER = "with_owner"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"


class SwitchScope(StrEnum):
    """What an execution switch holds for."""

    ALL = "all"
    CHANNEL = "channel"
    ACTION = "action"
    CUSTOMER = "customer"


LABELS: dict[str, str] = {
    # stages
    "onboarding": "Onboarding",
    "engagement": "Engagement",
    "support": "Support",
    "retention": "Retention",
    "escalation": "Escalation",
    # tier, urgency, health
    "high": "High",
    "medium": "Medium",
    "low": "Low",
    "healthy": "Healthy",
    "at_risk": "At risk",
    "critical": "Critical",
    # segments
    "SMB": "SMB",
    "Mid-Market": "Mid-Market",
    "Enterprise": "Enterprise",
    # signals
    "automated": "Automated",
    "manual": "Manual",
    "negative": "Negative",
    "positive": "Positive",
    "neutral": "Neutral",
    "support_ticket_spike": "Support ticket spike",
    "negative_sentiment": "Negative sentiment",
    "usage_drop": "Usage drop",
    "repeat_support_tickets": "Repeat support tickets",
    "failed_onboarding_step": "Failed onboarding step",
    "support_satisfaction_low": "Low support satisfaction",
    "inactivity_warning": "Inactivity warning",
    "positive_sentiment": "Positive sentiment",
    "renewal_intent": "Renewal intent",
    "usage_recovery": "Usage recovery",
    "low_product_usage": "Low product usage",
    # actions
    "onboarding_specialist_call": "Onboarding specialist call",
    "onboarding_nudge_email": "Onboarding nudge e-mail",
    "proactive_outreach": "Proactive outreach",
    "onboarding_checkin": "Onboarding check-in",
    "usage_review_checkin": "Usage review check-in",
    "reengagement_campaign": "Re-engagement campaign",
    "monitor_only": "Monitor only",
    "engagement_checkin": "Engagement check-in",
    "support_manager_followup": "Support manager follow-up",
    "escalated_support_review": "Escalated support review",
    "support_followup": "Support follow-up",
    "renewal_health_check": "Renewal health check",
    "retention_checkin": "Retention check-in",
    "general_checkin": "General check-in",
    # channels
    "email": "E-mail",
    "webhook": "Webhook",
    "task": "Task for the owner",
    "none": "Nothing is sent",
    # outcomes
    "resolved": "Resolved",
    "no_response": "No response",
    "partial_improvement": "Partial improvement",
    "no_action_needed": "No action needed",
    "improved_engagement": "Improved engagement",
    # interventions
    "pending": "Pending",
    "approved": "Approved",
    "executing": "Executing",
    "executed": "Executed",
    "failed": "Failed",
    "unknown": "Unknown whether it went out",
    "recorded": "Recorded",
    "rejected": "Rejected",
    "expired": "Expired",
    "lapsed": "Lapsed",
    "revoked": "Revoked",
    "superseded": "Superseded",
    "imported": "Imported",
    # executions
    "machine": "The pipeline",
    "person": "A person",
    "off": "Off",
    "record_only": "Record only",
    "live": "Live",
    "claimed": "Under way",
    "retrying": "To be tried again",
    "with_owner": "With the owner",
    "done": "Done",
    "all": "Everything",
    "channel": "Channel",
    "action": "Action",
    "customer": "Customer",
    # findings
    "orphan_signal": "Signal of an unknown customer",
    "illegal_move": "Illegal stage move",
    "days_mismatch": "Recorded days disagree",
    "future_signal": "Signal from the future",
    "unknown_value": "Missing or unknown value",
    "missing_state": "No open journey state",
    "bad_record": "Bad record",
    "held_record": "Held for an unknown customer",
    # why a person
    "tier_high": "The risk is high",
    "urgency_high": "The urgency is high",
    "value_high": "The account is large",
    "confidence_high": "The confidence is high",
    "sensitive": "The action is marked as sensitive",
    "policy_cap": "More than the policy may decide alone",
    "by_hand": "Proposed by hand",
    # why not
    "do_not_contact": "Do not contact",
    "on_hold": "On hold",
    "in_progress": "Another one is under way",
    "already_pending": "Already waiting for a decision",
    "person_pending": "A person's proposal is waiting",
    "cool_down": "Done a short while ago",
    "rejected_before": "Rejected before, nothing new since",
    "contacted_recently": "Contacted recently",
    "held_out": "Held out, to compare with",
    # what it was worth
    "treated": "Treated",
    "operational": "Operational",
    "effectiveness": "Effectiveness",
    "business": "Business",
    "exceeded": "Exceeded",
    "on_track": "On track",
    "not_known": "Not known",
    "collecting": "Collecting",
    "inconclusive": "Inconclusive",
    "helps": "Helps",
    "harms": "Harms",
    # steps of a run, where the words alone do not read well
    "kpi_calculation": "KPI calculation",
    "roi_calculation": "ROI calculation",
    # what became of it
    "proposed": "Proposed",
    "suppressed": "Suppressed",
    "below_confidence": "Below the confidence needed",
}


@lru_cache(maxsize=4096)
def label(word: str | None) -> str:
    """What people read for a word; a word nobody labelled is shown with spaces for underscores."""
    return LABELS.get(word) or (word.replace("_", " ") if word else "Not known")


@lru_cache(maxsize=4096)
def phrase(word: str | None) -> str:
    """The label as it stands inside a sentence: "E-mail" -> "e-mail", while "SMB" stays as it is."""
    text = label(word)
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def choices(words: type[StrEnum]) -> list[tuple[str, str]]:
    """(word, label) rows of one enumeration, in its order, as forms and model fields take them."""
    return [(word.value, label(word)) for word in words]
