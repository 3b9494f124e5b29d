"""Changing who may decide what. One person asks, a second one confirms."""

from datetime import datetime, timedelta
from decimal import Decimal

from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from django.utils import timezone

from approvals.audit import Event, record
from approvals.models import ApprovalRequest, AuthorityLimit
from approvals.rules import Actor, NotAuthorised, NotFound, ReasonNeeded, Refusal, Stale, Status
from approvals.services.deciding import mark_used
from approvals.services.opening import NewRequest, Terms, open_requests
from approvals.services.people import actor_of

KIND = "authority_limit"
_NAME_LENGTH = AuthorityLimit._meta.get_field("name").max_length
PROPOSE, CONFIRM = "approvals.propose_authoritylimit", "approvals.confirm_authoritylimit"


def limit_document(limit: AuthorityLimit | None) -> dict | None:
    """A limit as it stands in a payload; None where there is none."""
    if limit is None:
        return None
    return {
        "group": limit.group.name,
        "max_value": None if limit.max_value is None else f"{limit.max_value:.2f}",
        "tiers": sorted(limit.tiers),
        "actions": sorted(limit.actions),
        "segments": sorted(limit.segments),
        "escalates_to": limit.escalates_to.name if limit.escalates_to else "",
    }


def propose_limit(
    *,
    name: str,
    group: str,
    max_value: Decimal | None,
    tiers: tuple[str, ...] = (),
    actions: tuple[str, ...] = (),
    segments: tuple[str, ...] = (),
    escalates_to: str = "",
    remove: bool = False,
    user,
    reason: str,
    door: str,
    address: str = "",
) -> ApprovalRequest:
    """Ask a second person to add, change or remove the limit of this name.

    Raises NotAuthorised, ReasonNeeded, NotFound (no such group or limit) or Refusal (no name, a limit below
    nothing, nothing would change, or it waits for confirmation already).
    """
    if not (user.is_active and user.has_perm(PROPOSE)):
        raise NotAuthorised("You have no permission to propose changes of authority.")
    if not reason.strip():
        raise ReasonNeeded("Say why: a second person has to confirm it.")
    name = name.strip()
    if not name or len(name) > _NAME_LENGTH:
        raise Refusal(f"A limit needs a name, of at most {_NAME_LENGTH} characters.")
    if max_value is not None and not (Decimal(max_value).is_finite() and max_value >= 0):
        raise Refusal("A limit is a sum, or nothing where there is none; it cannot be below 0.")
    before = limit_document(AuthorityLimit.objects.filter(name=name).first())
    after = None
    if not remove:
        for wanted in filter(None, (group, escalates_to)):
            if not Group.objects.filter(name=wanted).exists():
                raise NotFound(f"There is no group “{wanted}”.")
        after = {
            "group": group,
            "max_value": None if max_value is None else f"{Decimal(max_value):.2f}",
            "tiers": sorted(tiers),
            "actions": sorted(actions),
            "segments": sorted(segments),
            "escalates_to": escalates_to,
        }
    elif before is None:
        raise NotFound(f"There is no limit “{name}”.")
    if before == after:
        raise Refusal("Nothing would change: the limit says so already.")
    wanted = NewRequest(
        kind=KIND,
        subject_key=name,
        title=f"Authority {name}: {_told(after)}"[:200],
        summary=reason.strip()[:400],
        payload={"name": name, "before": before, "after": after},
        evidence={"reason": reason.strip()},
        terms=change_terms(CONFIRM, timezone.now()),
    )
    try:
        with transaction.atomic():
            return open_requests([wanted], proposer=actor_of(user, door=door, address=address))[0]
    except IntegrityError as error:
        raise Refusal(f"A change of {name} waits for confirmation already: decide that first.") from error


def change_terms(permission: str, now: datetime) -> Terms:
    """Terms of a change of authority. The gate knows no policy: these clocks are its own."""
    return Terms(
        permission=permission,
        needs_limit=False,
        remind_at=now + timedelta(hours=54),
        decision_due_at=now + timedelta(hours=72),
        expires_at=now + timedelta(hours=144),
        execute_within_hours=48,
    )


def on_limit_end(request: ApprovalRequest, actor: Actor) -> None:
    """Put the limit in force once a second person has confirmed it. Raises Stale where it no longer is what
    it was when this was asked."""
    if request.status != Status.APPROVED:
        return
    name, before, after = (request.payload[key] for key in ("name", "before", "after"))
    row = AuthorityLimit.objects.select_for_update(of=("self",)).filter(name=name).first()
    if limit_document(row) != before:
        raise Stale("This limit was changed meanwhile: ask again.")
    if after is None:
        row.delete()
    else:
        group = Group.objects.get(name=after["group"])
        target = Group.objects.filter(name=after["escalates_to"]).first()
        fields = {key: after[key] for key in ("tiers", "actions", "segments")}
        fields |= {"group": group, "escalates_to": target}
        fields["max_value"] = None if after["max_value"] is None else Decimal(after["max_value"])
        AuthorityLimit.objects.update_or_create(name=name, defaults=fields)
    mark_used(request)
    record(
        [
            Event(
                word="authority.changed",
                actor=actor,
                kind=KIND,
                subject_key=name,
                subject_name=request.title,
                request_id=request.pk,
                before=_told(before)[:60],
                after=_told(after)[:60],
                reason=request.summary,
            )
        ]
    )


def _told(document: dict | None) -> str:
    if document is None:
        return "none"
    value = document["max_value"]
    reach = "without limit" if value is None else f"up to {Decimal(value):,.0f}"
    return f"{document['group']} {reach}"


_LABELS = {
    "group": "Group",
    "max_value": "Up to, inclusive",
    "tiers": "Only these tiers",
    "actions": "Only these actions",
    "segments": "Only these segments",
    "escalates_to": "Escalates to",
}


def _value(document: dict, key: str) -> str:
    """A field of a limit as people read it; empty where there is no limit."""
    if not document:
        return ""
    value = document[key]
    if key == "max_value":
        return "without limit" if value is None else f"{Decimal(value):,.0f}"
    return ", ".join(value) if isinstance(value, list) else value


def describe(request: ApprovalRequest, user) -> dict:
    """For the page: what it would become, beside what it was when asked and is now."""
    now = limit_document(AuthorityLimit.objects.filter(name=request.payload["name"]).first())
    before, after = request.payload["before"] or {}, request.payload["after"] or {}
    rows = [
        (label, _value(before, key), _value(after, key))
        for key, label in _LABELS.items()
        if before.get(key) or after.get(key) or key == "max_value"
    ]
    stale = request.status == Status.PENDING and now != request.payload["before"]
    changed = "The limit was changed meanwhile: this can only be rejected, and asked again."
    return {"rows": rows, "against": [changed] if stale else [], "reason": request.evidence["reason"]}
