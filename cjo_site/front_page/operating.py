"""For whoever keeps it running: tasks, runs, what went wrong, the worker, what came in wrong."""

from datetime import timedelta

from django.db.models import Count
from django.urls import reverse
from django_q.models import Schedule

from approvals import shown
from approvals.models import ApprovalRequest
from approvals.rules import Authority, Status
from cjo_site import health
from cjo_site.front_page.viewer import Viewer
from journeys.domain.vocabulary import ExecutionStatus, phrase
from journeys.models import Execution, Finding, Intervention, PipelineRun
from journeys.services.execution import overdue_tasks, stuck

TASKS, RUNS = 20, 5
# What failed longer ago than this is no news any more; the list of executions keeps it.
NEWS = timedelta(days=7)


def tasks(viewer: Viewer) -> dict | None:
    """What this person has to do for customers, whatever their role."""
    name = viewer.user.get_username()
    mine = Execution.objects.filter(assignee=name, status=ExecutionStatus.WITH_OWNER)
    found = list(mine.select_related("intervention__customer").order_by("due_at")[:TASKS])
    return {"tasks": found} if found else None


def runs(viewer: Viewer) -> dict:
    """Over the whole portfolio; those on single customers come by the dozen."""
    whole = PipelineRun.objects.filter(scope=PipelineRun.Scope.PORTFOLIO)
    rows = whole.defer("report", "steps").order_by("-pk")[:RUNS]
    daily = Schedule.objects.filter(name="daily run").values_list("next_run", flat=True).first()
    return {"runs": list(rows), "next": daily}


def trouble(viewer: Viewer) -> dict:
    """`rows`: (how many, what, where to look), only what there is."""
    page = reverse("admin:journeys_execution_changelist")
    queue = reverse("admin:approvals_approvalrequest_changelist")
    now = viewer.now
    failed = Execution.objects.filter(status=ExecutionStatus.FAILED, finished_at__gte=now - NEWS)
    unknown = Execution.objects.filter(status=ExecutionStatus.UNKNOWN)
    rows = [
        (stuck(now).count(), "stuck: the worker died while it was at it", f"{page}?trouble=stuck"),
        (unknown.count(), "may or may not have gone out: somebody has to find out", f"{page}?status=unknown"),
        (failed.count(), f"failed for good in the last {NEWS.days} days", f"{page}?status=failed"),
        (overdue_tasks(now).count(), "tasks are overdue", f"{page}?trouble=overdue"),
        (viewer.pending["unroutable"], "requests that nobody can decide", f"{queue}?view=unroutable"),
    ]
    return {"rows": [row for row in rows if row[0]]}


def findings(viewer: Viewer) -> dict:
    """`rows`: (how many, what, where to look)."""
    page = reverse("admin:journeys_finding_changelist")
    rows = Finding.objects.filter(status=Finding.Status.OPEN).order_by().values_list("kind")
    counted = rows.annotate(number=Count("pk")).order_by("-number", "kind")
    return {"rows": [(number, phrase(kind), f"{page}?kind={kind}") for kind, number in counted]}


# ---- the worker


def worker(viewer: Viewer) -> dict:
    late = [
        (name, None if by is None else shown.span(by)) for name, by in health.late_schedules(now=viewer.now)
    ]
    return {"alive": _is_alive(viewer), "beat_at": viewer.last_beat, "late": late}


def dead_worker(viewer: Viewer) -> dict | None:
    return None if _is_alive(viewer) else {"beat_at": viewer.last_beat, "operates": viewer.operates}


def _is_alive(viewer: Viewer) -> bool:
    beat_at = viewer.last_beat
    return beat_at is not None and viewer.now - beat_at <= health.HEARTBEAT_STALE_AFTER


def approved_for_testing(viewer: Viewer) -> dict | None:
    """How many automatic approvals for testing still stand. Only runs that were asked for it can have any, so
    that as a rule one look at the runs ends it."""
    tested = list(PipelineRun.objects.filter(auto_approve_for_testing=True).values_list("pk", flat=True))
    if not tested:
        return None
    number = ApprovalRequest.objects.filter(
        kind="intervention",
        subject_key__in=Intervention.objects.filter(run__in=tested).values("pk"),
        status=Status.APPROVED,
        decisions__authority=Authority.AUTO_APPROVAL_FOR_TESTING,
    ).count()
    return {"number": number} if number else None
