"""Whether people can decide while a run writes: one person, decision after decision, without a pause."""

import time
from collections.abc import Callable, Iterator

from django.contrib.auth import get_user_model

from approvals.models import ApprovalRequest
from approvals.rules import Refusal, RejectionCategory, Verdict
from approvals.services import decide
from journeys.bench.processes import wait_until
from journeys.models import PipelineRun
from journeys.services.proposals import KIND

# Seconds: until the run begins; between two looks whether it has ended; and of deciding once it has.
_TO_BEGIN, _LOOK, _ALONE = 120, 0.5, 5.0
_PAGE = 50


def during_a_run() -> dict:
    """Decide what the run opens, from its first request to its end, and then for some seconds alone:
    {during: {decisions, per_second, longest_ms}, alone: likewise}."""
    running = PipelineRun.objects.filter(status=PipelineRun.Status.RUNNING)
    waiting = _waiting()
    wait_until(lambda: bool(_pending(0)), seconds=_TO_BEGIN)
    looked = time.monotonic()

    def goes_on() -> bool:
        nonlocal looked
        if time.monotonic() - looked < _LOOK:
            return True
        looked = time.monotonic()
        return running.exists()

    during = _decide(waiting, goes_on)
    until = time.monotonic() + _ALONE
    return {"during": during, "alone": _decide(waiting, lambda: time.monotonic() < until)}


def _decide(waiting: Iterator[ApprovalRequest | None], goes_on: Callable[[], bool]) -> dict:
    user = get_user_model().objects.get(username="manager")
    spent, began = [], time.perf_counter()
    while goes_on():
        request = next(waiting)
        if request is None:
            time.sleep(0.01)
            continue
        # Every third is rejected.
        rejected = request.pk % 3 == 0
        started = time.perf_counter()
        try:
            decide(
                request_id=request.pk,
                verdict=Verdict.REJECTED if rejected else Verdict.APPROVED,
                fingerprint=request.fingerprint,
                user=user,
                door="command",
                reason="Not now." if rejected else "",
                category=RejectionCategory.BAD_TIMING if rejected else "",
            )
        except Refusal:
            continue
        spent.append(time.perf_counter() - started)
    return {
        "decisions": len(spent),
        "per_second": len(spent) / (time.perf_counter() - began) if spent else None,
        "longest_ms": 1000 * max(spent) if spent else None,
    }


def _waiting() -> Iterator[ApprovalRequest | None]:
    """What one person decides without a password, as it comes up; None while there is nothing."""
    last = 0
    while True:
        page = _pending(last)
        yield from page
        if page:
            last = page[-1].pk
        else:
            yield None


def _pending(after: int) -> list[ApprovalRequest]:
    plain = ApprovalRequest.objects.pending().filter(kind=KIND, people_needed=1, heightened=False)
    return list(plain.filter(pk__gt=after).order_by("pk")[:_PAGE])
