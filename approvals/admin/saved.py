"""The saved views of the queue: each is an address, and says how many requests it holds."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.functional import cached_property

from approvals import queue
from approvals.desk import MOST_LISTED
from approvals.models import ApprovalRequest
from approvals.rules import Status

WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class SavedView:
    """`empty` is said where it holds nothing. Of a view that is not `waiting`, the rows have ended."""

    name: str
    label: str
    empty: str
    waiting: bool = True

    def holds(self, user, now: datetime) -> Q:
        """Which of the requests: of those that wait, where it is `waiting`."""
        return _NARROWED[self.name](user, now)


ALL = SavedView("", "All waiting", "Nothing waits for a decision.")
SAVED_VIEWS = (
    SavedView("mine", "Mine to decide", "Nothing waits for you."),
    SavedView("due", "Due today", "Nothing is due before midnight."),
    SavedView("high", "High value", "Nothing waits whose value asks for more care."),
    SavedView("unroutable", "Nobody can decide", "Everything that waits has somebody who may decide it."),
    SavedView("expired", "Expired this week", "Nothing expired in the last seven days.", waiting=False),
)
_BY_NAME = {view.name: view for view in (ALL, *SAVED_VIEWS)}
_NARROWED = {
    "": lambda user, now: Q(),
    "mine": queue.decidable_of_what_waits,
    "due": lambda user, now: Q(decision_due_at__lt=queue.midnight_after(now)),
    "high": lambda user, now: Q(heightened=True),
    "unroutable": lambda user, now: Q(unroutable=True),
    "expired": lambda user, now: Q(status=Status.EXPIRED.value, expires_at__gt=now - WEEK),
}


def status_of_view(request) -> str:
    """The status that is looked at where the URL names none."""
    return Status.EXPIRED.value if request.GET.get("view") == "expired" else Status.PENDING.value


@dataclass(frozen=True, slots=True)
class ViewLink:
    """`count` is capped like that of a list."""

    label: str
    query_string: str
    count: int
    current: bool

    @property
    def figure(self) -> str:
        return f"{MOST_LISTED:,}+" if self.count >= MOST_LISTED else f"{self.count:,}"


class SavedViewFilter(admin.SimpleListFilter):
    """In the URL as `view`, beside search and filters; shown as links above the list, not among the filters.

    A view says by itself which status it is about: choosing one takes a chosen status back.
    """

    title = "view"
    parameter_name = "view"

    def __init__(self, request, params, model, model_admin):
        self.user, self.now = request.user, timezone.now()
        self.status_chosen = "status" in request.GET
        super().__init__(request, params, model, model_admin)

    def lookups(self, request, model_admin):
        return [(view.name, view.label) for view in SAVED_VIEWS]

    @property
    def chosen(self) -> SavedView:
        return _BY_NAME.get(self.value() or "", ALL)

    @cached_property
    def conditions(self) -> dict[str, Q]:
        return {view.name: view.holds(self.user, self.now) for view in (ALL, *SAVED_VIEWS)}

    def queryset(self, request, queryset):
        if self.chosen is ALL:
            return queryset
        of = queryset.filter(queue.WAITING) if self.chosen.waiting else queryset
        return of.filter(self.conditions[self.chosen.name])

    def standing(self, found: QuerySet[ApprovalRequest]) -> queue.Standing:
        """What the chosen view amounts to and what each one holds, of what search and filters found."""
        waiting = {view.name: self.conditions[view.name] for view in _BY_NAME.values() if view.waiting}
        ended = {
            name: found.filter(condition).order_by()[:MOST_LISTED].count()
            for name, condition in self.conditions.items()
            if name not in waiting
        }
        standing = queue.standing(
            found.filter(queue.WAITING), self.now, within=waiting.get(self.chosen.name), views=waiting
        )
        return replace(standing, views=standing.views | ended)

    def links(self, changelist, counts: dict[str, int], *, decides: bool) -> list[ViewLink]:
        """One that decides nothing has no use for "mine"."""
        shown = [view for view in _BY_NAME.values() if view.name != "mine" or decides or counts["mine"]]
        return [
            ViewLink(
                label=view.label,
                query_string=changelist.get_query_string(
                    {"view": view.name} if view.name else {}, ["view", "status"]
                ),
                count=counts[view.name],
                current=view is self.chosen and not self.status_chosen,
            )
            for view in shown
        ]
