"""Deleting what was kept for as long as the policy says. What holds, and what a proposal rests on, stays."""

from collections import Counter
from datetime import timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from approvals.audit import Event, record
from approvals.rules import Actor
from journeys.days import today
from journeys.domain.policy import PolicyDocument
from journeys.models import Assessment, Assignment, Intervention, PipelineRun
from journeys.services.policies import in_force

RETENTION = Actor(key="machine:retention", name="retention", door="schedule")
# So many rows go in one transaction, which says in the audit how many went.
_AT_ONCE = 5_000


def forget_past() -> None:
    """What the daily schedule does."""
    rules = in_force().rules
    _forget(_past_assessments(rules), _forget_assessments)
    _forget(_past_runs(rules), _forget_runs)


def _forget(past: QuerySet, forget) -> None:
    last = 0
    while keys := list(past.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:_AT_ONCE]):
        with transaction.atomic():
            forget(keys)
        last = keys[-1]


def _past_assessments(rules: PolicyDocument) -> QuerySet:
    """By the day on which another one took their place: until then they held, however old they are."""
    before = today() - timedelta(days=rules.retention.assessments_days)
    ended = PipelineRun.with_dry_runs.filter(pk=OuterRef("held_until_run"), as_of__gte=before)
    rests_on = Intervention.objects.filter(run=OuterRef("run"), customer=OuterRef("customer"))
    past = Assessment.objects.filter(is_current=False, as_of__lt=before)
    return past.filter(~Exists(ended), ~Exists(rests_on))


def _forget_assessments(keys: list[int]) -> None:
    """The runs that wrote them keep count, so that their figures still add up."""
    mine = Assessment.objects.filter(pk__in=keys)
    forgotten = Counter(mine.values_list("run", "disposition"))
    runs = PipelineRun.objects.filter(pk__in={run for run, _ in forgotten}).order_by("pk")
    for run in runs.only("counts").select_for_update(no_key=True):
        told = Counter(run.counts.get("forgotten", {}))
        told.update({word: number for (of, word), number in forgotten.items() if of == run.pk})
        PipelineRun.objects.filter(pk=run.pk).update(counts=run.counts | {"forgotten": dict(told)})
    deleted, _ = mine.delete()
    _record(f"{deleted} assessments")


def _past_runs(rules: PolicyDocument) -> QuerySet:
    """Runs for what was received, of which nothing came."""
    before = timezone.now() - timedelta(days=rules.retention.marked_runs_days)
    mine = {"run": OuterRef("pk")}
    kept = (
        Exists(Assessment.objects.filter(**mine)),
        Exists(Intervention.objects.filter(**mine)),
        Exists(Assignment.objects.filter(**mine)),
    )
    past = PipelineRun.objects.filter(scope=PipelineRun.Scope.MARKED, finished_at__lt=before)
    return past.filter(*(~one for one in kept))


def _forget_runs(keys: list[int]) -> None:
    PipelineRun.objects.filter(pk__in=keys).delete()
    _record(f"{len(keys)} runs for what was received")


def _record(what: str) -> None:
    record(
        [
            Event(
                word="retention.forgotten",
                actor=RETENTION,
                kind="retention",
                subject_key=today().isoformat(),
                subject_name=what,
            )
        ]
    )
