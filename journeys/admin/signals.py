"""What was noticed about customers, and the log of their stages."""

from django.contrib import admin
from django.db.models import Exists, OuterRef, Q

from approvals import shown
from approvals.admin.filters import known_values
from approvals.desk import DeskAdmin, column
from approvals.templatetags.desk import ago, chip, day
from journeys.admin.findings import link_act
from journeys.admin.links import customer_link, link, number
from journeys.domain.policy import PUBLISHED
from journeys.domain.vocabulary import FindingKind, SignalSource, Stage, choices, label
from journeys.models import Customer, Finding, JourneyState, Signal


@admin.register(JourneyState)
class JourneyStateAdmin(DeskAdmin):
    list_display = (
        column("Customer", lambda row: customer_link(row.customer_id, row.customer)),
        column("Stage", lambda row: row.get_journey_stage_display()),
        column("Entered", lambda row: day(row.state_entered_at)),
        column("Left", lambda row: day(row.left_on)),
        column("Came from", lambda row: row.get_previous_stage_display() or "–"),
    )
    list_display_links = None
    list_select_related = ("customer",)
    list_filter = (known_values("journey_stage", "stage", lambda: choices(Stage)),)
    search_fields = ("customer_id",)
    search_help_text = "Customer id"
    ordering = ("-id",)

    def get_search_results(self, request, queryset, search_term):
        return (queryset.filter(customer_id=search_term.strip()) if search_term.strip() else queryset), False


class Belonging(admin.SimpleListFilter):
    title, parameter_name = "customer", "customer"

    def lookups(self, request, model_admin):
        return [("unknown", "Unknown customer")]

    def queryset(self, request, queryset):
        """Those that a finding tells of: who came with which signal is not asked of each of all signals."""
        if self.value() != "unknown":
            return queryset
        told = Finding.objects.filter(kind=FindingKind.ORPHAN_SIGNAL).exclude(status=Finding.Status.MENDED)
        return queryset.orphaned().filter(pk__in=told.values("subject"))


@admin.register(Signal)
class SignalAdmin(DeskAdmin):
    """A signal may belong to nobody yet: a join with the customers would hide it."""

    list_display = (
        column("Signal", lambda row: link(row, row.pk)),
        column("Kind", lambda row: label(row.signal_type)),
        column("Strength", lambda row: number(shown.score(row.signal_strength))),
        column("Customer", lambda row: _owner(row)),
        column("Detected", lambda row: ago(row.detected_at)),
        column("Source", lambda row: row.get_source_display()),
    )
    list_display_links = None
    list_filter = (
        Belonging,
        known_values(
            "signal_type", "kind", lambda: [(kind, label(kind)) for kind in PUBLISHED.signals.kinds]
        ),
        known_values("source", "source", lambda: choices(SignalSource)),
    )
    search_fields = ("customer_id",)
    search_help_text = "Signal or customer id"
    ordering = ("-signal_id",)
    page_template = "admin/journeys/signal.html"
    acts = (link_act(lambda row: row.pk, orphaned=lambda row: not row.known),)

    def get_queryset(self, request):
        known = Customer.objects.filter(pk=OuterRef("customer_id"))
        return super().get_queryset(request).annotate(known=Exists(known))

    def get_search_results(self, request, queryset, search_term):
        term = search_term.strip()
        return (queryset.filter(Q(pk=term) | Q(customer_id=term)) if term else queryset), False

    def page_context(self, request, row):
        return {"title": f"{label(row.signal_type)} {shown.score(row.signal_strength)}", "owner": _owner(row)}


def _owner(row: Signal) -> str:
    return customer_link(row.customer_id) if row.known else chip(f"{row.customer_id}, unknown", "medium")
