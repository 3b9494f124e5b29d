"""What the front page shows, by what the person may use."""

from datetime import datetime, timedelta

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Count
from django.urls import reverse
from django.utils import timezone

from approvals import queue
from approvals.models import ApprovalRequest, user_key
from approvals.rules import Authority, Status
from cjo_site import health
from journeys.domain.vocabulary import ExecutionStatus, label
from journeys.models import Execution, Finding, Intervention, InvariantCheck, PipelineRun
from journeys.services.execution import overdue_tasks, stuck
from journeys.services.reviews import decided_by_policy

TOP, TASKS = 5, 20
# What failed longer ago than this is no news any more; the list of executions keeps it.
NEWS = timedelta(days=7)


def sections(user: AbstractBaseUser) -> dict:
    """Each section where there is somebody to use it, else None."""
    now = timezone.now()
    return {
        "tasks": _tasks(user),
        "queue": _queue(user, now) if user.has_perm("approvals.view_approvalrequest") else None,
        "proposed": _own_proposals(user),
        "runs": _runs() if user.has_perm("journeys.view_pipelinerun") else None,
        "trouble": _trouble(now) if user.has_perm("journeys.view_execution") else None,
        "findings": _findings() if user.has_perm("journeys.view_finding") else None,
        "invariants": InvariantCheck.objects.first() if user.has_perm("journeys.view_execution") else None,
        "by_policy": decided_by_policy(now.date()).count() if user.has_perm("approvals.view_decision") else 0,
        "worker": health.worker_state(now=now),
        "tested": automatically_approved(),
        "now": now,
    }


def automatically_approved() -> int:
    """How many automatic approvals for testing still stand. Only runs that were asked for it can have any, so
    that as a rule one look at the runs ends it."""
    runs = list(PipelineRun.objects.filter(auto_approve_for_testing=True).values_list("pk", flat=True))
    if not runs:
        return 0
    return ApprovalRequest.objects.filter(
        kind="intervention",
        subject_key__in=Intervention.objects.filter(run__in=runs).values("pk"),
        status=Status.APPROVED,
        decisions__authority=Authority.AUTO_APPROVAL_FOR_TESTING,
    ).count()


def _queue(user, now: datetime) -> dict:
    mine = queue.decidable_by(user, now)
    found = queue.standing(mine, now)
    return {
        "decides": user.has_perm("approvals.decide_approvalrequest"),
        "told": queue.told(found, now),
        "number": found.requests,
        "others": ApprovalRequest.objects.pending().count() - found.requests,
        "top": mine[:TOP],
    }


def _tasks(user) -> list[Execution]:
    mine = Execution.objects.filter(assignee=user.get_username(), status=ExecutionStatus.WITH_OWNER)
    return list(mine.select_related("intervention__customer").order_by("due_at")[:TASKS])


def _own_proposals(user) -> list[ApprovalRequest]:
    own = ApprovalRequest.objects.pending().filter(proposed_by_key=user_key(user))
    return list(own.by_priority()[:TOP])


def _runs() -> dict:
    whole = PipelineRun.objects.filter(scope=PipelineRun.Scope.PORTFOLIO)
    last = whole.select_related("policy").order_by("-pk").first()
    return {"last": last, "figures": _figures(last.counts) if last else []}


def _figures(counts: dict) -> list[tuple[str, object]]:
    names = ("customers", "at_risk", "proposed", "suppressed", "by_policy")
    return [(label(name), counts[name]) for name in names if name in counts]


def _trouble(now: datetime) -> list[tuple[str, int, str]]:
    """(what, how many, where to look), only what there is."""
    page = reverse("admin:journeys_execution_changelist")
    unknown = Execution.objects.filter(status=ExecutionStatus.UNKNOWN)
    failed = Execution.objects.filter(status=ExecutionStatus.FAILED, finished_at__gte=now - NEWS)
    rows = [
        ("stuck: the worker died at it", stuck(now).count(), f"{page}?trouble=stuck"),
        ("may or may not have gone out", unknown.count(), f"{page}?status=unknown"),
        (f"failed for good in the last {NEWS.days} days", failed.count(), f"{page}?status=failed"),
        ("requests that nobody can decide", _stranded(), f"{_queue_page()}?view=unroutable"),
        ("tasks are overdue", overdue_tasks(now).count(), f"{page}?trouble=overdue"),
    ]
    return [row for row in rows if row[1]]


def _stranded() -> int:
    return ApprovalRequest.objects.pending().filter(unroutable=True).count()


def _queue_page() -> str:
    return reverse("admin:approvals_approvalrequest_changelist")


def _findings() -> list[tuple[str, int, str]]:
    page = reverse("admin:journeys_finding_changelist")
    rows = Finding.objects.filter(status=Finding.Status.OPEN).order_by().values_list("kind")
    counted = rows.annotate(number=Count("pk")).order_by("-number")
    return [(label(kind), number, f"{page}?kind={kind}") for kind, number in counted]
