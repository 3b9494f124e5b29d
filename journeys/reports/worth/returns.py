"""The return of what was executed in the window: cost and value of the same interventions."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict
from datetime import timedelta
from typing import NamedTuple

from django.db.models import OuterRef, QuerySet, Subquery, Sum

from approvals.models import AuditEvent, Decision
from approvals.rules import Authority
from approvals.services.viewing import VIEWED
from journeys.domain import roi
from journeys.domain.effect import Verdict
from journeys.domain.holdout import Arm
from journeys.domain.policy import PolicyDocument
from journeys.domain.vocabulary import ExecutionMode, InterventionStatus
from journeys.models import Customer, Intervention
from journeys.models.interventions import calendar_day
from journeys.reports.outcomes import ExactSum
from journeys.reports.worth.rows import latest_outcomes
from journeys.reports.worth.scope import Scope
from journeys.services.proposals import KIND

# What was executed in the window may have been proposed so many days before it began.
_EXECUTED_WITHIN = 60


class Review(NamedTuple):
    """One person's look at one intervention; `minutes` is None where nobody was seen to open it."""

    intervention_id: str
    minutes: float | None


def assumptions(rules: PolicyDocument) -> roi.Assumptions:
    given = rules.roi
    return roi.Assumptions(
        review_rate_per_hour=given.review_rate_per_hour,
        review_cap_minutes=given.review_cap_minutes,
        channel_cost={channel.value: cost for channel, cost in given.channel_cost.items()},
        infrastructure_per_month=given.infrastructure_per_month,
    )


class Executed(NamedTuple):
    intervention_id: str
    customer_id: str
    channel: str
    sent: bool


def executed_in(scope: Scope) -> Iterator[Executed]:
    """Those whose execution, on their own calendar, falls into the window."""
    rows = (
        _candidates(scope)
        .order_by("pk")
        .values_list("pk", "customer_id", "channel", "execution__mode", "as_of", "generated_at", "ended_at")
    )
    for pk, customer_id, channel, mode, as_of, generated, ended in rows.iterator():
        if scope.since < calendar_day(as_of, generated, ended or generated) <= scope.until:
            yield Executed(pk, customer_id, channel, mode == ExecutionMode.LIVE)


def _candidates(scope: Scope) -> QuerySet[Intervention]:
    return Intervention.objects.filter(
        status=InterventionStatus.EXECUTED,
        as_of__gt=scope.since - timedelta(days=_EXECUTED_WITHIN),
        as_of__lte=scope.until,
    )


def reviews(interventions: QuerySet[Intervention]) -> Iterator[Review]:
    """From the moment at which who decided had opened the evidence, to their decision."""
    opened = AuditEvent.objects.filter(
        request_id=OuterRef("request_id"), word=VIEWED, actor_key=OuterRef("actor_key")
    ).order_by("sequence")
    rows = Decision.objects.filter(
        authority=Authority.PERSON,
        request__kind=KIND,
        request__subject_key__in=interventions.values("pk"),
    ).annotate(opened=Subquery(opened.values("at")[:1]))
    for pk, first, decided in rows.values_list("request__subject_key", "opened", "decided_at").iterator():
        minutes = (decided - first).total_seconds() / 60 if first and first <= decided else None
        yield Review(pk, minutes)


def returns(scope: Scope, effects: list[dict]) -> dict:
    """Costs, both values, both returns, and what each assumption does to them. What is reported in another
    currency than the policy's, or of what went through on record only, is named in `left_out`."""
    given, currency = assumptions(scope.rules), scope.rules.roi.currency
    customers: dict[str, str] = {}
    sent: set[str] = set()
    by_channel: Counter = Counter()
    for row in executed_in(scope):
        customers[row.intervention_id] = row.customer_id
        if row.sent:
            sent.add(row.intervention_id)
            by_channel[row.channel] += 1
    minutes, unseen = [], 0
    for review in reviews(_candidates(scope)):
        if review.intervention_id in customers:
            if review.minutes is None:
                unseen += 1
            else:
                minutes.append(review.minutes)
    reported, stated, left_out = _reported(scope, customers, sent, currency)
    measured = _measured({customers[pk] for pk in sent}, effects, currency)
    population = roi.Population(
        executed=len(customers),
        review_minutes=tuple(minutes),
        reviews_unseen=unseen,
        by_channel=dict(by_channel),
        window_days=scope.days,
        reported_value=reported,
        measured_value=measured["value"],
    )
    cost = roi.costs(population, given)
    known = bool(customers)
    return {
        "currency": currency,
        "days": scope.days,
        "executed": len(customers),
        "sent": len(sent),
        "record_only": len(customers) - len(sent),
        "reviews": len(minutes) + unseen,
        "reviews_unseen": unseen,
        "review_minutes": round(sum(minutes), 2),
        "by_channel": dict(sorted(by_channel.items())),
        "costs": cost._asdict() | {"total": cost.total} if known else None,
        "reported": {
            "value": reported,
            "outcomes": stated,
            "roi": roi.roi(reported, cost.total) if known else None,
        },
        "measured": measured | {"roi": roi.roi(measured["value"], cost.total) if known else None},
        "left_out": left_out,
        "assumptions": asdict(given),
        "sensitivity": [row._asdict() for row in roi.sensitivity(population, given)] if known else [],
    }


def _reported(
    scope: Scope, executed: Mapping[str, str], sent: Collection[str], currency: str
) -> tuple[float | None, int, list[dict]]:
    """What outcomes say was saved, of how many, and what of it cannot count: it is in another currency, or
    nothing was sent from which it could have come."""
    saved, others = ExactSum(), {}
    fields = ("estimated_revenue_saved", "intervention__customer__currency")
    for pk, amount, in_currency in latest_outcomes(_candidates(scope), *fields, until=scope.until):
        if pk not in executed or amount is None:
            continue
        counts = pk in sent and in_currency == currency
        (saved if counts else others.setdefault((in_currency, pk in sent), ExactSum())).add(amount)
    left_out = [
        {"currency": name, "sent": was_sent, "value": float(total.total), "outcomes": total.count}
        for (name, was_sent), total in sorted(others.items())
    ]
    return (float(saved.total) if saved.count else None), saved.count, left_out


def _measured(customer_ids: set[str], effects: list[dict], currency: str) -> dict:
    """The fall of departures that an experiment has established, applied to the treated customers who were
    executed for. Nothing is claimed before there is a verdict, and nothing of anybody who was in no arm."""
    final = next((row for row in effects if row["final"] and row["left"]["difference"]), None)
    if final is None:
        return {"value": None, "low": None, "high": None, "customers": 0, "account_value": None, "of": ""}
    treated = Customer.objects.filter(
        assignments__experiment=final["experiment"], assignments__arm=Arm.TREATED, currency=currency
    )
    number, total = 0, 0.0
    for pk, value in treated.values_list("pk", "account_value").iterator():
        if pk in customer_ids and value is not None:
            number, total = number + 1, total + float(value)
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
