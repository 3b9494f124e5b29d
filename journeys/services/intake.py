"""The only writer of what comes in from outside: customers, their stages, signals, and the interventions and
outcomes of the time before.

`take` writes many records of one kind at once; the functions above it write one, by the same rules. What was
received before is compared first, so the same again writes nothing.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum

from django.db import IntegrityError, transaction
from django.utils import timezone

from journeys.days import today
from journeys.domain.policy import PUBLISHED
from journeys.domain.vocabulary import Action, Channel, FindingKind, InterventionStatus, Origin
from journeys.models import Customer, Finding, Intervention, JourneyState, Outcome, Signal
from journeys.models.interventions import ID_PREFIX
from journeys.records import (
    UNSET,
    CustomerRecord,
    InterventionRecord,
    InvalidRecord,
    OutcomeRecord,
    Record,
    SignalRecord,
    StateRecord,
    Unset,
    given,
    parse,
)
from journeys.services import findings, marks, outcomes
from journeys.services.merging import Taken, Writes, differences

IMPORTED = "imported"
# What an evaluation rests on.
_EVALUATED = (CustomerRecord, StateRecord, SignalRecord)
# What an outcome can be of: something that was done.
_DONE = (InterventionStatus.IMPORTED, InterventionStatus.EXECUTED, InterventionStatus.RECORDED)


class Conflict(InvalidRecord):
    """The record is well formed, but what it names is something else already."""

    code = "conflict"


class UnknownReference(InvalidRecord):
    """The record belongs to a customer or an intervention that is not there (yet)."""

    code = "unknown_reference"


class Receipt(StrEnum):
    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"


# ---- one record. Whatever is not given stays as it was; None, or an empty text, clears it. -----------------


def save_customer(
    *,
    customer_id: str,
    segment: str | None | Unset = UNSET,
    account_value: Decimal | float | str | None | Unset = UNSET,
    tenure_months: int | None | Unset = UNSET,
    risk_tier: str | None | Unset = UNSET,
    name: str | None | Unset = UNSET,
    email: str | None | Unset = UNSET,
    owner: str | None | Unset = UNSET,
    do_not_contact: bool | Unset = UNSET,
    currency: str | Unset = UNSET,
    renewal_date: date | str | None | Unset = UNSET,
    renewed_on: date | str | None | Unset = UNSET,
    churned_on: date | str | None | Unset = UNSET,
) -> Taken:
    """Add a customer, or change the fields given. Raises InvalidRecord.

    `do_not_contact` can be set from outside but not lifted: a person here may have set it for a reason that
    the sender does not know.
    """
    return _take_one(CustomerRecord, locals())


def enter_stage(
    *,
    customer_id: str,
    journey_stage: str,
    state_entered_at: date | str,
    days_in_state: int | None | Unset = UNSET,
    previous_stage: str | None | Unset = UNSET,
) -> Taken:
    """Put a stage in the customer's log: the latest is open, each earlier one ends where the next begins.

    A move that no policy allows is taken as it came (a run finds it). Raises InvalidRecord,
    UnknownReference.
    """
    return _take_one(StateRecord, locals())


def record_signal(
    *,
    signal_id: str,
    customer_id: str,
    signal_type: str,
    signal_strength: float,
    detected_at: datetime | date | str,
    journey_stage: str | None | Unset = UNSET,
    source: str | Unset = UNSET,
) -> Receipt:
    """Keep a signal, also of a customer that nobody knows yet. Raises InvalidRecord, and Conflict where
    another signal has this id."""
    taken = _take_one(SignalRecord, locals(), replace=False)
    return Receipt.ACCEPTED if taken == Taken.NEW else Receipt.DUPLICATE


def save_imported_intervention(
    *,
    intervention_id: str,
    customer_id: str,
    recommended_action: str,
    generated_at: datetime | date | str,
    journey_stage: str | None | Unset = UNSET,
    confidence: float | None | Unset = UNSET,
    requires_human_approval: bool | Unset = UNSET,
    triggered_by_signals: Sequence[str] | None | Unset = UNSET,
    evaluation_latency_ms: float | None | Unset = UNSET,
) -> Taken:
    """Keep an intervention that another system made: history, never to be carried out.

    Raises InvalidRecord, UnknownReference (no such customer), and Conflict where the id is one of our own, or
    another customer's.
    """
    return _take_one(InterventionRecord, locals())


def save_outcome(
    *,
    outcome_id: str,
    intervention_id: str,
    outcome: str,
    measured_at: date | str,
    customer_id: str | Unset = UNSET,
    resolution_time_days: float | None | Unset = UNSET,
    csat_delta: float | None | Unset = UNSET,
    churn_risk_delta: float | None | Unset = UNSET,
    estimated_revenue_saved: Decimal | float | str | None | Unset = UNSET,
    human_override: bool | None | Unset = UNSET,
) -> Taken:
    """Keep an outcome that another system measured.

    Raises InvalidRecord, UnknownReference (no such intervention), and Conflict where the intervention is
    another customer's or was not carried out, or the id is that of an outcome recorded here.
    """
    return _take_one(OutcomeRecord, locals())


def _take_one(kind: type[Record], fields: dict, *, replace: bool = True) -> Taken:
    raw = {name: value for name, value in fields.items() if value is not UNSET}
    received = parse(kind, raw, today=today())
    with transaction.atomic():
        [taken] = take([received], replace=replace, at_once=True)
        if isinstance(taken, InvalidRecord):
            raise taken
        if isinstance(received, OutcomeRecord) and taken != Taken.UNCHANGED:
            outcomes.note_received([received.outcome_id])
    return taken


# ---- many records ------------------------------------------------------------------------------------------


def take(
    records: Sequence[Record], *, replace: bool = True, at_once: bool = False
) -> list[Taken | InvalidRecord]:
    """Write records of one kind, of which no two have the same key, in one transaction. Answers for each, in
    order, what became of it: an InvalidRecord is why it was not taken, and does not stop the others.

    With `replace` false, a signal that is there with another content is a Conflict; else it is corrected.
    `at_once`: the customers about whom something is new are marked, and a worker looks at them within a
    second; without it the next run does. What outcomes are new, the caller puts on record, last.
    """
    if not records:
        return []
    try:
        return _taken(records, replace, at_once)
    except IntegrityError:
        # Somebody wrote the same at the same moment: by now it can be read, and compared.
        return _taken(records, replace, at_once)


def _taken(records: Sequence[Record], replace: bool, at_once: bool) -> list[Taken | InvalidRecord]:
    kind = type(records[0])
    with transaction.atomic():
        answers = _TAKERS[kind](records, replace)
        new = [row for row, answer in zip(records, answers, strict=True) if answer == Taken.NEW]
        updated = [row for row, answer in zip(records, answers, strict=True) if answer == Taken.UPDATED]
        concerned = [row.customer_id for row in (*new, *updated)]
        arrived = [row.customer_id for row in new] if kind is CustomerRecord else []
        # Findings before marks, as whoever links a signal, or writes what a run has found.
        if kind is SignalRecord:
            concerned = _join(new, updated)
        if arrived:
            findings.mend_joined_signals(arrived)
        if at_once and kind in _EVALUATED:
            marks.mark(concerned)
        elif kind in (*_EVALUATED, InterventionRecord):
            marks.make_due(concerned)
        if arrived:
            _take_up(arrived, at_once)
    return answers


def _join(new: Sequence[SignalRecord], corrected: Sequence[SignalRecord]) -> list[str]:
    """Note which of the signals belong to nobody, and mend what was noted of those that were corrected and
    belong to somebody now. Returns whom they concern: where a person has linked a signal, that is not the id
    that it came with."""
    rows = Signal.objects.filter(pk__in=[row.signal_id for row in (*new, *corrected)])
    findings.note(findings.of_orphan(*row) for row in rows.orphaned().values_list("signal_id", "customer_id"))
    if corrected:
        findings.mend_signals([row.signal_id for row in corrected])
    return list(rows.values_list("customer_id", flat=True))


def _take_up(customer_ids: Sequence[str], at_once: bool) -> None:
    """What was held for customers who are there now, whichever way they came."""
    held = Finding.objects.filter(
        kind=FindingKind.HELD_RECORD, subject__in=customer_ids, status=Finding.Status.OPEN
    )
    for finding in held.order_by("pk"):
        try:
            record = parse(StateRecord, finding.record, today=today())
        except InvalidRecord:
            continue  # it stays open, for a person
        [answer] = take([record], at_once=at_once)
        if not isinstance(answer, InvalidRecord):
            findings.mend(finding_ids=[finding.pk], note="The customer has arrived.")


def _take_customers(records: Sequence[CustomerRecord], replace: bool) -> list[Taken | InvalidRecord]:
    there = Customer.objects.in_bulk([record.customer_id for record in records])
    writes = Writes(Customer)
    answers = []
    for record in records:
        values = given(record)
        if values.get("do_not_contact") is False:
            del values["do_not_contact"]
        answers.append(writes.merge(there.get(record.customer_id), values))
    writes.flush()
    return answers


def _take_signals(records: Sequence[SignalRecord], replace: bool) -> list[Taken | InvalidRecord]:
    there = Signal.objects.in_bulk([record.signal_id for record in records])
    writes = Writes(Signal)
    answers = []
    for record in records:
        signal = there.get(record.signal_id)
        values = _as_linked(given(record), signal)
        if signal is not None and not replace and (other := differences(signal, values)):
            answers.append(
                Conflict("signal_id", f"{record.signal_id} was received before with another {other[0]}")
            )
        else:
            answers.append(writes.merge(signal, values))
    writes.flush()
    return answers


def _as_linked(values: dict, signal: Signal | None) -> dict:
    """Where a person has linked the signal to a customer, the id that it came with says nothing new; any
    other is a correction, and that is the source's to make."""
    if signal is None or not signal.received_for:
        return values
    if values["customer_id"] == signal.received_for:
        return values | {"customer_id": signal.customer_id}
    return values if values["customer_id"] == signal.customer_id else values | {"received_for": ""}


def _take_interventions(records: Sequence[InterventionRecord], replace: bool) -> list[Taken | InvalidRecord]:
    there = Intervention.objects.in_bulk([record.intervention_id for record in records])
    customers = _customers(record.customer_id for record in records)
    writes = Writes(Intervention)
    answers = []
    for record in records:
        row = there.get(record.intervention_id)
        if refusal := _intervention_refusal(record, row, customers):
            answers.append(refusal)
            continue
        action, generated_at = record.recommended_action, record.generated_at.astimezone(UTC)
        values = given(record) | {"as_of": generated_at.date(), "channel": _channel(action)}
        if "triggered_by_signals" in values:
            values["triggered_by_signals"] = list(record.triggered_by_signals)
        always = {
            "agent_name": IMPORTED,
            "authority": IMPORTED,
            "origin": Origin.IMPORTED,
            "status": InterventionStatus.IMPORTED,
        }
        answers.append(writes.merge(row, values, always))
    writes.flush()
    return answers


def _intervention_refusal(
    record: InterventionRecord, row: Intervention | None, customers: set[str]
) -> InvalidRecord | None:
    intervention_id = record.intervention_id
    # Such ids are given out here, never received: one that came in could later be taken for ours.
    if intervention_id.lower().startswith(ID_PREFIX) or (row and row.origin != Origin.IMPORTED):
        return Conflict("intervention_id", f"{intervention_id} is an id of our own, not of imported history")
    if record.customer_id not in customers:
        return _unknown_customer(record.customer_id)
    if row and row.customer_id != record.customer_id:
        return Conflict("customer_id", f"{intervention_id} is an intervention of {row.customer_id} already")
    return None


def _take_outcomes(records: Sequence[OutcomeRecord], replace: bool) -> list[Taken | InvalidRecord]:
    there = Outcome.objects.in_bulk([record.outcome_id for record in records])
    interventions = Intervention.objects.only("customer_id", "status").in_bulk(
        {record.intervention_id for record in records}
    )
    writes = Writes(Outcome)
    answers = []
    for record in records:
        row = there.get(record.outcome_id)
        intervention = interventions.get(record.intervention_id)
        if refusal := _outcome_refusal(record, row, intervention):
            answers.append(refusal)
            continue
        values = given(record)
        values.pop("customer_id", None)
        if row and (different := differences(row, values)):
            values["earlier"] = [*row.earlier, _as_it_stood(row, different)]
        answers.append(writes.merge(row, values, {"recorded_by": IMPORTED}))
    writes.flush()
    return answers


def _as_it_stood(row: Outcome, fields: Sequence[str]) -> dict:
    """What a correction is about to replace, as JSON keeps it."""
    stood = {name: getattr(row, name) for name in fields}
    kept = {name: str(value) if isinstance(value, date | Decimal) else value for name, value in stood.items()}
    return kept | {"replaced_at": timezone.now().isoformat(timespec="seconds")}


def _outcome_refusal(
    record: OutcomeRecord, row: Outcome | None, intervention: Intervention | None
) -> InvalidRecord | None:
    if row and row.recorded_by != IMPORTED:
        return Conflict("outcome_id", f"{record.outcome_id} was recorded here, by {row.recorded_by}")
    if intervention is None:
        return UnknownReference("intervention_id", f"there is no intervention {record.intervention_id}")
    if record.customer_id not in (UNSET, intervention.customer_id):
        return Conflict(
            "customer_id",
            f"{record.intervention_id} is an intervention of {intervention.customer_id}, "
            f"not of {record.customer_id}",
        )
    if intervention.status not in _DONE:
        return Conflict(
            "intervention_id", f"{record.intervention_id} is {intervention.status}, not carried out"
        )
    return None


def _take_states(records: Sequence[StateRecord], replace: bool) -> list[Taken | InvalidRecord]:
    # The customers' rows are the lock: of two that enter a stage at once, the second sees the first.
    customers = _customers((record.customer_id for record in records), lock=True)
    logs: dict[str, list[JourneyState]] = defaultdict(list)
    for state in JourneyState.objects.filter(customer_id__in=customers).order_by("state_entered_at", "pk"):
        logs[state.customer_id].append(state)
    writes = Writes(JourneyState)
    answers: list[Taken | InvalidRecord] = [Taken.UNCHANGED] * len(records)
    # By day, so that in one delivery the latest opens, whatever the order of the file.
    for place, record in sorted(enumerate(records), key=lambda pair: pair[1].state_entered_at):
        if record.customer_id not in customers:
            answers[place] = _unknown_customer(record.customer_id)
        else:
            answers[place] = _enter(logs[record.customer_id], record, writes)
    writes.flush()
    return answers


def _enter(log: list[JourneyState], record: StateRecord, writes: Writes) -> Taken:
    """Put the state in the customer's log, which is sorted by day, and end the one before it there."""
    values = given(record)
    for state in log:
        if (state.journey_stage, state.state_entered_at) == (record.journey_stage, record.state_entered_at):
            if "days_in_state" in differences(state, values):
                values["days_checked"] = False  # the next run compares them with the derived ones again
            return writes.merge(state, values)
    place = sum(state.state_entered_at <= record.state_entered_at for state in log)
    before, after = log[place - 1] if place else None, log[place] if place < len(log) else None
    if before and (before.left_on is None or before.left_on > record.state_entered_at):
        writes.merge(before, {"left_on": record.state_entered_at})
    values.setdefault("previous_stage", before.journey_stage if before else "")
    values["left_on"] = after.state_entered_at if after else None
    taken = writes.merge(None, values)
    log.insert(place, writes.new[-1])
    return taken


def _customers(customer_ids: Iterable[str], *, lock: bool = False) -> set[str]:
    """Those that are there."""
    rows = Customer.objects.filter(pk__in=set(customer_ids)).order_by("pk")
    if lock:
        rows = rows.select_for_update(no_key=True)
    return set(rows.values_list("pk", flat=True))


def _unknown_customer(customer_id: str) -> UnknownReference:
    return UnknownReference("customer_id", f"there is no customer {customer_id}")


def _channel(action: str) -> Channel:
    return PUBLISHED.actions[Action(action)].channel if action in list(Action) else Channel.NONE


_TAKERS: dict[type[Record], Callable] = {
    CustomerRecord: _take_customers,
    StateRecord: _take_states,
    SignalRecord: _take_signals,
    InterventionRecord: _take_interventions,
    OutcomeRecord: _take_outcomes,
}
