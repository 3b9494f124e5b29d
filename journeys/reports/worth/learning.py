"""What may be learnt: overrides, playbooks, calibration, and what they suggest. Nothing changes by itself."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple

from django.db.models import Case, Count, IntegerField, OuterRef, QuerySet, Subquery, Sum, Value, When
from django.db.models.functions import Coalesce, Concat, Least

from approvals.rules import Authority
from journeys import held
from journeys.domain import learning
from journeys.domain.effect import Share
from journeys.domain.learning import BANDS, SUCCESS, Calibration, Overrides, band_label
from journeys.domain.vocabulary import ExecutionMode, InterventionStatus
from journeys.models import Customer, Intervention, PipelineRun
from journeys.reports.outcomes import ExactSum, with_outcome
from journeys.reports.worth.microseconds import MINUTE
from journeys.reports.worth.returns import assumptions, reviews
from journeys.reports.worth.rows import OVERRULED, left_within, rejected
from journeys.reports.worth.scope import Scope

BY = ("confidence", "action", "rule", "segment")


class _Decided(NamedTuple):
    """What people decided alike on recommendations with something in common."""

    keys: dict[str, list[str]]
    overruled: bool
    number: int


def learn(scope: Scope) -> tuple[dict, dict[str, float]]:
    """What is learnt; and by currency the revenue that outcomes state as saved in the window itself, which is
    read in the same pass."""
    over = scope.over(scope.rules.kpis.learning_days)
    overrides = _tally(over)
    calibration, since = calibrate(scope)
    playbooks, saved = _playbooks(over, scope)
    suggested = learning.suggestions(
        overrides=overrides,
        calibration=calibration,
        playbooks=[(row["action"], row["segment"], Share(*row["success"])) for row in playbooks],
        policy=scope.rules,
    )
    learnt = {
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
    return learnt, saved


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
    by_people = scope.requests.filter(ending__authority=Authority.PERSON)
    decided, overruled = Counter(), Counter()
    for one in _decisions(by_people, people=people):
        for key in _keys(one):
            decided[key] += one.number
            overruled[key] += one.number if one.overruled else 0
    right, wrong = (
        _counted(by_people.filter(subject_key__in=rejections.values("pk")), people=people)
        for rejections in _judged(scope)
    )
    order = {by: place for place, by in enumerate(BY)}
    return [
        Overrides(by, key, Share(overruled[by, key], number), _share(right[by, key], wrong[by, key]))
        for (by, key), number in sorted(decided.items(), key=lambda one: (order.get(one[0][0], 9), one[0]))
    ]


def _share(right: int, wrong: int) -> Share:
    return Share(right, right + wrong)


def _keys(one: _Decided) -> Iterator[tuple[str, str]]:
    return ((by, key) for by, keys in one.keys.items() for key in keys)


def _counted(requests: QuerySet, *, people: bool) -> Counter:
    found = Counter()
    for one in _decisions(requests, people=people):
        for key in _keys(one):
            found[key] += one.number
    return found


def _decisions(requests: QuerySet, *, people: bool) -> Iterator[_Decided]:
    """By what they have in common, which are far fewer than the decisions."""
    fields = (
        ["ending__actor_key"] if people else [_band_of("confidence"), "action", "person_reasons", "segment"]
    )
    overruled = Case(When(OVERRULED, then=Value(1)), default=Value(0), output_field=IntegerField())
    groups = requests.order_by().values_list(*fields, overruled).annotate(number=Count("pk"))
    for *common, was_overruled, number in groups.iterator():
        yield _Decided(_named(common, people=people), bool(was_overruled), number)


def _named(common: list, *, people: bool) -> dict[str, list[str]]:
    if people:
        return {"person": common}
    confidence, action, rules, segment = common
    return {
        "confidence": [] if confidence is None else [band_label(confidence)],
        "action": [action],
        "rule": rules,
        "segment": [segment],
    }


def _judged(scope: Scope) -> tuple[QuerySet, QuerySet]:
    """Of the rejections whose days have passed, those whose customer stayed, and those whose left."""
    days = scope.rules.outcomes.truth_days
    passed = rejected(scope, as_of__gt=scope.since, as_of__lte=scope.until - timedelta(days=days))
    if not scope.departures_known:
        return passed.none(), passed.none()
    left = passed.filter(left_within(days))
    return passed.exclude(pk__in=left.values("pk")), left


def _playbooks(scope: Scope, window: Scope) -> tuple[list[dict], dict[str, float]]:
    """By action and segment: what was done, what came of it, and what it cost. Cost is review and channel;
    infrastructure belongs to no playbook. Money is in the policy's currency. And by currency what was saved
    in the `window`, if anything states it."""
    given, currency = assumptions(scope.rules), scope.rules.roi.currency
    runs, succeeded, known = Counter(), Counter(), Counter()
    cost: defaultdict[tuple, float] = defaultdict(float)
    value: defaultdict[tuple, ExactSum] = defaultdict(ExactSum)
    saved: defaultdict[str, ExactSum] = defaultdict(ExactSum)
    own = set()
    for row in _done(max(scope, window, key=lambda one: one.days), scope, window):
        key = row.action, row.segment
        if row.in_window and row.mode != ExecutionMode.RECORD_ONLY:
            saved[row.currency].add(row.saved, row.number)
        if not row.is_learnt_from:
            continue
        runs[key] += row.number
        if row.status != InterventionStatus.IMPORTED:
            own.add(key)
        if row.mode == ExecutionMode.LIVE:
            cost[key] += row.number * given.channel_cost.get(row.channel, 0.0)
        if row.outcome is not None:
            known[key] += row.number
            succeeded[key] += row.number if row.outcome in SUCCESS else 0
        if row.currency == currency and row.mode != ExecutionMode.RECORD_ONLY:
            value[key].add(row.saved, row.number)
    for *key, spent in _review_minutes(scope, given.review_cap_minutes):
        cost[tuple(key)] += spent / 60 * given.review_rate_per_hour
    playbooks = [
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
    return playbooks, {name: float(total.total) for name, total in saved.items() if total.count}


class _DoneAlike(NamedTuple):
    """So many of what was done that have all this in common."""

    action: str
    segment: str
    status: str
    channel: str
    mode: str | None
    currency: str
    outcome: str | None
    saved: Decimal | None
    is_learnt_from: bool
    in_window: bool
    number: int


def _done(widest: Scope, learnt: Scope, window: Scope) -> Iterator[_DoneAlike]:
    is_learnt_from, in_window = (
        Case(When(as_of__gt=one.since, then=Value(True)), default=Value(False)) for one in (learnt, window)
    )
    groups = with_outcome(widest.done, until=widest.until).order_by().values_list(
        "recommended_action", "customer__segment", "status", "channel", "execution__mode",
        "customer__currency", "counts__outcome", "counts__estimated_revenue_saved",
        is_learnt_from, in_window,
    )  # fmt: skip
    return map(_DoneAlike._make, groups.annotate(number=Count("pk")).iterator())


def _review_minutes(scope: Scope, cap: float) -> Iterator[tuple[str, str, float]]:
    """By action and segment; at most the cap each, and the whole of it where nobody was seen to open it."""
    whole = round(cap * MINUTE)
    mine = Intervention.objects.filter(pk=OuterRef("request__subject_key"))
    found = reviews(scope.done).annotate(
        of=Subquery(mine.values(of=Concat("recommended_action", Value("/"), "customer__segment"))),
        spent=Coalesce(Least("took", whole), whole),
    )
    for of, spent in found.order_by().values_list("of").annotate(total=Sum("spent")):
        yield *of.split("/", 1), float(spent) / MINUTE


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
    of that run; None where there is none, or nobody records who leaves. A run that looked at everybody: one
    over what changed leaves scores as they were where no line was crossed."""
    days = timedelta(days=scope.rules.outcomes.truth_days)
    then = (
        PipelineRun.objects.filter(
            scope=PipelineRun.Scope.PORTFOLIO,
            changed_only=False,
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
    bands = rows.order_by().values_list(_band_of("churn_risk_score"))
    return Counter(dict(bands.annotate(number=Count("pk"))))


def _band_of(field: str) -> Case:
    """As `learning.band` has it, null of null. Scores have three places: a bound half a thousandth below is
    the band's own, whatever the last bit."""
    return Case(
        When(**{f"{field}__isnull": True}, then=Value(None)),
        *(When(**{f"{field}__lt": (n + 1) / BANDS - 0.0005}, then=Value(n)) for n in range(BANDS - 1)),
        default=Value(BANDS - 1),
        output_field=IntegerField(),
    )
