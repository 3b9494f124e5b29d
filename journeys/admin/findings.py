"""What did not fit: looked at, and dismissed with a note."""

import json

from django.contrib import admin

from approvals.admin.filters import known_values
from approvals.desk import Act, DeskAdmin, NoteForm, column, who
from approvals.templatetags.desk import ago, chip
from journeys.admin.links import customer_link, link, page_of
from journeys.domain.vocabulary import FindingKind, choices
from journeys.models import Customer, Finding, Signal
from journeys.services import findings


def _dismiss(request, row: Finding, data: dict) -> str:
    findings.close(finding_id=row.pk, note=data["note"], **who(request))
    return f"Dismissed: {row}."


@admin.register(Finding)
class FindingAdmin(DeskAdmin):
    page_template = "admin/journeys/finding.html"
    list_display = (
        column("Kind", lambda row: link(row, row.get_kind_display())),
        column("About", lambda row: row.subject),
        column("What", lambda row: row.detail),
        column("Found", lambda row: ago(row.found_at)),
        column(
            "Status", lambda row: chip(row.get_status_display(), "medium" if row.status == "open" else "")
        ),
    )
    list_display_links = None
    list_filter = (
        known_values("status", "status", lambda: Finding.Status.choices, default=Finding.Status.OPEN.value),
        known_values("kind", "kind", lambda: choices(FindingKind)),
    )
    ordering = ("-found_at", "-id")
    empty_state = "Nothing stands open: whatever was received has found its place."
    acts = (
        Act(
            name="dismiss",
            title="Dismiss it",
            button="Dismiss",
            form=NoteForm,
            perform=_dismiss,
            offered=lambda request, row: (
                row.status == Finding.Status.OPEN and request.user.has_perm("journeys.close_finding")
            ),
            explanation="It is not made again. Say why it needs nothing more.",
        ),
    )

    def page_context(self, request, row):
        about = None
        if Customer.objects.filter(pk=row.subject).exists():
            about = customer_link(row.subject)
        elif signal := Signal.objects.filter(pk=row.subject).first():
            about = link(signal, signal.pk)
        record = "" if row.record is None else json.dumps(row.record, indent=2, ensure_ascii=False)
        run = page_of("pipelinerun", row.run_id) if row.run_id else ""
        return {"about": about or row.subject, "record": record, "run": run}
