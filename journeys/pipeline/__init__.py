"""Runs of the pipeline: planned, perhaps queued for a worker, started once, taken through the steps."""

import gc
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django_q.tasks import async_task

from approvals.rules import Actor, Refusal
from journeys import cases
from journeys.cases import Case, NewFinding
from journeys.domain.vocabulary import Tier
from journeys.models import Customer, Intervention, PipelineRun, Policy
from journeys.models.runs import HEARTBEAT_LIMIT
from journeys.pipeline.recorder import Recorder
from journeys.pipeline.steps import RANGE_STEPS, RUN_STEPS, STEPS, Context, Range, data_loading
from journeys.pipeline.store import note_portfolio_findings, store_range
from journeys.services.policies import in_force
from journeys.services.proposals import testing_refusal

log = logging.getLogger(__name__)

GOAL = "Find out which customers are at risk and why, and recommend one next action for each."
# How often a range is tried again when somebody else began something with one of its customers meanwhile.
RANGE_ATTEMPTS = 3
# Seconds that a worker may spend on one run. The queue hands the task out again after its retry time; the
# run's status then says that it is under way.
RUN_TIMEOUT = 6 * 3600

WORKER = Actor(key="machine:worker", name="the worker", door="worker")
SCHEDULE = Actor(key="machine:schedule", name="the daily schedule", door="schedule")


class BadScope(Refusal):
    """There is nothing to run on, or the day cannot be: the request is wrong, not the system."""

    code = "bad_scope"


class RunUnderWay(Refusal):
    code = "run_under_way"


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
) -> PipelineRun:
    """An unsaved run with its goal and plan.

    Raises BadScope where there is nothing to run on, the customer is unknown or the day lies ahead, and
    Refusal where automatic approval is refused.
    """
    today = timezone.now().astimezone(UTC).date()
    as_of = as_of or today
    if as_of > today:
        raise BadScope(f"The day {as_of} lies ahead; today is {today} (UTC).")
    if customer_id and not Customer.objects.filter(pk=customer_id).exists():
        raise BadScope(f"There is no customer {customer_id!r}.")
    if not customer_id and not Customer.objects.exists():
        raise BadScope("There are no customers at all: load some first, for example by `loaddata sample`.")
    auto_approve_for_testing = auto_approve_for_testing or settings.AUTO_APPROVE_FOR_TESTING
    if auto_approve_for_testing and (refusal := testing_refusal()):
        raise Refusal(refusal)
    return PipelineRun(
        scope=PipelineRun.Scope.CUSTOMER if customer_id else PipelineRun.Scope.PORTFOLIO,
        customer_id=customer_id or None,
        as_of=as_of,
        policy=policy,
        goal=GOAL,
        steps=[
            {
                "name": step.name,
                "depends_on": list(step.depends_on),
                "status": "planned" if step.function else "skipped",
                "seconds": None,
                "in": None,
                "out": None,
            }
            for step in STEPS
        ],
        auto_approve_for_testing=auto_approve_for_testing,
        requested_by_key=actor.key,
        requested_by_name=actor.name,
        door=actor.door,
    )


def run(
    planned: PipelineRun,
    *,
    dry_run: bool = False,
    on_case: Callable[[Case, Intervention | None], None] = lambda case, intervention: None,
    on_finding: Callable[[NewFinding], None] = lambda finding: None,
    on_progress: Callable[[int], None] = lambda customers: None,
) -> PipelineRun:
    """Carry out a planned or queued run and return it, succeeded.

    Raises RunUnderWay where a portfolio run is going on, and RunFailed, naming the step, when one breaks.
    """
    if not dry_run:
        _start(planned)
    context = Context(
        run=planned,
        policy=planned.policy,
        rules=planned.policy.rules,
        today=timezone.now().astimezone(UTC).date(),
        dry_run=dry_run,
        on_case=on_case,
        on_finding=on_finding,
    )
    recorder = Recorder(planned, save=not dry_run)
    try:
        with recorder.step("data_loading"):
            note_portfolio_findings(context)
        with _collector_at_rest():
            for ids in _ranges(planned):
                _run_range(context, ids, recorder)
                on_progress(context.customers)
        for step in RUN_STEPS:
            if step.function:
                with recorder.step(step.name) as progress:
                    step.function(context, progress)
    except Exception as error:
        log.exception("The run failed at %s.", recorder.current)
        recorder.fail(error)
        raise RunFailed(recorder.current, error) from error
    recorder.succeed()
    return planned


def queue(planned: PipelineRun) -> PipelineRun:
    """Save a planned run for a worker, and ring it."""
    with transaction.atomic():
        planned.save()
        async_task("journeys.tasks.run_pipeline", planned.pk, timeout=RUN_TIMEOUT)
    return planned


def run_queued(run_id: int) -> None:
    """What a worker does with a queued run; a second delivery of the same task finds it taken."""
    queued = PipelineRun.objects.filter(pk=run_id, status=PipelineRun.Status.QUEUED).first()
    if queued is None:
        return
    try:
        run(queued)
    except RunUnderWay as under_way:
        # It would wait for ever: whoever asked sees why, and may ask again.
        PipelineRun.objects.filter(pk=run_id, status=PipelineRun.Status.QUEUED).update(
            status=PipelineRun.Status.FAILED, finished_at=timezone.now(), error=str(under_way)
        )


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


def _start(planned: PipelineRun) -> None:
    """Take the run, by insert or by compare-and-swap. The database allows one portfolio run at a time."""
    now = timezone.now()
    silent = PipelineRun.objects.filter(
        status=PipelineRun.Status.RUNNING, heartbeat_at__lt=now - HEARTBEAT_LIMIT
    )
    silent.update(
        status=PipelineRun.Status.FAILED, finished_at=now, error="It gave no sign of life for five minutes."
    )
    planned.status, planned.started_at, planned.heartbeat_at = PipelineRun.Status.RUNNING, now, now
    try:
        with transaction.atomic():
            if planned.pk is None:
                planned.save(force_insert=True)
                return
            taken = PipelineRun.objects.filter(pk=planned.pk, status=PipelineRun.Status.QUEUED)
            if not taken.update(status=planned.status, started_at=now, heartbeat_at=now):
                raise RunUnderWay(f"Run {planned.pk} has been taken by another worker.")
    except IntegrityError as error:
        raise RunUnderWay("Another run over the whole portfolio is under way.") from error


def _ranges(planned: PipelineRun) -> Iterator[tuple[str, str]]:
    if planned.customer_id:
        return iter([(planned.customer_id, planned.customer_id)])
    return cases.ranges()


def _run_range(context: Context, ids: tuple[str, str], recorder: Recorder) -> None:
    """Take one range through its steps and write it. Where somebody began something with one of its
    customers between the reading and the writing, it is read again."""
    for attempt in range(RANGE_ATTEMPTS):
        totals = recorder.snapshot()
        with recorder.step("data_loading") as progress:
            batch = data_loading(context, ids, progress)
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
    recorder.beat()


def _count(context: Context, batch: Range) -> None:
    context.customers += len(batch.cases)
    context.signals_matched += sum(len(case.signals) for case in batch.cases)
    context.at_risk += sum(case.risk.tier != Tier.LOW for case in batch.assessed)
    context.suppressed += sum(case.suppression is not None for case in batch.assessed)
    context.proposed += len(batch.proposals)
    context.by_policy += batch.by_policy
    context.auto_approved += batch.auto_approved
