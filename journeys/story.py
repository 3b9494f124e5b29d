"""What became of a customer in each run, in words: why they were not contacted, how each intervention stands,
and what an open one waits for. Reads only.
"""

from collections.abc import Callable, Collection, Iterator
from datetime import date, datetime
from itertools import islice
from typing import NamedTuple

from django.core.exceptions import ObjectDoesNotExist
from django.utils import timezone

from approvals import shown
from approvals.models import ApprovalRequest, AuditEvent, Decision
from approvals.rules import Status, Verdict
from approvals.services.people import Deciders
from journeys.domain.vocabulary import (
    Channel,
    Disposition,
    ExecutionMode,
    ExecutionStatus,
    InterventionStatus,
    label,
    phrase,
)
from journeys.models import Assessment, Customer, Execution, Intervention, PipelineRun
from journeys.services import switches
from journeys.services.proposals import KIND

# So many runs are looked back on.
RUNS = 60
# Of those who may decide so many are named.
_NAMES = 3


class Fate(NamedTuple):
    """How an intervention stands: a few words, and a sentence or nothing. `tone` is low where the customer
    was really contacted, medium where it waits for something, else empty."""

    heading: str
    detail: str
    tone: str = ""


class Line(NamedTuple):
    """What `runs` runs in a row concluded alike; `since` and `until` are the days of the first and the last.
    The detail is the last one's. `action` and the two ids are empty, or None, where there is none."""

    since: date
    until: date
    runs: int
    heading: str
    detail: str
    tone: str
    action: str
    assessment_id: int | None
    intervention_id: str


class Awaited(NamedTuple):
    """Whose decision a pending intervention waits for: names, or empty where nobody may decide it; `returned`
    is the note with which its proposer was asked for changes."""

    request: ApprovalRequest
    whose: str
    returned: str
    reviewed_by: str


_ENDED_EARLY = {
    PipelineRun.Status.FAILED: "The run broke off",
    PipelineRun.Status.CANCELLED: "The run was cancelled",
}


# -- run by run


class _Conclusion(NamedTuple):
    """`key` is what makes two conclusions alike."""

    key: tuple
    heading: str
    detail: str
    tone: str = ""
    action: str = ""
    assessment_id: int | None = None
    intervention_id: str = ""


def why_not_contacted(customer: Customer, *, runs: int = RUNS) -> list[Line]:
    """Latest first, of the last `runs` runs that looked at this customer or at the whole portfolio."""
    rows = _runs(customer, runs)
    concluded = Assessment.objects.filter(customer=customer).defer("risk_factors")
    assessments = {row.run_id: row for row in concluded.filter(run__in=rows)}
    # What the first of these runs may have found unchanged.
    before = concluded.filter(run__lt=rows[-1].pk).order_by("-as_of", "-pk").first() if rows else None
    looked_at = [*rows, before.run_id] if before else rows
    mine = Intervention.objects.filter(customer=customer, run__in=looked_at)
    proposed = {row.run_id: row for row in mine.select_related("execution")}
    stands = fates(proposed.values())
    stays = list(customer.journey_states.values_list("state_entered_at", "left_on"))
    lines: list[Line] = []
    last = _concluded(before, proposed.get(before.run_id), stands) if before else None
    for run in reversed(rows):
        assessment = assessments.get(run.pk)
        if assessment is not None:
            concluded = _concluded(assessment, proposed.get(run.pk), stands)
        else:
            concluded = _without_assessment(run, customer, stays, last)
        if concluded is None:
            continue
        alike = bool(lines) and last is not None and last.key == concluded.key
        last = concluded
        since, number = (lines[-1].since, lines[-1].runs + 1) if alike else (run.as_of, 1)
        line = Line(since, run.as_of, number, *concluded[1:])
        lines[-1 if alike else len(lines) :] = [line]
    return lines[::-1]


def _runs(customer: Customer, most: int) -> list[PipelineRun]:
    """Latest first: the runs over the portfolio, those for this customer, and those for what came in that
    looked at them too. Without what a run's row is heavy with."""
    looked = PipelineRun.objects.exclude(status=PipelineRun.Status.QUEUED).order_by("-pk")
    looked = looked.only("as_of", "status", "finished_at")
    seen = customer.assessments.order_by("-as_of", "-pk").values_list("run_id", flat=True)[:most]
    found = {
        run.pk: run
        for runs in (
            looked.filter(scope=PipelineRun.Scope.PORTFOLIO)[:most],
            looked.filter(customer=customer)[:most],
            looked.filter(pk__in=list(seen)),
        )
        for run in runs
    }
    return sorted(found.values(), key=lambda run: -run.pk)[:most]


def _concluded(
    assessment: Assessment, intervention: Intervention | None, stands: dict[str, Fate]
) -> _Conclusion:
    action, detail = assessment.recommended_action, assessment.disposition_detail
    if assessment.disposition == Disposition.PROPOSED and intervention is not None:
        fate = stands[intervention.pk]
        return _Conclusion(("proposed", intervention.pk), *fate, action, assessment.pk, intervention.pk)
    reason = assessment.suppression_reason
    return _Conclusion(
        (assessment.disposition, reason, action),
        label(reason or assessment.disposition),
        detail,
        "",
        action,
        assessment.pk,
    )


def _without_assessment(
    run: PipelineRun, customer: Customer, stays: list[tuple[date, date | None]], last: _Conclusion | None
) -> _Conclusion | None:
    """Why a run has no row on the customer; None where it is under way, or came before the customer. A run
    keeps only what changed: it concluded then what the one before it did."""
    came_later = run.finished_at is not None and customer.received_at > run.finished_at
    if came_later or run.status == PipelineRun.Status.RUNNING:
        return None
    if run.status in _ENDED_EARLY:
        heading = _ENDED_EARLY[run.status]
        return _Conclusion(
            (run.status,), heading, "It concluded nothing new about this customer before it ended."
        )
    if not any(entered <= run.as_of and (left is None or left > run.as_of) for entered, left in stays):
        return _Conclusion(
            ("no stage",),
            "Not part of the run",
            "The customer had no stage on that day: without one nothing can be assessed.",
        )
    return last or _Conclusion(("none",), "Not part of the run", "The run did not look at this customer.")


# -- how an intervention stands


def fates(interventions: Collection[Intervention]) -> dict[str, Fate]:
    """By intervention. Three queries, whatever their number."""
    requests = {
        row.subject_key: row
        for row in ApprovalRequest.objects.filter(
            kind=KIND, subject_key__in=[row.pk for row in interventions]
        )
        .only("subject_key", "returned_at", "returned_note", "decision_due_at")
        .order_by("pk")
    }
    ids = [request.pk for request in requests.values()]
    decisions = {
        row.request_id: row
        for row in Decision.objects.filter(request__in=ids, ends=True).select_related("event__detail")
    }
    ends = AuditEvent.objects.filter(request_id__in=ids, word__in=_ENDS).select_related("detail")
    events = {row.request_id: row for row in ends.order_by("sequence")}
    now = timezone.now()
    found = {}
    for row in interventions:
        request = requests.get(row.pk)
        facts = _Facts(
            row,
            request,
            decisions.get(request.pk) if request else None,
            events.get(request.pk) if request else None,
            now,
        )
        found[row.pk] = _FATES[row.status](facts)
    return found


_ENDS = ("request.lapsed", "request.revoked", "request.superseded")


class _Facts(NamedTuple):
    row: Intervention
    request: ApprovalRequest | None
    decision: Decision | None
    end: AuditEvent | None
    now: datetime

    @property
    def execution(self) -> Execution | None:
        try:
            return self.row.execution
        except ObjectDoesNotExist:
            return None


def _pending(facts: _Facts) -> Fate:
    if facts.request is None:
        return Fate("Waits for a decision", "", "medium")
    if facts.request.returned_at:
        return Fate("Sent back for changes", _quoted(facts.request.returned_note), "medium")
    due = shown.relative(facts.request.decision_due_at, facts.now)
    late = facts.request.decision_due_at < facts.now
    return Fate("Waits for a decision", f"It was due {due}." if late else f"Due {due}.", "medium")


def _approved(facts: _Facts) -> Fate:
    row, execution = facts.row, facts.execution
    mode = switches.mode_for(channel=row.channel, action=row.recommended_action, customer_id=row.customer_id)
    if mode == ExecutionMode.OFF:
        detail = "Execution is off: it waits until that is started again, or expires."
    elif execution and execution.retry_at:
        detail = f"{execution.detail} Tried again {shown.relative(execution.retry_at, facts.now)}."
    elif row.not_before and row.not_before > facts.now:
        detail = f"Carried out {shown.relative(row.not_before, facts.now)}; it can be revoked until then."
    else:
        detail = "A worker carries it out within a minute."
    if mode == ExecutionMode.RECORD_ONLY:
        detail += " Execution is record-only: nothing will be sent."
    return Fate("Approved, not carried out yet", detail, "medium")


def _executing(facts: _Facts) -> Fate:
    execution = facts.execution
    if execution and execution.status == ExecutionStatus.WITH_OWNER:
        due = f"It is due {shown.relative(execution.due_at, facts.now)}." if execution.due_at else ""
        return Fate(f"With {execution.assignee or 'nobody'}, as a task", due, "medium")
    return Fate("Being carried out", "")


def _executed(facts: _Facts) -> Fate:
    execution = facts.execution
    if execution and execution.mode == ExecutionMode.RECORD_ONLY:
        return Fate("Put on record only", "Execution was record-only: nothing was sent.")
    detail = execution.detail if execution else ""
    if facts.row.channel == Channel.TASK:
        return Fate("Done by the account's owner", detail, "low")
    return Fate(f"Contacted by {phrase(facts.row.channel)}", detail, "low")


def _recorded(facts: _Facts) -> Fate:
    return Fate("Nothing to send", f"{label(facts.row.recommended_action)} sends nothing; it is on record.")


def _rejected(facts: _Facts) -> Fate:
    decision = facts.decision
    if decision is None:
        return Fate("Rejected", "")
    category = decision.get_category_display()
    said = [part for part in (category, _quoted(decision.reason)) if part]
    return Fate(f"Rejected by {decision.actor_name}", ": ".join(said))


def _expired(facts: _Facts) -> Fate:
    approved = facts.decision is not None and facts.decision.verdict == Verdict.APPROVED
    if approved:
        return Fate("Expired", "It was approved, and not carried out in time.")
    return Fate("Expired", "Nobody decided in time. That is no rejection: the next run may ask again.")


def _lapsed(facts: _Facts) -> Fate:
    return Fate("The approval lapsed", facts.end.reason if facts.end else "")


def _revoked(facts: _Facts) -> Fate:
    if facts.end is None:
        return Fate("Revoked", "")
    return Fate(f"Revoked by {facts.end.actor_name}", _quoted(facts.end.reason))


def _superseded(facts: _Facts) -> Fate:
    return Fate("Replaced by another proposal", facts.end.reason if facts.end else "")


def _failed(facts: _Facts) -> Fate:
    return Fate("Could not be carried out", facts.execution.detail if facts.execution else "")


def _unknown(facts: _Facts) -> Fate:
    return Fate("Not known whether it went out", "A person has to find out, and end it.", "medium")


def _imported(facts: _Facts) -> Fate:
    return Fate("Imported history", "Another system made it; it was never carried out from here.")


def _quoted(text: str) -> str:
    return f"“{text}”" if text else ""


_FATES: dict[str, Callable[[_Facts], Fate]] = {
    InterventionStatus.PENDING: _pending,
    InterventionStatus.APPROVED: _approved,
    InterventionStatus.EXECUTING: _executing,
    InterventionStatus.EXECUTED: _executed,
    InterventionStatus.FAILED: _failed,
    InterventionStatus.UNKNOWN: _unknown,
    InterventionStatus.RECORDED: _recorded,
    InterventionStatus.REJECTED: _rejected,
    InterventionStatus.EXPIRED: _expired,
    InterventionStatus.LAPSED: _lapsed,
    InterventionStatus.REVOKED: _revoked,
    InterventionStatus.SUPERSEDED: _superseded,
    InterventionStatus.IMPORTED: _imported,
}


# -- what an open one waits for


def awaited(intervention: Intervention) -> Awaited | None:
    """None where no decision is awaited."""
    request = intervention.request
    if request is None or request.status != Status.PENDING:
        return None
    return Awaited(
        request=request,
        whose="" if request.returned_at else _named(Deciders().of(request)),
        returned=request.returned_note if request.returned_at else "",
        reviewed_by=request.claimed_by_name if request.is_claimed(timezone.now()) else "",
    )


def _named(users: Iterator) -> str:
    """ "anna, ben, carl or 4 more"."""
    names = [user.get_username() for user in islice(users, _NAMES)]
    more = sum(1 for _ in users)
    if more:
        return f"{', '.join(names)} or {more} more"
    return " or ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
