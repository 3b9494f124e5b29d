"""Runs of the pipeline with their reports, and what they concluded."""

from functools import partial

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import Http404, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import reverse

from approvals.admin.filters import known_values
from approvals.admin.trail import TRAIL_PERMISSION
from approvals.desk import DOOR, Act, DeskAdmin, DeskForm, column
from approvals.rules import Actor, NotAuthorised
from approvals.services import actor_of
from approvals.templatetags.desk import ago, chip, day
from journeys import charts, pipeline, reports
from journeys.admin import portfolio, run_page
from journeys.admin.filters import ByRun
from journeys.admin.links import customer_link, link, number, page_of, risk_chip
from journeys.domain.vocabulary import Disposition, SuppressionReason, Tier, choices, label, phrase
from journeys.models import Assessment, PipelineRun
from journeys.models.runs import HEAVY, SUPPRESSED
from journeys.score_history import contributions_of
from journeys.services.policies import in_force

RUN_PERMISSION = "journeys.run_pipeline"


def _run_now(request, row, data: dict) -> str:
    if not request.user.has_perm(RUN_PERMISSION):
        raise NotAuthorised("You have no permission to run the pipeline.")
    queued = pipeline.queue(pipeline.plan_run(policy=in_force(), actor=_actor(request)))
    return f"{queued} was asked for."


def _newest_run(request, row) -> str:
    newest = PipelineRun.objects.filter(scope=PipelineRun.Scope.PORTFOLIO).order_by("-pk")
    return page_of("pipelinerun", newest.values_list("pk", flat=True).first())


def _cancel(request, row: PipelineRun, data: dict) -> str:
    if not request.user.has_perm(RUN_PERMISSION):
        raise NotAuthorised("You have no permission to cancel runs.")
    pipeline.cancel(row.pk, actor=_actor(request))
    return f"{row} is cancelled: it ends before its next range."


def _actor(request) -> Actor:
    return actor_of(request.user, door=DOOR, address=request.META.get("REMOTE_ADDR", ""))


_TONES = {"failed": "high", "running": "medium", "queued": "medium", "succeeded": "low", "cancelled": ""}


@admin.register(PipelineRun)
class PipelineRunAdmin(DeskAdmin):
    page_template = "admin/journeys/run.html"
    list_display = (
        column("Run", lambda row: link(row)),
        column("As of", lambda row: day(row.as_of)),
        column("Scope", lambda row: row.scope_text + (", what changed" if row.changed_only else "")),
        column("Policy", lambda row: row.policy),
        column("At risk", lambda row: number(row.counts.get("at_risk", "–"))),
        column("Proposed", lambda row: number(row.counts.get("proposed", "–"))),
        column("Suppressed", lambda row: number(row.counts.get("suppressed", "–"))),
        column("Asked by", lambda row: row.requested_by_name),
        column("When", lambda row: ago(row.started_at or row.queued_at)),
        column("Status", lambda row: chip(row.get_status_display(), _TONES[row.status])),
    )
    list_display_links = None
    list_select_related = ("policy",)
    list_filter = (known_values("status", "status", lambda: PipelineRun.Status.choices),)
    ordering = ("-id",)
    empty_state = "The pipeline has not run yet. A run looks at every customer, and proposes what to do."
    list_acts = (
        Act(
            name="run-now",
            title="Run the pipeline",
            button="Run the pipeline now",
            form=DeskForm,
            perform=_run_now,
            offered=lambda request, row: request.user.has_perm(RUN_PERMISSION),
            explanation="Over all customers, as of today, under the policy in force. A worker does it.",
            afterwards=_newest_run,
        ),
    )

    acts = (
        Act(
            name="cancel",
            title="Cancel it",
            button="Cancel the run",
            form=DeskForm,
            perform=_cancel,
            offered=lambda request, row: (
                row.status in run_page.LIVE
                and row.cancelled_at is None
                and request.user.has_perm(RUN_PERMISSION)
            ),
            explanation="It ends before its next range; what was written so far is consistent and stays.",
            folded=True,
        ),
    )

    def own_urls(self, address):
        return [
            address("report/", self.report_view, "report_latest"),
            address("<path:object_id>/report/", self.report_view, "report"),
        ]

    def page_context(self, request, row):
        return {
            **run_page.context(row),
            "shown": run_page.SHOWN,
            "status_tone": _TONES[row.status],
            "policy_url": page_of("policy", row.policy_id),
            "report_url": self.row_url(row, "report") if row.report else "",
        }

    def report_view(self, request, object_id=None):
        """The report as it was stored with a run; without one, with the latest that has one."""
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        if not self.has_view_permission(request):
            raise PermissionDenied
        with_report = PipelineRun.objects.filter(report__isnull=False)
        if object_id is None:
            row = with_report.filter(scope=PipelineRun.Scope.PORTFOLIO).order_by("-pk").first()
        else:
            row = with_report.filter(pk=object_id).first() if object_id.isdecimal() else None
            if row is None:
                raise Http404(f"There is no report of run {object_id}.")
        context = {
            **self.admin_site.each_context(request),
            "title": f"Report of run {row.pk}" if row else "Report",
            "row": row,
            "body": _rendered(row.report, request.user) if row else "",
            "earlier": with_report.only("pk", "as_of").order_by("-pk")[:10],
            "list_url": reverse("admin:journeys_pipelinerun_changelist"),
        }
        return TemplateResponse(request, "admin/journeys/report.html", context)


def _of_disposition(value: str, request) -> Q:
    return SUPPRESSED if value == Disposition.SUPPRESSED else Q(disposition=value)


def _of_reason(value: str, request) -> Q:
    return SUPPRESSED & Q(suppression_reason=value)


def _rendered(report: dict, user) -> str:
    """Who decided is told to those who may read the trail."""
    names = reports.names_in(report) if user.has_perm(TRAIL_PERMISSION) else None
    return reports.render_html(report, standalone=False, names=names)


@admin.register(Assessment)
class AssessmentAdmin(DeskAdmin):
    page_template = "admin/journeys/assessment.html"
    list_display = (
        column("Customer", lambda row: link(row, row.customer)),
        column("As of", lambda row: day(row.as_of)),
        column("Risk", lambda row: risk_chip(row.risk_tier, row.overall_risk_score)),
        column("Stage", lambda row: f"{label(row.journey_stage)}, {row.days_in_state} days"),
        column("Recommended", lambda row: label(row.recommended_action) if row.recommended_action else "–"),
        column("What became of it", lambda row: _became(row)),
        column("Run", lambda row: link(row.run)),
    )
    list_display_links = None
    list_select_related = ("customer", "run")
    list_filter = (
        known_values("risk_tier", "risk", lambda: choices(Tier)),
        known_values("disposition", "what became of it", lambda: choices(Disposition), holds=_of_disposition),
        known_values("suppression_reason", "why not", lambda: choices(SuppressionReason), holds=_of_reason),
        "is_current",
        ByRun,
    )
    search_fields = ("customer_id",)
    search_help_text = "Customer id"
    ordering = ("-id",)

    def own_urls(self, address):
        return [
            address("portfolio/", partial(portfolio.page, self), "portfolio"),
            address("portfolio/risen/", partial(portfolio.risen_page, self), "risen"),
        ]

    def get_queryset(self, request):
        """Without what a run's row is heavy with: it would be read once for each assessment."""
        return super().get_queryset(request).defer(*(f"run__{name}" for name in HEAVY))

    def get_search_results(self, request, queryset, search_term):
        term = search_term.strip()
        return (queryset.filter(customer_id=term) if term else queryset), False

    def page_context(self, request, row):
        return {
            "title": f"{row.customer} on {day(row.as_of)}",
            "bar": charts.score_bar(contributions_of(row)),
            "customer_link": customer_link(row.customer_id, row.customer),
            "run_url": page_of("pipelinerun", row.run_id),
            "ended_by": PipelineRun.objects.filter(pk=row.held_until_run).exclude(pk=row.run_id).first(),
        }


def _became(row: Assessment) -> str:
    if row.suppression_reason:
        return f"Suppressed: {phrase(row.suppression_reason)}"
    return row.get_disposition_display()
