"""What can be asked for. An app registers a Subject per kind; the gate calls it and knows no more."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING

from approvals.rules import Refusal

if TYPE_CHECKING:
    from approvals.models import ApprovalRequest
    from approvals.rules import Actor


class CannotChange(Refusal):
    """This subject is approved as it is, or rejected; or this of it cannot be changed so."""

    code = "cannot_change"


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What a request asks for once it was changed, and what that takes (see Terms)."""

    payload: dict
    title: str
    action: str
    people_needed: int
    bulk_allowed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Changeable:
    """A part of the payload that may be changed, as a form shows it. `choices` are (value, label) rows;
    `long` is for texts of several lines, `moment` for a time, which is written in ISO 8601, in UTC."""

    name: str
    label: str
    choices: Sequence[tuple[str, str]] = ()
    long: bool = False
    moment: bool = False
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayAsked:
    """A day that may be given along with a rejection of this `category`, and what the form says about it."""

    name: str
    label: str
    category: str
    hint: str = ""


def _unchangeable(request: "ApprovalRequest", changes: dict) -> Changed:
    raise CannotChange("Requests of this kind are approved or rejected as they are.")


def _no_days(request: "ApprovalRequest", days: Mapping[str, date], actor: "Actor", reason: str) -> None:
    raise Refusal("No day is asked for with requests of this kind.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """`on_end(requests, actor)` is called inside the transaction that moves requests, one or several, to the
    same status, which is on them by then; it moves the subject's own rows along. See `one_by_one`.
    `changeable(request)` is what may be changed; `change(request, changes)` gives what it would become, or
    raises CannotChange; `on_change(request)` moves the subject's own row along. `revise_permission`: who
    answers where a machine's proposal is sent back.
    `describe(request, user)` gives what `template` shows as the evidence (it is there as `evidence`). Some of
    it, where there is any, the page itself shows: `against`, sentences on what speaks against it; `chips`,
    short facts; `person_reasons`, the rules that ask for a person, each as the end of "... because ...".
    `days_asked(request)` may be given along with a rejection. `on_days(request, days, actor, reason)`, with
    the days that were, by name, is called inside the deciding transaction, after `on_end`; it raises Refusal
    where they do not do.
    `choices` are the known values of a request's facets and person reasons, with what people read for each;
    keyed by the request's field: {"action": [(value, label), ...], ...}.
    `recommends`: it is an action that a machine may propose, so that to reject or to change it overrides a
    recommendation."""

    kind: str
    label: str
    template: str
    describe: "Callable[[ApprovalRequest, object], dict]"
    on_end: "Callable[[Sequence[ApprovalRequest], Actor], None]"
    change: "Callable[[ApprovalRequest, dict], Changed]" = _unchangeable
    changeable: "Callable[[ApprovalRequest], Sequence[Changeable]]" = lambda request: ()
    on_change: "Callable[[ApprovalRequest], None]" = lambda request: None
    revise_permission: str = ""
    days_asked: "Callable[[ApprovalRequest], Sequence[DayAsked]]" = lambda request: ()
    on_days: "Callable[[ApprovalRequest, Mapping[str, date], Actor, str], None]" = _no_days
    choices: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    recommends: bool = False


def one_by_one(
    on_end: "Callable[[ApprovalRequest, Actor], None]",
) -> "Callable[[Sequence[ApprovalRequest], Actor], None]":
    """For subjects whose requests are decided one at a time."""

    def each(requests: "Sequence[ApprovalRequest]", actor: "Actor") -> None:
        for request in requests:
            on_end(request, actor)

    return each


_SUBJECTS: dict[str, Subject] = {}


def register(subject: Subject) -> None:
    _SUBJECTS[subject.kind] = subject


def subject_of(kind: str) -> Subject:
    """Raises KeyError for a kind that nobody registered."""
    return _SUBJECTS[kind]


def labels() -> dict[str, str]:
    return {kind: subject.label for kind, subject in _SUBJECTS.items()}


def kinds_that_recommend() -> list[str]:
    return [kind for kind, subject in _SUBJECTS.items() if subject.recommends]


def choices(name: str) -> dict[str, str]:
    """The known values of a request's field, of all kinds, with their labels."""
    return {value: label for subject in _SUBJECTS.values() for value, label in subject.choices.get(name, ())}
