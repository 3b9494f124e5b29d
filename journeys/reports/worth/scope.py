"""Over which days and which interventions the figures go."""

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

from django.db.models import FilteredRelation, Q, QuerySet

from approvals.models import ApprovalRequest
from journeys.domain.policy import PolicyDocument
from journeys.domain.vocabulary import ExecutionMode, Origin
from journeys.models import Customer, Intervention, PipelineRun
from journeys.reports.outcomes import DONE
from journeys.services.proposals import KIND


@dataclass(frozen=True)
class Scope:
    """The window of a run: `days` days up to and with `until`, the run's day. An intervention belongs to the
    window that its own day (`as_of`) lies in."""

    run: PipelineRun
    rules: PolicyDocument
    days: int

    @property
    def until(self) -> date:
        return self.run.as_of

    @property
    def since(self) -> date:
        """The day before the first."""
        return self.until - timedelta(days=self.days)

    def over(self, days: int) -> "Scope":
        """The same up to the same day, over another number of days."""
        return Scope(self.run, self.rules, days)

    def earlier(self, days: int) -> dict[str, date]:
        """Bounds of `as_of` for the window that ended so many days before this one."""
        return self._bounds(days)

    def _bounds(self, days: int = 0) -> dict[str, date]:
        back = timedelta(days=days)
        return {"as_of__gt": self.since - back, "as_of__lte": self.until - back}

    @property
    def proposed(self) -> QuerySet[Intervention]:
        """By the pipeline or by a person; imported history was proposed elsewhere."""
        return Intervention.objects.exclude(origin=Origin.IMPORTED).filter(**self._bounds())

    @property
    def done(self) -> QuerySet[Intervention]:
        """Executed, recorded or imported."""
        return Intervention.objects.filter(status__in=DONE, **self._bounds())

    @property
    def really_done(self) -> QuerySet[Intervention]:
        """Without what went through on record only: nothing was sent, so nothing can have come of it."""
        return self.done.exclude(execution__mode=ExecutionMode.RECORD_ONLY)

    @property
    def requests(self) -> QuerySet[ApprovalRequest]:
        """Those of what was proposed, each with `ending`: the decision that ended it, if there was one."""
        mine = ApprovalRequest.objects.filter(kind=KIND, subject_key__in=self.proposed.values("pk"))
        return mine.annotate(ending=FilteredRelation("decisions", condition=Q(decisions__ends=True)))

    @cached_property
    def departures_known(self) -> bool:
        """Whether anybody has ever been recorded as having left. Where nobody has, either all stayed or it is
        not recorded, and nothing can be concluded from a customer of whom nothing is on record."""
        return Customer.objects.filter(churned_on__isnull=False).exists()


def scope_of(run: PipelineRun, rules: PolicyDocument) -> Scope:
    return Scope(run, rules, rules.kpis.window_days)
