"""What a person ends: the owner's task, and what nobody can be certain of."""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from approvals import shown
from approvals.rules import Actor, AlreadyDecided, NotAuthorised, NotFound, ReasonNeeded, Refusal
from approvals.services import actor_of
from journeys.domain.vocabulary import ExecutionStatus, InterventionStatus, phrase
from journeys.models import Execution
from journeys.services.execution.moves import approved_request, move, shortened

END_PERMISSION = "journeys.end_execution"
# A claim this old belongs to a worker that died: no channel takes nearly so long.
STUCK_AFTER = timedelta(minutes=10)


class StillRunning(Refusal):
    code = "still_running"


def finish_task(
    *, execution_id: int, user, done: bool, note: str = "", door: str, address: str = ""
) -> Execution:
    """The owner says that their task is done, or impossible, and then why.

    Raises NotFound, NotAuthorised (for anybody but the owner and those who may end executions),
    AlreadyDecided or ReasonNeeded.
    """
    execution, now = _get(execution_id), timezone.now()
    own = user.is_active and user.get_username() == execution.assignee
    if not (own or _may_end(user)):
        raise NotAuthorised(f"This task is for {execution.assignee or 'nobody'}; only they may end it.")
    if execution.status != ExecutionStatus.WITH_OWNER:
        raise AlreadyDecided(f"This is no open task: it is {phrase(execution.status)}.")
    if not (done or note.strip()):
        raise ReasonNeeded("Say why it was impossible: whoever looks after the customer needs to know.")
    return _end(
        execution,
        word="task.done",
        told=("with owner", "done" if done else "impossible"),
        went_out=done,
        note=note.strip() or "Done.",
        actor=actor_of(user, door=door, address=address),
        now=now,
    )


def end_uncertain(
    *, execution_id: int, user, went_out: bool, note: str, door: str, address: str = ""
) -> Execution:
    """A person has found out whether it went out: of an unknown execution, or of one whose worker died.

    Raises NotFound, NotAuthorised, AlreadyDecided, StillRunning or ReasonNeeded.
    """
    execution, now = _get(execution_id), timezone.now()
    if not _may_end(user):
        raise NotAuthorised("You have no permission to end an execution whose result is not known.")
    if execution.status not in (ExecutionStatus.UNKNOWN, ExecutionStatus.CLAIMED):
        raise AlreadyDecided(f"Nothing is uncertain here: it is {phrase(execution.status)}.")
    if execution.status == ExecutionStatus.CLAIMED and now - execution.claimed_at < STUCK_AFTER:
        since = shown.time_of_day(execution.claimed_at)
        raise StillRunning(f"A worker is at it since {since}; wait for its result.")
    if not note.strip():
        raise ReasonNeeded("Say how you found out.")
    after = InterventionStatus.EXECUTED if went_out else InterventionStatus.FAILED
    return _end(
        execution,
        word="execution.ended",
        told=(execution.intervention.status, after),
        went_out=went_out,
        note=note.strip(),
        actor=actor_of(user, door=door, address=address),
        now=now,
    )


def stuck(now: datetime) -> QuerySet[Execution]:
    """Claimed so long ago that their worker must have died. Nothing tries them again."""
    return Execution.objects.filter(status=ExecutionStatus.CLAIMED, claimed_at__lte=now - STUCK_AFTER)


def overdue_tasks(now: datetime) -> QuerySet[Execution]:
    return Execution.objects.filter(status=ExecutionStatus.WITH_OWNER, due_at__lte=now)


def _end(
    execution: Execution,
    *,
    word: str,
    told: tuple[str, str],
    went_out: bool,
    note: str,
    actor: Actor,
    now: datetime,
) -> Execution:
    status = ExecutionStatus.DONE if went_out else ExecutionStatus.FAILED
    with transaction.atomic():
        move(
            execution.intervention,
            execution,
            word=word,
            told=told,
            status=InterventionStatus.EXECUTED if went_out else InterventionStatus.FAILED,
            fields={"status": status, "finished_at": now},
            request=approved_request(execution.intervention_id),
            actor=actor,
            reason=note,
            now=now,
        )
    execution.refresh_from_db()
    return execution


def end_retries(*, intervention_id: str, reason: str) -> None:
    """Close an execution that waits for its next attempt, because its approval has ended. Called by the
    subject, in the transaction that ends the approval."""
    waiting = Execution.objects.filter(intervention_id=intervention_id, status=ExecutionStatus.RETRYING)
    waiting.update(
        status=ExecutionStatus.FAILED,
        retry_at=None,
        finished_at=timezone.now(),
        detail=shortened(reason),
    )


def _get(execution_id: int) -> Execution:
    try:
        return Execution.objects.select_related("intervention").get(pk=execution_id)
    except Execution.DoesNotExist:
        raise NotFound(f"There is no execution {execution_id}.") from None


def _may_end(user) -> bool:
    return user.is_active and user.has_perm(END_PERMISSION)
