"""Runs of the pipeline: planned, perhaps queued for a worker, started once, taken through the steps."""

import gc
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date
from types import MappingProxyType

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils import timezone
from django_q.tasks import async_task

from approvals.rules import Actor, NotFound, Refusal
from journeys import cases
from journeys.cases import Case, NewFinding, Span
from journeys.days import today
from journeys.domain.vocabulary import Tier
from journeys.models import Customer, Intervention, PipelineRun, Policy
from journeys.models.runs import HEARTBEAT_LIMIT
from journeys.pipeline.recorder import Recorder, tell_end
from journeys.pipeline.steps import (
    RANGE_STEPS,
    RUN_STEPS,
    STEPS,
    Context,
    Progress,
    Range,
    data_loading,
    summary_generation,
)
from journeys.pipeline.store import note_portfolio_findings, store_range
from journeys.services import marks
from journeys.services.policies import in_force
from journeys.services.proposals import testing_refusal

log = logging.getLogger(__name__)

GOAL = "Find out which customers are at risk and why, and recommend one next action for each."
# How often a range is tried again when somebody else began something with one of its customers meanwhile.
RANGE_ATTEMPTS = 3
# Seconds that a worker may spend on one run. The queue hands the task out again after its retry time; the
# run's status then says that it is under way.
RUN_TIMEOUT = 6 * 3600

# Marked customers are looked at so many at a time, and by one task for so many seconds.
MARKED_AT_ONCE = 500
MARKED_FOR = 30.0

EVENTS = Actor(key="machine:events", name="what was received", door="worker")
WORKER = Actor(key="machine:worker", name="the worker", door="worker")
SCHEDULE = Actor(key="machine:schedule", name="the daily schedule", door="schedule")


class BadScope(Refusal):
    """There is nothing to run on, or the day cannot be: the request is wrong, not the system."""

    code = "bad_scope"


class NotInForce(Refusal):
    """Another policy can be tried, by a dry run."""

    code = "not_in_force"


class RunUnderWay(Refusal):
    code = "run_under_way"


class NotRunning(Refusal):
    """A run that has ended, or never began, cannot be cancelled."""

    code = "not_running"


class RunFailed(Exception):
    """The run stopped at `step`; what earlier ranges wrote is consistent and stays."""

    def __init__(self, step: str, cause: Exception):
        self.step = step
        super().__init__(f"The run failed at {step}: {cause}")


def plan_run(
    *,
    policy: Policy,
    actor: Actor,
    as_of: date | None = None,
    customer_id: str = "",
    auto_approve_for_testing: bool = False,
    dry_run: bool = False,
) -> PipelineRun:
    """An unsaved run with its goal and plan.

    Raises BadScope where there is nothing to run on, the customer is unknown or the day lies ahead,
    NotInForce, and Refusal where automatic approval is refused.
    """
    as_of = as_of or today()
    if as_of > today():
        raise BadScope(f"The day {as_of} lies ahead; today is {today()} (UTC).")
    if customer_id and not Customer.objects.filter(pk=customer_id).exists():
        raise BadScope(f"There is no customer “{customer_id}”.")
    if not customer_id and not Customer.objects.exists():
        raise BadScope("There are no customers at all: load some first, for example by `loaddata sample`.")
    if not policy.active and not dry_run:
        raise NotInForce(f"Policy {policy} is not in force: only a dry run may try it.")
    auto_approve_for_testing = auto_approve_for_testing or settings.AUTO_APPROVE_FOR_TESTING
    if auto_approve_for_testing and (refusal := testing_refusal()):
        raise Refusal(refusal)
    scope = PipelineRun.Scope.CUSTOMER if customer_id else PipelineRun.Scope.PORTFOLIO
    planned = _planned(scope, policy, actor)
    planned.customer_id, planned.as_of = customer_id or None, as_of
    planned.auto_approve_for_testing, planned.dry_run = auto_approve_for_testing, dry_run
    return planned


def _planned(scope: PipelineRun.Scope, policy: Policy, actor: Actor) -> PipelineRun:
    return PipelineRun(
        scope=scope,
        as_of=today(),
        policy=policy,
        goal=GOAL,
        steps=[
            {
                "name": step.name,
                "depends_on": list(step.depends_on),
                "status": "planned" if step.is_due(scope) else "skipped",
                "seconds": None,
                "in": None,
                "out": None,
            }
            for step in STEPS
        ],
        requested_by_key=actor.key,
        requested_by_name=actor.name,
        door=actor.door,
    )


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
    if kept:
        _start(planned, _expected(planned, marked))
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
    recorder = Recorder(planned, save=kept)
    try:
        recorder.beat(RANGE_STEPS)
        with recorder.step("data_loading"):
            note_portfolio_findings(context)
        with _collector_at_rest():
            for span in _spans(planned, marked):
                _run_range(context, span, recorder)
                on_progress(context.customers)
                if recorder.is_cancelled():
                    expected = planned.counts["expected"]
                    summary_generation(context, Progress())
                    planned.counts["expected"] = expected
                    recorder.cancel()
                    return planned
        for step in RUN_STEPS:
            if step.is_due(planned.scope):
                recorder.beat((step,))
                with recorder.step(step.name) as progress:
                    step.function(context, progress)
    except Exception as error:
        log.exception("The run failed at %s.", recorder.current)
        recorder.fail(error)
        raise RunFailed(recorder.current, error) from error
    recorder.succeed()
    return planned


def queue(planned: PipelineRun) -> PipelineRun:
    """Save a planned run for a worker, and ring it. Raises RunUnderWay where one over the portfolio waits or
    goes on already; a dry run is in nobody's way."""
    portfolio = PipelineRun.Scope.PORTFOLIO
    if planned.scope == portfolio and not planned.dry_run:
        under_way = (PipelineRun.Status.QUEUED, PipelineRun.Status.RUNNING)
        if PipelineRun.objects.filter(scope=portfolio, status__in=under_way).exists():
            raise RunUnderWay("A run over the portfolio is queued or under way already.")
    with transaction.atomic():
        planned.save()
        async_task("journeys.tasks.run_pipeline", planned.pk, timeout=RUN_TIMEOUT)
    return planned


def run_queued(run_id: int) -> None:
    """What a worker does with a queued run; a second delivery of the same task finds it taken."""
    queued = PipelineRun.with_dry_runs.filter(pk=run_id, status=PipelineRun.Status.QUEUED).first()
    if queued is None:
        return
    try:
        run(queued)
    except RunUnderWay as under_way:
        # It would wait for ever: whoever asked sees why, and may ask again.
        waiting = PipelineRun.with_dry_runs.filter(pk=run_id, status=PipelineRun.Status.QUEUED)
        _give_up(waiting, str(under_way))


def cancel(run_id: int, *, actor: Actor) -> PipelineRun:
    """End a queued run at once, and one under way after the range that it is at: what was written so far is
    consistent and stays. Raises NotFound, or NotRunning where it has ended."""
    now = timezone.now()
    mine = PipelineRun.with_dry_runs.filter(pk=run_id)
    asked = {"cancelled_at": now, "cancelled_by": actor.name}
    ended = {"status": PipelineRun.Status.CANCELLED, "finished_at": now}
    with transaction.atomic():
        at_once = mine.filter(status=PipelineRun.Status.QUEUED).update(**asked, **ended)
        if not at_once:
            mine.filter(status=PipelineRun.Status.RUNNING, cancelled_at__isnull=True).update(**asked)
        found = mine.first()
        if at_once:
            tell_end(found)
    if found is None:
        raise NotFound(f"There is no run {run_id}.")
    if found.cancelled_at is None:
        raise NotRunning(f"Run {run_id} is {found.status}: there is nothing to cancel.")
    return found


def look_at_marked() -> None:
    """What a worker does when something was received: evaluate the marked customers by a run of their own,
    burst by burst. A customer at whom a run breaks holds up no other, and is tried again later."""
    until = time.monotonic() + MARKED_FOR
    while time.monotonic() < until:
        tokens = marks.claim(MARKED_AT_ONCE)
        if not tokens:
            return
        _look_at(tokens)
    marks.ring()


def _look_at(tokens: Mapping[str, str]) -> None:
    try:
        run(_planned(PipelineRun.Scope.MARKED, in_force(), EVENTS), marked=tokens)
    except RunFailed:
        if len(tokens) > 1:
            for customer_id, token in tokens.items():
                _look_at({customer_id: token})


def run_daily() -> None:
    """What the daily schedule does: a run over the portfolio under the policy in force."""
    try:
        run(plan_run(policy=in_force(), actor=SCHEDULE))
    except (BadScope, RunUnderWay) as refusal:
        log.warning("No daily run: %s", refusal)


def reconsider(intervention_id: str) -> None:
    """Look at a customer anew, whose approved intervention may no longer be carried out: on the
    intervention's own calendar, and never ahead of today."""
    intervention = Intervention.objects.get(pk=intervention_id)
    now = timezone.now()
    as_of = min(intervention.calendar_day(now), now.astimezone(UTC).date())
    run(plan_run(policy=in_force(), actor=WORKER, as_of=as_of, customer_id=intervention.customer_id))


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """Within it Python looks for cycles rarely, and not at all among what was there before: a range makes
    hundreds of thousands of small objects without any, and looking through them takes a third of the time."""
    thresholds = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def _expected(planned: PipelineRun, marked: Mapping[str, str]) -> int:
    """How many customers there are to come to."""
    if planned.scope == PipelineRun.Scope.MARKED:
        return len(marked)
    return 1 if planned.customer_id else Customer.objects.count()


def _start(planned: PipelineRun, expected: int) -> None:
    """Take the run, by insert or by compare-and-swap. The database allows one portfolio run at a time."""
    now = timezone.now()
    silent = PipelineRun.with_dry_runs.filter(
        status=PipelineRun.Status.RUNNING, heartbeat_at__lt=now - HEARTBEAT_LIMIT
    )
    _give_up(silent, "It gave no sign of life for five minutes.")
    planned.status, planned.started_at, planned.heartbeat_at = PipelineRun.Status.RUNNING, now, now
    # The run's figures come at its end; until then, how many customers there are to come to.
    planned.counts = {"expected": expected}
    try:
        with transaction.atomic():
            if planned.pk is None:
                planned.save(force_insert=True)
                return
            taken = PipelineRun.with_dry_runs.filter(pk=planned.pk, status=PipelineRun.Status.QUEUED)
            if not taken.update(
                status=planned.status, started_at=now, heartbeat_at=now, counts=planned.counts
            ):
                raise RunUnderWay(f"Run {planned.pk} has been taken by another worker.")
    except IntegrityError as error:
        raise RunUnderWay("Another run over the whole portfolio is under way.") from error


def _give_up(runs: QuerySet[PipelineRun], error: str) -> None:
    """End those that nobody ends any more; each only if it still stands as it was found."""
    for row in runs:
        with transaction.atomic():
            row.status, row.finished_at, row.error = PipelineRun.Status.FAILED, timezone.now(), error
            fields = {"status": row.status, "finished_at": row.finished_at, "error": error}
            if runs.filter(pk=row.pk).update(**fields):
                tell_end(row)


def _spans(planned: PipelineRun, marked: Mapping[str, str]) -> Iterator[Span]:
    if planned.scope == PipelineRun.Scope.MARKED:
        return iter([Span(ids=tuple(sorted(marked)))])
    if planned.customer_id:
        return iter([cases.only(planned.customer_id)])
    return cases.ranges()


def _run_range(context: Context, span: Span, recorder: Recorder) -> None:
    """Take one range through its steps and write it. Where somebody began something with one of its
    customers between the reading and the writing, it is read again."""
    for attempt in range(RANGE_ATTEMPTS):
        totals = recorder.snapshot()
        with recorder.step("data_loading") as progress:
            batch = data_loading(context, span, progress)
        for step in RANGE_STEPS[1:]:
            with recorder.step(step.name) as progress:
                step.function(context, batch, progress)
        try:
            with recorder.step("human_escalation"):
                written = store_range(context, batch)
            break
        except IntegrityError:
            if attempt == RANGE_ATTEMPTS - 1:
                raise
            recorder.restore(totals)
    _count(context, batch)
    for case in batch.assessed:
        context.on_case(case, written.get(case.customer.customer_id))
    recorder.beat(RANGE_STEPS)


def _count(context: Context, batch: Range) -> None:
    context.customers += len(batch.cases)
    context.signals_matched += sum(len(case.signals) for case in batch.cases)
    context.at_risk += sum(case.risk.tier != Tier.LOW for case in batch.assessed)
    context.suppressed_by.update(str(case.suppression.reason) for case in batch.assessed if case.suppression)
    context.below_confidence += sum(case.plan.action is None for case in batch.assessed)
    context.not_assessed += len(batch.cases) - len(batch.assessed)
    context.proposed += len(batch.proposals)
    context.by_policy += batch.by_policy
    context.auto_approved += batch.auto_approved
