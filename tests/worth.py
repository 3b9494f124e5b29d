"""Counting what a portfolio was worth, as a run does in its steps."""

from journeys.models import PipelineRun
from journeys.reports import snapshots, worth


def results_of(run: PipelineRun, rules=None, **facts) -> dict:
    scope = worth.scope_of(run, rules or run.policy.rules)
    counted = {"customers": 0, "received": 0, "orphaned": 0, "seconds": 0.0}
    counted |= {"cells": snapshots.count(run).cells}
    return worth.roi_results(scope, worth.kpi_results(scope, counted | facts))


def kpi(results: dict, name: str, currency: str | None = None) -> dict:
    (row,) = [row for row in results["kpis"] if row["name"] == name and currency in (None, row["currency"])]
    return row
