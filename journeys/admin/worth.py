"""What it was worth: the results of the latest run, the rows behind each figure, and who is in which arm."""

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.template.response import TemplateResponse
from django.urls import reverse

from approvals.admin.filters import known_values
from approvals.admin.trail import TRAIL_PERMISSION
from approvals.desk import DeskAdmin, column
from approvals.templatetags.desk import chip, day
from journeys.admin.links import customer_link, link, number, page_of
from journeys.domain.holdout import Arm
from journeys.domain.kpis import KPIS, Kpi, KpiStatus, KpiTier, Unit
from journeys.domain.vocabulary import Tier, choices, label
from journeys.models import Assignment, Measurement, PipelineRun
from journeys.models.runs import HEAVY
from journeys.reports import names_of, worth
from journeys.reports.worth import charts
from journeys.reports.worth import wording as told

# Of the rows behind a figure a page shows so many, and says how many there are.
SHOWN = 200
_TONES = {
    KpiStatus.CRITICAL: "high",
    KpiStatus.AT_RISK: "medium",
    KpiStatus.ON_TRACK: "low",
    KpiStatus.EXCEEDED: "low",
    KpiStatus.NOT_KNOWN: "",
}
# Where a figure is counted over a whole list, or no list has exactly its rows: which list, and what of it.
_EXECUTED = [("intervention", "?status=executed", "all executed interventions, of whatever day")]
_LISTS = {
    "data_completeness": [("customer", "", "all customers, as they stand now")],
    "orphaned_share": [
        (
            "finding",
            "?kind=orphan_signal",
            "all open findings of signals of unknown customers, of whatever day",
        )
    ],
    "revenue_at_risk_share": [
        ("customer", f"?tier={tier}", f"all customers now at {tier} risk, those without a known value too")
        for tier in (Tier.HIGH, Tier.MEDIUM)
    ],
    "revenue_preserved_reported": [
        ("outcome", "", "all outcomes, of whatever day, those of what went through on record only too")
    ],
} | dict.fromkeys(("revenue_preserved_measured", "cost_per_case", "roi_reported", "roi_measured"), _EXECUTED)
_PAGES = {"runs": "pipelinerun", "interventions": "intervention", "measurements": "measurement"}


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

    def get_queryset(self, request):
        """Without what a run's row is heavy with: it would be read once for each of its rows."""
        return super().get_queryset(request).defer(*(f"run__{name}" for name in HEAVY))

    def own_urls(self, address):
        return [
            address("results/", self.results_view, "results"),
            address("results/rows/", self.rows_view, "rows"),
        ]

    def results_view(self, request):
        """What the latest run over the portfolio says that it was worth."""
        run = self._latest(request)
        context = {**self.admin_site.each_context(request), "title": "Results", "row": run}
        if run:
            context |= _results(run, request.user)
        return TemplateResponse(request, "admin/journeys/results.html", context)

    def rows_view(self, request):
        """The rows behind one figure (`?kpi=`), counted again as they stand now."""
        run, kpi = self._latest(request), request.GET.get("kpi", "resolved_share")
        if run is None or kpi not in KPIS:
            raise Http404(f"There is no figure {kpi}.")
        context = {**self.admin_site.each_context(request), **_rows(run, KPIS[kpi])}
        return TemplateResponse(request, "admin/journeys/results_rows.html", context)

    def _latest(self, request) -> PipelineRun | None:
        """Raises PermissionDenied. A page for reading: nothing else is answered."""
        if request.method not in ("GET", "HEAD") or not request.user.has_perm("journeys.view_pipelinerun"):
            raise PermissionDenied
        return worth.latest_run()

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


def _results(run: PipelineRun, user) -> dict:
    results = run.results
    money = results["roi"]
    return {
        "results": results,
        "tiers": [_tier(results, tier) for tier in KpiTier],
        "experiments": [_experiment(row, results) for row in results["effects"]],
        "money": money,
        "costs": _costs(money),
        "values": [_value(money, name) for name in ("reported", "measured")],
        "roi_sentences": told.roi_sentences(money) if money["executed"] else [],
        "sensitivity": [_assumption(row, money) for row in money["sensitivity"]],
        "learning": results["learning"],
        "bands": charts.bands(results["learning"]["calibration"]["bands"]),
        "playbooks": [_playbook(row, money["currency"]) for row in results["learning"]["playbooks"]],
        "by_person": _by_person(run) if user.has_perm(TRAIL_PERMISSION) else [],
        "report_url": reverse("admin:journeys_pipelinerun_report", args=[run.pk]),
        "policy_url": page_of("policy", run.policy_id),
    }


def _tier(results: dict, tier: KpiTier) -> dict:
    rows = [row for row in results["kpis"] if row["tier"] == tier]
    worst = results["headlines"][tier]
    known = sum(row["value"] is not None for row in rows)
    return {
        "label": label(tier),
        "headline": label(worst),
        "tone": _TONES[KpiStatus(worst)],
        "known": f"{known} of {len(rows)} figures known",
        "rows": [_kpi(row) for row in rows],
    }


def _kpi(row: dict) -> dict:
    kpi = KPIS[row["name"]]
    return {
        "kpi": kpi,
        "currency": row["currency"],
        "value": told.written(row),
        "made_of": told.made_of(row),
        "target": told.target(row),
        "status": label(row["status"]) if row["target"] is not None else "No target",
        "tone": _TONES[KpiStatus(row["status"])],
        "trend": told.trend(row),
        "url": f"{reverse('admin:journeys_assignment_rows')}?kpi={kpi.name}",
    }


def _experiment(row: dict, results: dict) -> dict:
    groups = [(label(group["key"]), group) for group in [*row["by_segment"], *row["by_action"]]]
    drawn = [("Everybody", row["left"]), *groups]
    return {
        "name": row["experiment"],
        "since": row["from"],
        "row": row,
        "verdict": label(row["verdict"]),
        "tone": {"helps": "low", "harms": "high", "collecting": "medium"}.get(row["verdict"], ""),
        "sentence": told.verdict_sentence(row, departures_known=results["departures_known"]),
        "chart": charts.intervals(
            [
                (name, measure["difference"], told.interval(measure["difference"]))
                for name, measure in drawn
                if measure["difference"]
            ]
        ),
        "measures": [
            _measure(f"Left within {row['days']} days", row["left"]),
            _measure(f"Renewed within {row['days']} days", row["renewed"]),
            _proxy(row["churn_fall"]),
        ],
        "groups": [_measure(name, measure) for name, measure in groups],
    }


def _measure(name: str, measure: dict) -> tuple[str, str, str, str]:
    return (
        name,
        told.share_of(measure["treated"]),
        told.share_of(measure["held_out"]),
        told.interval(measure["difference"]),
    )


def _proxy(measure: dict) -> tuple[str, str, str, str]:
    return ("Fall of the churn score (our own opinion)", *told.score_row(measure))


def _costs(money: dict) -> list[tuple[str, str]]:
    names = {"review": "Review", "channel": "Channel", "infrastructure": "Infrastructure", "total": "Cost"}
    costs = money["costs"] or {}
    return [(names[name], told.amount(amount, money["currency"])) for name, amount in costs.items()]


def _value(money: dict, name: str) -> tuple[str, str, str]:
    return (
        f"Value, as {name}",
        told.amount(money[name]["value"], money["currency"]),
        told.percent(money[name]["roi"], 0),
    )


def _assumption(row: dict, money: dict) -> tuple[str, ...]:
    returns = (
        row[f"{value}_{factor}"] for value in ("reported", "measured") for factor in ("half", "double")
    )
    return (
        told.ASSUMPTIONS[row["assumption"]],
        told.assumption(row["assumption"], row["value"], money["currency"]),
        *(told.percent(value, 0) for value in returns),
    )


def _playbook(row: dict, currency: str) -> dict:
    count, of = row["success"]
    return row | {
        "success": f"{count} of {of}" if of else "not known",
        "cost": told.amount(row["cost"], currency),
        "value": told.amount(row["value"], currency),
        "roi": told.percent(row["roi"], 0),
    }


def _by_person(run: PipelineRun) -> list[dict]:
    rows = worth.by_person(worth.scope_of(run, run.policy.rules))
    names = names_of(row["key"] for row in rows)
    return [row | {"name": names[row["key"]]} for row in rows]


def _rows(run: PipelineRun, kpi: Kpi) -> dict:
    stored = [row for row in run.results["kpis"] if row["name"] == kpi.name]
    rows, number_of = [], 0
    if kpi.name in worth.ROWS:
        counted = worth.ROWS[kpi.name](worth.scope_of(run, run.policy.rules))
        _, number_of = counted.total()
        rows = [
            (page_of(_PAGES[kpi.rows], row.key), row.key, _part(kpi, row.part))
            for row in counted.listed(SHOWN)
        ]
    return {
        "title": kpi.label,
        "kpi": kpi,
        "run": run,
        "figures": [_kpi(row) for row in stored],
        "rows": rows,
        "number": number_of,
        "shown": SHOWN,
        "lists": [
            (f"{reverse(f'admin:journeys_{model}_changelist')}{query}", words)
            for model, query, words in _LISTS.get(kpi.name, [])
        ],
        "of_run": page_of("pipelinerun", run.pk) if kpi.name == "evaluation_seconds_per_1000" else "",
        "results_url": reverse("admin:journeys_assignment_results"),
    }


def _part(kpi: Kpi, part: float) -> str:
    if kpi.unit == Unit.SHARE:
        return "counts" if part else "does not"
    return f"{part:,.3f}"
