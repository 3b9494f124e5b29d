"""Many at once: each row is decided on its own, by the same rules, and answers for itself."""

from collections.abc import Sequence
from typing import NamedTuple

from django.utils import timezone

from approvals import rules
from approvals.models import ApprovalRequest, user_key
from approvals.rules import Verdict
from approvals.services.deciding import decide

AT_MOST = 50


class TooMany(rules.Refusal):
    code = "too_many"


class Answer(NamedTuple):
    """`result` is "done", or the code of the refusal; `message` says it to the person."""

    request_id: int
    result: str
    message: str


def reject_many(
    seen: Sequence[tuple[int, str]],
    *,
    category: str,
    reason: str,
    user,
    password: str | None = None,
    door: str,
    address: str = "",
) -> list[Answer]:
    """Reject the requests, given as (id, fingerprint seen), for one reason. What somebody else is reviewing
    is left to them. Raises TooMany above 50."""
    arguments = {"category": category, "reason": reason, "password": password}
    return _many(seen, Verdict.REJECTED, user=user, door=door, address=address, **arguments)


def approve_many(
    seen: Sequence[tuple[int, str]],
    *,
    reason: str = "",
    user,
    password: str | None = None,
    door: str,
    address: str = "",
) -> list[Answer]:
    """Approve those of the requests whose policy allows it. Raises TooMany above 50."""
    arguments = {"reason": reason, "password": password}
    return _many(seen, Verdict.APPROVED, user=user, door=door, address=address, **arguments)


def _many(seen: Sequence[tuple[int, str]], verdict: Verdict, *, user, **arguments) -> list[Answer]:
    if len(seen) > AT_MOST:
        raise TooMany(f"At most {AT_MOST} requests can be decided at once; these are {len(seen)}.")
    return [_one(request_id, fingerprint, verdict, user, arguments) for request_id, fingerprint in seen]


def _one(request_id: int, fingerprint: str, verdict: Verdict, user, arguments: dict) -> Answer:
    try:
        request = ApprovalRequest.objects.pending().filter(pk=request_id).first()
        if request and request.is_claimed(timezone.now()) and request.claimed_by_key != user_key(user):
            raise rules.Claimed(f"{request.claimed_by_name} is reviewing this.")
        if request and verdict == Verdict.APPROVED and not request.bulk_allowed:
            raise rules.NotAuthorised("The policy has this one looked at on its own.")
        decide(request_id=request_id, verdict=verdict, fingerprint=fingerprint, user=user, **arguments)
    except rules.Refusal as refusal:
        return Answer(request_id, refusal.code, str(refusal))
    return Answer(request_id, "done", "Done.")
