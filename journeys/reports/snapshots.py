"""What a run over the portfolio amounts to, counted from what holds as it ends. Reads only."""

import heapq
from collections import Counter, defaultdict
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from django.db.models import (
    Count,
    Exists,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
)

from journeys import held
from journeys.days import today
from journeys.domain.vocabulary import (
    ExecutionMode,
    InterventionStatus,
    OutcomeKind,
    Segment,
    Stage,
    Tier,
)
from journeys.models import Assessment, Intervention, Outcome, PipelineRun, PortfolioSnapshot
from journeys.reports.one_moment import one_moment

AT_RISK = (Tier.HIGH, Tier.MEDIUM)
# Of those whose tier rose, so many of each segment are kept by name.
RISEN_KEPT = 100
PROTECTED_DAYS = 90
POSITIVE = (OutcomeKind.RESOLVED, OutcomeKind.PARTIAL_IMPROVEMENT, OutcomeKind.IMPROVED_ENGAGEMENT)


def _word(told: str, words: type[StrEnum]) -> str:
    """What the product has a word for; all else is ""."""
    return told if told in list(words) else ""


_ROSE = {(Tier.MEDIUM, Tier.HIGH), (Tier.LOW, Tier.HIGH), (Tier.LOW, Tier.MEDIUM)}


class Counted(NamedTuple):
    """What holds as a run ends: by stage, segment, currency and tier how many customers, of how many the
    value is known, and what these are worth together (`cells`); how many moved from one tier to another in
    each segment (`moves`) since the run `since`, where there was one before; and of those who rose the first
    of each segment, highest risk first (`risen`: id, segment, tier then, tier now, risk)."""

    since: PipelineRun | None
    cells: list[list]
    moves: list[list]
    risen: list[list]


def count(run: PipelineRun) -> Counted:
    """The customers' values and segments are taken as they stand at this moment. Every customer counts with
    what holds, whichever run concluded it."""
    before = latest_before(run)
    since = before and before.run
    with one_moment():
        cells = cells_of(run)
        moves, risen = _moved(run, since, cells) if since else (Counter(), [])
    return Counted(since, cells, sorted([*move, customers] for move, customers in moves.items()), risen)


def collect(run: PipelineRun, counted: Counted) -> dict:
    """The fields of the run's PortfolioSnapshot, but for the run itself."""
    since = counted.since
    return {
        "as_of": run.as_of,
        "since_id": since and since.pk,
        "cells": counted.cells,
        "moves": counted.moves,
        "risen": counted.risen,
        "protected": protected(run.as_of),
    }


def latest_before(run: PipelineRun) -> PortfolioSnapshot | None:
    earlier = PortfolioSnapshot.objects.filter(as_of__lte=run.as_of, run__status=PipelineRun.Status.SUCCEEDED)
    return earlier.exclude(pk=run.pk).select_related("run").order_by("-as_of", "-run_id").first()


def _concluded_since(since: PipelineRun, run: PipelineRun) -> QuerySet[Assessment]:
    """What holds after `run` and did not after `since`, each with the customer's tier `then`, null where
    nothing held of them."""
    mine = Assessment.objects.filter(held.holding_at(since), customer=OuterRef("customer"))
    later = PipelineRun.objects.filter(Q(pk__gt=since.pk) | Q(as_of__gt=since.as_of))
    # The first of them is named as well: by it PostgreSQL foresees how few assessments these are.
    first = later.aggregate(first=Min("pk"))["first"] or 0
    then = Subquery(mine.order_by("-pk").values("risk_tier")[:1])
    return held.after(run).filter(run__in=later.values("pk"), run__gte=first).annotate(then=then)


def cells_of(run: PipelineRun) -> list[list]:
    """[stage, segment, currency, tier, customers, of how many the value is known, their values together]: of
    what holds after the run."""
    # By the words as they are: told from the unknown ones only here, or the database could not foresee how
    # few groups there are. And in an order that SQLite has an index for: of the others it would take the
    # newest, and jump about in the table. Of what holds now it need not read more of an assessment.
    in_order = Q(risk_tier__in=list(Tier)) if run.as_of >= today() else Q(customer__gte="")
    rows = (
        held.after(run)
        .filter(in_order)
        .values_list("journey_stage", "customer__segment", "customer__currency", "risk_tier")
        .annotate(
            customers=Count("pk"),
            valued=Count("customer__account_value"),
            value=Sum("customer__account_value"),
        )
        .order_by()
    )
    cells: defaultdict[tuple, list] = defaultdict(lambda: [0, 0, Decimal(0)])
    for stage, segment, currency, tier, customers, valued, value in rows:
        sums = cells[_word(stage, Stage), _word(segment, Segment), currency, tier]
        sums[0], sums[1], sums[2] = sums[0] + customers, sums[1] + valued, sums[2] + _cents(value)
    return sorted([*cell, count, valued, str(value)] for cell, (count, valued, value) in cells.items())


def _moved(run: PipelineRun, since: PipelineRun, cells: list[list]) -> tuple[Counter, list[list]]:
    """All who hold, as if none had moved; then those of whom something else was concluded since, read once,
    for what it takes to look up what held of each of them then."""
    moves: Counter = Counter()
    for _, segment, _, tier, customers, _, _ in cells:
        moves[segment, tier, tier] += customers
    risen: defaultdict[str, list] = defaultdict(list)
    columns = ("customer_id", "customer__segment", "then", "risk_tier", "overall_risk_score")
    rows = _concluded_since(since, run).values_list(*columns)
    for customer_id, told, before, after, risk in rows.iterator():
        segment = _word(told, Segment)
        moves[segment, after, after] -= 1
        moves[segment, before or "", after] += 1
        if (before, after) in _ROSE:
            risen[segment].append([customer_id, segment, before, after, risk])
            if len(risen[segment]) == 2 * RISEN_KEPT:
                risen[segment] = _first(risen[segment])
    moves += _gone(run, since, sum(number for (_, before, _), number in moves.items() if before))
    return moves, sorted((row for rows in risen.values() for row in _first(rows)), key=_by_risk)


def _first(risen: list[list]) -> list[list]:
    return heapq.nsmallest(RISEN_KEPT, risen, key=_by_risk)


def _by_risk(row: list) -> tuple[float, str]:
    customer_id, *_, risk = row
    return -risk, customer_id


def _gone(run: PipelineRun, since: PipelineRun, still_there: int) -> Counter:
    """Those of whom only after the earlier run something held. As a rule there are none, which their number
    tells."""
    if sum(customers for *_, customers, _, _ in since.snapshot.cells) == still_there:
        return Counter()
    now = held.after(run).filter(customer=OuterRef("customer"))
    gone = Assessment.objects.filter(~Exists(now), held.holding_at(since))
    moves: Counter = Counter()
    rows = gone.values_list("customer__segment", "risk_tier").annotate(customers=Count("pk")).order_by()
    for segment, before, customers in rows:
        moves[_word(segment, Segment), before, ""] += customers
    return moves


def protected(as_of: date) -> dict:
    """What came of the interventions that were carried out for customers at risk, over the 90 days up to
    `as_of`, as it was reported: nobody has measured whether the interventions caused it.

    {"days", "interventions": with an outcome, "record_only": of these, "open": without one, "customers": of
    those with an outcome, "positive": of these, at least one outcome was positive, "value_unknown": of the
    customers, "revenue": [{"currency", "customers", "value", "of_customers", "of_value"}]}. Each customer
    counts once, with the value a year; of several outcomes the latest counts.
    """
    since = as_of - timedelta(days=PROTECTED_DAYS)
    carried_out = Intervention.objects.filter(status=InterventionStatus.EXECUTED, risk_tier__in=AT_RISK)
    latest: dict[str, tuple] = {}
    rows = (
        Outcome.objects.filter(measured_at__gt=since, measured_at__lte=as_of)
        .filter(intervention__status=InterventionStatus.EXECUTED, intervention__risk_tier__in=AT_RISK)
        .order_by("measured_at", "recorded_at", "pk")
        .values_list(
            "intervention_id",
            "outcome",
            "intervention__customer_id",
            "intervention__customer__currency",
            "intervention__customer__account_value",
            "intervention__execution__mode",
        )
    )
    for intervention_id, *row in rows.iterator():
        latest[intervention_id] = tuple(row)
    customers: dict[str, tuple[str, Decimal | None]] = {}
    positive: set[str] = set()
    for outcome, customer_id, currency, value, _ in latest.values():
        customers[customer_id] = currency, value
        if outcome in POSITIVE:
            positive.add(customer_id)
    return {
        "days": PROTECTED_DAYS,
        "interventions": len(latest),
        "record_only": sum(mode == ExecutionMode.RECORD_ONLY for *_, mode in latest.values()),
        "open": carried_out.filter(as_of__gt=since, as_of__lte=as_of, outcomes__isnull=True).count(),
        "customers": len(customers),
        "positive": len(positive),
        "value_unknown": sum(value is None for _, value in customers.values()),
        "revenue": [
            _protected_in(currency, customers, positive)
            for currency in sorted({currency for currency, value in customers.values() if value is not None})
        ],
    }


def _protected_in(currency: str, customers: dict, positive: set[str]) -> dict:
    values = {
        customer_id: value
        for customer_id, (of, value) in customers.items()
        if of == currency and value is not None
    }
    kept = [value for customer_id, value in values.items() if customer_id in positive]
    return {
        "currency": currency,
        "customers": len(kept),
        "value": str(sum(kept, Decimal(0))),
        "of_customers": len(values),
        "of_value": str(sum(values.values(), Decimal(0))),
    }


def _cents(amount: Decimal | None) -> Decimal:
    # SQLite adds decimals up as binary floats; to the cent the sum is exact up to some 10 ** 13.
    return (amount or Decimal(0)).quantize(Decimal("0.01"))
