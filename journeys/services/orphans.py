"""Signals of customers that nobody knows, linked by a person to the customer they are about."""

from django.db import transaction
from django.utils import timezone

from approvals.audit import Event, record
from approvals.rules import NotAuthorised, NotFound, ReasonNeeded, Refusal
from approvals.services import actor_of
from journeys.domain.vocabulary import FindingKind
from journeys.models import Customer, Finding, Signal
from journeys.services import marks

PERMISSION = "journeys.link_signal"
_NOTE = 300
# The audit's columns, and the finding's note, are shorter than an id and a note may be together.
_BEFORE, _FINDING_NOTE = 60, Finding._meta.get_field("note").max_length


class NotAnOrphan(Refusal):
    """The signal belongs to a customer that is known."""

    code = "not_an_orphan"


def link_orphan(*, signal_id: str, customer_id: str, note: str, user, door: str, address: str = "") -> Signal:
    """Let a signal of an unknown customer count for a known one, at whom a worker looks at once. The id that
    it came with is kept, and the open finding on it is mended.

    Raises NotAuthorised, ReasonNeeded, Refusal (the note is too long), NotFound (no such signal or customer),
    or NotAnOrphan, also where somebody was faster; nothing is written then.
    """
    if not (user.is_active and user.has_perm(PERMISSION)):
        raise NotAuthorised("You have no permission to link signals to customers.")
    note, customer_id = note.strip(), customer_id.strip()
    if not note:
        raise ReasonNeeded("Say how you know whose signal it is: whoever looks later sees the note.")
    if len(note) > _NOTE:
        raise Refusal(f"The note has {len(note)} characters; {_NOTE} is the most.")
    if not customer_id:
        raise NotFound("Name the customer, by the id.")
    actor = actor_of(user, door=door, address=address)
    with transaction.atomic():
        signal = Signal.objects.filter(pk=signal_id).first()
        if signal is None:
            raise NotFound(f"There is no signal {signal_id}.")
        customer = Customer.objects.filter(pk=customer_id).first()
        if customer is None:
            raise NotFound(f"There is no customer {customer_id}.")
        came_for = signal.customer_id
        unmoved = Signal.objects.orphaned().filter(pk=signal_id, customer_id=came_for)
        if not unmoved.update(customer_id=customer_id, received_for=came_for):
            raise NotAnOrphan(_whose(signal_id))
        open_finding = Finding.objects.filter(
            kind=FindingKind.ORPHAN_SIGNAL, subject=signal_id, status=Finding.Status.OPEN
        )
        open_finding.update(
            status=Finding.Status.MENDED,
            closed_at=timezone.now(),
            closed_by=actor.name,
            note=f"Linked to {customer_id}: {note}"[:_FINDING_NOTE],
        )
        marks.mark([customer_id])
        record(
            [
                Event(
                    word="signal.linked",
                    actor=actor,
                    kind="signal",
                    subject_key=signal_id,
                    subject_name=signal_id,
                    concerning=customer_id,
                    before=came_for[:_BEFORE],
                    after=customer_id[:_BEFORE],
                    reason=note,
                )
            ]
        )
    signal.refresh_from_db()
    return signal


def _whose(signal_id: str) -> str:
    signal = Signal.objects.select_related("customer").get(pk=signal_id)
    linked = f": it was linked, and had come for {signal.received_for}" if signal.received_for else ""
    return f"{signal_id} belongs to {signal.customer} ({signal.customer_id}) already{linked}."
