"""Which assessments held after a run: each customer's own, of whichever run it is. Reads only."""

from django.db.models import F, Q, QuerySet

from journeys.days import today
from journeys.models import Assessment, PipelineRun


def after(run: PipelineRun) -> QuerySet[Assessment]:
    """Of each customer whom the run, or one before it, assessed: what held as it ended. A run on one customer
    is about that customer."""
    of_scope = {"customer_id": run.customer_id} if run.customer_id else {}
    if run.as_of >= today():
        return Assessment.objects.current().filter(**of_scope)
    return Assessment.objects.filter(holding_at(run), **of_scope)


def holding_at(run: PipelineRun) -> Q:
    """For runs of long ago, and for those of a day in the past: beside what held as of their day, what they
    wrote of customers who were looked at as of a later day already."""
    begun = Q(run_id__lte=run.pk, as_of__lte=run.as_of)
    not_ended = Q(held_until_run__isnull=True) | Q(held_until_run__gt=run.pk)
    return begun & not_ended | Q(run_id=run.pk, held_until_run=F("run_id"))
