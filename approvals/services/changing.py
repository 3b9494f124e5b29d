"""Changing what is asked for: by somebody who could decide it, or by its proposer when asked to."""

from django.db import transaction
from django.utils import timezone

from approvals import rules
from approvals.audit import record
from approvals.models import ApprovalRequest, user_key
from approvals.rules import Actor, Proposer, Status
from approvals.services import notices
from approvals.services.moves import already_decided, event_of, get, unmoved
from approvals.services.opening import replace_payload
from approvals.services.people import actor_of, decider_of
from approvals.subjects import subject_of


class NothingChanged(rules.Refusal):
    code = "nothing_changed"


def change(
    *,
    request_id: int,
    fingerprint: str,
    changes: dict,
    user,
    reason: str = "",
    door: str,
    address: str = "",
    on_behalf_of=None,
) -> ApprovalRequest:
    """Approve with changes: what is asked for becomes something else, which somebody else has to decide,
    always. `changes` maps what the subject lets be changed to its new value.

    Raises what `decide` raises, NothingChanged, or the subject's Refusal of a change.
    """
    with transaction.atomic():
        request = get(request_id)
        if request.status != Status.PENDING:
            raise already_decided(request)
        asked = request.asked()
        rules.check_open(asked, fingerprint=fingerprint, now=timezone.now())
        if asked.returned:
            raise rules.Returned("Its proposer was asked for changes; it comes back once they have answered.")
        rules.check_eligible(asked, decider_of(user, request, on_behalf_of=on_behalf_of))
        actor = actor_of(user, door=door, address=address, on_behalf_of=on_behalf_of)
        return _change(request, changes, actor, reason.strip())


def ask_for_changes(
    *, request_id: int, fingerprint: str, user, note: str, door: str, address: str = "", on_behalf_of=None
) -> ApprovalRequest:
    """Send a request back to its proposer, with a note. It stays open, and its clocks go on.

    Raises what `decide` raises.
    """
    with transaction.atomic():
        request = get(request_id)
        if request.status != Status.PENDING:
            raise already_decided(request)
        asked, now = request.asked(), timezone.now()
        rules.check_open(asked, fingerprint=fingerprint, now=now)
        if asked.returned:
            raise rules.Returned("Its proposer has been asked for changes already.")
        rules.check_eligible(asked, decider_of(user, request, on_behalf_of=on_behalf_of))
        if not note.strip():
            raise rules.ReasonNeeded("Say what should be changed.")
        released = {"claimed_by_key": "", "claimed_by_name": "", "claimed_until": None}
        if not unmoved(request).update(returned_at=now, returned_note=note.strip()[:400], **released):
            raise already_decided(get(request_id))
        actor = actor_of(user, door=door, address=address, on_behalf_of=on_behalf_of)
        record([event_of("request.returned", request, actor, reason=note.strip())])
    return get(request_id)


def revise(
    *, request_id: int, fingerprint: str, changes: dict, user, note: str, door: str, address: str = ""
) -> ApprovalRequest:
    """The proposer's answer to being asked for changes: changes, or (with none) why it should stay as it is.
    What a machine proposed is answered by whoever may propose by hand.

    Raises AlreadyDecided, Stale, TooLate, NotAuthorised, ReasonNeeded, or the subject's Refusal of a change.
    """
    with transaction.atomic():
        request = get(request_id)
        if request.status != Status.PENDING:
            raise already_decided(request)
        rules.check_open(request.asked(), fingerprint=fingerprint, now=timezone.now())
        if request.returned_at is None:
            raise rules.Refusal("Nobody has asked for changes of this request.")
        if not may_revise(request, user):
            raise rules.NotAuthorised("It was sent back to its proposer; only they may answer.")
        if not note.strip():
            raise rules.ReasonNeeded("Say what you changed, or why it should stay as it is.")
        actor = actor_of(user, door=door, address=address)
        back = {"returned_at": None, "returned_note": ""}
        if changes:
            return _change(request, changes, actor, note.strip(), fields=back)
        if not unmoved(request).update(editors=sorted({*request.editors, actor.key}), **back):
            raise already_decided(get(request_id))
        record([event_of("request.changed", request, actor, reason=note.strip())])
    return get(request_id)


def _change(
    request: ApprovalRequest, changes: dict, actor: Actor, reason: str, fields: dict | None = None
) -> ApprovalRequest:
    changed = subject_of(request.kind).change(request, changes)
    told = [
        f"{name}: {request.payload.get(name)!r} → {value!r}"
        for name, value in changed.payload.items()
        if request.payload.get(name) != value
    ]
    if not told:
        raise NothingChanged("Nothing is different from what was asked for.")
    editors = sorted({*request.editors, actor.key} | ({actor.on_behalf_of_key} - {""}))
    row = replace_payload(
        request,
        payload=changed.payload,
        actor=actor,
        changes=told,
        reason=reason,
        fields=(fields or {})
        | {
            "title": changed.title,
            "action": changed.action,
            "people_needed": changed.people_needed,
            "bulk_allowed": changed.bulk_allowed,
            "editors": editors,
            "claimed_by_key": "",
            "claimed_by_name": "",
            "claimed_until": None,
        },
    )
    subject_of(request.kind).on_change(row)
    record([event_of("request.changed", row, actor, reason=reason, details={"changes": "; ".join(told)})])
    if row.unroutable != request.unroutable:
        notices.announce([row])
    return row


def may_revise(request: ApprovalRequest, user) -> bool:
    """Whether this person answers for the proposal, once changes were asked for."""
    if not user.is_active:
        return False
    if request.proposer == Proposer.PERSON:
        return request.proposed_by_key == user_key(user)
    permission = subject_of(request.kind).revise_permission
    return bool(permission) and user.has_perm(permission)
