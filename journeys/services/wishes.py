"""When a customer may be contacted: never, not before a day, or as any other."""

from datetime import date, datetime
from typing import NamedTuple

from django.db import transaction
from django.utils.text import Truncator

from approvals import shown
from approvals.audit import Event, record
from approvals.models import AuditEvent
from approvals.rules import Actor, NotAuthorised, NotFound, ReasonNeeded, Refusal
from approvals.services import actor_of
from journeys.days import today
from journeys.models import Customer
from journeys.services.marks import make_due

PERMISSION = "journeys.change_customer"
_WORD = "customer.hold"
_REASON_LENGTH = Customer._meta.get_field("hold_reason").max_length


class Unchanged(Refusal):
    code = "unchanged"


class Wish(NamedTuple):
    """How the customer's wish stands. `until` is the last day of a hold, and `over` says that it has passed;
    `by` and `at` are empty where it came from outside. A reason may be left of a wish that was ended."""

    never: bool
    until: date | None
    over: bool
    reason: str
    by: str
    at: datetime | None


def wish_of(customer: Customer) -> Wish:
    stands = _told(customer.do_not_contact, customer.hold_until)
    held = AuditEvent.objects.filter(concerning=customer.pk, word=_WORD).select_related("detail")
    event = held.order_by("-sequence").first()
    by_us = event is not None and event.after == stands
    return Wish(
        never=customer.do_not_contact,
        until=customer.hold_until,
        over=customer.hold_until is not None and customer.hold_until < today(),
        reason=customer.hold_reason,
        by=event.actor_name if by_us else "",
        at=event.at if by_us else None,
    )


def set_wish(
    *,
    customer_id: str,
    do_not_contact: bool,
    hold_until: date | None,
    reason: str,
    user,
    door: str,
    address: str = "",
) -> Customer:
    """Mark whether the customer may be contacted at all, and through which day they are left alone.

    It holds for what is approved already: that is not carried out then. Raises NotAuthorised, ReasonNeeded,
    NotFound, Unchanged, or Refusal where the day is past or the reason too long; nothing is written then.
    """
    if not (user.is_active and user.has_perm(PERMISSION)):
        raise NotAuthorised("You have no permission to change when customers may be contacted.")
    reason = reason.strip()
    if not reason:
        raise ReasonNeeded("Say why: whoever wonders about it later sees the reason.")
    if len(reason) > _REASON_LENGTH:
        raise Refusal(f"The reason has {len(reason)} characters; {_REASON_LENGTH} is the most.")
    actor = actor_of(user, door=door, address=address)
    with transaction.atomic():
        customer = _locked(customer_id)
        _check_day(hold_until, customer)
        before = _told(customer.do_not_contact, customer.hold_until)
        after = _told(do_not_contact, hold_until)
        wish = {"do_not_contact": do_not_contact, "hold_until": hold_until, "hold_reason": reason}
        if before == after or not _swap(customer, wish):
            raise Unchanged(f"{customer} is set so already: {after}.")
        record([_event(customer, actor, before, after, reason)])
        make_due([customer_id])
    customer.refresh_from_db()
    return customer


def leave_alone(*, customer_id: str, until: date, reason: str, actor: Actor, request_id: int) -> None:
    """Leave the customer alone through this day because a request about them was rejected for bad timing.
    Call it in the deciding transaction: it rests on the authority to decide, so it only ever makes more
    careful. A long reason stands cut beside the customer, and in full in the trail.

    Raises Refusal for a day that is past, or Unchanged where they are left alone as long already.
    """
    customer = _locked(customer_id)
    _check_day(until, customer)
    if customer.hold_until and customer.hold_until >= until:
        day = shown.day(customer.hold_until)
        raise Unchanged(f"{customer} is left alone through {day} already: give a later day, or none.")
    before = _told(customer.do_not_contact, customer.hold_until)
    after = _told(customer.do_not_contact, until)
    if not _swap(customer, {"hold_until": until, "hold_reason": Truncator(reason).chars(_REASON_LENGTH)}):
        raise Unchanged(f"{customer} was changed at this moment: look again.")
    record([_event(customer, actor, before, after, reason, request_id)])
    make_due([customer_id])


def _locked(customer_id: str) -> Customer:
    # Its key stays: a run that proposes something for the customer refers to it, and holds the audit's head.
    customer = Customer.objects.select_for_update(no_key=True).filter(pk=customer_id).first()
    if customer is None:
        raise NotFound(f"There is no customer {customer_id}.")
    return customer


def _check_day(until: date | None, customer: Customer) -> None:
    if until and until != customer.hold_until and until < today():
        raise Refusal(f"{shown.day(until)} is past: nobody can be left alone until then.")


def _swap(customer: Customer, wish: dict) -> bool:
    """select_for_update does nothing on SQLite; the row's own condition decides there."""
    unmoved = Customer.objects.filter(
        pk=customer.pk, do_not_contact=customer.do_not_contact, hold_until=customer.hold_until
    )
    return bool(unmoved.update(**wish))


def _event(
    customer: Customer, actor: Actor, before: str, after: str, reason: str, request_id: int | None = None
) -> Event:
    return Event(
        word=_WORD,
        actor=actor,
        kind="customer",
        subject_key=customer.pk,
        subject_name=str(customer),
        concerning=customer.pk,
        request_id=request_id,
        before=before,
        after=after,
        reason=reason,
    )


def _told(do_not_contact: bool, hold_until: date | None) -> str:
    if do_not_contact:
        return "do not contact" + (f", on hold through {hold_until}" if hold_until else "")
    return f"on hold through {hold_until}" if hold_until else "may be contacted"
