"""Which policy is in force. Documents never change; putting one in force takes two people."""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from approvals.audit import Event, record
from approvals.models import ApprovalRequest
from approvals.rules import (
    Actor,
    NotAuthorised,
    Refusal,
    Stale,
    Status,
    WorkingHours,
    fingerprint,
    working_deadline,
)
from approvals.services import NewRequest, Terms, actor_of, mark_used, open_requests
from journeys.domain.policy import PUBLISHED, PolicyDocument, load
from journeys.domain.vocabulary import Tier
from journeys.models import Policy

KIND = "policy_activation"
ACTIVATE = "journeys.activate_policy"


class NoSuchPolicy(Refusal):
    code = "no_such_policy"


def in_force() -> Policy:
    """Raises NoSuchPolicy where none is: nothing can be decided then."""
    policy = Policy.objects.filter(active=True).first()
    if policy is None:
        raise NoSuchPolicy("No policy is in force. `manage.py migrate` installs the published one.")
    return policy


def find(name: str) -> Policy:
    """The latest version under this name, or the one of `NAME VERSION`. Raises NoSuchPolicy."""
    head, _, version = name.rpartition(" ")
    exact = (
        Policy.objects.filter(name=head, version=version).first() if head and version.isdecimal() else None
    )
    policy = exact or Policy.objects.filter(name=name).order_by("-version").first()
    if policy is None:
        raise NoSuchPolicy(f"There is no policy “{name}”.")
    return policy


def install_published() -> Policy:
    """Install the published policy as `published 1`, in force unless another one is."""
    policy, _ = Policy.objects.get_or_create(
        name="published",
        version=1,
        defaults={
            "document": PUBLISHED.model_dump(mode="json"),
            "active": not Policy.objects.filter(active=True).exists(),
            "created_by": "installation",
        },
    )
    return policy


def add_policy(*, name: str, document: dict, created_by: str) -> Policy:
    """Store a new version under this name, not in force. Raises PolicyError, listing every problem."""
    complete = load(document).model_dump(mode="json")
    with transaction.atomic():
        latest = Policy.objects.filter(name=name).aggregate(latest=Max("version"))["latest"] or 0
        return Policy.objects.create(name=name, version=latest + 1, document=complete, created_by=created_by)


def propose_activation(*, policy: Policy, user, reason: str, door: str, address: str = "") -> ApprovalRequest:
    """Ask a second person to put this policy in force. Raises Refusal where it is already."""
    if not (user.is_active and (user.has_perm("journeys.add_policy") or user.has_perm(ACTIVATE))):
        raise NotAuthorised("You have no permission to ask for another policy.")
    if policy.active:
        raise Refusal(f"{policy} is in force already.")
    current = in_force()
    return open_requests(
        [
            NewRequest(
                kind=KIND,
                subject_key=str(policy.pk),
                title=f"Put policy {policy} in force",
                summary=reason or f"It replaces {current}.",
                payload={
                    "policy": str(policy),
                    "document": fingerprint(policy.document),
                    "replaces": str(current),
                },
                evidence={"reason": reason},
                terms=change_terms(ACTIVATE, current.rules, timezone.now()),
                policy=str(current),
            )
        ],
        proposer=actor_of(user, door=door, address=address),
    )[0]


def on_activation_end(request: ApprovalRequest, actor: Actor) -> None:
    """Put the policy in force once a second person has confirmed it. Raises Stale where the one that it was
    to replace is no longer in force."""
    if request.status != Status.APPROVED:
        return
    policy = Policy.objects.get(pk=request.subject_key)
    replaced = request.payload["replaces"]
    current = in_force()
    if str(current) != replaced or not Policy.objects.filter(pk=current.pk, active=True).update(active=False):
        raise Stale(f"{replaced} is no longer in force; ask again against {current}.")
    Policy.objects.filter(pk=policy.pk).update(active=True)
    mark_used(request)
    record(
        [
            Event(
                word="policy.activated",
                actor=actor,
                kind="policy",
                subject_key=str(policy.pk),
                subject_name=f"Policy {policy}",
                request_id=request.pk,
                before=replaced,
                after=str(policy),
                policy=str(policy),
            )
        ]
    )


def change_terms(permission: str, rules: PolicyDocument, now: datetime) -> Terms:
    """Terms of a request about the product itself: any second person with the permission."""
    return Terms(permission=permission, needs_limit=False, **clocks_of(rules, Tier.MEDIUM, now))


def clocks_of(rules: PolicyDocument, urgency: str, now: datetime) -> dict:
    """The clocks of a request, as arguments of Terms: by working hours, from the urgency."""
    clocks, calendar = rules.clocks, working_hours(rules)
    hours = clocks.decide_within_working_hours[urgency]
    at_least = now + timedelta(hours=clocks.expiry_at_least_hours)
    return {
        "remind_at": working_deadline(now, clocks.reminder_share * hours, calendar),
        "decision_due_at": working_deadline(now, hours, calendar),
        "expires_at": max(working_deadline(now, clocks.expiry_factor * hours, calendar), at_least),
        "execute_within_hours": clocks.execute_by_hours,
    }


def working_hours(rules: PolicyDocument) -> WorkingHours:
    clocks = rules.clocks
    return WorkingHours(
        frozenset(clocks.working_weekdays), clocks.day_starts_hour, clocks.day_ends_hour, clocks.time_zone
    )
