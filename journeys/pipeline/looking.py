"""One range of customers, taken through the steps and written."""

from time import perf_counter

from django.db import IntegrityError, transaction

from journeys.domain.vocabulary import Tier
from journeys.models import Intervention
from journeys.pipeline.ranges import Claim
from journeys.pipeline.steps import RANGE_STEPS, Context, Part, Range, data_loading
from journeys.pipeline.store import foresee_range, prepare_range, store_range
from journeys.pipeline.totals import Totals

# How often a range is tried again when somebody else began something with one of its customers meanwhile.
# Where what is received is looked at by the second, that happens to a few of a hundred: ten in a row do not.
ATTEMPTS = 10
_LOADING, *_EVALUATING = RANGE_STEPS
_STORING = RANGE_STEPS[-1].name


def look_at(context: Context, part: Part, claim: Claim | None = None) -> Range:
    """Take one range through its steps, write it, and count it. Where somebody began something with one of
    its customers between the reading and the writing, it is read again.

    Raises Lost where the claim has gone to somebody else; nothing is written then.
    """
    for attempt in range(1, ATTEMPTS + 1):
        totals = Totals()
        with context.timed(_LOADING.name, totals) as progress:
            batch = data_loading(context, part, progress)
        for step in _EVALUATING:
            with context.timed(step.name, totals) as progress:
                step.function(context, batch, progress)
        try:
            written = _write(context, batch, totals, claim)
            break
        except IntegrityError:
            if attempt == ATTEMPTS:
                raise
    context.totals.add(totals)
    for case in batch.assessed:
        key = case.customer.customer_id
        # Who is left for the second look is told of then.
        if key not in batch.left:
            context.on_case(case, written.get(key))
    return batch


def _write(context: Context, batch: Range, totals: Totals, claim: Claim | None) -> dict[str, Intervention]:
    """What a claim tells is written with the rows, so the commit itself is not timed."""
    started = perf_counter()
    if context.dry_run:
        written = foresee_range(context, batch)
        _count(batch, totals)
        totals.of(_STORING).seconds += perf_counter() - started
        return written
    conclusions = prepare_range(context, batch)
    with transaction.atomic():
        if claim:
            claim.hold()
        written = store_range(context, batch, conclusions)
        _count(batch, totals)
        totals.of(_STORING).seconds += perf_counter() - started
        if claim:
            claim.done(totals, batch.for_second_look)
    return written


def _count(batch: Range, totals: Totals) -> None:
    totals.proposed = len(batch.proposals)
    totals.unchanged_by = batch.unchanged
    totals.by_policy, totals.auto_approved = batch.by_policy, batch.auto_approved
    for case in batch.assessed:
        if case.plan.action is None:
            totals.below_confidence += 1
        elif case.suppression is not None:
            totals.suppressed_by[str(case.suppression.reason)] += 1
    if batch.part.decided is not None:
        # The second look counts what becomes of those whom the first has counted as customers.
        for name, progress in totals.steps.items():
            if name != _STORING:
                progress.taken = progress.given = 0
        return
    totals.customers = len(batch.cases)
    totals.signals = sum(len(case.signals) for case in batch.cases)
    totals.at_risk = sum(case.risk.tier != Tier.LOW for case in batch.assessed)
    totals.not_assessed = len(batch.cases) - len(batch.assessed)
