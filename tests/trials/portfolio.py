"""Customers of whom each waits for a decision, as many as a trial has rounds."""

from decimal import Decimal

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group

from approvals.models import ApprovalRequest
from journeys.models import Customer, JourneyState, Policy, Signal
from journeys.services import policies
from tests.runs import SAMPLE_DAY, run_pipeline

PASSWORD = "a-long-password"
OF_ONE, OF_TWO = Decimal(42_000), Decimal(120_000)


def without_grace() -> Policy:
    """The published policy, in force without the pause before what goes to customers: a trial has no ten
    minutes."""
    return in_force_with(clocks={"grace_seconds": 0})


def in_force_with(**sections: dict) -> Policy:
    """The published policy with these fields of some sections, in force."""
    document = policies.install_published().document
    document = document | {name: document[name] | fields for name, fields in sections.items()}
    policy = policies.add_policy(name="trial", document=document, created_by="a trial")
    Policy.objects.filter(active=True).update(active=False)
    Policy.objects.filter(pk=policy.pk).update(active=True)
    return Policy.objects.get(pk=policy.pk)


def waiting(count: int, *, value: Decimal = OF_ONE) -> list[ApprovalRequest]:
    """A new portfolio of so many customers, each with a mail that waits for a decision."""
    ids = [f"T{number:04}" for number in range(count)]
    Customer.objects.bulk_create(
        Customer(
            customer_id=key,
            name=f"Customer {key}",
            email=f"{key.lower()}@customers.example",
            owner="operator",
            segment="Mid-Market",
            account_value=value,
            currency="USD",
            tenure_months=18,
        )
        for key in ids
    )
    JourneyState.objects.bulk_create(
        JourneyState(customer_id=key, journey_stage="engagement", state_entered_at="2024-10-12")
        for key in ids
    )
    Signal.objects.bulk_create(
        Signal(
            signal_id=f"{key}-{kind}",
            customer_id=key,
            signal_type=kind,
            signal_strength=strength,
            journey_stage="engagement",
            source="automated",
            detected_at=f"{SAMPLE_DAY}T00:00:00Z",
        )
        for key in ids
        for kind, strength in (("usage_drop", 0.6), ("usage_recovery", 0.55))
    )
    run_pipeline()
    return list(ApprovalRequest.objects.pending().filter(kind="intervention").order_by("concerning"))


def crowd(count: int, group: str = "Managers") -> list:
    """So many people of one group."""
    role = Group.objects.get(name=group)
    users = []
    for number in range(count):
        user = get_user_model().objects.create_user(f"person{number}", password=PASSWORD, is_staff=True)
        user.groups.add(role)
        users.append(user)
    return users
