"""The page about the whole portfolio, as the latest run left it."""

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import reverse

from approvals.panels import csv_file, placed
from journeys.admin import portfolio_panels as panels_of
from journeys.domain.vocabulary import label
from journeys.models import Customer
from journeys.reports.portfolio import Movement, Portfolio, latest

# Of those whose risk rose the page names so many; all that are kept are in the file.
SHOWN = 100


def page(admin, request: HttpRequest) -> HttpResponse:
    """GET: the page, or with `csv` one of its tables as a file. `segment` narrows it down."""
    if refused := _refused(admin, request):
        return refused
    found = _found(request)
    context = {"title": "Portfolio", "found": found}
    if found:
        panels = panels_of.all_panels(found)
        if "csv" in request.GET:
            return csv_file(request, panels)
        by_name = placed(request, panels)
        context |= {
            "segments": _segments(found),
            "panels": by_name,
            "revenue_trends": [by_name[name] for name in by_name if name.startswith("revenue_over_time")],
            "unassessed": _unassessed(found),
            "matrix": panels_of.matrix(found.movement) if found.movement else None,
            "risen_url": _url("risen", found.segment),
        }
    else:
        context["runs_url"] = reverse("admin:journeys_pipelinerun_changelist")
    context = {**admin.admin_site.each_context(request), **context}
    return TemplateResponse(request, "admin/journeys/portfolio.html", context)


def risen_page(admin, request: HttpRequest) -> HttpResponse:
    """GET: the customers whose tier rose since the run before, or with `csv` the same as a file."""
    if refused := _refused(admin, request):
        return refused
    found = _found(request)
    movement = found.movement if found else None
    customers = _customers(movement) if movement else {}
    shown = movement.risen[:SHOWN] if movement else ()
    context = {
        **admin.admin_site.each_context(request),
        "title": "Customers whose risk rose",
        "found": found,
        "rows": [(row, customers[row.customer_id]) for row in shown],
        "portfolio_url": _url("portfolio", found.segment if found else None),
    }
    if movement:
        panels = [panels_of.risen(found, customers)]
        if "csv" in request.GET:
            return csv_file(request, panels)
        context["csv_url"] = placed(request, panels)["risen"].csv_url
    return TemplateResponse(request, "admin/journeys/risen.html", context)


def _refused(admin, request: HttpRequest) -> HttpResponse | None:
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    if not admin.has_view_permission(request):
        raise PermissionDenied
    return None


def _found(request: HttpRequest) -> Portfolio | None:
    """What the address asks for; a segment that nobody has is passed over."""
    found = latest(segment=request.GET.get("segment"))
    if found and found.segment is not None and not found.tiers.assessed:
        return latest()
    return found


def _customers(movement: Movement) -> dict[str, Customer]:
    return Customer.objects.in_bulk([row.customer_id for row in movement.risen])


def _url(name: str, segment: str | None) -> str:
    address = reverse(f"admin:journeys_assessment_{name}")
    return address if segment is None else f"{address}?segment={segment}"


def _segments(found: Portfolio) -> list[tuple[str, int, str, bool]]:
    """(label, customers, address, whether it is the one that is shown)."""
    everybody = sum(row.assessed for row in found.by_segment)
    rows = [("All segments", everybody, _url("portfolio", None), found.segment is None)]
    return rows + [
        (label(row.name), row.assessed, _url("portfolio", row.name), found.segment == row.name)
        for row in found.by_segment
        if row.assessed
    ]


def _unassessed(found: Portfolio) -> int:
    """Customers whom the run saw without an open stage. They are counted for the whole portfolio only."""
    customers = found.run.counts.get("customers")
    return customers - found.tiers.assessed if customers is not None and found.segment is None else 0
