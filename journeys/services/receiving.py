"""Many things received at once from another system: each is answered for, in order, and what went in is
looked at within a second.

What belongs to a customer who is not there yet is held, never lost: a signal under the id that it came with,
a stage as a finding that is taken up when the customer arrives. What is refused was not received: the sender
is told which field, and why.
"""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from django.db import transaction

from approvals.rules import Refusal
from journeys import records
from journeys.cases import NewFinding
from journeys.days import today
from journeys.domain.vocabulary import FindingKind
from journeys.models import Customer
from journeys.records import InvalidRecord, OutcomeRecord, Record, SignalRecord, StateRecord
from journeys.services import findings, intake, outcomes
from journeys.services.intake import Conflict, Taken, UnknownReference

MOST = 1_000


class Result(StrEnum):
    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    HELD = "held"
    CONFLICT = "conflict"
    REJECTED = "rejected"


WENT_IN = (Result.ACCEPTED, Result.DUPLICATE, Result.HELD)


class TooManyItems(Refusal):
    code = "too_many_items"


@dataclass(slots=True)
class Receipt:
    """What became of one item: its ids (one that it came without was made), whether it is new, and where it
    did not go in, which field and why."""

    result: Result = Result.ACCEPTED
    ids: dict[str, str] = field(default_factory=dict)
    is_new: bool = False
    field: str = ""
    detail: str = ""

    def refuse(self, error: InvalidRecord) -> None:
        self.result = Result.CONFLICT if isinstance(error, Conflict) else Result.REJECTED
        self.field, self.detail = error.field, error.message


# An id that may be missing: it is made, and told.
MADE = {SignalRecord: ("signal_id", "sig-"), OutcomeRecord: ("outcome_id", "out-")}


def receive(kind: type[Record], items: Sequence[object]) -> list[Receipt]:
    """Take the items, all those that can be taken in one transaction. Raises TooManyItems."""
    if len(items) > MOST:
        raise TooManyItems(f"There are {len(items):,} items; {MOST:,} is the most.")
    receipts = [Receipt() for _ in items]
    parsed: list[tuple[int, Record]] = []
    for place, item in enumerate(items):
        try:
            records.check_json(kind, item)
            record = records.parse(kind, _with_id(kind, item), today=today())
        except InvalidRecord as error:
            receipts[place].refuse(error)
            receipts[place].ids = _ids_given(kind, item)
            continue
        receipts[place].ids = {name: str(getattr(record, name)) for name in kind.KEY}
        parsed.append((place, record))
    with transaction.atomic():
        for wave in _waves(parsed):
            answers = intake.take([record for _, record in wave], replace=_replaces(kind), at_once=True)
            for (place, record), answer in zip(wave, answers, strict=True):
                _tell(receipts[place], record, answer)
        _hold(kind, items, receipts, parsed)
        if kind is OutcomeRecord:
            # Last and once, however many waves: from here to the commit nobody else can append to the audit.
            outcomes.note_received(
                [record.outcome_id for place, record in parsed if receipts[place].result == Result.ACCEPTED]
            )
    return receipts


def _ids_given(kind: type[Record], item: object) -> dict[str, str]:
    """By which the sender knows what was refused."""
    if not isinstance(item, dict):
        return {}
    given = {name: item.get(name) for name in kind.KEY}
    return {name: records.shown(value) for name, value in given.items() if value and isinstance(value, str)}


def _with_id(kind: type[Record], item: object) -> object:
    name, prefix = MADE.get(kind, ("", ""))
    if name and isinstance(item, dict) and item.get(name) in (None, ""):
        return item | {name: f"{prefix}{secrets.token_hex(12)}"}
    return item


def _replaces(kind: type[Record]) -> bool:
    """A signal is an event: the same id with another content is a conflict. All else is as last told."""
    return kind is not SignalRecord


def _waves(parsed: Iterable[tuple[int, Record]]) -> list[list[tuple[int, Record]]]:
    """So that no two in one wave have the same key: the second is taken as if it came after the first."""
    waves: list[list[tuple[int, Record]]] = []
    times: dict[tuple, int] = {}
    for place, record in parsed:
        key = records.key_of(record)
        wave = times[key] = times.get(key, -1) + 1
        if wave == len(waves):
            waves.append([])
        waves[wave].append((place, record))
    return waves


def _tell(receipt: Receipt, record: Record, answer: Taken | InvalidRecord) -> None:
    if isinstance(answer, UnknownReference) and isinstance(record, StateRecord):
        receipt.result, receipt.detail = Result.HELD, answer.message
    elif isinstance(answer, InvalidRecord):
        receipt.refuse(answer)
    else:
        receipt.result = Result.DUPLICATE if answer == Taken.UNCHANGED else Result.ACCEPTED
        receipt.is_new = answer == Taken.NEW


def _hold(
    kind: type[Record],
    items: Sequence[object],
    receipts: list[Receipt],
    parsed: list[tuple[int, Record]],
) -> None:
    """Say of what belongs to an unknown customer that it is held, and keep what has no row of its own."""
    if kind is SignalRecord:
        new = {place: record.customer_id for place, record in parsed if receipts[place].is_new}
        known = set(Customer.objects.filter(pk__in=set(new.values())).values_list("pk", flat=True))
        for place, customer_id in new.items():
            if customer_id not in known:
                receipts[place].result = Result.HELD
                receipts[place].detail = f"there is no customer {customer_id} yet"
        return
    findings.note(
        _held(record, items[place]) for place, record in parsed if receipts[place].result == Result.HELD
    )


def _held(record: Record, item: object) -> NewFinding:
    return NewFinding(
        FindingKind.HELD_RECORD,
        record.customer_id,
        f"A stage of a customer who is not there yet: {record.journey_stage}.",
        item,
    )
