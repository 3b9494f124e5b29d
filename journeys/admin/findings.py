"""What did not fit: how many of which kind, how each is mended, and dismissing with a note."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from django import forms
from django.contrib import admin
from django.db.models import Count, Model

from approvals.admin.filters import known_values
from approvals.desk import Act, DeskAdmin, DeskForm, NoteForm, column, who
from approvals.templatetags.desk import ago, chip
from journeys.admin.filters import ByRun
from journeys.admin.links import customer_link, link, page_of
from journeys.domain.vocabulary import FindingKind, choices, label
from journeys.models import Customer, Finding, Signal
from journeys.services import findings
from journeys.services.orphans import PERMISSION as LINK_PERMISSION
from journeys.services.orphans import link_orphan

HOW_TO_MEND: dict[str, str] = {
    FindingKind.ORPHAN_SIGNAL: "Link it to the customer whom it is about. Or import the customer that it "
    "names: it joins them by itself then, and this is mended by the next run.",
    FindingKind.ILLEGAL_MOVE: "The customer was assessed in the new stage all the same. If the move is "
    "wrong, correct the stages where they are kept and import them again; if it is right, let the policy "
    "allow it. Then dismiss this.",
    FindingKind.DAYS_MISMATCH: "Runs count the days themselves, from the day on which the stage was entered; "
    "only where that day is wrong is the risk. Correct it where it is kept and import it again, or dismiss "
    "this.",
    FindingKind.FUTURE_SIGNAL: "It counts from its day on, and not before. If the day is wrong, correct it "
    "where the signal comes from and import it again. Then dismiss this.",
    FindingKind.UNKNOWN_VALUE: "Until it is known, a person decides, and a value that is missing adds "
    "nothing to the risk. Complete it where it is kept and import it again, or teach the policy the new "
    "word. Then dismiss this.",
    FindingKind.MISSING_STATE: "No run can assess this customer. Import the stage in which they are "
    "(journey_state_log); the next run assesses them. Then dismiss this.",
    FindingKind.BAD_RECORD: "The record was not taken in. Correct it in the file or at its source and import "
    "it again: this is mended then by itself.",
    FindingKind.HELD_RECORD: "Send or import the customer that it names: it is taken up by itself then. If "
    "the customer is known under another id, correct it at its source, and dismiss this.",
}


class LinkForm(DeskForm):
    customer_id = forms.CharField(
        label="Customer id", max_length=64, help_text="As it stands on the customer's page."
    )
    note = forms.CharField(label="How do you know", max_length=300, widget=forms.Textarea(attrs={"rows": 2}))


def link_act(signal_id: Callable[[Model], str], *, orphaned: Callable[[Model], bool]) -> Act:
    """Linking an orphan, from the page of a row that names the signal."""

    def perform(request, row: Model, data: dict) -> str:
        signal = link_orphan(signal_id=signal_id(row), **data, **who(request))
        return f"{signal.pk} counts for {signal.customer} ({signal.customer_id}) from now on."

    return Act(
        name="link",
        title="Link it to a customer",
        button="Link",
        form=LinkForm,
        perform=perform,
        offered=lambda request, row: request.user.has_perm(LINK_PERMISSION) and orphaned(row),
        explanation="It counts for them from now on, and a worker looks at them at once. The id that it "
        "came with is kept.",
    )


def _orphaned(row: Finding) -> bool:
    return row.kind == FindingKind.ORPHAN_SIGNAL and Signal.objects.orphaned().filter(pk=row.subject).exists()


def _dismiss(request, row: Finding, data: dict) -> str:
    findings.close(finding_id=row.pk, note=data["note"], **who(request))
    return f"Dismissed: {row}."


@dataclass(frozen=True, slots=True)
class KindLink:
    label: str
    query_string: str
    count: int
    current: bool


class ByKind(known_values("kind", "kind", lambda: choices(FindingKind))):
    """Shown as links with counts above the list, not among the filters."""


@admin.register(Finding)
class FindingAdmin(DeskAdmin):
    page_template = "admin/journeys/finding.html"
    change_list_template = "admin/journeys/finding_list.html"
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
        ByKind,
        ByRun,
    )
    ordering = ("-found_at", "-id")
    empty_state = "Nothing stands open: whatever was received has found its place."
    acts = (
        link_act(lambda row: row.subject, orphaned=_orphaned),
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

    def list_page(self, request, refused=None, **extra):
        response = super().list_page(request, refused, **extra)
        changelist = getattr(response, "context_data", {}).get("cl")
        if changelist is not None:
            response.context_data["kinds"] = self._kinds(request, changelist)
        return response

    def _kinds(self, request, changelist) -> list[KindLink]:
        """How many there are of each kind among what the other filters leave; none where that is nothing."""
        chosen = next(spec for spec in changelist.filter_specs if isinstance(spec, ByKind))
        changelist.filter_specs.remove(chosen)
        found = self.get_queryset(request)
        for spec in changelist.filter_specs:
            found = spec.queryset(request, found)
        rows = found.order_by().values_list("kind").annotate(number=Count("pk")).order_by("-number", "kind")
        counts = [("all", "All kinds", 0), *((kind, label(kind), number) for kind, number in rows)]
        total = sum(number for _, _, number in counts)
        links = [
            KindLink(
                label=text,
                query_string=changelist.get_query_string(
                    {} if kind == "all" else {"kind": kind}, ["kind"] if kind == "all" else []
                ),
                count=number or total,
                current=chosen.chosen() == kind,
            )
            for kind, text, number in counts
        ]
        return links if total else []

    def page_context(self, request, row):
        about = signal = None
        if Customer.objects.filter(pk=row.subject).exists():
            about = customer_link(row.subject)
        elif signal := Signal.objects.filter(pk=row.subject).first():
            about = link(signal, signal.pk)
        record = "" if row.record is None else json.dumps(row.record, indent=2, ensure_ascii=False)
        run = page_of("pipelinerun", row.run_id) if row.run_id else ""
        return {
            "about": about or row.subject,
            "signal": signal,
            "record": record,
            "run": run,
            "how": HOW_TO_MEND[row.kind] if row.status == Finding.Status.OPEN else "",
        }
