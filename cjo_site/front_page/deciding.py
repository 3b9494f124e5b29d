"""For whoever decides: what waits for them, what is due soon, and what came of what they decided."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Prefetch

from approvals import queue
from approvals.addresses import request_url
from approvals.models import ApprovalRequest, Decision
from approvals.rules import Status, Verdict
from cjo_site.front_page.viewer import Viewer
from journeys.domain.vocabulary import ExecutionMode, ExecutionStatus, InterventionStatus, phrase
from journeys.models import Intervention, Outcome
from journeys.services.proposals import KIND as INTERVENTION

TOP, DECIDED = 5, 8
SOON = timedelta(hours=24)


def yours(viewer: Viewer) -> dict:
    found = queue.standing(viewer.mine, viewer.now)
    return {
        "told": queue.told(found, viewer.now),
        "more": max(found.requests - TOP, 0),
        "top": list(viewer.mine[:TOP]),
        "reviewing": [
            row for row in viewer.in_hand if row.claimed_by_key == viewer.key and row.is_claimed(viewer.now)
        ],
        "stands_in_for": [user.get_username() for user in viewer.stands_in_for],
    }


def decides_nothing(viewer: Viewer) -> dict | None:
    """For a superuser, who may open everything and wonders why there is nothing to decide."""
    return None if viewer.decides else {}


def due_soon(viewer: Viewer) -> dict | None:
    """Of what is theirs, the soonest; the one that comes next where nothing is due within a day."""
    soonest = list(viewer.mine.order_by("decision_due_at", "-priority_score", "pk")[:TOP])
    if not soonest:
        return None
    soon = [row for row in soonest if row.decision_due_at < viewer.now + SOON]
    return {"soon": soon, "next": None if soon else soonest[0]}


def sent_back(viewer: Viewer) -> dict | None:
    """Their own proposals of which somebody asked for changes: nothing happens before they answer."""
    found = [row for row in _proposals(viewer) if row.returned_at]
    return {"requests": found} if found else None


def proposed(viewer: Viewer) -> dict | None:
    found = [row for row in _proposals(viewer) if not row.returned_at]
    return {"requests": found[:TOP]} if found else None


def _proposals(viewer: Viewer) -> list[ApprovalRequest]:
    return [row for row in viewer.in_hand if row.proposed_by_key == viewer.key]


# ---- what came of it


@dataclass(frozen=True, slots=True)
class Consequence:
    """`outcome` is None where it is not known yet, empty where nothing can have come of it."""

    decision: Decision
    url: str
    led_to: str
    tone: str = ""
    until: datetime | None = None
    outcome: str | None = ""


def decided(viewer: Viewer) -> dict:
    decisions = list(
        Decision.objects.filter(actor_key=viewer.key)
        .select_related("request")
        .order_by("-decided_at", "-pk")[:DECIDED]
    )
    interventions = _interventions(decision.request for decision in decisions)
    return {
        "consequences": [
            _consequence(decision, interventions.get(decision.request.subject_key)) for decision in decisions
        ]
    }


def _interventions(requests: Iterable[ApprovalRequest]) -> dict[str, Intervention]:
    keys = {request.subject_key for request in requests if request.kind == INTERVENTION}
    rows = Intervention.objects.filter(pk__in=keys).select_related("execution")
    outcomes = Prefetch("outcomes", Outcome.objects.order_by("-measured_at", "-recorded_at"))
    return {row.pk: row for row in rows.prefetch_related(outcomes)}


_ENDED = {
    Status.EXPIRED: ("expired: it was not carried out in time", "high"),
    Status.LAPSED: ("lapsed: the facts had moved, nothing was done", "medium"),
    Status.REVOKED: ("taken back: nothing was done", "medium"),
    Status.SUPERSEDED: ("replaced by another proposal", ""),
}
_TONES = {
    InterventionStatus.EXECUTED: "low",
    InterventionStatus.FAILED: "high",
    InterventionStatus.UNKNOWN: "high",
}


def _consequence(decision: Decision, intervention: Intervention | None) -> Consequence:
    request = decision.request
    url = request_url(request.pk)
    if decision.verdict == Verdict.REJECTED:
        return Consequence(decision, url, "not done")
    if request.status == Status.PENDING:
        if decision.fingerprint != request.fingerprint:
            return Consequence(decision, url, "void: it was changed since, and waits again", "medium")
        return Consequence(decision, url, "waits for somebody else too", until=request.expires_at)
    if request.status in _ENDED:
        return Consequence(decision, url, *_ENDED[request.status])
    if request.status != Status.APPROVED:  # somebody else had the last word
        return Consequence(decision, url, f"{request.status} in the end")
    if intervention is None:
        return Consequence(decision, url, "in force" if request.used_at else "waits", "low")
    if intervention.status == InterventionStatus.APPROVED:
        return Consequence(decision, url, "waits to be carried out", until=request.execute_by)
    known = intervention.outcomes.all()
    done = intervention.status in (InterventionStatus.EXECUTED, InterventionStatus.RECORDED)
    return Consequence(
        decision,
        url,
        _told(intervention),
        _TONES.get(intervention.status, ""),
        outcome=known[0].get_outcome_display() if known else None if done else "",
    )


def _told(intervention: Intervention) -> str:
    execution = getattr(intervention, "execution", None)
    if execution and execution.status == ExecutionStatus.WITH_OWNER:
        return f"a task, with {execution.assignee or 'nobody'}"
    if execution and execution.mode == ExecutionMode.RECORD_ONLY:
        return "put on record only, nothing was sent"
    return phrase(intervention.status)
