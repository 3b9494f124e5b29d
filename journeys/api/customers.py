"""Customers, and the stages they are and were in."""

import django_filters
from rest_framework import serializers

from approvals.api.auth import Need
from approvals.api.filters import Is, OneOf, YesNo
from approvals.api.paging import Order
from approvals.api.serializers import AsItCame, Shown
from approvals.api.views import NumberedRows, Rows
from journeys.api import enums
from journeys.api.receiving import RECEIVED, receives, sends
from journeys.models import Customer, JourneyState
from journeys.records import CustomerRecord, StateRecord


class CustomerOut(Shown):
    email = serializers.CharField(help_text="Empty where it is not known.")
    segment = AsItCame(enums.SEGMENT)
    risk_tier = AsItCame(enums.TIER)

    class Meta:
        model = Customer
        fields = (
            "customer_id", "name", "email", "owner", "segment", "account_value", "currency", "tenure_months",
            "risk_tier", "do_not_contact", "hold_until", "hold_reason", "renewal_date", "renewed_on",
            "churned_on", "received_at",
        )  # fmt: skip


class CustomerFilters(django_filters.FilterSet):
    customer_id = Is()
    email = Is()
    owner = Is()
    segment = OneOf(choices=Customer._meta.get_field("segment").choices)
    risk_tier = OneOf(choices=Customer._meta.get_field("risk_tier").choices)
    do_not_contact = YesNo()


@receives(CustomerRecord, RECEIVED[CustomerRecord])
class Customers(Rows):
    """Customers, by their id. What is sent of one changes the fields that it names."""

    noun = "customer"
    needs = dict.fromkeys(
        ("list", "retrieve"), Need(scope="customers:read", permissions=("journeys.view_customer",))
    ) | sends(Need(scope="customers:write", permissions=("journeys.add_customer",)))
    queryset = Customer.objects.all()
    serializer_class = CustomerOut
    filterset_class = CustomerFilters
    lookup_field = "customer_id"
    orders = (Order("customer_id", ("customer_id",)), Order("-customer_id", ("-customer_id",)))


class JourneyStateOut(Shown):
    customer_id = serializers.CharField()
    journey_stage = AsItCame(enums.STAGE)
    previous_stage = AsItCame(enums.STAGE)

    class Meta:
        model = JourneyState
        fields = (
            "id", "customer_id", "journey_stage", "state_entered_at", "left_on", "previous_stage",
            "days_in_state", "received_at",
        )  # fmt: skip


class JourneyStateFilters(django_filters.FilterSet):
    customer_id = Is()
    journey_stage = OneOf(choices=JourneyState._meta.get_field("journey_stage").choices)
    open = YesNo(field_name="left_on", lookup_expr="isnull")


@receives(StateRecord, RECEIVED[StateRecord])
class JourneyStates(NumberedRows):
    """The stages of customers; one of each customer is open (`left_on` is null)."""

    noun = "journey state"
    needs = dict.fromkeys(
        ("list", "retrieve"), Need(scope="customers:read", permissions=("journeys.view_journeystate",))
    ) | sends(Need(scope="customers:write", permissions=("journeys.add_journeystate",)))
    queryset = JourneyState.objects.all()
    serializer_class = JourneyStateOut
    filterset_class = JourneyStateFilters
    orders = (Order("id", ("id",)), Order("-id", ("-id",)))
