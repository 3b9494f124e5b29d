"""Looking afterwards at what the policy decided alone: a share is drawn for people to agree with or not. A
disagreement undoes nothing; it counts where the policy's thresholds are judged."""

import hashlib
from datetime import UTC, date, datetime, time, timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from approvals.models import ApprovalRequest, Decision
from approvals.rules import Actor, Authority, Status
from approvals.services import Facets, NewRequest, Terms, mark_used, open_requests
from journeys.days import today
from journeys.services import policies
from journeys.services.policies import clocks_of
from journeys.services.proposals import KIND as INTERVENTION
from journeys.services.proposals import PIPELINE

KIND = "policy_review"
DAYS_BACK = 7
_FINENESS = 10_000


def decided_by_policy(day: date):
    """What the policy authorised on a day (UTC), newest first: decisions with their requests."""
    begins = datetime.combine(day, time(0, tzinfo=UTC))
    decisions = Decision.objects.filter(
        authority=Authority.POLICY, decided_at__gte=begins, decided_at__lt=begins + timedelta(days=1)
    )
    return decisions.select_related("request").order_by("-decided_at")


def draw(day: date) -> int:
    """Put the share that the policy sets into the queue; returns how many. The draw depends on the
    intervention alone, so that drawing again draws the same, and nobody can choose."""
    rules = policies.in_force().rules
    share = rules.authority.review_share
    drawn = [row.request for row in decided_by_policy(day).iterator() if _is_drawn(row.request, share)]
    keys = [request.subject_key for request in drawn]
    there = set(
        ApprovalRequest.objects.filter(kind=KIND, subject_key__in=keys).values_list("subject_key", flat=True)
    )
    opened = 0
    for request in drawn:
        if request.subject_key in there:
            continue
        try:
            with transaction.atomic():
                open_requests([_review_of(request, rules)], proposer=PIPELINE)
        except IntegrityError:
            continue  # drawn at this moment by another worker
        opened += 1
    return opened


def draw_recent() -> int:
    """Draw from the days before today; a day on which no worker ran is made good."""
    return sum(draw(today() - timedelta(days=days)) for days in range(DAYS_BACK, 0, -1))


def reviewed(review: ApprovalRequest) -> ApprovalRequest:
    """The request that the policy decided."""
    return ApprovalRequest.objects.get(pk=review.payload["request"])


def on_review_end(review: ApprovalRequest, actor: Actor) -> None:
    if review.status == Status.APPROVED:
        mark_used(review)


def _is_drawn(request: ApprovalRequest, share: float) -> bool:
    digest = hashlib.sha256(f"review:{request.subject_key}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % _FINENESS < share * _FINENESS


def _review_of(request: ApprovalRequest, rules) -> NewRequest:
    return NewRequest(
        kind=KIND,
        subject_key=request.subject_key,
        concerning=request.concerning,
        title=f"Was this right? {request.title}"[:200],
        summary=f"The policy decided it alone. {request.summary}"[:400],
        payload={"request": request.pk, "decided": request.fingerprint, "of": INTERVENTION},
        evidence={"reason": ""},
        facets=Facets(**{name: getattr(request, name) for name in Facets.__dataclass_fields__}),
        terms=Terms(**clocks_of(rules, "low", timezone.now())),
        policy=request.policy,
    )
