"""Reading the audit's chain: verifying it, naming its head, exporting it. Reads only.

Whoever can drop the triggers can also compute the whole chain anew. So *unaltered* is said only up to a head
that was kept elsewhere; without one the chain is *internally consistent* and no more.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TextIO

from django.db.models import Max, QuerySet

from approvals.models import AuditEvent, AuditHead
from approvals.rules import chain_hash, detail_digest

START = "0" * 64
# Enough to see what is wrong; a chain computed anew from its middle is wrong in every event behind it.
MOST_PROBLEMS = 100


class Problem(NamedTuple):
    """`sequence` is the event that is wrong, or that is missing."""

    sequence: int
    problem: str


@dataclass
class Verification:
    """`events` is how many were read; `head` the hash of the last one. `attested` is the event up to which
    a head that was kept elsewhere says that nothing was altered, None where none was given or found."""

    events: int = 0
    head: str = START
    attested: int | None = None
    problems: list[Problem] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.problems

    @property
    def verdict(self) -> str:
        if not self.ok:
            return "broken"
        if self.attested is None:
            return "internally consistent"
        return f"unaltered up to event {self.attested}"

    def report(self, sequence: int, problem: str) -> None:
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(Problem(sequence, problem))


def verify(*, start: int = 1, kept_head: str = "") -> Verification:
    """Walk the chain from event `start` to its end, in flat memory. What is written meanwhile is left to the
    next walk.

    `kept_head` is a hash that was noted outside at some time: it has to be there still.
    """
    found = Verification()
    # In this order, as others may be writing: what is there by now is within the head from then on.
    last = AuditEvent.objects.aggregate(last=Max("sequence"))["last"] or 0
    noted, noted_hash = head()
    previous = _hash_before(start, found)
    expected = start
    if kept_head == START:
        found.attested = 0
    for event in _events(start, max(last, noted)):
        if event.sequence != expected:
            missing = (
                f"event {expected} is" if event.sequence == expected + 1 else f"events from {expected} on are"
            )
            found.report(expected, f"{missing} missing before event {event.sequence}")
        elif event.previous_hash != previous:
            found.report(
                event.sequence,
                "does not follow the event before it: one of the two was put in, moved or altered",
            )
        if event.hash != chain_hash(event.previous_hash, event.chained_fields()):
            found.report(event.sequence, "was altered: its hash does not fit its fields")
        _check_detail(event, found)
        if kept_head and event.hash == kept_head:
            found.attested = event.sequence
        found.events += 1
        previous, expected = event.hash, event.sequence + 1
    found.head = previous
    if noted >= expected:
        there = expected - 1
        found.report(
            expected, f"the end is cut off: {noted} events were written, the last one there is {there}"
        )
    elif noted < expected - 1:
        found.report(noted + 1, f"was put in behind the head, which is event {noted}")
    elif noted_hash != previous:
        found.report(noted, "the noted head has another hash")
    if kept_head and found.attested is None:
        found.report(
            expected,
            "the head that was kept is nowhere in the chain: its end was cut off, or it was computed anew",
        )
    return found


def head() -> tuple[int, str]:
    """Number and hash of the last event."""
    row = AuditHead.objects.filter(pk=1).first()
    return (row.sequence, row.hash) if row else (0, START)


def lines(events: QuerySet) -> Iterator[str]:
    """Each event as a line of JSON, with all that is needed to verify it without this program. `detail` and
    `salt` are empty where they were erased."""
    for event in events.order_by("sequence").select_related("detail").iterator(chunk_size=1000):
        line = event.chained_fields() | {"previous_hash": event.previous_hash, "hash": event.hash}
        detail = getattr(event, "detail", None)
        line |= {"salt": detail.salt if detail else "", "detail": detail.document if detail else None}
        yield json.dumps(line, ensure_ascii=False) + "\n"


def export(events: QuerySet, out: TextIO) -> int:
    """Write the lines of these events; returns how many."""
    written = 0
    for line in lines(events):
        out.write(line)
        written += 1
    return written


def _events(start: int, last: int) -> Iterator[AuditEvent]:
    events = AuditEvent.objects.filter(sequence__gte=start, sequence__lte=last).order_by("sequence")
    return events.select_related("detail").iterator(chunk_size=1000)


def _hash_before(start: int, found: Verification) -> str:
    if start <= 1:
        return START
    before = AuditEvent.objects.filter(sequence=start - 1).values_list("hash", flat=True).first()
    if before is None:
        found.report(start - 1, f"event {start - 1} is missing")
    return before or START


def _check_detail(event: AuditEvent, found: Verification) -> None:
    detail = getattr(event, "detail", None)
    if detail is None:
        found.report(event.sequence, "has lost its detail row; erasing leaves an empty one")
    elif detail.document is not None and detail_digest(detail.salt, detail.document) != event.detail_digest:
        found.report(event.sequence, "had its names or texts altered: their digest does not fit")
