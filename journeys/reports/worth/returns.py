"""The return of what was executed in the window: cost and value of the same interventions."""

from collections import Counter, defaultdict
from dataclasses import asdict
from datetime import date, timedelta
from math import fsum

from django.db.models import BigIntegerField, Count, ExpressionWrapper, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from approvals.models import AuditEvent, Decision
from approvals.rules import Authority
from approvals.services.viewing import VIEWED
from journeys.domain import roi
from journeys.domain.effect import Verdict
from journeys.domain.holdout import Arm
from journeys.domain.policy import PolicyDocument
from journeys.domain.vocabulary import ExecutionMode, InterventionStatus
from journeys.models import Customer, Intervention
from journeys.reports.outcomes import ExactSum, with_outcome
from journeys.reports.worth.microseconds import DAY, MINUTE, Microseconds, span
from journeys.reports.worth.scope import Scope
from journeys.services.proposals import KIND

# What was executed in the window may have been proposed so many days before it began.
_EXECUTED_WITHIN = 60


def assumptions(rules: PolicyDocument) -> roi.Assumptions:
    given = rules.roi
    return roi.Assumptions(
        review_rate_per_hour=given.review_rate_per_hour,
        review_cap_minutes=given.review_cap_minutes,
        channel_cost={channel.value: cost for channel, cost in given.channel_cost.items()},
        infrastructure_per_month=given.infrastructure_per_month,
    )


def executed_in(scope: Scope) -> QuerySet[Intervention]:
    """Those whose execution, on their own calendar, falls into the window."""
    moved = span("generated_at", Coalesce("ended_at", "generated_at"))
    first, after = (_microseconds(day + timedelta(days=1)) for day in (scope.since, scope.until))
    return (
        Intervention.objects.filter(
            status=InterventionStatus.EXECUTED,
            as_of__gt=scope.since - timedelta(days=_EXECUTED_WITHIN),
            as_of__lte=scope.until,
        )
        .annotate(at=ExpressionWrapper(Microseconds("as_of") + moved, BigIntegerField()))
        # A range, so that the day is worked out once for each.
        .filter(at__range=(first, after - 1))
    )


def _microseconds(day: date) -> int:
    return (day - date(1970, 1, 1)).days * DAY


def reviews(interventions: QuerySet[Intervention]) -> QuerySet[Decision]:
    """What people decided of them. `took` is from the moment at which who decided had opened the evidence to
    the decision, in microseconds; null where nobody was seen to open it."""
    opened = AuditEvent.objects.filter(
        request_id=OuterRef("request_id"),
        word=VIEWED,
        actor_key=OuterRef("actor_key"),
        at__lte=OuterRef("decided_at"),
    ).order_by("sequence")
    return Decision.objects.filter(
        authority=Authority.PERSON,
        request__kind=KIND,
        request__subject_key__in=interventions.values("pk"),
    ).annotate(
        took=ExpressionWrapper(
            Microseconds("decided_at") - Subquery(opened.values(at_once=Microseconds("at"))[:1]),
            BigIntegerField(),
        )
    )


def returns(scope: Scope, effects: list[dict]) -> dict:
    """Costs, both values, both returns, and what each assumption does to them. What is reported in another
    currency than the policy's, or of what went through on record only, is named in `left_out`."""
    given, currency = assumptions(scope.rules), scope.rules.roi.currency
    executed = executed_in(scope)
    sent = executed.filter(execution__mode=ExecutionMode.LIVE)
    number, by_channel, reported, left_out = _counted(scope, executed, currency)
    took = list(reviews(executed).values_list("took", flat=True).iterator())
    minutes = [one / MINUTE for one in took if one is not None]
    measured = _measured(sent, effects, currency)
    population = roi.Population(
        executed=number,
        review_minutes=tuple(minutes),
        reviews_unseen=len(took) - len(minutes),
        by_channel=by_channel,
        window_days=scope.days,
        reported_value=reported.value,
        measured_value=measured["value"],
    )
    cost = roi.costs(population, given)
    known = bool(number)
    return {
        "currency": currency,
        "days": scope.days,
        "executed": number,
        "sent": sum(by_channel.values()),
        "record_only": number - sum(by_channel.values()),
        "reviews": len(took),
        "reviews_unseen": population.reviews_unseen,
        "review_minutes": round(fsum(minutes), 2),
        "by_channel": dict(sorted(by_channel.items())),
        "costs": cost._asdict() | {"total": cost.total} if known else None,
        "reported": {
            "value": reported.value,
            "outcomes": reported.count,
            "roi": roi.roi(reported.value, cost.total) if known else None,
        },
        "measured": measured | {"roi": roi.roi(measured["value"], cost.total) if known else None},
        "left_out": left_out,
        "assumptions": asdict(given),
        "sensitivity": [row._asdict() for row in roi.sensitivity(population, given)] if known else [],
    }


def _counted(
    scope: Scope, executed: QuerySet[Intervention], currency: str
) -> tuple[int, Counter, ExactSum, list[dict]]:
    """How many were executed, and sent by each channel; what outcomes say was saved; and what of that cannot
    count: it is in another currency, or nothing was sent from which it could have come."""
    number, by_channel, saved, others = 0, Counter(), ExactSum(), defaultdict(ExactSum)
    groups = (
        with_outcome(executed, until=scope.until)
        .order_by()
        .values_list("channel", "execution__mode", "customer__currency", "counts__estimated_revenue_saved")
        .annotate(times=Count("pk"))
    )
    for channel, mode, in_currency, amount, times in groups.iterator():
        sent = mode == ExecutionMode.LIVE
        number += times
        if sent:
            by_channel[channel] += times
        counts = sent and in_currency == currency
        if amount is not None:
            (saved if counts else others[in_currency, sent]).add(amount, times)
    left_out = [
        {"currency": name, "sent": was_sent, "value": float(total.total), "outcomes": total.count}
        for (name, was_sent), total in sorted(others.items())
    ]
    return number, by_channel, saved, left_out


def _measured(sent: QuerySet[Intervention], effects: list[dict], currency: str) -> dict:
    """The fall of departures that an experiment has established, applied to the treated customers who were
    executed for, each once. Nothing is claimed before there is a verdict, and nothing of anybody who was in
    no arm."""
    final = next((row for row in effects if row["final"] and row["left"]["difference"]), None)
    if final is None:
        return {"value": None, "low": None, "high": None, "customers": 0, "account_value": None, "of": ""}
    treated = Customer.objects.filter(
        assignments__experiment=final["experiment"], assignments__arm=Arm.TREATED, currency=currency
    ).filter(pk__in=sent.values("customer_id"), account_value__isnull=False)
    found = treated.aggregate(number=Count("pk"), total=Sum("account_value"))
    number, total = found["number"], round(float(found["total"] or 0), 2)
    difference = final["left"]["difference"]
    return {
        # Fewer departures preserve; the ends of the interval change places with the sign.
        "value": -difference["value"] * total if number else None,
        "low": -difference["high"] * total if number else None,
        "high": -difference["low"] * total if number else None,
        "customers": number,
        "account_value": total if number else None,
        "of": final["experiment"],
        "verdict": Verdict(final["verdict"]).value,
    }


def value_treated(scope: Scope) -> list[tuple[str, float]]:
    """By currency: the value of the customers for whom something was really done in the window, each once."""
    customers = Customer.objects.filter(
        pk__in=scope.really_done.values("customer_id"), account_value__isnull=False
    )
    totals = customers.order_by().values_list("currency").annotate(total=Sum("account_value"))
    return [(currency, round(float(total), 2)) for currency, total in totals.order_by("currency")]
