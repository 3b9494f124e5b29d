"""What can be asked for. An app registers a Subject per kind; the gate calls it and knows no more."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from approvals.models import ApprovalRequest
    from approvals.rules import Actor


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """`on_end(request, actor)` is called inside the transaction that moves the request, with the new
    status on it; it moves the subject's own row along.
    `describe(request, user)` gives the context that `template` shows as the evidence."""

    kind: str
    label: str
    template: str
    describe: "Callable[[ApprovalRequest, object], dict]"
    on_end: "Callable[[ApprovalRequest, Actor], None]"


_SUBJECTS: dict[str, Subject] = {}


def register(subject: Subject) -> None:
    _SUBJECTS[subject.kind] = subject


def subject_of(kind: str) -> Subject:
    """Raises KeyError for a kind that nobody registered."""
    return _SUBJECTS[kind]


def labels() -> dict[str, str]:
    return {kind: subject.label for kind, subject in _SUBJECTS.items()}
