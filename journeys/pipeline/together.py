"""A run that all workers carry out together: each takes range after range, and one of them sums up.

A worker takes ranges for a moment and then puts itself in at the end of the queue, so that what else waits
there gets its turn. A worker that dies loses its range to another; the sweep rings when nobody is left.
"""

import secrets
import time

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone
from django_q.tasks import async_task

from journeys.days import today
from journeys.models import PipelineRun
from journeys.models.runs import HEARTBEAT_LIMIT
from journeys.pipeline import checkpoints, ranges
from journeys.pipeline.alone import TELL_EVERY, collector_at_rest, failing, finish
from journeys.pipeline.life import RUN_TIMEOUT
from journeys.pipeline.looking import look_at
from journeys.pipeline.recorder import Recorder
from journeys.pipeline.steps import RANGE_STEPS, Context
from journeys.pipeline.store import note_portfolio_findings
from journeys.table_statistics import keep_up

# Seconds after which a worker lets others have their turn.
TURN = 1.0


def work(run_id: int) -> None:
    """Take ranges of a run under way, for one turn; where none is left, and nobody is at work any more, sum
    up. Called too often, or for a run that has ended, it changes nothing. Raises RunFailed."""
    run = PipelineRun.objects.filter(pk=run_id, status=PipelineRun.Status.RUNNING, spread=True).first()
    if run is None:
        return
    context = _context(run)
    with failing(context, Recorder(context, save=True)):
        if "ranges" not in run.counts:
            _cut(context)
        while _take_turn(context):
            if _is_over(run):
                _sum_up(run)
                return
            if not ranges.are_done(run):
                return  # somebody else is at it, and goes on from there
            if not _cut_second_look(context):
                _sum_up(run)
                return
    ring(run)


def ring(run: PipelineRun, hands: int = 1) -> None:
    for _ in range(hands):
        async_task("journeys.tasks.work_on_run", run.pk, timeout=RUN_TIMEOUT)


def take_over() -> None:
    """For the sweep: ring for runs on which nobody has worked for a while."""
    silent = timezone.now() - ranges.SILENCE
    for run in PipelineRun.objects.filter(
        status=PipelineRun.Status.RUNNING, spread=True, heartbeat_at__lt=silent
    ):
        ring(run)


def _context(run: PipelineRun) -> Context:
    return Context(
        run=run,
        policy=run.policy,
        rules=run.policy.rules,
        today=today(),
    )


def _cut(context: Context) -> None:
    """Look at what belongs to no range, cut the ranges, and ring for hands. Where several do so at once, one
    of them does it."""
    run = context.run
    with context.timed("data_loading", context.totals):
        note_portfolio_findings(context)
    try:
        with transaction.atomic():
            number = ranges.cut(run)
            PipelineRun.objects.filter(pk=run.pk).update(counts=run.counts | {"ranges": number})
            ring(run, hands=min(number, settings.RUN_TASKS) - 1)
    except IntegrityError:
        pass
    run.refresh_from_db(fields=["counts"])


def _cut_second_look(context: Context) -> bool:
    """Whether there is one that is not done. Another may have cut it since all others were found done."""
    run = context.run
    if ranges.has_second_look(run):
        return not ranges.are_done(run)
    try:
        with transaction.atomic():
            number = ranges.cut_second_look(run, most=context.rules.authority.max_per_run)
            ring(run, hands=min(number, settings.RUN_TASKS) - 1)
    except IntegrityError:
        return True
    return number > 0


def _take_turn(context: Context) -> bool:
    """Take ranges until the turn is over, or none is free: then True."""
    run, until = context.run, time.monotonic() + TURN
    context.urgent.see(ranges.left_so_far(run))
    with collector_at_rest(), checkpoints.beside() as committed:
        claim = ranges.claim(run, until=until)
        while claim:
            try:
                # Without a name: what was read is let go of before the next range is.
                left = look_at(context, claim.part, claim).for_second_look
            except ranges.Lost:
                claim = ranges.claim(run, until=until)
                continue
            committed()
            context.urgent.see(left)
            _tell(run)
            claim = claim.following
            if claim is None and time.monotonic() >= until:
                return False
    return True


def _tell(run: PipelineRun) -> None:
    """Once in a while, by whoever comes by: how far all have come together."""
    now = timezone.now()
    due = PipelineRun.objects.filter(pk=run.pk, heartbeat_at__lt=now - TELL_EVERY)
    # Read first: on SQLite an update waits for whoever writes, even where there is nothing to update.
    if due.exists() and due.update(heartbeat_at=now):
        told = _context(run)
        told.totals = ranges.totals_of(run)
        Recorder(told, save=True).beat(RANGE_STEPS)
        keep_up()


def _is_over(run: PipelineRun) -> bool:
    """Whether it was cancelled, and the last one has put down what they had in hand."""
    cancelled = PipelineRun.objects.filter(pk=run.pk, cancelled_at__isnull=False).exists()
    return cancelled and not ranges.is_anybody_at_work(run)


def _sum_up(run: PipelineRun) -> None:
    """By one of all; by another where that one has died."""
    token, now = secrets.token_hex(8), timezone.now()
    nobody = Q(finisher="") | Q(heartbeat_at__lt=now - HEARTBEAT_LIMIT)
    mine = PipelineRun.objects.filter(nobody, pk=run.pk, status=PipelineRun.Status.RUNNING)
    if not mine.update(finisher=token, heartbeat_at=now):
        return
    run.refresh_from_db()
    context = _context(run)
    context.totals = ranges.totals_of(run)
    recorder = Recorder(context, save=True, finisher=token)
    with failing(context, recorder):
        if run.cancelled_at:
            recorder.cancel()
        else:
            finish(context, recorder)
