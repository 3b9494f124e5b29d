"""What can be asked for. An app registers a Subject per kind; the gate calls it and knows no more."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from approvals.models import ApprovalRequest
    from approvals.rules import Actor


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """`on_end(request, actor)` is called inside the transaction that moves the request, with the new
    status on it; it moves the subject's own row along.
    `describe(request, user)` gives what `template` shows as the evidence (it is there as `evidence`).
    `choices` are the known values of a request's facets and person reasons, with what people read for each;
    keyed by the request's field: {"action": [(value, label), ...], ...}."""

    kind: str
    label: str
    template: str
    describe: "Callable[[ApprovalRequest, object], dict]"
    on_end: "Callable[[ApprovalRequest, Actor], None]"
    choices: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)


_SUBJECTS: dict[str, Subject] = {}


def register(subject: Subject) -> None:
    _SUBJECTS[subject.kind] = subject


def subject_of(kind: str) -> Subject:
    """Raises KeyError for a kind that nobody registered."""
    return _SUBJECTS[kind]


def labels() -> dict[str, str]:
    return {kind: subject.label for kind, subject in _SUBJECTS.items()}


def choices(name: str) -> dict[str, str]:
    """The known values of a request's field, of all kinds, with their labels."""
    return {value: label for subject in _SUBJECTS.values() for value, label in subject.choices.get(name, ())}
