"""What it was worth: the results of the latest run, the rows behind each figure, and who is in which arm."""

from django.contrib import admin

from approvals.admin.filters import known_values
from approvals.desk import DeskAdmin, column
from approvals.templatetags.desk import chip, day
from journeys.admin.links import customer_link, link, number
from journeys.domain.holdout import Arm
from journeys.domain.vocabulary import choices, label
from journeys.models import Assignment, Measurement


@admin.register(Assignment)
class AssignmentAdmin(DeskAdmin):
    list_display = (
        column("Customer", lambda row: customer_link(row.customer_id, row.customer)),
        column("Experiment", lambda row: row.experiment),
        column("Arm", lambda row: chip(label(row.arm), "medium" if row.arm == Arm.HELD_OUT else "")),
        column("Since", lambda row: day(row.assigned_on)),
        column("For", lambda row: row.get_recommended_action_display()),
        column("Segment", lambda row: row.segment or "not known"),
        column("Share held out", lambda row: number(f"{row.share:.0%}")),
        column("Run", lambda row: link(row.run)),
    )
    list_display_links = None
    list_select_related = ("customer", "run")
    list_filter = (known_values("arm", "arm", lambda: choices(Arm)),)
    search_fields = ("customer_id",)
    search_help_text = "Customer id or experiment"
    ordering = ("-id",)
    empty_state = "Nobody was drawn yet: the policy in force holds nobody out, or no run has come by since."

    def get_search_results(self, request, queryset, search_term):
        term = search_term.strip()
        found = queryset.filter(customer_id=term) | queryset.filter(experiment=term) if term else queryset
        return found, False


@admin.register(Measurement)
class MeasurementAdmin(DeskAdmin):
    list_display = (
        column("Customer", lambda row: customer_link(row.customer_id, row.customer)),
        column("After", lambda row: _after(row)),
        column("Up to", lambda row: day(row.until)),
        column("Really happened", lambda row: _happened(row)),
        column("Churn risk (own score)", lambda row: _moved(row)),
        column("Stage then", lambda row: label(row.stage_after)),
        column("Of", lambda row: link(row.intervention) if row.intervention_id else label("held_out")),
    )
    list_display_links = None
    list_select_related = ("customer", "intervention")
    search_fields = ("customer_id",)
    search_help_text = "Customer id"
    ordering = ("-id",)
    empty_state = "Nothing was measured yet: that comes some days after something was carried out."

    def get_search_results(self, request, queryset, search_term):
        term = search_term.strip()
        return (queryset.filter(customer_id=term) if term else queryset), False


def _after(row: Measurement) -> str:
    return f"{row.checkpoint_days} days" + (", corrected since" if row.replaced_at else "")


def _happened(row: Measurement) -> str:
    if row.churned_on:
        return chip(f"left on {day(row.churned_on)}", "high")
    return chip(f"renewed on {day(row.renewed_on)}", "low") if row.renewed_on else "nothing on record"


def _moved(row: Measurement) -> str:
    before, then = (
        "not known" if score is None else f"{score:.3f}" for score in (row.churn_before, row.churn_after)
    )
    return f"{before} → {then}"
