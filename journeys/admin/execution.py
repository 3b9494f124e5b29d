"""How what was approved is carried out, and how far execution goes."""

from django import forms
from django.contrib import admin
from django.utils import timezone
from django.utils.html import format_html

from approvals.addresses import request_url
from approvals.admin.filters import known_values
from approvals.desk import Act, DeskAdmin, DeskForm, column, who
from approvals.models import ApprovalRequest
from approvals.templatetags.desk import ago, chip, moment
from journeys.admin.links import customer_link, link
from journeys.domain.vocabulary import (
    Action,
    Channel,
    ExecutionMode,
    ExecutionStatus,
    SwitchScope,
    choices,
    phrase,
)
from journeys.models import Execution, ExecutionSwitch
from journeys.services import switches
from journeys.services.execution import overdue_tasks, stuck

LOUD = (ExecutionStatus.FAILED, ExecutionStatus.UNKNOWN)


class Trouble(admin.SimpleListFilter):
    title, parameter_name = "trouble", "trouble"

    def lookups(self, request, model_admin):
        return [("stuck", "Stuck: the worker died"), ("overdue", "Overdue tasks")]

    def queryset(self, request, queryset):
        now = timezone.now()
        chosen = {"stuck": stuck, "overdue": overdue_tasks}.get(self.value())
        return queryset.filter(pk__in=chosen(now).values("pk")) if chosen else queryset


@admin.register(Execution)
class ExecutionAdmin(DeskAdmin):
    """A row's page is that of its intervention."""

    list_display = (
        column("What", lambda row: link(row.intervention)),
        column("Customer", lambda row: customer_link(row.intervention.customer_id)),
        column("By", lambda row: row.get_channel_display()),
        column("Mode", lambda row: chip(row.get_mode_display())),
        column("Status", lambda row: chip(row.get_status_display(), "high" if row.status in LOUD else "")),
        column("What happened", lambda row: row.detail or "–"),
        column("Begun", lambda row: ago(row.claimed_at)),
        column("With, due", lambda row: _with(row)),
    )
    list_display_links = None
    list_select_related = ("intervention",)
    list_filter = (
        Trouble,
        known_values("status", "status", lambda: choices(ExecutionStatus)),
        known_values("channel", "channel", lambda: choices(Channel)),
    )
    ordering = ("-id",)
    empty_state = "Nothing was carried out yet: what is approved appears here once a worker takes it."

    def page_context(self, request, row):
        return {
            "title": str(row.intervention),
            "facts": [
                ("intervention", link(row.intervention)),
                ("by", row.get_channel_display()),
                ("how far", row.get_mode_display()),
                ("status", row.get_status_display()),
                ("what happened", row.detail),
                ("attempts", row.attempts),
                ("begun", moment(row.claimed_at)),
                ("tried again", moment(row.retry_at)),
                ("ended", moment(row.finished_at)),
                ("with", row.assignee),
                ("due", moment(row.due_at)),
                ("key, the same for every attempt", row.idempotency_key),
            ],
        }


def _with(row: Execution) -> str:
    if row.status != ExecutionStatus.WITH_OWNER:
        return "–"
    return format_html("{}, {}", row.assignee or "nobody", ago(row.due_at))


class StopForm(DeskForm):
    reason = forms.CharField(required=False, max_length=400, help_text="May come later: stop first.")


class SwitchForm(DeskForm):
    what = forms.ChoiceField(
        label="For",
        choices=[
            ("", "Choose"),
            (SwitchScope.ALL, "Everything"),
            ("One channel", [(f"channel:{word}", text) for word, text in choices(Channel)]),
            ("One action", [(f"action:{word}", text) for word, text in choices(Action)]),
            (SwitchScope.CUSTOMER, "One customer"),
        ],
    )
    customer = forms.CharField(
        label="Which customer", required=False, max_length=64, help_text="Their id; for one customer only."
    )
    mode = forms.ChoiceField(label="How far", choices=[("", "Choose"), *choices(ExecutionMode)])
    reason = forms.CharField(label="Why", max_length=400, required=False, help_text="Needed to go further.")

    def clean(self):
        data = super().clean()
        scope, _, value = data.get("what", "").partition(":")
        if scope == SwitchScope.CUSTOMER:
            value = data.get("customer", "").strip()
            if not value:
                self.add_error("customer", "Enter the customer's id.")
        elif data.get("customer"):
            self.add_error("customer", "Leave it empty, or choose “One customer”.")
        return data | {"scope": scope, "value": value}


def _stop(request, row, data: dict) -> str:
    switches.stop(scope=SwitchScope.ALL, reason=data["reason"], **who(request))
    return "Execution is stopped. Nothing more goes out until two people start it again."


def _set(request, row, data: dict) -> str:
    scope, value = data["scope"], data["value"]
    asked = switches.set_mode(
        scope=scope, value=value, mode=data["mode"], reason=data["reason"], **who(request)
    )
    target = switches.target(scope, value)
    if asked is None:
        return f"Execution for {target} is {phrase(data['mode'])} now."
    return f"Asked: execution for {target} to be {phrase(data['mode'])}. A second person has to confirm it."


def _may(request, *permissions: str) -> bool:
    return any(request.user.has_perm(permission) for permission in permissions)


@admin.register(ExecutionSwitch)
class ExecutionSwitchAdmin(DeskAdmin):
    change_list_template = "admin/journeys/switches.html"
    list_display = (
        column("For", lambda row: switches.target(row.scope, row.value)),
        column("How far", lambda row: chip(row.get_mode_display())),
        column("Set by", lambda row: row.changed_by),
        column("Set", lambda row: ago(row.changed_at)),
    )
    list_display_links = None
    ordering = ("scope", "value")
    empty_state = "No switch is set yet: what is approved is put on record, and nothing is sent."
    list_acts = (
        Act(
            name="stop",
            title="Stop everything, at once",
            button="Stop execution",
            form=StopForm,
            perform=_stop,
            offered=lambda request, row: (
                _may(request, switches.STOP_PERMISSION)
                and switches.current(SwitchScope.ALL) != ExecutionMode.OFF
            ),
            explanation="One person is enough to stop. What is going out at this moment is not called back.",
        ),
        Act(
            name="set",
            title="Set a switch",
            button="Set, or ask for it",
            form=SwitchForm,
            perform=_set,
            offered=lambda request, row: _may(request, switches.STOP_PERMISSION, switches.START_PERMISSION),
            explanation="More careful takes effect at once; going further waits for a second person.",
            folded=True,
        ),
    )

    def list_page(self, request, refused=None, **extra):
        waiting = ApprovalRequest.objects.pending().filter(kind=switches.KIND)
        extra |= {
            "mode": switches.current(SwitchScope.ALL),
            "waiting": [(row, request_url(row.pk)) for row in waiting],
        }
        return super().list_page(request, refused, **extra)
