"""Carrying out what was approved. The only writer of executions, and of interventions from approved on."""

from journeys.services.execution.endings import (
    STUCK_AFTER,
    StillRunning,
    end_retries,
    end_uncertain,
    finish_task,
    overdue_tasks,
    stuck,
)
from journeys.services.execution.worker import WORKER, execute, execute_due, give_up_overdue

__all__ = [
    "STUCK_AFTER",
    "WORKER",
    "StillRunning",
    "end_retries",
    "end_uncertain",
    "execute",
    "execute_due",
    "finish_task",
    "give_up_overdue",
    "overdue_tasks",
    "stuck",
]
