"""What may be learnt: overrides, playbooks, calibration, and what they suggest. Nothing changes by itself."""

from collections import Counter, defaultdict
from datetime import date, timedelta
from typing import NamedTuple

from django.db.models import Case, Count, IntegerField, QuerySet, Value, When

from approvals.rules import Authority, Verdict
from journeys import held
from journeys.domain import learning
from journeys.domain.effect import Share
from journeys.domain.learning import BANDS, SUCCESS, Calibration, Overrides, band, band_label
from journeys.domain.vocabulary import ExecutionMode, InterventionStatus
from journeys.models import Customer, Intervention, PipelineRun
from journeys.reports.outcomes import ExactSum
from journeys.reports.worth.returns import assumptions, reviews
from journeys.reports.worth.rows import latest_outcomes
from journeys.reports.worth.scope import Scope

BY = ("confidence", "action", "rule", "segment")


class _Decided(NamedTuple):
    """A person's decision on a recommendation. `right`: of a rejection whose days have passed, whether the
    customer stayed; None where that is not known."""

    keys: dict[str, list[str]]
    overruled: bool
    right: bool | None
    person: str


def learn(scope: Scope) -> dict:
    over = scope.over(scope.rules.kpis.learning_days)
    overrides = _tally(over)
    calibration, since = calibrate(scope)
    playbooks = _playbooks(over)
    suggested = learning.suggestions(
        overrides=overrides,
        calibration=calibration,
        playbooks=[(row["action"], row["segment"], Share(*row["success"])) for row in playbooks],
        policy=scope.rules,
    )
    return {
        "days": over.days,
        "overrides": [_override(row) for row in overrides],
        "calibration": {
            "of": since and since.isoformat(),
            "days": scope.rules.outcomes.truth_days,
            "bands": [
                {
                    "band": band_label(row.band),
                    "count": row.churned.count,
                    "of": row.churned.of,
                    "value": row.churned.value,
                    "expected": row.expected,
                    "off": row.is_off,
                }
                for row in calibration
            ],
        },
        "playbooks": playbooks,
        "suggestions": [row._asdict() for row in suggested],
    }


def _override(row: Overrides) -> dict:
    return {
        "by": row.by,
        "key": row.key,
        "overruled": row.overruled.count,
        "decided": row.overruled.of,
        "right": row.right.count,
        "judged": row.right.of,
    }


def by_person(scope: Scope) -> list[dict]:
    """For auditors: who overruled how often, and was right. Keys, as the audit names people."""
    return [_override(row) for row in _tally(scope.over(scope.rules.kpis.learning_days), people=True)]


def _tally(scope: Scope, *, people: bool = False) -> list[Overrides]:
    decided, overruled = Counter(), Counter()
    judged, right = Counter(), Counter()
    for one in _decisions(scope):
        for by, keys in ({"person": [one.person]} if people else one.keys).items():
            for key in keys:
                decided[by, key] += 1
                overruled[by, key] += one.overruled
                if one.right is not None:
                    judged[by, key] += 1
                    right[by, key] += one.right
    order = {by: place for place, by in enumerate(BY)}
    return [
        Overrides(by, key, Share(overruled[by, key], number), Share(right[by, key], judged[by, key]))
        for (by, key), number in sorted(decided.items(), key=lambda one: (order.get(one[0][0], 9), one[0]))
    ]


def _decisions(scope: Scope):
    stayed = _stayed_after_rejection(scope)
    rows = scope.requests.filter(ending__authority=Authority.PERSON)
    fields = ("subject_key", "confidence", "action", "person_reasons", "segment", "editors")
    for pk, confidence, action, rules, segment, editors, verdict, person in rows.values_list(
        *fields, "ending__verdict", "ending__actor_key"
    ).iterator():
        keys = {
            "confidence": [] if confidence is None else [band_label(band(confidence))],
            "action": [action],
            "rule": rules,
            "segment": [segment],
        }
        yield _Decided(keys, verdict == Verdict.REJECTED or bool(editors), stayed.get(pk), person)


def _stayed_after_rejection(scope: Scope) -> dict[str, bool]:
    if not scope.departures_known:
        return {}
    days = timedelta(days=scope.rules.outcomes.truth_days)
    rejected = Intervention.objects.filter(
        status=InterventionStatus.REJECTED, as_of__gt=scope.since, as_of__lte=scope.until - days
    )
    return {
        pk: not (left and day < left <= day + days)
        for pk, day, left in rejected.values_list("pk", "as_of", "customer__churned_on").iterator()
    }


def _playbooks(scope: Scope) -> list[dict]:
    """By action and segment: what was done, what came of it, and what it cost. Cost is review and channel;
    infrastructure belongs to no playbook. Money is in the policy's currency."""
    given, currency = assumptions(scope.rules), scope.rules.roi.currency
    where: dict[str, tuple[str, str]] = {}
    runs, succeeded, known = Counter(), Counter(), Counter()
    cost: defaultdict[tuple, float] = defaultdict(float)
    value: defaultdict[tuple, ExactSum] = defaultdict(ExactSum)
    rows = scope.done.order_by("pk").values_list(
        "pk", "recommended_action", "customer__segment", "status", "channel", "execution__mode"
    )
    own, on_record_only = set(), set()
    for pk, action, segment, status, channel, mode in rows.iterator():
        where[pk] = key = action, segment
        runs[key] += 1
        if status != InterventionStatus.IMPORTED:
            own.add(key)
        if mode == ExecutionMode.RECORD_ONLY:
            on_record_only.add(pk)
        elif mode == ExecutionMode.LIVE:
            cost[key] += given.channel_cost.get(channel, 0.0)
    for review in reviews(scope.done):
        minutes = given.review_cap_minutes if review.minutes is None else review.minutes
        cost[where[review.intervention_id]] += (
            min(minutes, given.review_cap_minutes) / 60 * given.review_rate_per_hour
        )
    fields = ("outcome", "estimated_revenue_saved", "intervention__customer__currency")
    for pk, outcome, saved, in_currency in latest_outcomes(scope.done, *fields, until=scope.until):
        key = where[pk]
        known[key] += 1
        succeeded[key] += outcome in SUCCESS
        if in_currency == currency and pk not in on_record_only:
            value[key].add(saved)
    return [
        _playbook(
            key,
            number,
            Share(succeeded[key], known[key]),
            value[key],
            cost[key] if key in own else None,
            scope,
        )
        for key, number in sorted(runs.items(), key=lambda item: (-item[1], item[0]))
    ]


def _playbook(
    key: tuple[str, str], runs: int, success: Share, value: ExactSum, cost: float | None, scope: Scope
) -> dict:
    saved = float(value.total) if value.count else None
    return {
        "action": key[0],
        "segment": key[1],
        "runs": runs,
        "success": list(success),
        "cost": cost,
        "value": saved,
        "roi": (saved - cost) / cost if saved is not None and cost else None,
        "under_review": learning.under_review(success, scope.rules),
    }


def calibrate(scope: Scope) -> tuple[list[Calibration], date | None]:
    """By band of the churn score that a run gave when the days began: how many have left since. And the day
    of that run; None where there is none, or nobody records who leaves."""
    days = timedelta(days=scope.rules.outcomes.truth_days)
    then = (
        PipelineRun.objects.filter(
            scope=PipelineRun.Scope.PORTFOLIO,
            status=PipelineRun.Status.SUCCEEDED,
            as_of__lte=scope.until - days,
        )
        .order_by("-as_of", "-pk")
        .only("as_of")
        .first()
    )
    if then is None or not scope.departures_known:
        return [], None
    # Who has left is few: the customers need not be joined with all that was assessed.
    gone = Customer.objects.filter(churned_on__gt=then.as_of, churned_on__lte=then.as_of + days)
    rated = held.after(then)
    of, left = _by_band(rated), _by_band(rated.filter(customer__in=gone.values("pk")))
    # Who had left before could not leave again.
    before = _by_band(rated.filter(customer__churned_on__lte=then.as_of))
    return [
        Calibration(number, Share(left[number], of[number] - before[number]))
        for number in range(BANDS)
        if of[number] - before[number]
    ], then.as_of


def _by_band(rows: QuerySet) -> Counter:
    """Scores have three places: a bound half a thousandth below is the band's own, whatever the last bit."""
    bands = Case(
        *(When(churn_risk_score__lt=(n + 1) / BANDS - 0.0005, then=Value(n)) for n in range(BANDS - 1)),
        default=Value(BANDS - 1),
        output_field=IntegerField(),
    )
    return Counter(dict(rows.order_by().values_list(bands).annotate(number=Count("pk"))))
