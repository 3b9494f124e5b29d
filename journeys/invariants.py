"""What must always hold of interventions, executions and runs. Reads only."""

from collections.abc import Iterable
from datetime import timedelta

from django.db.models import Count, Exists, F, OuterRef, Q
from django.utils import timezone

from approvals.invariants import Invariant, register
from approvals.models import ApprovalRequest, Decision
from approvals.rules import Status, Verdict
from journeys.domain.vocabulary import Channel, Disposition, ExecutionStatus, InterventionStatus, Origin
from journeys.models import Assessment, Customer, Execution, Intervention, PipelineRun
from journeys.models.interventions import OPEN_STATUSES
from journeys.services.execution import stuck
from journeys.services.proposals import KIND

# The sweep comes by every minute; what is this late was overlooked by several.
SLACK = timedelta(minutes=10)


def install() -> None:
    register(
        Invariant(
            "executed_on_a_decision", "Nothing was executed without a decision for it.", _without_decision
        ),
        Invariant("one_open_intervention", "No customer has two open interventions.", _two_open),
        Invariant("moves_together", "Every intervention stands where its request does.", _apart),
        Invariant("no_orphaned_claim", "No execution is claimed by a worker that died.", _orphaned),
        Invariant("no_approval_overdue", "Nothing approved waits past its time.", _overdue),
        Invariant("executions_fit", "Every execution stands where its intervention does.", _unfit),
        Invariant(
            "assessed_by_a_run", "Every assessment is of a customer and a run that are there.", _adrift
        ),
        Invariant("runs_add_up", "Every run's counts are those of its rows.", _runs_that_do_not_add_up),
    )


def _told(rows) -> Iterable[str]:
    return (f"intervention {row.pk} ({row.status})" for row in rows.iterator())


def _without_decision() -> Iterable[str]:
    decided = Decision.objects.filter(
        request__kind=KIND,
        request__subject_key=OuterRef("intervention_id"),
        verdict=Verdict.APPROVED,
        ends=True,
        fingerprint=F("request__fingerprint"),
    )
    for row in Execution.objects.filter(~Exists(decided)).iterator():
        yield f"execution {row.pk} of intervention {row.intervention_id}"


def _two_open() -> Iterable[str]:
    open_ones = Intervention.objects.filter(status__in=OPEN_STATUSES).values("customer_id")
    for row in open_ones.annotate(count=Count("pk")).filter(count__gt=1).iterator():
        yield f"customer {row['customer_id']}: {row['count']} open interventions"


_STANDS = {
    Status.PENDING: (InterventionStatus.PENDING,),
    Status.APPROVED: (
        InterventionStatus.APPROVED,
        InterventionStatus.EXECUTING,
        InterventionStatus.EXECUTED,
        InterventionStatus.FAILED,
        InterventionStatus.UNKNOWN,
        InterventionStatus.RECORDED,
    ),
    Status.REJECTED: (InterventionStatus.REJECTED,),
    Status.EXPIRED: (InterventionStatus.EXPIRED,),
    Status.LAPSED: (InterventionStatus.LAPSED,),
    Status.REVOKED: (InterventionStatus.REVOKED,),
    Status.SUPERSEDED: (InterventionStatus.SUPERSEDED,),
}


def _apart() -> Iterable[str]:
    mine = ApprovalRequest.objects.filter(kind=KIND, subject_key=OuterRef("pk"))
    ours = Intervention.objects.exclude(origin=Origin.IMPORTED)
    yield from _told(ours.filter(~Exists(mine)))
    for status, legal in _STANDS.items():
        apart = ours.filter(Exists(mine.filter(status=status))).exclude(status__in=legal)
        yield from _told(apart)


def _orphaned() -> Iterable[str]:
    for row in stuck(timezone.now()).iterator():
        when = f"{row.claimed_at:%d %b %H:%M} UTC"
        yield f"execution {row.pk} of intervention {row.intervention_id}, claimed {when}"


def _overdue() -> Iterable[str]:
    late = ApprovalRequest.objects.filter(
        kind=KIND, status=Status.APPROVED, execute_by__lte=timezone.now() - SLACK
    )
    waiting = Intervention.objects.filter(status=InterventionStatus.APPROVED)
    yield from _told(waiting.filter(Exists(late.filter(subject_key=OuterRef("pk")))))


_FITS = {
    ExecutionStatus.CLAIMED: InterventionStatus.EXECUTING,
    ExecutionStatus.WITH_OWNER: InterventionStatus.EXECUTING,
    ExecutionStatus.DONE: InterventionStatus.EXECUTED,
    ExecutionStatus.UNKNOWN: InterventionStatus.UNKNOWN,
}


def _unfit() -> Iterable[str]:
    wrong = Q(pk__in=[])
    for status, fits in _FITS.items():
        wrong |= Q(status=status) & ~Q(intervention__status=fits)
    for row in Execution.objects.filter(wrong).select_related("intervention").iterator():
        stands = f"intervention {row.intervention_id} is {row.intervention.status}"
        yield f"execution {row.pk} is {row.status}, {stands}"
    without = Intervention.objects.filter(
        status__in=[InterventionStatus.EXECUTING, InterventionStatus.EXECUTED, InterventionStatus.UNKNOWN],
        execution__isnull=True,
    )
    yield from _told(without.exclude(origin=Origin.IMPORTED).exclude(channel=Channel.NONE))


def _adrift() -> Iterable[str]:
    """The database does not look while a run writes them."""
    customer = Customer.objects.filter(pk=OuterRef("customer_id"))
    run = PipelineRun.with_dry_runs.filter(pk=OuterRef("run_id"))
    for there in (customer, run):  # not one for both: that would look them up row by row
        for row in Assessment.objects.filter(~Exists(there)).only("customer", "run").iterator():
            yield f"assessment {row.pk} of customer {row.customer_id} by run {row.run_id}"


def _runs_that_do_not_add_up() -> Iterable[str]:
    """What a run came to is there, but for what an earlier one had concluded already: that is counted."""
    written = Count("assessments", distinct=True)
    proposed = Count("assessments", filter=Q(assessments__disposition=Disposition.PROPOSED), distinct=True)
    suppressed = Count(
        "assessments", filter=Q(assessments__disposition=Disposition.SUPPRESSED), distinct=True
    )
    runs = PipelineRun.objects.filter(status=PipelineRun.Status.SUCCEEDED)
    runs = runs.annotate(is_written=written, is_proposed=proposed, is_suppressed=suppressed)
    for run in runs.defer("report", "results", "steps").iterator():
        counts, unchanged = run.counts, dict(run.counts.get("unchanged_by", {}))
        forgotten = counts.get("forgotten", {})
        below = unchanged.pop(Disposition.BELOW_CONFIDENCE, 0)
        told = (counts.get("proposed"), counts.get("suppressed", 0) - sum(unchanged.values()))
        there = (run.is_proposed, run.is_suppressed + forgotten.get(Disposition.SUPPRESSED, 0))
        if told != there or run.is_proposed != run.interventions.count():
            yield f"run {run.pk} says {told} proposed and suppressed anew, {there} are there"
        anew = counts["customers"] - counts["not_assessed"] - sum(unchanged.values()) - below
        written = run.is_written + sum(forgotten.values())
        if anew != written:
            yield f"run {run.pk} says {anew} assessed anew, {written} are there, or were"
