"""Who looks at the front page, and what they may do."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Count, F, Min, Q, QuerySet

from approvals import queue
from approvals.models import ApprovalRequest, ChainCheck, user_key
from approvals.services import principals_of, was_given
from cjo_site import health
from journeys.models import InvariantCheck
from journeys.services import switches

DECIDE = "approvals.decide_approvalrequest"
MOST_IN_HAND = 20


@dataclass
class Viewer:
    """The roles are no more than permissions: a card is for whoever holds the one that it takes to use it."""

    user: AbstractBaseUser
    now: datetime

    @property
    def key(self) -> str:
        return user_key(self.user)

    def may(self, permission: str) -> bool:
        return self.user.has_perm(permission)

    @cached_property
    def decides(self) -> bool:
        """For themselves or in somebody's stead. A superuser has every permission, and was given none."""
        given = self.may(DECIDE) and (not self.user.is_superuser or was_given(self.user, DECIDE))
        return given or bool(self.stands_in_for)

    @cached_property
    def stands_in_for(self) -> list:
        return principals_of(self.user, self.now)

    @cached_property
    def mine(self) -> QuerySet[ApprovalRequest]:
        """What waits for this person, most pressing first."""
        return queue.decidable_for(self.user, self.now, principals=self.stands_in_for)

    @cached_property
    def in_hand(self) -> list[ApprovalRequest]:
        """What waits and is theirs to look after: proposed or being reviewed by them; what was sent back to
        them first. One query, as each has to look through all that waits: in the index, and only what is
        found is read."""
        reviewing = Q(claimed_by_key=self.key, claimed_until__gt=self.now)
        found = ApprovalRequest.objects.filter(queue.WAITING, Q(proposed_by_key=self.key) | reviewing)
        rows = ApprovalRequest.objects.filter(pk__in=found.values("pk"))
        returned_first = F("returned_at").asc(nulls_last=True)
        return list(rows.order_by(returned_first, "-priority_score", "requested_at", "-pk")[:MOST_IN_HAND])

    @cached_property
    def pending(self) -> dict:
        """Of all that waits: `number`, `oldest` (when it was asked, None for none), `late`, `unroutable`."""
        return ApprovalRequest.objects.filter(queue.WAITING).aggregate(
            number=Count("pk"),
            oldest=Min("requested_at"),
            late=Count("pk", filter=Q(decision_due_at__lte=self.now)),
            unroutable=Count("pk", filter=Q(unroutable=True)),
        )

    @cached_property
    def last_beat(self) -> datetime | None:
        """Of the worker."""
        return health.last_beat()

    @cached_property
    def chain_check(self) -> ChainCheck | None:
        return ChainCheck.objects.first()

    @cached_property
    def invariant_check(self) -> InvariantCheck | None:
        return InvariantCheck.objects.first()

    @property
    def operates(self) -> bool:
        return self.may("journeys.run_pipeline")

    @property
    def ends_executions(self) -> bool:
        return self.may("journeys.end_execution")

    @property
    def closes_findings(self) -> bool:
        return self.may("journeys.close_finding")

    @property
    def manages(self) -> bool:
        return self.may("journeys.activate_policy")

    @property
    def sees_portfolio(self) -> bool:
        return self.may("journeys.view_assessment")

    @property
    def audits(self) -> bool:
        return self.may("approvals.view_auditevent")

    @property
    def stops(self) -> bool:
        return self.may(switches.STOP_PERMISSION)
