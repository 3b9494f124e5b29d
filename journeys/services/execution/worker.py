"""What a worker does with an approved intervention: claim it, act, record.

The claim is committed before anything goes out, and the act stands outside any transaction: a crash in
between leaves a row that a person can see, and that nothing sends again.
"""

import logging
import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from types import MappingProxyType
from typing import NamedTuple

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from django_q.tasks import async_task

from approvals.audit import record
from approvals.models import ApprovalRequest
from approvals.rules import (
    Actor,
    AlreadyDecided,
    IllegalMove,
    NoStandingApproval,
    Status,
    working_deadline,
)
from approvals.services import lapse, use_approval
from journeys import standing
from journeys.domain.policy import PolicyDocument
from journeys.domain.vocabulary import Channel, ExecutionMode, ExecutionStatus, InterventionStatus
from journeys.executors import CHANNELS, MaybeSent, NotSent, Receipt
from journeys.models import Customer, Execution, Intervention
from journeys.services import policies, switches
from journeys.services.execution.moves import approved_request, event, move
from journeys.services.marks import make_due
from journeys.services.proposals import KIND

log = logging.getLogger(__name__)

WORKER = Actor(key="machine:worker", name="the worker", door="worker")
# Gaps are stretched by up to this share, so that what failed together does not come back together.
JITTER = 0.1
# The sweep starts nothing new after so many seconds, well within the time that the worker gives it.
SWEEP_SECONDS = 30


class _NotNow(Exception):
    """Rolls the claim back: the row stays approved, and the sweep comes by again."""


class _NoLongerHolds(Exception):
    """Rolls the claim back: the approval lapses, for the reason given."""


@dataclass(frozen=True, slots=True)
class _Claim:
    request: ApprovalRequest
    intervention: Intervention
    execution: Execution
    rules: PolicyDocument


class _Result(NamedTuple):
    """Where an attempt leads: the word of the audit, the intervention's status, the execution's fields."""

    word: str
    status: InterventionStatus
    fields: dict


def execute(*, intervention_id: str) -> Execution | None:
    """Carry out one approved intervention, once. None where there is nothing to do, or not now: a late or
    doubled call, a switch on off, an approval that lapsed, somebody faster.

    Raises NoStandingApproval where the row stands as approved on no approval at all, and NoSuchPolicy where
    the policy under which it was approved is gone; nothing went out then.
    """
    now = timezone.now()
    # Looked at first without a lock, as most late and doubled calls end here.
    if not Intervention.objects.due(now).filter(pk=intervention_id).exists():
        return None
    try:
        claim = _claim(intervention_id, now)
    except _NotNow:
        return None
    except _NoLongerHolds as objection:
        _lapse(intervention_id, str(objection))
        return None
    except NoStandingApproval as refusal:
        _end_without_approval(intervention_id, refusal, now)
        return None
    outcome = _act(claim)
    _record(claim, outcome)
    return Execution.objects.get(pk=claim.execution.pk)


def execute_due(*, at_most: int = 500) -> int:
    """Carry out what is due and what no bell announced, one after the other; returns how many were begun.

    One that breaks does not hold up the others. Raises ExceptionGroup at the end with all that broke.
    """
    # What a switch holds back is left out, or it would in time stand before everything else.
    due = Intervention.objects.due(timezone.now()).exclude(switches.stopped()).order_by("generated_at")
    started, begun, broken = monotonic(), 0, []
    for intervention_id in list(due.values_list("pk", flat=True)[:at_most]):
        if monotonic() - started > SWEEP_SECONDS:
            break
        try:
            begun += execute(intervention_id=intervention_id) is not None
        except Exception as error:
            log.exception("Intervention %s could not be carried out.", intervention_id)
            broken.append(error)
    if broken:
        raise ExceptionGroup("Some interventions could not be carried out", broken)
    return begun


def give_up_overdue(*, now: datetime | None = None, at_most: int = 500) -> int:
    """End what waits for its next attempt past the time of its approval; returns how many. `execute_due`
    leaves out what a switch holds back: that would stand as approved for as long as it does."""
    now = now or timezone.now()
    waiting = Execution.objects.filter(status=ExecutionStatus.RETRYING).values("intervention_id")
    late = ApprovalRequest.objects.filter(
        kind=KIND, status=Status.APPROVED, execute_by__lte=now, subject_key__in=waiting
    )
    return sum(
        _give_up(request.subject_key, request, "The approval is past its time.", now)
        for request in late[:at_most]
    )


@transaction.atomic(durable=True)
def _claim(intervention_id: str, now: datetime) -> _Claim:
    """Take the row for this attempt, or raise _NotNow, _NoLongerHolds or NoStandingApproval.

    Everything is looked at inside this transaction, after the request's lock: approval, switches, whether
    it is still due, the customer's wishes, the contact cap.
    """
    request = use_approval(kind=KIND, subject_key=intervention_id, now=now)
    payload = request.payload
    mode = switches.mode_for(
        channel=payload["channel"], action=payload["action"], customer_id=payload["customer_id"]
    )
    if mode == ExecutionMode.OFF:
        raise _NotNow
    _lock_customers(payload)
    intervention = Intervention.objects.due(now).filter(pk=intervention_id).first()
    if intervention is None:
        raise _NotNow
    objection = _altered_row(intervention, payload) or standing.objection(intervention, request, now=now)
    if objection:
        raise _NoLongerHolds(objection)
    if _address_in_use(intervention):
        raise _NotNow
    approved = Intervention.objects.filter(pk=intervention_id, status=InterventionStatus.APPROVED)
    if not approved.update(status=InterventionStatus.EXECUTING):
        raise _NotNow
    intervention.status = InterventionStatus.EXECUTING
    execution = _claim_execution(intervention, mode, now)
    record(
        [
            event(
                "execution.claimed",
                intervention,
                request,
                WORKER,
                before=InterventionStatus.APPROVED,
                after=InterventionStatus.EXECUTING,
            )
        ]
    )
    make_due([intervention.customer_id])
    return _Claim(request, intervention, execution, policies.find(request.policy).rules)


def _claim_execution(intervention: Intervention, mode: ExecutionMode, now: datetime) -> Execution:
    """The attempt is counted here, at its start: one that kills its worker has counted."""
    fields = {"status": ExecutionStatus.CLAIMED, "mode": mode, "claimed_at": now, "retry_at": None}
    again = Execution.objects.filter(intervention=intervention, status=ExecutionStatus.RETRYING)
    if not again.update(attempts=F("attempts") + 1, **fields):
        Execution.objects.create(
            intervention=intervention,
            idempotency_key=intervention.pk,
            channel=intervention.channel,
            attempts=1,
            **fields,
        )
    return Execution.objects.get(intervention=intervention)


def _lock_customers(payload: dict) -> None:
    """Two customers may share an address. On PostgreSQL their rows are locked, in one order, so that two
    claims for one address come one after the other, and neither overlooks a wish that is being written;
    SQLite's IMMEDIATE transactions come one after the other anyway."""
    sharing = Q(pk=payload["customer_id"])
    if payload["channel"] == Channel.EMAIL:
        sharing |= Q(email=payload["recipient"])
    list(Customer.objects.filter(sharing).order_by("pk").select_for_update(no_key=True).values_list("pk"))


def _altered_row(intervention: Intervention, payload: dict) -> str | None:
    """What is weighed stands in the row, what is sent in the payload: they must be of the same thing."""
    row = (
        intervention.customer_id,
        intervention.recommended_action,
        intervention.channel,
        intervention.recipient,
    )
    if row != (payload["customer_id"], payload["action"], payload["channel"], payload["recipient"]):
        return "The intervention is no longer what was approved."
    return None


def _address_in_use(intervention: Intervention) -> bool:
    """Whether something is going out to this address at this moment, or may have gone out: the contact cap
    counts it only once that is known."""
    if intervention.channel != Channel.EMAIL:
        return False
    under_way = Intervention.objects.filter(
        recipient=intervention.recipient,
        channel=Channel.EMAIL,
        status__in=(InterventionStatus.EXECUTING, InterventionStatus.UNKNOWN),
    )
    return under_way.exclude(pk=intervention.pk).exists()


def _act(claim: _Claim) -> Receipt | NotSent | MaybeSent:
    """Outside any transaction: what went out cannot be rolled back, and a slow receiver must hold no lock."""
    if claim.execution.mode == ExecutionMode.RECORD_ONLY:
        return Receipt("Record only: nothing was sent.")
    payload = claim.request.payload
    try:
        return CHANNELS[payload["channel"]](MappingProxyType(payload), claim.execution.idempotency_key)
    except (NotSent, MaybeSent) as outcome:
        return outcome
    except Exception as error:
        # A channel that breaks in a way nobody thought of may have sent before it broke.
        log.exception("The channel %s broke on intervention %s.", payload["channel"], claim.intervention.pk)
        return MaybeSent(f"The channel broke: {error!r}")


def _record(claim: _Claim, outcome: Receipt | NotSent | MaybeSent) -> None:
    now = timezone.now()
    word, status, fields = _result(claim, outcome, now)
    try:
        with transaction.atomic(durable=True):
            move(
                claim.intervention,
                claim.execution,
                word=word,
                status=status,
                fields=fields,
                request=claim.request,
                actor=WORKER,
                reason=outcome.detail,
                now=now,
            )
    except AlreadyDecided:
        log.error(
            "Intervention %s was ended by a person before its attempt came back: %s",
            claim.intervention.pk,
            outcome.detail,
        )


def _result(claim: _Claim, outcome: Receipt | NotSent | MaybeSent, now: datetime) -> _Result:
    done = {"status": ExecutionStatus.DONE, "finished_at": now}
    failed = {"status": ExecutionStatus.FAILED, "finished_at": now}
    if isinstance(outcome, MaybeSent):
        return _Result("execution.unknown", InterventionStatus.UNKNOWN, {"status": ExecutionStatus.UNKNOWN})
    if isinstance(outcome, NotSent):
        gap = None if outcome.permanent else _gap(claim)
        if gap is None:
            return _Result("execution.failed", InterventionStatus.FAILED, failed)
        retrying = {"status": ExecutionStatus.RETRYING, "retry_at": now + gap}
        return _Result("execution.refused", InterventionStatus.APPROVED, retrying)
    if claim.execution.mode == ExecutionMode.RECORD_ONLY:
        return _Result("execution.recorded", InterventionStatus.EXECUTED, done)
    if claim.intervention.channel == Channel.TASK:
        hours = claim.rules.clocks.task_due_working_hours
        with_owner = {
            "status": ExecutionStatus.WITH_OWNER,
            "assignee": claim.request.payload["recipient"],
            "due_at": working_deadline(now, hours, policies.working_hours(claim.rules)),
        }
        return _Result("execution.with_owner", InterventionStatus.EXECUTING, with_owner)
    return _Result("execution.finished", InterventionStatus.EXECUTED, done)


def _gap(claim: _Claim) -> timedelta | None:
    """The pause before the next attempt; None after the last."""
    gaps = claim.rules.execution.retry_gaps_seconds
    if claim.execution.attempts > len(gaps):
        return None
    stretch = 1 + random.uniform(0, JITTER)  # noqa: S311 - spreads load, guards nothing
    return timedelta(seconds=gaps[claim.execution.attempts - 1] * stretch)


def _lapse(intervention_id: str, reason: str) -> None:
    """In a transaction of its own: the claim, which marked the approval as used, is rolled back by now."""
    request = approved_request(intervention_id)
    if request is not None:
        try:
            with transaction.atomic():
                lapse(request.pk, actor=WORKER, reason=reason)
                # What moved may call for something else: a task looks at the customer anew.
                async_task("journeys.tasks.reconsider", intervention_id)
        except (AlreadyDecided, IllegalMove):
            log.info("Intervention %s was ended by somebody else meanwhile.", intervention_id)


def _end_without_approval(intervention_id: str, refusal: NoStandingApproval, now: datetime) -> None:
    """Past its time, an approval on which nothing was tried yet is the gate's to expire; retries are given
    up. One that is no longer what was approved lapses, and is asked for again. Raises the refusal for a row
    that stands as approved on no approval at all: nothing here may decide what that should be."""
    request = approved_request(intervention_id)
    if request is None:
        if Intervention.objects.due(now).filter(pk=intervention_id).exists():
            raise refusal
    elif request.execute_by > now:
        log.error("Intervention %s is not carried out: %s", intervention_id, refusal)
        _lapse(intervention_id, str(refusal))
    else:
        _give_up(intervention_id, request, str(refusal), now)


def _give_up(intervention_id: str, request: ApprovalRequest, reason: str, now: datetime) -> bool:
    """Whether it waited, and nobody else ended it at this moment."""
    waiting = Execution.objects.filter(intervention_id=intervention_id, status=ExecutionStatus.RETRYING)
    execution = waiting.select_related("intervention").first()
    if execution is None or execution.intervention.status != InterventionStatus.APPROVED:
        return False
    try:
        with transaction.atomic():
            move(
                execution.intervention,
                execution,
                word="execution.failed",
                status=InterventionStatus.FAILED,
                fields={"status": ExecutionStatus.FAILED, "finished_at": now},
                request=request,
                actor=WORKER,
                reason=f"Given up. {reason} The last try: {execution.detail}",
                now=now,
            )
    except AlreadyDecided:
        log.info("Intervention %s was ended by somebody else meanwhile.", intervention_id)
        return False
    return True
