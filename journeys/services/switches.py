"""How far execution goes. One person makes it more careful, at once; less careful takes two."""

from contextlib import suppress

from django.db import IntegrityError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from approvals.audit import Event, record
from approvals.models import ApprovalRequest
from approvals.rules import (
    Actor,
    AlreadyDecided,
    NotAuthorised,
    NotFound,
    ReasonNeeded,
    Refusal,
    Stale,
    Status,
)
from approvals.services import NewRequest, actor_of, mark_used, open_requests, supersede
from journeys.domain.vocabulary import Action, Channel, ExecutionMode, SwitchScope, phrase
from journeys.models import Customer, ExecutionSwitch
from journeys.services.policies import change_terms, in_force

KIND = "execution_switch"
STOP_PERMISSION = "journeys.stop_execution"
START_PERMISSION = "journeys.start_execution"

_MOST_CAREFUL_FIRST = list(ExecutionMode)


class Unchanged(Refusal):
    code = "unchanged"


class AlreadyAsked(Refusal):
    code = "already_asked"


def mode_for(*, channel: str, action: str, customer_id: str) -> ExecutionMode:
    """The most careful of the switches that apply; without one for all, no more than record-only."""
    applying = ExecutionSwitch.objects.filter(
        Q(scope=SwitchScope.ALL)
        | Q(scope=SwitchScope.CHANNEL, value=channel)
        | Q(scope=SwitchScope.ACTION, value=action)
        | Q(scope=SwitchScope.CUSTOMER, value=customer_id)
    )
    found = list(applying.values_list("scope", "mode"))
    modes = [ExecutionMode(mode) for _, mode in found]
    if SwitchScope.ALL not in [scope for scope, _ in found]:
        modes.append(without_a_switch(SwitchScope.ALL))
    return min(modes, key=_MOST_CAREFUL_FIRST.index)


def without_a_switch(scope: str) -> ExecutionMode:
    """What holds where no switch is set: for all record-only; anything narrower restricts nothing."""
    return ExecutionMode.RECORD_ONLY if scope == SwitchScope.ALL else ExecutionMode.LIVE


def current(scope: str, value: str = "") -> ExecutionMode:
    """What this one switch says."""
    mode = ExecutionSwitch.objects.filter(scope=scope, value=value).values_list("mode", flat=True).first()
    return ExecutionMode(mode) if mode else without_a_switch(scope)


def stopped() -> Q:
    """The interventions that a switch on off holds back, as a filter."""
    if _off(SwitchScope.ALL).exists():
        return Q(pk__isnull=False)
    return (
        Q(channel__in=_off(SwitchScope.CHANNEL))
        | Q(recommended_action__in=_off(SwitchScope.ACTION))
        | Q(customer__in=_off(SwitchScope.CUSTOMER))
    )


def stop(*, scope: str, value: str = "", user, reason: str = "", door: str, address: str = "") -> None:
    """Stop execution at once. Raises Unchanged, NotAuthorised or NotFound."""
    set_mode(
        scope=scope, value=value, mode=ExecutionMode.OFF, user=user, reason=reason, door=door, address=address
    )


def set_mode(
    *, scope: str, value: str = "", mode: str, user, reason: str, door: str, address: str = ""
) -> ApprovalRequest | None:
    """Set a switch: more careful takes effect at once (None); less careful opens a request, which is
    returned, for a second person to confirm.

    Raises NotFound (no such target), Unchanged, NotAuthorised, ReasonNeeded or AlreadyAsked.
    """
    _check_target(scope, value)
    mode, before = ExecutionMode(mode), current(scope, value)
    if mode == before:
        raise Unchanged(f"Execution for {target(scope, value)} is {phrase(mode)} already.")
    actor = actor_of(user, door=door, address=address)
    if _more_careful(mode, before):
        if not _may(user, STOP_PERMISSION):
            raise NotAuthorised("You have no permission to stop execution.")
        _tighten(scope, value, mode, actor, reason.strip())
        return None
    if not (_may(user, STOP_PERMISSION) or _may(user, START_PERMISSION)):
        raise NotAuthorised("You have no permission to ask for execution to be started.")
    if not reason.strip():
        raise ReasonNeeded("Say why: a second person has to confirm it.")
    return _ask(scope, value, before, mode, actor, reason.strip())


def on_switch_end(request: ApprovalRequest, actor: Actor) -> None:
    """Set the switch once a second person has confirmed it. Raises Stale where it no longer stands as it did
    when this was asked; the request stays open then, for somebody to reject."""
    if request.status != Status.APPROVED:
        return
    wish = request.payload
    row = _row(wish["scope"], wish["value"])
    unmoved = ExecutionSwitch.objects.filter(pk=row.pk, mode=wish["before"])
    if not unmoved.update(mode=wish["after"], changed_by=actor.name, changed_at=timezone.now()):
        now = phrase(current(row.scope, row.value))
        raise Stale(f"It was asked from {phrase(wish['before'])}, and is {now} by now: ask again.")
    mark_used(request)
    record([_changed(row, wish["before"], wish["after"], actor, request.summary, request_id=request.pk)])


def describe(request: ApprovalRequest) -> dict:
    """The facts of a request, for the page: `target`, `before`, `after`, and what speaks `against` it."""
    wish = request.payload
    now = current(wish["scope"], wish["value"])
    moved = f"It is {phrase(now)} by now: this can only be rejected, and asked again."
    return {
        "target": target(wish["scope"], wish["value"]),
        **wish,
        "against": [moved] if request.status == Status.PENDING and now != wish["before"] else [],
    }


def target(scope: str, value: str) -> str:
    """What a switch holds for, as it stands in a sentence."""
    if scope == SwitchScope.ALL:
        return "everything"
    return f"the {phrase(scope)} {value if scope == SwitchScope.CUSTOMER else phrase(value)}"


def _tighten(scope: str, value: str, mode: ExecutionMode, actor: Actor, reason: str) -> None:
    with transaction.atomic():
        # What was asked before the stop is not to be confirmed after it. Requests come first, as in every
        # transaction of the gate.
        withdrawn = []
        for request in ApprovalRequest.objects.pending().filter(kind=KIND, subject_key=_key(scope, value)):
            with suppress(AlreadyDecided):
                why = "Execution was made more careful meanwhile."
                withdrawn.append(supersede(request, actor=actor, reason=why))
        row = _row(scope, value)
        # Whatever somebody else set meanwhile: this move is made from every less careful mode, and from no
        # other, so a stop is never lost and never weakened.
        less_careful = [other for other in ExecutionMode if _more_careful(mode, other)]
        before = row.mode
        moved = ExecutionSwitch.objects.filter(pk=row.pk, mode__in=less_careful)
        if not moved.update(mode=mode, changed_by=actor.name, changed_at=timezone.now()):
            raise Unchanged(f"Execution for {target(scope, value)} is at least as careful already.")
        record([*withdrawn, _changed(row, before, mode, actor, reason)])


def _ask(
    scope: str, value: str, before: ExecutionMode, mode: ExecutionMode, actor: Actor, reason: str
) -> ApprovalRequest:
    policy = in_force()
    wanted = NewRequest(
        kind=KIND,
        subject_key=_key(scope, value),
        concerning=value if scope == SwitchScope.CUSTOMER else "",
        title=f"Execution for {target(scope, value)}: from {phrase(before)} to {phrase(mode)}",
        summary=reason[:400],
        payload={"scope": str(scope), "value": value, "before": before.value, "after": mode.value},
        evidence={"reason": reason},
        terms=change_terms(START_PERMISSION, policy.rules, timezone.now()),
        policy=str(policy),
    )
    try:
        with transaction.atomic():
            return open_requests([wanted], proposer=actor)[0]
    except IntegrityError as error:
        raise AlreadyAsked(
            f"Execution for {target(scope, value)} waits for confirmation already: decide that first."
        ) from error


def _row(scope: str, value: str) -> ExecutionSwitch:
    """The switch's row; one made here says what holds without it."""
    defaults = {"mode": without_a_switch(scope), "changed_by": "installation"}
    return ExecutionSwitch.objects.get_or_create(scope=scope, value=value, defaults=defaults)[0]


def _check_target(scope: str, value: str) -> None:
    known = {
        SwitchScope.ALL: lambda: value == "",
        SwitchScope.CHANNEL: lambda: value in set(Channel),
        SwitchScope.ACTION: lambda: value in set(Action),
        SwitchScope.CUSTOMER: lambda: Customer.objects.filter(pk=value).exists(),
    }
    if scope not in known or not known[scope]():
        raise NotFound(f"There is no {phrase(scope)} “{value}” to switch.")


def _off(scope: SwitchScope) -> QuerySet:
    return ExecutionSwitch.objects.filter(scope=scope, mode=ExecutionMode.OFF).values("value")


def _more_careful(mode: ExecutionMode, than: ExecutionMode) -> bool:
    return _MOST_CAREFUL_FIRST.index(mode) < _MOST_CAREFUL_FIRST.index(than)


def _may(user, permission: str) -> bool:
    return user.is_active and user.has_perm(permission)


def _key(scope: str, value: str) -> str:
    return f"{scope}:{value}" if value else str(scope)


def _changed(
    row: ExecutionSwitch, before: str, after: str, actor: Actor, reason: str, request_id: int | None = None
) -> Event:
    return Event(
        word="switch.changed",
        actor=actor,
        kind=KIND,
        subject_key=_key(row.scope, row.value),
        subject_name=target(row.scope, row.value),
        concerning=row.value if row.scope == SwitchScope.CUSTOMER else "",
        request_id=request_id,
        before=str(before),
        after=str(after),
        reason=reason,
    )
