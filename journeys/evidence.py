"""What a request about an intervention rests on, for the page on which it is decided. Reads only.

The frozen payload and evidence are shown as they were when it was asked; what may have moved since is read
from the rows as they are now, and is said to be so.
"""

import json
from datetime import date, datetime, timedelta

from django.db.models import Prefetch
from django.urls import reverse
from django.utils import timezone

from approvals import shown
from approvals.models import ApprovalRequest, Decision
from approvals.rules import Status
from journeys import cases, charts, history
from journeys.domain.against import Standpoint, against, polarity
from journeys.domain.policy import PolicyDocument
from journeys.domain.signals import SignalFact
from journeys.domain.vocabulary import (
    Channel,
    ExecutionMode,
    InterventionStatus,
    label,
    phrase,
)
from journeys.models import Customer, Intervention, Outcome, Signal
from journeys.services import policies, switches
from journeys.services.proposals import REACHES_CUSTOMER
from journeys.standing import objection

# Of a customer's earlier interventions and stages so many are shown.
EARLIER = 8
STAYS = 6


def describe(request: ApprovalRequest, user) -> dict:
    intervention = Intervention.objects.select_related("customer", "execution", "run").get(
        pk=request.subject_key
    )
    rules = policies.find(request.policy).rules
    as_of = intervention.calendar_day(timezone.now())
    signals = [
        SignalFact(row[0], row[1], row[2], date.fromisoformat(row[3])) for row in request.payload["evidence"]
    ]
    told = request.evidence
    pending = request.status == Status.PENDING
    stays = _stays(intervention.customer, told)
    return {
        "intervention": intervention,
        "customer": intervention.customer,
        "customer_url": reverse("admin:journeys_customer_change", args=[intervention.customer_id]),
        "chips": [f"in {phrase(told['stage'])} for {told['days_in_state']} days"],
        "what": what_will_happen(request.payload, request.execute_within_hours, rules, pending=pending),
        "against": _against(intervention, request, signals, rules, as_of) if pending else (),
        "bar": charts.score_bar(told["contributions"]),
        "timeline": charts.timeline(stays, _dots(signals, rules), until=intervention.as_of),
        "stays": stays,
        "signals": [
            (signal, polarity(signal.kind, rules))
            for signal in sorted(signals, key=lambda signal: (signal.detected_on, signal.signal_id))
        ],
        "reasons": [sentence for part in ("state", "signals", "plan") for sentence in told["reasons"][part]],
        "asked_because": told["reason"],
        "earlier": _earlier(intervention),
        "as_of": intervention.as_of,
    }


def what_will_happen(payload: dict, hours: int, rules: PolicyDocument, *, pending: bool) -> dict:
    """The channel, a sentence on what goes out and by when, and how execution is set at the moment."""
    channel, recipient = payload["channel"], payload["recipient"]
    soon = f"{_from_when(payload, rules)}, at the latest {hours} hours after it was approved"
    sentences = {
        Channel.EMAIL: f"This e-mail goes to the customer {soon}.",
        Channel.WEBHOOK: f"This message is posted, signed, to {recipient} {soon}.",
        Channel.TASK: f"{recipient or 'Nobody'}, who owns the account, gets this task {soon}."
        if recipient
        else "This task is for the account's owner, but the account has none.",
        Channel.NONE: "Nothing is sent: the customer is watched, and that is put on record.",
    }
    body = {"type": "intervention.approved", "id": "made when it is sent", "data": payload}
    return {
        "channel": label(channel),
        "kind": channel,
        "sentence": sentences[channel] if pending else "",
        "payload": payload,
        "posted": json.dumps(body, indent=2, ensure_ascii=False) if channel == Channel.WEBHOOK else "",
        "mode": _mode(payload) if pending and channel != Channel.NONE else "",
    }


def _from_when(payload: dict, rules: PolicyDocument) -> str:
    if payload.get("not_before"):
        return f"once approved, not before {shown.absolute(datetime.fromisoformat(payload['not_before']))}"
    if payload["channel"] in REACHES_CUSTOMER and rules.clocks.grace_seconds:
        grace = shown.span(timedelta(seconds=rules.clocks.grace_seconds))
        return f"{grace} after it was approved (until then the approval can be taken back)"
    return "as soon as it is approved"


def _mode(payload: dict) -> str:
    mode = switches.mode_for(
        channel=payload["channel"], action=payload["action"], customer_id=payload["customer_id"]
    )
    return {
        ExecutionMode.OFF: "Execution is stopped at the moment: once approved, it waits or expires.",
        ExecutionMode.RECORD_ONLY: "Execution is set to record only at the moment: nothing is sent.",
        ExecutionMode.LIVE: "",
    }[mode]


def _against(
    intervention: Intervention,
    request: ApprovalRequest,
    signals: list[SignalFact],
    rules: PolicyDocument,
    as_of: date,
) -> tuple[str, ...]:
    customer = intervention.customer
    known = [signal.signal_id for signal in signals]
    came_since = Signal.objects.filter(
        customer_id=intervention.customer_id, received_at__gt=request.requested_at
    ).exclude(pk__in=known)[:5]
    contacts = history.past_of(cases.only(customer.pk), excluding=intervention.pk).get(
        customer.pk, history.NOTHING
    )
    of_address = history.last_contacts([intervention.recipient], excluding=intervention.pk)
    days = [day for day in (contacts.last_contact_on, of_address.get(intervention.recipient)) if day]
    facts = Standpoint(
        channel=intervention.channel,
        recipient=intervention.recipient,
        signals=signals,
        new_signals=[
            SignalFact(row.pk, row.signal_type, row.signal_strength, row.detected_at.date())
            for row in came_since
        ],
        objection=objection(intervention, request, now=timezone.now()),
        last_contact_on=max(days, default=None),
        renewal_date=customer.renewal_date,
        renewed_on=customer.renewed_on,
        churned_on=customer.churned_on,
        rejections=_rejections(intervention),
    )
    return against(facts, as_of=as_of, policy=rules)


def _rejections(intervention: Intervention) -> list[tuple[date, str]]:
    """When the same action was rejected for this customer before, and why; the latest three."""
    rejected = Intervention.objects.filter(
        customer_id=intervention.customer_id,
        recommended_action=intervention.recommended_action,
        status=InterventionStatus.REJECTED,
    ).values("pk")
    decisions = Decision.objects.filter(
        request__kind="intervention", request__subject_key__in=rejected
    ).select_related("event__detail")
    return [(row.decided_at.date(), row.reason) for row in decisions.order_by("-pk")[:3]]


def _stays(customer: Customer, told: dict) -> list[charts.Stay]:
    rows = customer.journey_states.order_by("-state_entered_at", "-pk")[:STAYS]
    return [
        charts.Stay(label(row.journey_stage), row.state_entered_at, row.left_on) for row in reversed(rows)
    ]


def _dots(signals: list[SignalFact], rules: PolicyDocument) -> list[charts.Dot]:
    return [
        charts.Dot(
            f"{phrase(signal.kind)} {signal.strength:.2f}", signal.detected_on, polarity(signal.kind, rules)
        )
        for signal in signals
    ]


def _earlier(intervention: Intervention) -> list[Intervention]:
    rows = Intervention.objects.filter(customer_id=intervention.customer_id).exclude(pk=intervention.pk)
    outcomes = Prefetch("outcomes", Outcome.objects.order_by("-measured_at"))
    return list(rows.prefetch_related(outcomes).order_by("-as_of", "-generated_at")[:EARLIER])
