"""Counting what a portfolio was worth, as a run does in its steps."""

from journeys.models import PipelineRun
from journeys.reports import snapshots, worth
from journeys.reports.worth import Scope


def facts_of(scope: Scope) -> dict:
    """Of a run that nobody carried out."""
    counted = {"customers": 0, "received": 0, "orphaned": 0, "seconds": 0.0}
    return counted | {"cells": snapshots.count(scope.run).cells}


def results_of(run: PipelineRun, rules=None, **facts) -> dict:
    scope = worth.scope_of(run, rules or run.policy.rules)
    return worth.roi_results(scope, worth.kpi_results(scope, facts_of(scope) | facts))


def kpi(results: dict, name: str, currency: str | None = None) -> dict:
    (row,) = [row for row in results["kpis"] if row["name"] == name and currency in (None, row["currency"])]
    return row
