"""What became of customers some days after something was done for them, or deliberately not. A run measures
it; what really happened and was told late, or corrected, replaces what was measured, which stays on record.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import NamedTuple

from django.db import transaction
from django.db.models import Case, Count, DateField, Exists, F, OuterRef, Q, QuerySet, Subquery, When
from django.utils import timezone

from approvals.models import ApprovalRequest
from approvals.rows import insert
from journeys.batches import in_batches
from journeys.domain.journey_state import evaluate
from journeys.domain.policy import PolicyDocument
from journeys.domain.vocabulary import InterventionStatus, Polarity
from journeys.models import (
    Assessment,
    Assignment,
    Customer,
    Intervention,
    Measurement,
    PipelineRun,
    Signal,
)
from journeys.models.interventions import calendar_day
from journeys.services.proposals import KIND

_AT_ONCE = 500
_BECAME = (
    "customer_id", "churn_before", "churn_after", "stage_before", "stage_after", "health_before",
    "health_after", "negative_signals", "positive_signals", "value_after", "renewed_on", "churned_on",
)  # fmt: skip
_COLUMNS = (
    "checkpoint_days", "since", "until", *_BECAME, "value_before", "run_id", "measured_at",
)  # fmt: skip


class _Subject(NamedTuple):
    """What is measured: an intervention or an assignment, by its key, and of which customer."""

    key: str | int
    customer_id: str
    value: Decimal | None


class _Facts(NamedTuple):
    """Of a customer. `before` and `then` are the keys of the assessments that held on the first day and the
    last, `negative` and `positive` the numbers of signals between; None for none."""

    customer_id: str
    value: Decimal | None
    renewed_on: date | None
    churned_on: date | None
    before: int | None
    then: int | None
    negative: int | None
    positive: int | None


class _Seen(NamedTuple):
    """Of an assessment."""

    churn_risk_score: float | None
    journey_stage: str
    stage_health: str
    as_of: date | None
    days_in_state: int


_UNSEEN = _Seen(None, "", "", None, 0)


class Measured(NamedTuple):
    """How many measurements were made, and how many replaced an earlier one."""

    new: int
    corrected: int


def measure_due(run: PipelineRun, rules: PolicyDocument) -> Measured:
    """Measure every checkpoint that has been passed by the run's day and is not measured yet, and replace
    what has turned out otherwise. A run on one customer measures that customer alone. Measuring again
    measures nothing."""
    new = 0
    for days in rules.outcomes.checkpoint_days:
        last = run.as_of - timedelta(days=days)
        for since, interventions in _executed_by(last, days, run).items():
            new += _measure(interventions, "intervention_id", since, days, run, rules)
        for since, assignments in _assigned_by(last, days, run).items():
            new += _measure(assignments, "assignment_id", since, days, run, rules)
    return Measured(new, _correct(run))


def _executed_by(last: date, days: int, run: PipelineRun) -> dict[date, list[_Subject]]:
    """By the day of execution, on each intervention's own calendar."""
    measured = _standing(days).filter(intervention=OuterRef("pk"))
    rows = Intervention.objects.filter(
        ~Exists(measured), status=InterventionStatus.EXECUTED, as_of__lte=last, **_of_customer(run)
    )
    found: dict[date, list[_Subject]] = defaultdict(list)
    fields = ("pk", "customer_id", "as_of", "generated_at", "ended_at")
    for pk, customer_id, as_of, generated_at, ended_at in rows.values_list(*fields).iterator():
        since = calendar_day(as_of, generated_at, ended_at or generated_at)
        if since <= last:
            found[since].append(_Subject(pk, customer_id, None))
    return found


def _standing(days: int) -> QuerySet:
    """The condition is that of the partial indexes, so that they are used."""
    return Measurement.objects.filter(checkpoint_days=days, replaced_at__isnull=True)


def _assigned_by(last: date, days: int, run: PipelineRun) -> dict[date, list[_Subject]]:
    measured = _standing(days).filter(assignment=OuterRef("pk"))
    rows = Assignment.objects.filter(~Exists(measured), assigned_on__lte=last, **_of_customer(run))
    found: dict[date, list[_Subject]] = defaultdict(list)
    for pk, customer_id, since, value in rows.values_list(
        "pk", "customer_id", "assigned_on", "account_value"
    ).iterator():
        found[since].append(_Subject(pk, customer_id, value))
    return found


def _of_customer(run: PipelineRun) -> dict:
    return {"customer_id": run.customer_id} if run.customer_id else {}


def _measure(
    subjects: list[_Subject], key: str, since: date, days: int, run: PipelineRun, rules: PolicyDocument
) -> int:
    """All of one day at once: the subjects differ by customer only."""
    until = since + timedelta(days=days)
    looked_at = PipelineRun.objects.filter(
        scope=PipelineRun.Scope.PORTFOLIO,
        status=PipelineRun.Status.SUCCEEDED,
        as_of__gt=since,
        as_of__lte=until,
    ).exists()
    for chunk in in_batches(subjects, _AT_ONCE):
        facts = {
            found.customer_id: found
            for found in _facts([one.customer_id for one in chunk], since, until, rules, looked_at=looked_at)
        }
        seen = _seen({pk for found in facts.values() for pk in (found.before, found.then) if pk})
        values = _values_at_stake(chunk) if key == "intervention_id" else {}
        now = timezone.now()
        rows = [
            (
                one.key,
                days,
                since,
                until,
                *_became(facts[one.customer_id], seen, since, until, rules),
                values.get(one.key, one.value),
                run.pk,
                now,
            )
            for one in chunk
        ]
        with transaction.atomic():
            # A run on one customer may measure at the same moment; the first counts.
            insert(Measurement, (key, *_COLUMNS), rows, unless_there=True)
    return len(subjects)


def _facts(
    customer_ids: Sequence[str], since: date, until: date, rules: PolicyDocument, *, looked_at: bool
) -> Iterator[_Facts]:
    """`looked_at`: whether a run looked at everybody within the days. It kept only what it found changed:
    what held before, and was not ended, is then what it saw."""
    mine = Assessment.objects.filter(customer=OuterRef("pk")).order_by("-as_of", "-id")
    then = Q(as_of__gt=since, as_of__lte=until)
    if looked_at:
        # Of the assessment itself, within which this stands, and not of the customer around it.
        later = Assessment.objects.filter(customer=OuterRef("customer"), as_of__gt=until)
        then |= Q(as_of__lte=since) & (Q(is_current=True) | Exists(later))
    rows = Customer.objects.filter(pk__in=customer_ids).values_list(
        "pk",
        "account_value",
        "renewed_on",
        "churned_on",
        Subquery(mine.filter(as_of__lte=since).values("pk")[:1]),
        Subquery(mine.filter(then).values("pk")[:1]),
        _signals(Polarity.NEGATIVE, since, until, rules),
        _signals(Polarity.POSITIVE, since, until, rules),
    )
    return map(_Facts._make, rows)


def _seen(keys: Collection[int]) -> dict[int, _Seen]:
    rows = Assessment.objects.filter(pk__in=keys).values_list("pk", *_Seen._fields)
    return {pk: _Seen._make(row) for pk, *row in rows}


def _signals(polarity: Polarity, since: date, until: date, rules: PolicyDocument) -> Subquery:
    """How many of the kind were detected after the day `since`, up to and with the day `until`."""
    kinds = [kind for kind, rule in rules.signals.kinds.items() if rule.polarity == polarity]
    first, last = (datetime.combine(day + timedelta(days=1), time(0, tzinfo=UTC)) for day in (since, until))
    rows = Signal.objects.filter(
        customer_id=OuterRef("pk"), detected_at__gte=first, detected_at__lt=last, signal_type__in=kinds
    )
    return Subquery(rows.order_by().values("customer_id").annotate(number=Count("pk")).values("number"))


def _values_at_stake(interventions: Iterable[_Subject]) -> dict[str, Decimal | None]:
    """What each account was worth when it was asked."""
    keys = [one.key for one in interventions]
    requests = ApprovalRequest.objects.filter(kind=KIND, subject_key__in=keys).order_by("pk")
    return dict(requests.values_list("subject_key", "value_at_stake"))


def _became(found: _Facts, seen: dict[int, _Seen], since: date, until: date, rules: PolicyDocument) -> tuple:
    """The values of `_BECAME`."""
    before, then = seen.get(found.before, _UNSEEN), seen.get(found.then, _UNSEEN)
    return (
        found.customer_id,
        _churn_on(since, before, rules),
        _churn_on(until, then, rules),
        before.journey_stage,
        then.journey_stage,
        before.stage_health,
        then.stage_health,
        found.negative or 0,
        found.positive or 0,
        found.value,
        _within(found.renewed_on, since, until),
        _within(found.churned_on, since, until),
    )


def _churn_on(day: date, seen: _Seen, rules: PolicyDocument) -> float | None:
    """The churn risk of an assessment that still held on that day: by then only the days had moved it."""
    if seen.churn_risk_score is None:
        return None
    then, now = (
        evaluate(stage=seen.journey_stage, days=seen.days_in_state + more, policy=rules).friction_score
        for more in (0, max(0, (day - seen.as_of).days))
    )
    return round(min(1.0, seen.churn_risk_score + rules.risk.churn.friction_score * (now - then)), 3)


def _within(day: date | None, since: date, until: date) -> date | None:
    return day if day and since < day <= until else None


def _correct(run: PipelineRun) -> int:
    """Replace those of which the customer's record says something else by now: told late, or corrected."""
    rows = Measurement.objects.filter(replaced_at__isnull=True, **_of_customer(run)).annotate(
        left=_in_its_days("churned_on"), stayed=_in_its_days("renewed_on")
    )
    wrong = rows.filter(_differs("churned_on", "left") | _differs("renewed_on", "stayed"))
    corrected = 0
    for chunk in in_batches(list(wrong.values_list("pk", flat=True)), _AT_ONCE):
        with transaction.atomic():
            # Locked, so that of two runs at once the second finds nothing to do.
            current = list(wrong.filter(pk__in=chunk).order_by("pk").select_for_update(of=("self",)))
            Measurement.objects.filter(pk__in=[row.pk for row in current]).update(replaced_at=timezone.now())
            Measurement.objects.bulk_create([_replacement(row, run) for row in current])
        corrected += len(current)
    return corrected


def _in_its_days(field: str) -> Case:
    day = f"customer__{field}"
    inside = {f"{day}__gt": F("since"), f"{day}__lte": F("until")}
    return Case(When(**inside, then=F(day)), output_field=DateField())


def _differs(field: str, now: str) -> Q:
    """Null counts as a value of its own."""
    return (
        Q(**{f"{field}__isnull": True, f"{now}__isnull": False})
        | Q(**{f"{field}__isnull": False, f"{now}__isnull": True})
        | ~Q(**{field: F(now)}) & Q(**{f"{field}__isnull": False, f"{now}__isnull": False})
    )


def _replacement(row: Measurement, run: PipelineRun) -> Measurement:
    kept = {
        field.attname: getattr(row, field.attname)
        for field in Measurement._meta.concrete_fields
        if field.name not in ("id", "run", "measured_at", "replaced_at")
    }
    return Measurement(**kept | {"churned_on": row.left, "renewed_on": row.stayed}, run=run)
