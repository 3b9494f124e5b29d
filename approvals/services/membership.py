"""Putting somebody into a group, or taking them out. A second person confirms it: groups carry authority."""

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from django.utils import timezone

from approvals.models import ApprovalRequest, user_key
from approvals.rules import Actor, NotAuthorised, NotFound, ReasonNeeded, Refusal, Stale, Status
from approvals.services.authority import CONFIRM, PROPOSE, change_terms
from approvals.services.deciding import mark_used
from approvals.services.opening import NewRequest, open_requests
from approvals.services.people import actor_of

KIND = "group_membership"


def propose_membership(
    *, user_name: str, group: str, member: bool, user, reason: str, door: str, address: str = ""
) -> ApprovalRequest:
    """Ask a second person to put an account into a group (`member`), or to take it out.

    Raises NotAuthorised, ReasonNeeded, NotFound or Refusal (nothing would change, or it waits already).
    """
    if not (user.is_active and user.has_perm(PROPOSE)):
        raise NotAuthorised("You have no permission to propose changes of authority.")
    if not reason.strip():
        raise ReasonNeeded("Say why: a second person has to confirm it.")
    account = get_user_model().objects.filter(username=user_name).first()
    if account is None:
        raise NotFound(f"There is no account “{user_name}”.")
    if not Group.objects.filter(name=group).exists():
        raise NotFound(f"There is no group “{group}”.")
    if account.groups.filter(name=group).exists() == member:
        raise Refusal(f"{user_name} is {'in' if member else 'not in'} {group} already.")
    wanted = NewRequest(
        kind=KIND,
        subject_key=f"{account.pk}:{group}"[:80],
        concerning=user_key(account),
        title=f"{'Put' if member else 'Take'} {user_name} {'into' if member else 'out of'} {group}"[:200],
        summary=reason.strip()[:400],
        payload={"user": account.pk, "user_name": user_name, "group": group, "member": member},
        evidence={"reason": reason.strip()},
        terms=change_terms(CONFIRM, timezone.now()),
    )
    try:
        with transaction.atomic():
            return open_requests([wanted], proposer=actor_of(user, door=door, address=address))[0]
    except IntegrityError as error:
        raise Refusal("This waits for confirmation already: decide that first.") from error


def on_membership_end(request: ApprovalRequest, actor: Actor) -> None:
    """Carry it out once a second person has confirmed it. Nobody confirms what gives themselves authority."""
    if request.status != Status.APPROVED:
        return
    account = get_user_model().objects.filter(pk=request.payload["user"]).first()
    group = Group.objects.filter(name=request.payload["group"]).first()
    if account is None or group is None:
        raise Stale("The account or the group is gone by now.")
    if actor.key == user_key(account):
        raise NotAuthorised("Somebody else has to confirm what concerns yourself.")
    if request.payload["member"]:
        account.groups.add(group)
    else:
        account.groups.remove(group)
    mark_used(request)


def describe(request: ApprovalRequest, user) -> dict:
    account = get_user_model().objects.filter(pk=request.payload["user"]).first()
    groups = sorted(account.groups.values_list("name", flat=True)) if account else []
    pending = request.status == Status.PENDING
    return {
        "groups": groups,
        "against": _against(request, account, groups) if pending else [],
        "reason": request.evidence["reason"],
    }


def _against(request: ApprovalRequest, account, groups: list[str]) -> list[str]:
    wish = request.payload
    if account is None or not Group.objects.filter(name=wish["group"]).exists():
        return ["The account or the group is gone by now: this can only be rejected."]
    found = []
    if (wish["group"] in groups) == wish["member"]:
        found.append(f"{account} is {'in' if wish['member'] else 'not in'} {wish['group']} already.")
    if wish["member"] and request.proposed_by_key == user_key(account):
        found.append(f"{account} asks this for their own account.")
    if wish["member"] and not account.is_active:
        found.append(f"The account {account} is not active.")
    return found
