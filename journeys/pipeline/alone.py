"""A run that one process carries out from its beginning to its end."""

import gc
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from time import monotonic
from types import MappingProxyType

from journeys import cases
from journeys.cases import Case, NewFinding, Span
from journeys.days import today
from journeys.models import Customer, Intervention, PipelineRun
from journeys.pipeline import checkpoints, whom
from journeys.pipeline.life import RunFailed, start
from journeys.pipeline.looking import look_at
from journeys.pipeline.ranges import second_look
from journeys.pipeline.recorder import Recorder
from journeys.pipeline.steps import RANGE_STEPS, RUN_STEPS, Context, Part
from journeys.pipeline.store import note_portfolio_findings
from journeys.pipeline.urgent import Candidate
from journeys.table_statistics import keep_up

log = logging.getLogger(__name__)

# How often the run's row says how far it is.
TELL_EVERY = timedelta(seconds=1)


def run(
    planned: PipelineRun,
    *,
    marked: Mapping[str, str] = MappingProxyType({}),
    on_case: Callable[[Case, Intervention | None], None] = lambda case, intervention: None,
    on_finding: Callable[[NewFinding], None] = lambda finding: None,
    on_progress: Callable[[int], None] = lambda customers: None,
) -> PipelineRun:
    """Carry out a planned or queued run and return it, succeeded or cancelled. `marked`: the tokens of the
    customers that a run of that scope is for. A dry run that nobody has saved stays unsaved.

    Raises RunUnderWay where a portfolio run is going on, and RunFailed, naming the step, when one breaks.
    """
    kept = not planned.dry_run or planned.pk is not None
    spans = _spans(planned, marked)
    if kept:
        start(planned, _number(spans))
    context = Context(
        run=planned,
        policy=planned.policy,
        rules=planned.policy.rules,
        today=today(),
        dry_run=planned.dry_run,
        marks=marked,
        on_case=on_case,
        on_finding=on_finding,
    )
    recorder = Recorder(context, save=kept)
    with failing(context, recorder):
        recorder.beat(RANGE_STEPS)
        with context.timed("data_loading", context.totals):
            note_portfolio_findings(context)
        left: list[Candidate] = []
        with collector_at_rest(), checkpoints.beside(worth_it=len(spans) > 1) as committed:
            told_at = monotonic()
            for part in _parts(spans, left, context.rules.authority.max_per_run):
                for_second_look = look_at(context, part).for_second_look
                committed()
                context.urgent.see(for_second_look)
                left += for_second_look
                if monotonic() - told_at >= TELL_EVERY.total_seconds():
                    recorder.beat(RANGE_STEPS)
                    if not planned.dry_run:
                        keep_up()
                    told_at = monotonic()
                on_progress(context.totals.customers)
                if recorder.is_cancelled():
                    recorder.cancel()
                    return planned
        finish(context, recorder)
    return planned


def finish(context: Context, recorder: Recorder) -> None:
    """The steps over the run as a whole, and its end."""
    for step in RUN_STEPS:
        if context.run.takes_stock or not step.takes_stock:
            recorder.beat((step,))
            with context.timed(step.name, context.totals) as progress:
                step.function(context, progress)
    recorder.succeed()


@contextmanager
def failing(context: Context, recorder: Recorder) -> Iterator[None]:
    """Whatever breaks ends the run, which says at which step. Raises RunFailed."""
    try:
        yield
    except Exception as error:
        log.exception("The run failed at %s.", context.step)
        recorder.fail(error)
        raise RunFailed(context.step, error) from error


@contextmanager
def collector_at_rest() -> Iterator[None]:
    """Within it Python looks for cycles rarely, and not at all among what was there before: a range makes
    hundreds of thousands of small objects without any, and looking through them takes a third of the time."""
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def expected(queued: PipelineRun) -> int:
    """How many customers there are to come to."""
    return 1 if queued.customer_id else whom.number(queued)


def _spans(planned: PipelineRun, marked: Mapping[str, str]) -> list[Span]:
    if planned.scope == PipelineRun.Scope.MARKED:
        return [Span(ids=tuple(sorted(marked)))]
    return [cases.only(planned.customer_id)] if planned.customer_id else list(whom.spans(planned))


def _number(spans: Collection[Span]) -> int:
    """Of their customers: those of ranges are all there are."""
    if all(span.ids for span in spans):
        return sum(len(span.ids) for span in spans)
    return Customer.objects.count()


def _parts(spans: Collection[Span], left: list[Candidate], most: int) -> Iterator[Part]:
    """`left` is filled while the caller looks at the parts before the last ones, which are made of it. Who is
    looked at alone, or marked, has no others to be weighed against."""
    yield from (Part(span, len(spans) == 1) for span in spans)
    yield from second_look(left, most)
