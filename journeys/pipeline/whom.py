"""Whom a run comes to: everybody, or only those about whom something was received, or who are due."""

from collections.abc import Iterator
from datetime import date, timedelta
from itertools import groupby

from django.conf import settings
from django.db.models import Exists, OuterRef, Q

from journeys import cases
from journeys.batches import in_batches
from journeys.cases import Span
from journeys.days import today
from journeys.models import Assessment, Customer, Mark, PipelineRun, Policy, PortfolioSnapshot


def spans(run: PipelineRun) -> Iterator[Span]:
    """Everybody whom a run over the portfolio looks at, range by range, in the order of ids."""
    if not run.changed_only:
        yield from cases.ranges()
        return
    # Much is written of most of these, which takes three to four times as long, and on SQLite nobody else can
    # write meanwhile.
    for ids in in_batches(_changed_or_due(run.as_of), max(1, settings.RANGE_SIZE * 2 // 5)):
        yield Span(ids=tuple(ids))


def number(run: PipelineRun) -> int:
    return len(_changed_or_due(run.as_of)) if run.changed_only else Customer.objects.count()


def _changed_or_due(as_of: date) -> list[str]:
    """Ids of customers, in order: the marked ones, those who are due, and those of whom nothing holds. What
    is marked may be nobody we know."""
    current = Assessment.objects.current()
    sources = [Mark.objects, current.filter(due_on__lte=as_of)]
    if Customer.objects.count() > current.count():
        sources.append(Customer.objects.filter(~Exists(current.filter(customer=OuterRef("pk")))))
    # Put together and sorted here: asked for in order, a database goes through all who hold.
    ids = [key for rows in sources for key in rows.values_list("customer_id", flat=True).iterator()]
    ids.sort()
    return [key for key, _ in groupby(ids)]


def everybody_because(policy: Policy, as_of: date) -> str:
    """Why nothing less will do than to look at everybody; empty where what changed, and is due, will."""
    last = _last_full_run()
    if last is None:
        return "No run has looked at everybody yet."
    going_on = Q(finished_at__isnull=True) | Q(finished_at__gt=last.started_at)
    since = PipelineRun.objects.filter(going_on, started_at__isnull=False)
    if last.policy_id != policy.pk or since.exclude(policy=policy).exists():
        return "The last run that looked at everybody, or one since, had another policy."
    later = as_of < today() and Assessment.objects.current().filter(as_of__gt=as_of).exists()
    if later or since.filter(as_of__gt=as_of).exists():
        return "A run has looked at a later day already."
    return ""


def everybody_is_due(as_of: date) -> bool:
    """Whether everybody is to be looked at again, which finds what nothing told of."""
    last = _last_full_run()
    return last is None or last.as_of <= as_of - timedelta(days=settings.FULL_RUN_DAYS)


def stock_is_taken(as_of: date) -> bool:
    """Whether the portfolio as a whole was counted for that day."""
    succeeded = Q(run__status=PipelineRun.Status.SUCCEEDED)
    return PortfolioSnapshot.objects.filter(succeeded, as_of__gte=as_of).exists()


def _last_full_run() -> PipelineRun | None:
    full = PipelineRun.objects.filter(
        scope=PipelineRun.Scope.PORTFOLIO, changed_only=False, status=PipelineRun.Status.SUCCEEDED
    )
    return full.only("policy_id", "as_of", "started_at").order_by("-started_at").first()
