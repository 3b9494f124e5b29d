"""What came of an intervention, as a person or another system recorded it."""

import secrets
from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from django.db import transaction
from django.utils import timezone

from approvals import shown
from approvals.audit import Event, record
from approvals.models import ApprovalRequest
from approvals.rules import Actor, NotAuthorised, NotFound, Refusal
from approvals.services import actor_of, tell_outcome
from journeys.domain.vocabulary import InterventionStatus, OutcomeKind, phrase
from journeys.models import Intervention, Outcome

PERMISSION = "journeys.record_outcome"
SENDER = Actor(key="machine:intake", name="another system", door="intake")
# Something was done, or deliberately not done: only then can anything have come of it.
DONE = (InterventionStatus.EXECUTED, InterventionStatus.RECORDED, InterventionStatus.IMPORTED)


class NothingDone(Refusal):
    code = "nothing_done"


class BadOutcome(Refusal):
    code = "bad_outcome"


def record_outcome(
    *,
    intervention_id: str,
    outcome: OutcomeKind,
    resolution_time_days: float | None,
    csat_delta: float | None,
    churn_risk_delta: float | None,
    estimated_revenue_saved: Decimal | None,
    human_override: bool | None,
    measured_at: date,
    user,
    door: str,
    address: str = "",
) -> Outcome:
    """Add an outcome; a figure that nobody measured is None, never 0. Days are 0 or more, the change of the
    churn risk is -1..1, revenue is in the account's currency.

    Raises NotAuthorised, NotFound, NothingDone (where it was not carried out) or BadOutcome.
    """
    if not (user.is_active and user.has_perm(PERMISSION)):
        raise NotAuthorised("You have no permission to record outcomes.")
    actor = actor_of(user, door=door, address=address)
    with transaction.atomic():
        # Its key stays: an outcome that comes in at this moment refers to it, and holds the audit's head.
        intervention = (
            Intervention.objects.select_for_update(of=("self",), no_key=True)
            .select_related("customer")
            .filter(pk=intervention_id)
            .first()
        )
        if intervention is None:
            raise NotFound(f"There is no intervention {intervention_id}.")
        if intervention.status not in DONE:
            raise NothingDone(
                f"It is {phrase(intervention.status)}: nothing was done yet that could have an outcome."
            )
        _check(intervention, resolution_time_days, churn_risk_delta, estimated_revenue_saved, measured_at)
        row = Outcome.objects.create(
            outcome_id=f"out-{secrets.token_hex(8)}",
            intervention=intervention,
            outcome=OutcomeKind(outcome),
            resolution_time_days=resolution_time_days,
            csat_delta=csat_delta,
            churn_risk_delta=churn_risk_delta,
            estimated_revenue_saved=estimated_revenue_saved,
            human_override=human_override,
            measured_at=measured_at,
            recorded_by=actor.name,
        )
        request = intervention.request
        record([_recorded(row, actor, request.pk if request else None)])
        tell_outcome(request, outcome=phrase(row.outcome), outcome_key=row.outcome_id)
    return row


def note_received(outcome_ids: Sequence[str]) -> None:
    """Put on record what another system has measured, or corrected, in the transaction that writes it: each
    outcome once, as it stands at its end."""
    rows = Outcome.objects.select_related("intervention").in_bulk(outcome_ids)
    requests = ApprovalRequest.objects.filter(
        kind="intervention", subject_key__in={row.intervention_id for row in rows.values()}
    )
    # Of several the latest, by which it was carried out.
    latest = dict(requests.order_by("pk").values_list("subject_key", "pk"))
    record(_recorded(row, SENDER, latest.get(row.intervention_id)) for row in rows.values())


def _recorded(row: Outcome, actor: Actor, request_id: int | None) -> Event:
    return Event(
        word="outcome.recorded",
        actor=actor,
        kind="intervention",
        subject_key=row.intervention_id,
        subject_name=str(row.intervention),
        concerning=row.intervention.customer_id,
        request_id=request_id,
        after=phrase(row.outcome),
        facts={"outcome_id": row.pk},
    )


def _check(
    intervention: Intervention,
    days: float | None,
    churn_risk_delta: float | None,
    saved: Decimal | None,
    measured_at: date,
) -> None:
    if measured_at > timezone.localdate():
        raise BadOutcome(f"{shown.day(measured_at)} lies ahead: choose today or a day before.")
    if measured_at < intervention.as_of:
        as_of = shown.day(intervention.as_of)
        raise BadOutcome(f"The intervention is of {as_of}; {shown.day(measured_at)} is before that.")
    if days is not None and days < 0:
        raise BadOutcome("Days to resolve cannot be less than 0.")
    if churn_risk_delta is not None and not -1 <= churn_risk_delta <= 1:
        raise BadOutcome("The change of the churn risk is between -1 and 1.")
    if saved is not None and saved < 0:
        raise BadOutcome("Revenue saved cannot be less than 0.")
