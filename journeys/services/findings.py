"""Keeping what fits nowhere, until it is mended or a person dismisses it."""

import hashlib
import math
from collections.abc import Collection, Iterable, Mapping

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from approvals.audit import Event, record
from approvals.rules import AlreadyDecided, NotAuthorised, NotFound, ReasonNeeded, Refusal, canonical
from approvals.services import actor_of
from journeys.batches import in_batches
from journeys.cases import NewFinding
from journeys.domain.vocabulary import FindingKind
from journeys.models import Customer, Finding, PipelineRun, Signal

__all__ = ["NewFinding", "close", "mend", "mend_joined_signals", "note"]

SYSTEM = "system"
_BATCH = 500
_SUBJECT, _DETAIL, _NOTE = (
    Finding._meta.get_field(name).max_length for name in ("subject", "detail", "note")
)
_DEEPEST = 20


def note(findings: Iterable[NewFinding], run: PipelineRun | None = None) -> int:
    """Keep the findings, each once; returns how many are new. One that was mended and is there again is
    opened again, one that a person dismissed stays dismissed."""
    made = 0
    for batch in in_batches(findings, _BATCH):
        rows = {(row.kind, row.subject, row.digest): row for row in (_row(finding, run) for finding in batch)}
        with transaction.atomic():
            made += _note(rows)
    return made


def close(*, finding_id: int, user, note: str, door: str, address: str = "") -> Finding:
    """Dismiss an open finding, with a note that says why.

    Raises NotAuthorised, ReasonNeeded, NotFound, or AlreadyDecided where it is not open any more.
    """
    if not (user.is_active and user.has_perm("journeys.close_finding")):
        raise NotAuthorised("You have no permission to dismiss findings.")
    note = note.strip()
    if not note:
        raise ReasonNeeded("Say why this finding needs nothing more: whoever looks later sees the note.")
    if len(note) > _NOTE:
        raise Refusal(f"The note has {len(note)} characters; {_NOTE} is the most.")
    actor = actor_of(user, door=door, address=address)
    with transaction.atomic():
        closed = Finding.objects.filter(pk=finding_id, status=Finding.Status.OPEN).update(
            status=Finding.Status.DISMISSED, closed_at=timezone.now(), closed_by=actor.name, note=note
        )
        finding = Finding.objects.filter(pk=finding_id).first()
        if finding is None:
            raise NotFound(f"There is no finding {finding_id}.")
        if not closed:
            by = f" (by {finding.closed_by})" if finding.closed_by else ""
            raise AlreadyDecided(f"This finding is already {finding.status}{by}.")
        record(
            [
                Event(
                    word="finding.closed",
                    actor=actor,
                    kind="finding",
                    subject_key=str(finding.pk),
                    subject_name=finding.subject,
                    before=Finding.Status.OPEN,
                    after=Finding.Status.DISMISSED,
                    reason=note,
                )
            ]
        )
    return finding


def mend(*, finding_ids: Iterable[int], note: str) -> int:
    """Mark open findings as mended, by the system; returns how many were open. `note` says by what."""
    mended = 0
    for batch in in_batches(finding_ids, _BATCH):
        mended += Finding.objects.filter(pk__in=batch, status=Finding.Status.OPEN).update(
            status=Finding.Status.MENDED, closed_at=timezone.now(), closed_by=SYSTEM, note=note[:_NOTE]
        )
    return mended


def of_orphan(signal_id: str, customer_id: str) -> NewFinding:
    return NewFinding(FindingKind.ORPHAN_SIGNAL, signal_id, f"There is no customer {customer_id}.")


def orphans_noted() -> QuerySet[Signal]:
    """Signals of nobody we know, of those that have a finding, whatever became of it."""
    found = Finding.objects.filter(kind=FindingKind.ORPHAN_SIGNAL)
    return Signal.objects.orphaned().filter(pk__in=found.values("subject"))


def mend_joined_signals(customer_ids: Collection[str] | None = None) -> int:
    """Mend the findings on signals of an unknown customer whose customer has arrived since: one of these, or
    any."""
    signals = Signal.objects.all()
    if customer_ids is not None:
        signals = signals.filter(customer__in=customer_ids)
    return _mend_joined(signals, "The customer has arrived.")


def mend_signals(signal_ids: Collection[str]) -> int:
    """Mend the findings on those of these signals, which were corrected, whose customer is known."""
    return _mend_joined(Signal.objects.filter(pk__in=signal_ids), "It was corrected.")


def _mend_joined(signals: QuerySet[Signal], note: str) -> int:
    known = Customer.objects.filter(pk=OuterRef("customer_id"))
    joined = signals.filter(Exists(known), pk=OuterRef("subject"))
    found = Finding.objects.filter(Exists(joined), kind=FindingKind.ORPHAN_SIGNAL, status=Finding.Status.OPEN)
    return mend(finding_ids=list(found.values_list("pk", flat=True)), note=note)


def _row(finding: NewFinding, run: PipelineRun | None) -> Finding:
    subject, detail = _storable_text(finding.subject)[:_SUBJECT], _storable_text(finding.detail)[:_DETAIL]
    kept = storable(finding.record)
    return Finding(
        kind=finding.kind,
        subject=subject,
        detail=detail,
        record=kept,
        digest=hashlib.sha256(canonical({"detail": detail, "record": kept})).hexdigest(),
        run=run,
    )


def _note(rows: dict[tuple[str, str, str], Finding]) -> int:
    there = Finding.objects.filter(
        kind__in={kind for kind, _, _ in rows}, subject__in={subject for _, subject, _ in rows}
    )
    mended, known = [], set()
    for pk, status, *key in there.values_list("pk", "status", "kind", "subject", "digest"):
        if tuple(key) in rows:
            known.add(tuple(key))
            if status == Finding.Status.MENDED:
                mended.append(pk)
    new = [row for key, row in rows.items() if key not in known]
    # Another process may note the same at this moment: once is enough.
    Finding.objects.bulk_create(new, batch_size=_BATCH, ignore_conflicts=True)
    reopened = Finding.objects.filter(pk__in=mended, status=Finding.Status.MENDED).update(
        status=Finding.Status.OPEN, closed_at=None, closed_by="", note=""
    )
    return len(new) + reopened


def storable(value: object, depth: int = 0) -> object:
    """What was received, in a form that every database takes as JSON: what JSON does not have (NaN, broken
    text, the character U+0000) is kept as text."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return _storable_text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if depth < _DEEPEST and isinstance(value, Mapping):
        return {_storable_text(str(name)): storable(item, depth + 1) for name, item in value.items()}
    if depth < _DEEPEST and isinstance(value, list | tuple):
        return [storable(item, depth + 1) for item in value]
    return _storable_text(str(value))


def _storable_text(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\u0000")
