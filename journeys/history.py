"""What was done with customers before, as the suppression rules need it. Reads only."""

from collections import defaultdict
from collections.abc import Collection
from datetime import date
from typing import NamedTuple

from django.db.models import Q, QuerySet

from journeys.cases import Case, Span
from journeys.domain.suppression import (
    CustomerHistory,
    OpenIntervention,
    PastAction,
    Rejection,
    Situation,
)
from journeys.domain.vocabulary import Channel, ExecutionMode, InterventionStatus, Origin
from journeys.models import Assignment, Intervention
from journeys.models.interventions import OPEN_STATUSES

_DONE = (
    InterventionStatus.EXECUTED,
    InterventionStatus.RECORDED,
    InterventionStatus.REVOKED,
    InterventionStatus.IMPORTED,
)
_OF_NO_ACCOUNT = tuple(
    status
    for status in InterventionStatus
    if status not in {*OPEN_STATUSES, *_DONE, InterventionStatus.REJECTED}
)


class Past(NamedTuple):
    open: OpenIntervention | None
    open_id: str
    recent: tuple[PastAction, ...]
    rejected: tuple[Rejection, ...]
    last_contact_on: date | None


NOTHING = Past(None, "", (), (), None)


def past_of(span: Span, *, excluding: str = "") -> dict[str, Past]:
    """What counts of the interventions of a span of customers, by customer."""
    # Not "status in": for that SQLite would take the index of the status, and look for the span's among all.
    rows = span.of(Intervention.objects.exclude(status__in=_OF_NO_ACCOUNT)).exclude(pk=excluding)
    rows = rows.defer("reasons", "person_reasons")
    by_customer = defaultdict(list)
    for row in rows.select_related("execution"):
        by_customer[row.customer_id].append(row)
    return {customer_id: _past(rows) for customer_id, rows in by_customer.items()}


def last_contacts(addresses: Collection[str], *, excluding: str = "") -> dict[str, date]:
    """The day of the latest contact that reached each address, whichever customer it was for. Only a mail
    has the customer's address: a task's recipient is the owner, a webhook's the receiver, for everybody."""
    # An owner's name is no address, and stands on very many rows.
    of_mails = [address for address in addresses if "@" in address]
    rows = Intervention.objects.filter(channel=Channel.EMAIL, recipient__in=of_mails)
    latest: dict[str, date] = {}
    for row in contacts(rows).exclude(pk=excluding).select_related("execution"):
        day = row.calendar_day(row.execution.finished_at)
        latest[row.recipient] = max(day, latest.get(row.recipient, day))
    return latest


def contacts(rows: QuerySet) -> QuerySet:
    """Those that really reached somebody: carried out, live, and not by doing nothing."""
    live = Q(status=InterventionStatus.EXECUTED, execution__mode=ExecutionMode.LIVE)
    return rows.filter(live).exclude(channel=Channel.NONE)


def arms_of(span: Span, *, experiment: str) -> dict[str, str]:
    """Of a span of customers: in which arm each is who has entered the experiment."""
    rows = span.of(Assignment.objects.filter(experiment=experiment))
    return dict(rows.values_list("customer_id", "arm"))


def followed(span: Span, past: Collection[str]) -> set[str]:
    """Of a span of customers, those of whom an outcome is measured, or may yet be: something was done or
    proposed for them (`past`, as `past_of` has it), or deliberately not."""
    return {*past, *span.of(Assignment.objects.all()).values_list("customer_id", flat=True)}


def history_of(
    case: Case, past: Past, contact_of_address: date | None, *, by_hand: bool = False, held_out: str = ""
) -> CustomerHistory:
    """The facts for `suppress`. A person who proposes something again after a rejection says why; so for
    them earlier rejections do not count. `held_out`: the experiment that leaves the customer alone."""
    contacted = [day for day in (past.last_contact_on, contact_of_address) if day]
    return CustomerHistory(
        now=Situation(case.risk.tier, case.stage.journey_stage, frozenset(case.summary.negative_ids)),
        do_not_contact=case.customer.do_not_contact,
        hold_until=case.customer.hold_until,
        open=past.open,
        recent=past.recent,
        rejected=() if by_hand else past.rejected,
        last_contact_on=max(contacted, default=None),
        held_out=held_out,
    )


def _past(rows: list[Intervention]) -> Past:
    current = next((row for row in rows if row.status in OPEN_STATUSES), None)
    return Past(
        open=current
        and OpenIntervention(
            current.status,
            current.recommended_action,
            of_a_person=current.origin == Origin.PERSON or current.edited,
        ),
        open_id=current.pk if current else "",
        recent=tuple(
            PastAction(row.recommended_action, row.status, _day(row)) for row in rows if row.status in _DONE
        ),
        rejected=tuple(
            Rejection(
                row.recommended_action, row.risk_tier, row.journey_stage, frozenset(row.triggered_by_signals)
            )
            for row in rows
            if row.status == InterventionStatus.REJECTED
        ),
        last_contact_on=max((_day(row) for row in rows if is_contact(row)), default=None),
    )


def is_contact(row: Intervention) -> bool:
    """`contacts` of one row, whose execution was read along."""
    return (
        row.status == InterventionStatus.EXECUTED
        and row.channel != Channel.NONE
        and row.execution.mode == ExecutionMode.LIVE
    )


def _day(row: Intervention) -> date:
    return row.calendar_day(row.ended_at or row.generated_at)
