"""What moved since last time: what a run concluded of each customer, beside what was concluded before.

A run that writes down only what has changed tells the same as one that writes everything: each assessment is
set beside the customer's own one before it, whichever run that came from.
"""

from collections import Counter
from collections.abc import Sequence

from django.db.models import CharField, Count, F, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Concat

from journeys.domain.vocabulary import Stage, Tier
from journeys.models import Assessment, Customer, PipelineRun

# So many are named of those who came to be at risk, and of those who no longer are.
NAMED = 10
_TIERS = (Tier.LOW, Tier.MEDIUM, Tier.HIGH)
_FROM_LOW = Q(before__startswith=f"{Tier.LOW}/")
_FIRST = Q(before__isnull=True)


def movement(run: PipelineRun) -> dict:
    """{"compared": customers with an assessment before, "first": without, "worse", "better": by tier of risk,
    "tiers", "stages": [{"before", "after", "count"}] of those who moved, "new_at_risk", "no_longer_at_risk":
    {"total", "rows", "more"}}. Who is assessed for the first time is new at risk, except in the very first
    run."""
    mine = _beside_the_one_before(run)
    tiers, stages, first = Counter(), Counter(), Counter()
    rows = mine.order_by().values_list("before", "risk_tier", "journey_stage").annotate(number=Count("pk"))
    for before, tier, stage, number in rows:
        if before is None:
            first[tier] += number
            continue
        old_tier, _, old_stage = before.partition("/")
        tiers[old_tier, tier] += number
        stages[old_stage, stage] += number
    came = sum(number for (old, new), number in tiers.items() if old == Tier.LOW != new)
    went = sum(number for (old, new), number in tiers.items() if old != Tier.LOW == new)
    came += sum(number for tier, number in first.items() if tiers and tier != Tier.LOW)
    at_risk = ~Q(risk_tier=Tier.LOW)
    return {
        "compared": tiers.total(),
        "first": first.total(),
        "worse": sum(number for move, number in tiers.items() if _steps(*move) > 0),
        "better": sum(number for move, number in tiers.items() if _steps(*move) < 0),
        "tiers": _moved(tiers, _TIERS),
        "stages": _moved(stages, tuple(Stage)),
        "new_at_risk": _named(mine.filter(at_risk & (_FROM_LOW | _FIRST)), came),
        "no_longer_at_risk": _named(mine.filter(~at_risk & ~_FROM_LOW & ~_FIRST), went),
    }


def _beside_the_one_before(run: PipelineRun) -> QuerySet[Assessment]:
    """The run's assessments; `before` is tier/stage of the customer's one before, null without one."""
    mine = Assessment.objects.filter(run=run)
    earlier, later = (Assessment.objects.filter(of).exists() for of in (Q(run__lt=run), Q(run__gt=run)))
    if not (earlier or later):
        # The very first run: there is nothing to be looked up for each of its rows, which are all there are.
        return mine.annotate(before=Value(None, output_field=CharField()))
    before = Assessment.objects.filter(customer=OuterRef("customer"), pk__lt=OuterRef("pk")).order_by("-pk")
    told = before.values(told=Concat("risk_tier", Value("/"), "journey_stage"))
    return mine.annotate(before=Subquery(told[:1]))


def _steps(before: str, after: str) -> int:
    return _TIERS.index(after) - _TIERS.index(before)


def _moved(counts: Counter, order: Sequence[str]) -> list[dict]:
    """Without those who stayed; the largest first, then in the order of the words."""

    def place(word: str) -> int:
        return order.index(word) if word in order else len(order)

    moves = [(number, *move) for move, number in counts.items() if move[0] != move[1]]
    moves.sort(key=lambda row: (-row[0], place(row[1]), place(row[2]), row[1:]))
    return [{"before": before, "after": after, "count": number} for number, before, after in moves]


def _named(rows: QuerySet[Assessment], total: int) -> dict:
    """The largest first; nothing is asked where there is nobody."""
    largest = F("customer__account_value").desc(nulls_last=True)
    found = rows.select_related("customer").order_by(largest, "-overall_risk_score", "customer_id")
    return {
        "total": total,
        "rows": [_told(row) for row in found[:NAMED]] if total else [],
        "more": max(0, total - NAMED),
    }


def _told(row: Assessment) -> dict:
    before_tier, _, before_stage = (row.before or "").partition("/")
    return customer_figures(row.customer) | {
        "before": before_tier,
        "risk_tier": row.risk_tier,
        "overall_risk_score": row.overall_risk_score,
        "stage_before": before_stage,
        "journey_stage": row.journey_stage,
        "reasons": row.risk_factors[:1],
    }


def customer_figures(customer: Customer) -> dict:
    value = customer.account_value
    return {
        "customer_id": customer.customer_id,
        "name": customer.name,
        "account_value": None if value is None else str(value),
        "currency": customer.currency,
    }
