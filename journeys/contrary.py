"""What speaks against an intervention that waits for a decision, by the rows as they are now. Reads only."""

from collections.abc import Sequence
from datetime import date
from string import Template

from django.db.models import Q
from django.utils import timezone

from approvals.models import ApprovalRequest, Decision
from approvals.rules import Proposer
from journeys import history
from journeys.domain import content
from journeys.domain.against import Contact, Result, Standpoint, against
from journeys.domain.naming import could_be_names, strangers
from journeys.domain.policy import PolicyDocument
from journeys.domain.signals import SignalFact
from journeys.domain.vocabulary import Channel, InterventionStatus
from journeys.models import Customer, Intervention, Signal
from journeys.models.interventions import OPEN_STATUSES
from journeys.standing import objection

# So many of a kind are looked at: what is new, what was rejected, who else is meant.
NEW_SIGNALS, REJECTIONS, OTHERS, CONTACTS = 5, 3, 20, 60


def speaks_against(
    intervention: Intervention,
    request: ApprovalRequest,
    *,
    signals: Sequence[SignalFact],
    earlier: Sequence[Intervention],
    rules: PolicyDocument,
    as_of: date,
) -> tuple[str, ...]:
    """Sentences, the weightiest first. `signals` are those that the request rests on, `earlier` the
    customer's earlier interventions with their outcomes."""
    customer, payload = intervention.customer, request.payload
    contacts, on_the_way = _contacts(intervention)
    held = customer.do_not_contact or (customer.hold_until is not None and as_of <= customer.hold_until)
    facts = Standpoint(
        channel=intervention.channel,
        recipient=payload["recipient"],
        name=customer.name,
        action=intervention.recommended_action,
        stage=intervention.journey_stage,
        meant_for=payload["customer_id"] if payload["customer_id"] != customer.pk else "",
        signals=signals,
        new_signals=_new_signals(intervention, request, signals),
        objection=objection(intervention, request, now=timezone.now()),
        contact_note=customer.hold_reason if held else "",
        named=_named(customer, request, rules),
        without_name=_without_name(customer, request, rules),
        of_domain=_of_domain(customer, payload["recipient"]),
        contacts=contacts,
        on_the_way=on_the_way,
        results=_results(earlier),
        renewal_date=customer.renewal_date,
        renewed_on=customer.renewed_on,
        churned_on=customer.churned_on,
        rejections=_rejections(intervention),
    )
    return against(facts, as_of=as_of, policy=rules)


def _new_signals(
    intervention: Intervention, request: ApprovalRequest, signals: Sequence[SignalFact]
) -> list[SignalFact]:
    known = [signal.signal_id for signal in signals]
    came_since = Signal.objects.filter(
        customer_id=intervention.customer_id, received_at__gt=request.requested_at
    ).exclude(pk__in=known)
    return [
        SignalFact(row.pk, row.signal_type, row.signal_strength, row.detected_at.date())
        for row in came_since.order_by("-detected_at", "pk")[:NEW_SIGNALS]
    ]


def _contacts(intervention: Intervention) -> tuple[list[Contact], list[tuple[str, str]]]:
    """What reached the customer or, for somebody else, their address; and what is open for that address."""
    mine = Q(customer_id=intervention.customer_id)
    if intervention.channel == Channel.EMAIL and intervention.recipient:
        mine |= Q(channel=Channel.EMAIL, recipient=intervention.recipient)
    counting = [InterventionStatus.EXECUTED, InterventionStatus.IMPORTED, *OPEN_STATUSES]
    rows = Intervention.objects.filter(mine, status__in=counting).exclude(channel=Channel.NONE)
    rows = rows.exclude(pk=intervention.pk).select_related("execution", "customer")
    contacts, on_the_way = [], []
    for row in rows.order_by("-generated_at")[:CONTACTS]:
        of = "" if row.customer_id == intervention.customer_id else _told(row.customer_id, row.customer.name)
        if row.status in OPEN_STATUSES:
            if of:
                on_the_way.append((row.recommended_action, of))
        elif history.is_contact(row):
            day = row.calendar_day(row.execution.finished_at or row.generated_at)
            contacts.append(Contact(day, row.recommended_action, of))
        elif row.status == InterventionStatus.IMPORTED:
            contacts.append(Contact(row.as_of, row.recommended_action, of, ours=False))
    return contacts, on_the_way


def _named(customer: Customer, request: ApprovalRequest, rules: PolicyDocument) -> tuple[str, ...]:
    """Other customers whom the text names, apart from words that the template itself has."""
    found = could_be_names(_text(request.payload))
    usual = could_be_names(_template(request.payload, rules))
    names = [name for name in found if name not in usual]
    ids = [name for name in names if " " not in name]
    # Neither ordered nor limited: PostgreSQL would walk all customers by their ids to find the first few.
    others = Customer.objects.filter(Q(name__in=names) | Q(pk__in=ids)).exclude(pk=customer.pk)
    known = {}
    for key, name in sorted(others.values_list("pk", "name"))[:OTHERS]:
        known |= dict.fromkeys(filter(None, (key, name)), _told(key, name))
    frozen = request.evidence["names"]
    own = {customer.name, customer.pk, frozen["customer_name"], frozen["owner_name"]}
    return strangers(found, own=own - {"", None}, known=known)


def _without_name(customer: Customer, request: ApprovalRequest, rules: PolicyDocument) -> bool:
    """Whether words that nobody wrote by hand lack the name that their template has."""
    name = request.evidence["names"]["customer_name"]
    if request.proposer == Proposer.PERSON or request.editors or not name:
        return False
    placeholders = Template(_template(request.payload, rules)).get_identifiers()
    return "customer_name" in placeholders and " ".join(name.split()) not in _text(request.payload)


def _text(payload: dict) -> str:
    return f"{payload['subject']}\n{payload['body']}"


def _template(payload: dict, rules: PolicyDocument) -> str:
    text = content.template_for(payload["action"], payload["channel"], rules)
    return f"{text.subject}\n{text.body}"


def _of_domain(customer: Customer, recipient: str) -> list[tuple[str, str]]:
    _, at, domain = recipient.rpartition("@")
    if not at:
        return []
    others = Customer.objects.filter(email_domain=domain.lower()).exclude(pk=customer.pk)
    return [(name, _told(key, name)) for key, name in others.values_list("pk", "name")[:OTHERS]]


def _results(earlier: Sequence[Intervention]) -> list[Result]:
    return [
        Result(row.as_of, row.recommended_action, outcome.outcome, outcome.measured_at)
        for row in earlier
        for outcome in row.outcomes.all()[:1]
    ]


def _rejections(intervention: Intervention) -> list[tuple[date, str]]:
    """When the same action was rejected for this customer before, and why."""
    rejected = Intervention.objects.filter(
        customer_id=intervention.customer_id,
        recommended_action=intervention.recommended_action,
        status=InterventionStatus.REJECTED,
    ).values_list("pk", flat=True)
    # By their keys, one after the other: joined, they would be looked for among all that was ever decided.
    asked = ApprovalRequest.objects.filter(kind="intervention", subject_key__in=list(rejected))
    decisions = Decision.objects.filter(request__in=list(asked.values_list("pk", flat=True)))
    decisions = decisions.select_related("event__detail")
    return [(row.decided_at.date(), row.reason) for row in decisions.order_by("-pk")[:REJECTIONS]]


def _told(key: str, name: str) -> str:
    return f"{name} ({key})" if name else key
