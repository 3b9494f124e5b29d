"""A figure on a page: a chart, the table that says the same, and the table as a file."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.http import Http404, HttpRequest, StreamingHttpResponse

from approvals.charts import Bars, Columns, Lines
from approvals.sheets import Sheet


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """`summary` is what the chart says in a sentence, for those who do not see it. Without a chart, `empty`
    says why there is none."""

    title: str
    sheet: Sheet
    chart: Bars | Columns | Lines | None = None
    summary: str = ""
    note: str = ""
    empty: str = ""

    @property
    def chart_template(self) -> str:
        return f"admin/desk/charts/{self.chart.kind}.html"


@dataclass(frozen=True, slots=True)
class PlacedPanel:
    """A panel on a page, with the address of its file."""

    panel: Panel
    csv_url: str


def placed(request: HttpRequest, panels: Iterable[Panel]) -> dict[str, PlacedPanel]:
    """By the names of their sheets, with _ for -. The files are at the page's own address, narrowed down as
    the page is."""
    found = {}
    for panel in panels:
        query = request.GET.copy()
        query["csv"] = panel.sheet.name
        found[panel.sheet.name.replace("-", "_")] = PlacedPanel(panel, f"?{query.urlencode()}")
    return found


def csv_file(request: HttpRequest, panels: Iterable[Panel]) -> StreamingHttpResponse:
    """The table that the address names, streamed. Raises Http404."""
    name = request.GET["csv"]
    sheet = next((panel.sheet for panel in panels if panel.sheet.name == name), None)
    if sheet is None:
        raise Http404("There is no such table on this page.")
    answer = StreamingHttpResponse(sheet.csv_lines(), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{sheet.name}.csv"'
    return answer
