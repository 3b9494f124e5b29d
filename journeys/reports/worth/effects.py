"""What the actions caused, experiment by experiment: those who were eligible and not held out, approved or
not, against those held out, over the same days and by the same measure (intention to treat)."""

from collections import defaultdict
from datetime import date, timedelta
from itertools import chain, repeat

from django.db.models import Count, F, Max, Min, Q, QuerySet

from journeys.domain import effect
from journeys.domain.effect import Difference, Sample, Share, Verdict
from journeys.domain.holdout import Arm
from journeys.domain.vocabulary import ExecutionMode, InterventionStatus
from journeys.models import Assignment, Intervention, Measurement
from journeys.reports.worth.scope import Scope

# Of groups by action and segment so many are shown, the largest first.
_GROUPS = 12


def effects(scope: Scope) -> list[dict]:
    """One dict for each experiment up to the run's day, the latest first.

    `left` and `renewed` are what really happened within `truth_days`, `churn_fall` is our own score. Each
    measure has both arms and a difference (the treated less the held out) with a 95 % interval, None where
    nothing is known. The verdict rests on `left` alone, among the first `planned` who entered.
    """
    entered = Assignment.objects.filter(assigned_on__lte=scope.until)
    experiments = (
        entered.order_by()
        .values("experiment")
        .annotate(
            customers=Count("pk"),
            held=Count("pk", filter=Q(arm=Arm.HELD_OUT)),
            first=Min("assigned_on"),
            last=Max("assigned_on"),
        )
    )
    return [_experiment(scope, row) for row in experiments.order_by("-last", "experiment")]


def _experiment(scope: Scope, row: dict) -> dict:
    name = row["experiment"]
    days = scope.rules.outcomes.truth_days
    assigned = Assignment.objects.filter(experiment=name, assigned_on__lte=scope.until)
    planned = assigned.order_by("assigned_on", "pk").values_list("planned", flat=True).first()
    counted = _standing(scope, name, days)
    first, complete = _first(counted, assigned, planned, days, scope.until)
    left = _left(scope, first if complete else counted)
    over = _is_over(scope, name, row["last"], days)
    verdict = effect.verdict(left["difference"], final=complete, lower_is_better=True)
    if not complete and over:
        verdict = Verdict.INCONCLUSIVE
    return {
        "experiment": name,
        "from": row["first"].isoformat(),
        "last_entered": row["last"].isoformat(),
        "days": days,
        "planned": planned,
        "entered": {"treated": row["customers"] - row["held"], "held_out": row["held"]},
        "reached": _reached(name, scope.until),
        "complete": counted.count(),
        "final": complete,
        "over": over,
        "verdict": verdict.value,
        "left": _told(left),
        "renewed": _told(_renewed(scope, first if complete else counted)),
        "churn_fall": _told(_churn_fall(scope, name)),
        "by_action": _groups(scope, counted, "recommended_action"),
        "by_segment": _groups(scope, counted, "segment"),
    }


def _standing(scope: Scope, experiment: str, days: int) -> QuerySet[Measurement]:
    return Measurement.objects.filter(
        assignment__experiment=experiment,
        checkpoint_days=days,
        until__lte=scope.until,
        replaced_at__isnull=True,
    )


def _first(
    counted: QuerySet, assigned: QuerySet, planned: int | None, days: int, until: date
) -> tuple[QuerySet, bool]:
    """The measurements of the first `planned` who entered, and whether they are all there."""
    if not planned:
        return counted, False
    last = assigned.order_by("assigned_on", "pk").values_list("assigned_on", "pk")[planned - 1 : planned]
    if not last or last[0][0] + timedelta(days=days) > until:
        return counted, False
    day, key = last[0]
    first = counted.filter(
        Q(assignment__assigned_on__lt=day) | Q(assignment__assigned_on=day, assignment__lte=key)
    )
    return first, first.count() == planned


def _is_over(scope: Scope, experiment: str, last: date, days: int) -> bool:
    """Whether the policy of the run takes nobody in any more, and the days of the last one have passed."""
    rules = scope.rules.holdout
    going_on = (
        rules.experiment == experiment
        and rules.share > 0
        and (rules.ends_on is None or rules.ends_on >= scope.until)
    )
    return not going_on and last + timedelta(days=days) <= scope.until


def _reached(experiment: str, until: date) -> dict:
    """How many of each arm somebody really contacted since they entered: an approval is not a contact, and a
    person may contact who is held out. The comparison counts each in the arm they were drawn into."""
    entered = "customer__assignments__"
    contacts = Intervention.objects.filter(
        status=InterventionStatus.EXECUTED,
        execution__mode=ExecutionMode.LIVE,
        as_of__lte=until,
        **{f"{entered}experiment": experiment, f"{entered}assigned_on__lte": F("as_of")},
    )
    # A join, as SQLite would look for each customer through all that was ever executed.
    counts = dict(
        contacts.order_by().values_list(f"{entered}arm").annotate(number=Count("customer", distinct=True))
    )
    return {arm.value: counts.get(arm, 0) for arm in Arm}


def _left(scope: Scope, rows: QuerySet) -> dict:
    return _shares(rows, "churned_on") if scope.departures_known else _nothing()


def _renewed(scope: Scope, rows: QuerySet) -> dict:
    found = _shares(rows, "renewed_on")
    # Where nobody is recorded as having renewed, it is not known whether renewals are recorded at all.
    return found if any(share.count for share in found["arms"].values()) else _nothing()


def _nothing() -> dict:
    return {"arms": {arm.value: Share(0, 0) for arm in Arm}, "difference": None}


def _shares(rows: QuerySet, field: str) -> dict:
    arms = dict.fromkeys([arm.value for arm in Arm], Share(0, 0))
    for arm, of, count in (
        rows.order_by().values_list("assignment__arm").annotate(of=Count("pk"), count=Count(field))
    ):
        arms[arm] = Share(count, of)
    return {
        "arms": arms,
        "difference": effect.difference_of_shares(arms[Arm.TREATED.value], arms[Arm.HELD_OUT.value]),
    }


def _churn_fall(scope: Scope, experiment: str) -> dict:
    rows = _standing(scope, experiment, scope.rules.outcomes.proxy_days).filter(
        churn_before__isnull=False, churn_after__isnull=False
    )
    arms = {}
    for arm in Arm:
        falls = (
            rows.filter(assignment__arm=arm)
            .annotate(fall=F("churn_before") - F("churn_after"))
            .order_by("fall")
            .values_list("fall")
            .annotate(times=Count("pk"))
        )
        # Scores have three places, so many falls are alike.
        each = chain.from_iterable(repeat(fall, times) for fall, times in falls.iterator())
        arms[arm.value] = effect.sample(each)
    return {
        "arms": arms,
        "difference": effect.difference_of_means(arms[Arm.TREATED.value], arms[Arm.HELD_OUT.value]),
    }


def _groups(scope: Scope, rows: QuerySet, field: str) -> list[dict]:
    """Exploratory: no verdict, and an interval only where both arms are large enough."""
    if not scope.departures_known:
        return []
    found: dict[str, dict[str, Share]] = defaultdict(lambda: {arm.value: Share(0, 0) for arm in Arm})
    grouped = rows.order_by().values_list(f"assignment__{field}", "assignment__arm")
    for key, arm, of, count in grouped.annotate(of=Count("pk"), count=Count("churned_on")):
        found[key][arm] = Share(count, of)
    largest = sorted(found.items(), key=lambda item: (-sum(share.of for share in item[1].values()), item[0]))
    groups = []
    for key, arms in largest[:_GROUPS]:
        enough = min(share.of for share in arms.values()) >= effect.LEAST_PER_ARM
        difference = (
            effect.difference_of_shares(arms[Arm.TREATED.value], arms[Arm.HELD_OUT.value]) if enough else None
        )
        groups.append({"key": key} | _told({"arms": arms, "difference": difference}))
    return groups


def _told(found: dict) -> dict:
    """As it is stored: plain numbers."""
    return {
        **{name: _arm(arm) for name, arm in found["arms"].items()},
        "difference": _interval(found["difference"]),
    }


def _arm(arm: Share | Sample) -> dict:
    if isinstance(arm, Share):
        return {"count": arm.count, "of": arm.of, "value": arm.value}
    return {"of": arm.of, "value": arm.mean if arm.of else None}


def _interval(difference: Difference | None) -> dict | None:
    return difference and {name: round(value, 6) for name, value in difference._asdict().items()}
