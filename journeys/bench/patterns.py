"""What a database for measuring is made of: the people, some customers for whom the real pipeline proposed
something, and some others, each with all that belongs to it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import models
from django.utils import timezone

from approvals.models import ApprovalRequest
from approvals.rules import Actor
from journeys import pipeline
from journeys.demo.portfolio import Portfolio
from journeys.models import Customer, Intervention
from journeys.services import intake
from journeys.services.policies import in_force
from journeys.services.proposals import KIND

# Of so many invented customers about a tenth come to wait for a person.
CUSTOMERS = 1_500
PEOPLE = (
    ("approver", "Approvers"),
    ("approver2", "Approvers"),
    ("manager", "Managers"),
    ("manager2", "Managers"),
    ("auditor", "Auditors"),
    ("operator", "Operators"),
)


def people() -> None:
    call_command("loaddata", "people", verbosity=0)
    for name, group in PEOPLE:
        user = get_user_model().objects.create_user(name, is_staff=True)
        user.groups.add(Group.objects.get(name=group))


def run_pipeline() -> None:
    today = timezone.now().date()
    invented = list(Portfolio(CUSTOMERS, seed=1, day=today))
    intake.take([customer.profile for customer in invented])
    intake.take([state for customer in invented for state in customer.states])
    for start in range(0, len(invented), 500):
        intake.take([signal for customer in invented[start : start + 500] for signal in customer.signals])
    actor = Actor(key="command:bench_pages", name="bench_pages", door="command")
    pipeline.run(pipeline.plan_run(policy=in_force(), actor=actor))


Row = dict[str, Any]


def row_of(instance: models.Model) -> Row:
    """What stands in its columns, but for those that the database fills in."""
    fields = [field for field in instance._meta.concrete_fields if not field.generated]
    return {field.attname: getattr(instance, field.attname) for field in fields}


@dataclass(frozen=True, slots=True)
class Pattern:
    """A customer with all that belongs to it; `proposal` where something waits for a person."""

    customer: Row
    states: list[Row]
    signals: list[Row]
    assessment: Row
    proposal: "Proposal | None" = None


@dataclass(frozen=True, slots=True)
class Proposal:
    intervention: Row
    request: Row


def asked_about() -> Iterator[Pattern]:
    """The customers for whom something waits."""
    for request in ApprovalRequest.objects.pending().filter(kind=KIND):
        intervention = Intervention.objects.select_related("customer").get(pk=request.subject_key)
        proposal = Proposal(row_of(intervention), row_of(request))
        yield replace(_pattern(intervention.customer), proposal=proposal)


def left_alone() -> Iterator[Pattern]:
    """Those for whom nothing was proposed: suppressed, or not called for."""
    for customer in Customer.objects.filter(interventions=None, assessments__isnull=False):
        yield _pattern(customer)


def _pattern(customer: Customer) -> Pattern:
    return Pattern(
        customer=row_of(customer),
        states=[row_of(state) for state in customer.journey_states.all()],
        signals=[row_of(signal) for signal in customer.signals.all()],
        assessment=row_of(customer.assessments.get()),
    )
