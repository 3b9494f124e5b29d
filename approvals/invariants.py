"""What must always hold, asked of the rows. Other apps register theirs; `broken` asks them all."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from django.db.models import Count, Exists, F, Max, OuterRef, Q

from approvals.models import ApprovalRequest, AuditEvent, AuditHead, Decision
from approvals.rules import Authority, Status, Verdict

# Enough to see what is wrong.
MOST_ROWS = 100


class Invariant(NamedTuple):
    """`breaches()` gives the rows that break it, as text; none: it holds."""

    name: str
    sentence: str
    breaches: Callable[[], Iterable[str]]


class Breach(NamedTuple):
    invariant: str
    row: str


_INVARIANTS: list[Invariant] = []


def register(*invariants: Invariant) -> None:
    names = {invariant.name for invariant in _INVARIANTS}
    _INVARIANTS.extend(invariant for invariant in invariants if invariant.name not in names)


def sentences() -> dict[str, str]:
    return {invariant.name: invariant.sentence for invariant in _INVARIANTS}


def broken() -> list[Breach]:
    """Every row that breaks an invariant, at most 100 for each."""
    return [
        Breach(invariant.name, row)
        for invariant in _INVARIANTS
        for row, _ in zip(invariant.breaches(), range(MOST_ROWS), strict=False)
    ]


_DECIDED = {
    Status.APPROVED: Verdict.APPROVED,
    Status.REJECTED: Verdict.REJECTED,
    Status.LAPSED: Verdict.APPROVED,
    Status.REVOKED: Verdict.APPROVED,
}


def _requests(rows) -> Iterable[str]:
    return (f"request {row.pk} ({row.status}, {row.kind} {row.subject_key})" for row in rows.iterator())


def _decided_without_decision() -> Iterable[str]:
    for status, verdict in _DECIDED.items():
        ending = Decision.objects.filter(request=OuterRef("pk"), verdict=verdict, ends=True)
        yield from _requests(ApprovalRequest.objects.filter(~Exists(ending), status=status))


def _decided_against_the_status() -> Iterable[str]:
    ends = Decision.objects.filter(ends=True)
    approved = Q(verdict=Verdict.APPROVED) & ~Q(
        request__status__in=[Status.APPROVED, Status.EXPIRED, Status.LAPSED, Status.REVOKED]
    )
    rejected = Q(verdict=Verdict.REJECTED) & ~Q(request__status=Status.REJECTED)
    for row in ends.filter(approved | rejected).select_related("request").iterator():
        yield f"decision {row.pk} says {row.verdict}, request {row.request_id} is {row.request.status}"


def _two_open_requests() -> Iterable[str]:
    pending = ApprovalRequest.objects.pending().values("kind", "subject_key").annotate(count=Count("pk"))
    for row in pending.filter(count__gt=1).iterator():
        yield f"{row['kind']} {row['subject_key']}: {row['count']} open requests"


def _decided_by_own_hand() -> Iterable[str]:
    by_proposer = Decision.objects.filter(
        Q(actor_key=F("request__proposed_by_key")) | Q(on_behalf_of_key=F("request__proposed_by_key"))
    )
    for row in by_proposer.filter(authority=Authority.PERSON).iterator():
        yield f"decision {row.pk} on request {row.request_id}: {row.actor_key} proposed it"


def _approved_by_too_few() -> Iterable[str]:
    people = Count(
        "decisions",
        filter=Q(decisions__verdict=Verdict.APPROVED, decisions__fingerprint=F("fingerprint")),
        distinct=True,
    )
    alone = Decision.objects.filter(request=OuterRef("pk")).exclude(authority=Authority.PERSON)
    approved = ApprovalRequest.objects.filter(~Exists(alone), status=Status.APPROVED)
    yield from _requests(approved.annotate(people=people).filter(people__lt=F("people_needed")))


def _decision_without_its_event() -> Iterable[str]:
    """The decisions stand outside of the chain; each has to be what its event says."""
    same = AuditEvent.objects.filter(
        sequence=OuterRef("event_id"),
        request_id=OuterRef("request_id"),
        actor_key=OuterRef("actor_key"),
        on_behalf_of_key=OuterRef("on_behalf_of_key"),
        fingerprint=OuterRef("fingerprint"),
    )
    for row in Decision.objects.filter(~Exists(same)).iterator():
        yield f"decision {row.pk} on request {row.request_id} is not what event {row.event_id} says"


def _audit_that_does_not_add_up() -> Iterable[str]:
    # In this order, as others may be writing: an event and the head move together.
    last = AuditEvent.objects.aggregate(last=Max("sequence"))["last"] or 0
    head = AuditHead.objects.filter(pk=1).values_list("sequence", flat=True).first() or 0
    count = AuditEvent.objects.filter(sequence__lte=head).count()
    if head != count:
        yield f"{head} events were written, {count} are there"
    if last > head:
        yield f"event {last} stands behind the last one that was written, {head}"


register(
    Invariant(
        "decided_with_a_decision",
        "Every decided request has its decision on record.",
        _decided_without_decision,
    ),
    Invariant(
        "decision_matches_status",
        "Every ending decision fits its request's status.",
        _decided_against_the_status,
    ),
    Invariant("one_open_request", "Nothing has two open requests.", _two_open_requests),
    Invariant("four_eyes", "Nobody decided what they proposed.", _decided_by_own_hand),
    Invariant("quorum", "Every approval was given by as many people as it takes.", _approved_by_too_few),
    Invariant("decision_in_the_chain", "Every decision is what the audit says.", _decision_without_its_event),
    Invariant("audit_adds_up", "As many events are there as were written.", _audit_that_does_not_add_up),
)
