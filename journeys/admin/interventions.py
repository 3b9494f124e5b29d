"""Interventions from proposal to outcome, and the outcomes."""

from django import forms
from django.contrib import admin
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Q
from django.utils import timezone

from approvals import shown
from approvals.addresses import request_url, trail_url
from approvals.admin.filters import known_values
from approvals.desk import Act, DeskAdmin, DeskForm, NoteForm, column, who
from approvals.templatetags.desk import ago, chip, day, moment
from journeys.admin.filters import ByRun
from journeys.admin.links import customer_link, link, number
from journeys.domain.vocabulary import (
    Action,
    Channel,
    ExecutionStatus,
    InterventionStatus,
    OutcomeKind,
    choices,
)
from journeys.models import Execution, Intervention, Outcome
from journeys.services.execution import STUCK_AFTER, end_uncertain, finish_task
from journeys.services.outcomes import DONE, record_outcome
from journeys.services.outcomes import PERMISSION as OUTCOME_PERMISSION

END_PERMISSION = "journeys.end_execution"
_YES_NO = {"yes": True, "no": False, "": None}


class TaskForm(DeskForm):
    done = forms.ChoiceField(
        label="What became of it",
        choices=[("yes", "Done"), ("no", "Impossible")],
        widget=forms.RadioSelect(attrs={"class": "choice"}),
    )
    note = forms.CharField(
        required=False,
        max_length=500,
        help_text="Needed where it was impossible.",
        widget=forms.Textarea(attrs={"rows": 2}),
    )


class UncertainForm(NoteForm):
    went_out = forms.ChoiceField(
        label="Did it go out?",
        choices=[("yes", "It went out"), ("no", "It did not")],
        widget=forms.RadioSelect(attrs={"class": "choice"}),
    )
    field_order = ["went_out", "note"]


class OutcomeForm(DeskForm):
    """Whatever was not measured stays empty: it is not known then, and never counts as 0."""

    outcome = forms.ChoiceField(choices=[("", "Choose"), *choices(OutcomeKind)])
    measured_at = forms.DateField(label="Measured on", widget=forms.DateInput(attrs={"type": "date"}))
    resolution_time_days = forms.FloatField(label="Days to resolve", required=False, min_value=0)
    csat_delta = forms.FloatField(label="Change of satisfaction", required=False)
    churn_risk_delta = forms.FloatField(
        label="Change of churn risk, -1 to 1", required=False, min_value=-1, max_value=1
    )
    estimated_revenue_saved = forms.DecimalField(
        label="Revenue saved, in the account's currency", required=False, min_value=0, max_digits=14
    )
    human_override = forms.ChoiceField(
        label="Did a person override what was recommended?",
        required=False,
        choices=[("", "Not known"), ("yes", "Yes"), ("no", "No")],
    )


def _execution(row: Intervention) -> Execution | None:
    try:
        return row.execution
    except ObjectDoesNotExist:
        return None


def _finish(request, row: Intervention, data: dict) -> str:
    done = _YES_NO[data["done"]]
    finish_task(execution_id=row.execution.pk, done=done, note=data["note"], **who(request))
    return f"{row}: {'done' if done else 'impossible'}."


def _end(request, row: Intervention, data: dict) -> str:
    went_out = _YES_NO[data["went_out"]]
    end_uncertain(execution_id=row.execution.pk, went_out=went_out, note=data["note"], **who(request))
    return f"{row}: {'it went out' if went_out else 'it did not go out'}."


def _record_outcome(request, row: Intervention, data: dict) -> str:
    wishes = data | {"human_override": _YES_NO[data["human_override"]]}
    outcome = record_outcome(intervention_id=row.pk, **wishes, **who(request))
    return f"Recorded: {outcome.get_outcome_display()}."


def _owns_task(user, row: Intervention) -> bool:
    execution = _execution(row)
    return execution is not None and bool(execution.assignee) and execution.assignee == user.get_username()


def _task_open(request, row: Intervention) -> bool:
    execution = _execution(row)
    if execution is None or execution.status != ExecutionStatus.WITH_OWNER:
        return False
    return _owns_task(request.user, row) or request.user.has_perm(END_PERMISSION)


def _uncertain(request, row: Intervention) -> bool:
    execution = _execution(row)
    if execution is None or not request.user.has_perm(END_PERMISSION):
        return False
    old = timezone.now() - execution.claimed_at >= STUCK_AFTER
    return execution.status == ExecutionStatus.UNKNOWN or (
        execution.status == ExecutionStatus.CLAIMED and old
    )


@admin.register(Intervention)
class InterventionAdmin(DeskAdmin):
    page_template = "admin/journeys/intervention.html"
    list_display = (
        column("What", lambda row: link(row, row.get_recommended_action_display())),
        column("Customer", lambda row: customer_link(row.customer_id, row.customer)),
        column("By", lambda row: row.get_channel_display()),
        column("Priority", lambda row: number("–" if row.priority_score is None else row.priority_score)),
        column("Proposed by", lambda row: row.agent_name),
        column("When", lambda row: ago(row.generated_at)),
        column("Status", lambda row: chip(row.get_status_display())),
    )
    list_display_links = None
    list_select_related = ("customer",)
    list_filter = (
        known_values("status", "status", lambda: choices(InterventionStatus)),
        known_values("recommended_action", "action", lambda: choices(Action)),
        known_values("channel", "channel", lambda: choices(Channel)),
        ByRun,
    )
    search_fields = ("customer_id",)
    search_help_text = "Customer or intervention id"
    ordering = ("-intervention_id",)
    empty_state = "Nothing was proposed yet: run the pipeline, or propose something on a customer's page."
    acts = (
        Act(
            name="finish",
            title="The task",
            button="End the task",
            form=TaskForm,
            perform=_finish,
            offered=_task_open,
        ),
        Act(
            name="end",
            title="Nobody knows whether it went out",
            button="End it",
            form=UncertainForm,
            perform=_end,
            offered=_uncertain,
            explanation="Find out first: in the mail server's log, from the receiver, from the customer. "
            "It is never tried again by itself.",
        ),
        Act(
            name="outcome",
            title="Record what came of it",
            button="Record",
            form=OutcomeForm,
            perform=_record_outcome,
            offered=lambda request, row: row.status in DONE and request.user.has_perm(OUTCOME_PERMISSION),
            explanation="What nobody measured stays empty: it is not known then, and never counts as 0.",
            folded=True,
        ),
    )

    def has_view_permission(self, request, obj=None):
        """Whoever has the task may see what it is about."""
        return super().has_view_permission(request, obj) or (
            obj is not None and _owns_task(request.user, obj)
        )

    def get_search_results(self, request, queryset, search_term):
        term = search_term.strip()
        return (queryset.filter(Q(pk=term) | Q(customer_id=term)) if term else queryset), False

    def page_context(self, request, row):
        asked = row.request
        return {
            "asked": asked,
            "asked_url": request_url(asked.pk) if asked else "",
            "payload": asked.payload if asked else None,
            "decision": asked.decisions.filter(ends=True).select_related("event__detail").first()
            if asked
            else None,
            "execution": _execution(row),
            "outcomes": row.outcomes.all(),
            "trail": trail_url(request_id=asked.pk) if asked else trail_url(concerning=row.customer_id),
        }


@admin.register(Outcome)
class OutcomeAdmin(DeskAdmin):
    list_display = (
        column("Outcome", lambda row: link(row, row.get_outcome_display())),
        column("Of", lambda row: link(row.intervention)),
        column("Days to resolve", lambda row: number(_figure(row.resolution_time_days))),
        column("Satisfaction", lambda row: number(_figure(row.csat_delta))),
        column("Churn risk", lambda row: number(_figure(row.churn_risk_delta))),
        column(
            "Saved",
            lambda row: number(shown.money(row.estimated_revenue_saved, row.intervention.customer.currency)),
        ),
        column("Measured", lambda row: day(row.measured_at)),
        column("Recorded by", lambda row: row.recorded_by or "import"),
    )
    list_display_links = None
    list_select_related = ("intervention__customer",)
    list_filter = (known_values("outcome", "outcome", lambda: choices(OutcomeKind)),)
    ordering = ("-outcome_id",)
    empty_state = "No outcome is known yet. It is recorded on the intervention's page."

    def page_context(self, request, row):
        intervention = row.intervention
        overridden = {True: "yes", False: "no", None: "not known"}[row.human_override]
        return {
            "title": f"{row.get_outcome_display()}: {intervention}",
            "facts": [
                ("outcome", row.get_outcome_display()),
                ("of", link(intervention)),
                ("customer", customer_link(intervention.customer_id, intervention.customer)),
                ("measured on", day(row.measured_at)),
                ("days to resolve", _figure(row.resolution_time_days)),
                ("change of satisfaction", _figure(row.csat_delta)),
                ("change of churn risk", _figure(row.churn_risk_delta)),
                ("saved", shown.money(row.estimated_revenue_saved, intervention.customer.currency)),
                ("did a person override what was recommended", overridden),
                ("recorded", moment(row.recorded_at)),
                ("by", row.recorded_by or "import"),
                ("number", row.pk),
            ],
        }


def _figure(value: float | None) -> str:
    return "not known" if value is None else f"{value:g}"
