"""What it was worth: KPIs, effect, return, and what may be learnt. A run stores them. Reads only.

All figures are of the portfolio: a run on one customer has none.
"""

from journeys.reports.worth.learning import by_person
from journeys.reports.worth.results import kpi_results, latest_run, roi_results
from journeys.reports.worth.rows import ROWS
from journeys.reports.worth.scope import Scope, scope_of

__all__ = ["ROWS", "Scope", "by_person", "kpi_results", "latest_run", "roi_results", "scope_of"]
