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
from approvals.models import ApprovalRequest
from approvals.rules import Status
from journeys import charts
from journeys.contrary import speaks_against
from journeys.domain import escalation
from journeys.domain.against import polarity
from journeys.domain.policy import PolicyDocument
from journeys.domain.signals import SignalFact
from journeys.domain.vocabulary import (
    Channel,
    ExecutionMode,
    label,
    phrase,
)
from journeys.hindsight import done_alike, since_last_score
from journeys.models import Customer, Intervention, Outcome
from journeys.services import policies, switches
from journeys.services.proposals import REACHES_CUSTOMER

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
    earlier = _earlier(intervention)
    return {
        "intervention": intervention,
        "customer": intervention.customer,
        "customer_url": reverse("admin:journeys_customer_change", args=[intervention.customer_id]),
        "chips": [f"in {phrase(told['stage'])} for {told['days_in_state']} days"],
        "what": what_will_happen(request.payload, request.execute_within_hours, rules, pending=pending),
        "against": speaks_against(
            intervention, request, signals=signals, earlier=earlier, rules=rules, as_of=as_of
        )
        if pending
        else (),
        "person_reasons": [escalation.told(reason, rules) for reason in request.person_reasons],
        "bar": charts.score_bar(told["contributions"]),
        "shift": since_last_score(intervention, request, signals, rules),
        "timeline": charts.timeline(stays, _dots(signals, rules), until=intervention.as_of),
        "stays": stays,
        "signals": [
            (signal, polarity(signal.kind, rules))
            for signal in sorted(signals, key=lambda signal: (signal.detected_on, signal.signal_id))
        ],
        "reasons": [sentence for part in ("state", "signals", "plan") for sentence in told["reasons"][part]],
        "asked_because": told["reason"],
        "earlier": earlier,
        "alike": done_alike(intervention, request.segment),
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
