"""What a person may change of a proposal before somebody else decides it."""

from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.utils import timezone

from approvals import shown
from approvals.models import ApprovalRequest
from approvals.subjects import CannotChange, Changeable, Changed
from journeys import cases
from journeys.domain.policy import PolicyDocument
from journeys.domain.vocabulary import Channel, InterventionStatus, label, phrase
from journeys.models import Intervention
from journeys.services import policies
from journeys.services.marks import make_due
from journeys.services.proposals.requests import care_for, recipient, render_content

CHANGEABLE = frozenset({"action", "channel", "subject", "body", "not_before"})


def change(request: ApprovalRequest, changes: dict) -> Changed:
    """What the request would ask for with these changes: another action of the same stage, another channel,
    other words, a later time (ISO 8601; empty for as soon as possible). Words that are not given are those
    of the template where action or channel change.

    Raises CannotChange, naming what is wrong.
    """
    if unknown := sorted(changes.keys() - CHANGEABLE):
        raise CannotChange(f"{', '.join(unknown)} cannot be changed.")
    changes = {name: str(value).strip() for name, value in changes.items()}
    if not changes.get("subject", "").isprintable():
        raise CannotChange("The subject has to be one line of printable characters.")
    rules = policies.find(request.policy).rules
    payload = request.payload
    action = changes.get("action") or payload["action"]
    if action not in actions_of(payload["journey_stage"], rules):
        raise CannotChange(f"{label(action)} is no action of the stage {phrase(payload['journey_stage'])}.")
    intervention = Intervention.objects.get(pk=request.subject_key)
    as_of = intervention.calendar_day(timezone.now())
    case = cases.assess(payload["customer_id"], as_of=as_of, rules=rules)
    if case is None or case.stage is None:
        raise CannotChange("The customer has no open journey state any more.")
    channel = _channel(action, changes.get("channel"), payload, case, rules)
    rewritten = (action, channel) != (payload["action"], payload["channel"])
    text = render_content(case, action, channel, rules) if rewritten else None
    changed = payload | {
        "action": action,
        "channel": channel,
        "recipient": recipient(case, channel),
        "sender": settings.DEFAULT_FROM_EMAIL if channel == Channel.EMAIL else "",
        "reply_to": settings.REPLY_TO_EMAIL if channel == Channel.EMAIL else "",
        "subject": changes.get("subject") or (text.subject if text else payload["subject"]),
        "body": changes.get("body") or (text.body if text else payload["body"]),
        "template_version": text.template_version if text else payload["template_version"],
        "not_before": _schedule(changes.get("not_before", payload.get("not_before", "")), rules),
    }
    title = f"{label(action)} for {case.display_name}"[:200]
    value = None if request.value_at_stake is None else float(request.value_at_stake)
    care = care_for(action, value, request.risk_tier, rules)
    return Changed(
        payload=changed,
        title=title,
        action=action,
        people_needed=care.people_needed,
        bulk_allowed=care.bulk_allowed,
    )


def changeable(request: ApprovalRequest) -> tuple[Changeable, ...]:
    rules = policies.find(request.policy).rules
    actions = [(action, label(action)) for action in actions_of(request.payload["journey_stage"], rules)]
    channels = [(channel.value, label(channel)) for channel in Channel]
    return (
        Changeable(name="action", label="Action", choices=actions),
        Changeable(name="channel", label="By", choices=channels),
        Changeable(name="subject", label="Subject"),
        Changeable(name="body", label="Text", long=True),
        Changeable(
            name="not_before", label="Not before", hint="Empty: as soon as it is approved.", moment=True
        ),
    )


def on_change(request: ApprovalRequest) -> None:
    """Move the intervention along, in the transaction that changes its request."""
    payload = request.payload
    pending = Intervention.objects.filter(pk=request.subject_key, status=InterventionStatus.PENDING)
    pending.update(
        recommended_action=payload["action"],
        channel=payload["channel"],
        recipient=payload["recipient"],
        edited=True,
    )
    make_due([request.concerning])


def actions_of(stage: str, rules: PolicyDocument) -> list[str]:
    """The actions that the playbook of a stage knows, in its order."""
    playbook = rules.planning.playbooks.get(stage)
    if playbook is None:
        return [rules.planning.action_otherwise]
    return list(dict.fromkeys([rule.action for rule in playbook.rules] + [playbook.otherwise]))


def _channel(action: str, wanted: str | None, payload: dict, case: cases.Case, rules: PolicyDocument) -> str:
    """The channel asked for, or the action's own, which without an address is a task; what cannot reach
    anybody is refused."""
    usual = rules.actions[action].channel
    if usual == Channel.EMAIL and not case.customer.email:
        usual = Channel.TASK
    channel = wanted or (payload["channel"] if action == payload["action"] else usual)
    if channel not in set(Channel):
        raise CannotChange(f"There is no channel “{channel}”.")
    if (channel == Channel.NONE) != (usual == Channel.NONE):
        raise CannotChange(f"{label(action)} cannot be carried out by the channel {label(channel).lower()}.")
    if channel == Channel.EMAIL and rules.actions[action].template.to_customer is None:
        raise CannotChange(f"{label(action)} has no text for customers.")
    if channel == Channel.EMAIL and not case.customer.email:
        raise CannotChange("The customer has no e-mail address: choose a task for the owner.")
    if channel == Channel.WEBHOOK and not settings.WEBHOOK_URL:
        raise CannotChange("No address is set for webhooks: choose another channel.")
    return channel


def _schedule(text: str, rules: PolicyDocument) -> str:
    """The time, in UTC; empty for as soon as possible. It has to lie within the life of an approval."""
    if not text:
        return ""
    try:
        moment = datetime.fromisoformat(text)
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):  # the year 1 in a zone ahead of UTC lies before all time
        raise CannotChange(f"“{text}” is no time: write it like 2025-01-31T09:00.") from None
    latest = timezone.now() + timedelta(hours=rules.clocks.execute_by_hours)
    if moment > latest:
        raise CannotChange(f"An approval holds until {shown.absolute(latest)}: it cannot be later.")
    return moment.isoformat()
