"""The front page: cards, each for whoever can use it. What needs the person stands first."""

from collections.abc import Callable
from dataclasses import dataclass, field

from django.contrib.auth.models import AbstractBaseUser
from django.utils import timezone

from cjo_site.front_page import auditing, deciding, managing, operating
from cjo_site.front_page.viewer import Viewer


@dataclass(frozen=True, slots=True)
class Card:
    """Shown by the template `admin/home/<name>.html`, which has `facts(viewer)` as `card`; None: there is
    nothing to show. `for_whom(viewer)` is whether this person can use it."""

    name: str
    facts: Callable[[Viewer], dict | None]
    for_whom: Callable[[Viewer], bool] = lambda viewer: True


@dataclass(frozen=True, slots=True)
class ShownCard:
    template: str
    facts: dict


@dataclass(frozen=True, slots=True)
class FrontPage:
    alarms: list[ShownCard]
    main: list[ShownCard]
    side: list[ShownCard]
    # What is said where no card is for this person.
    lost: dict = field(default_factory=dict)


# Each column from top to bottom.
ALARMS = (
    Card("tested", operating.approved_for_testing),
    Card("worker_dead", operating.dead_worker),
    Card("chain_broken", auditing.broken_chain, lambda viewer: viewer.audits or viewer.manages),
    Card("invariants_broken", auditing.broken_invariants, lambda viewer: viewer.audits or viewer.operates),
)
MAIN = (
    Card("tasks", operating.tasks),
    Card("sent_back", deciding.sent_back),
    Card("superuser", deciding.decides_nothing, lambda viewer: viewer.user.is_superuser),
    Card("yours", deciding.yours, lambda viewer: viewer.decides),
    Card("portfolio", managing.portfolio, lambda viewer: viewer.manages and viewer.sees_portfolio),
    Card("trouble", operating.trouble, lambda viewer: viewer.ends_executions),
    Card("changes", auditing.changes_waiting, lambda viewer: viewer.audits),
    Card("decided", deciding.decided, lambda viewer: viewer.decides),
    Card("trail", auditing.trail, lambda viewer: viewer.audits),
    Card("runs", operating.runs, lambda viewer: viewer.operates),
    Card("proposed", deciding.proposed),
)
SIDE = (
    Card("due_soon", deciding.due_soon, lambda viewer: viewer.decides),
    Card("stop", managing.stop, lambda viewer: viewer.stops),
    Card("queue_age", managing.queue_age, lambda viewer: viewer.manages),
    Card("by_policy", managing.by_policy, lambda viewer: viewer.manages),
    Card("chain", auditing.chain, lambda viewer: viewer.audits),
    Card("invariants", auditing.invariants, lambda viewer: viewer.audits),
    Card("worker", operating.worker, lambda viewer: viewer.operates),
    Card("findings", operating.findings, lambda viewer: viewer.closes_findings),
)


def front_page(user: AbstractBaseUser) -> FrontPage:
    viewer = Viewer(user, timezone.now())
    alarms, main, side = (_shown(cards, viewer) for cards in (ALARMS, MAIN, SIDE))
    return FrontPage(alarms, main, side, lost={} if main or side else {"groups": user.groups.exists()})


def _shown(cards: tuple[Card, ...], viewer: Viewer) -> list[ShownCard]:
    shown = []
    for card in cards:
        if card.for_whom(viewer) and (facts := card.facts(viewer)) is not None:
            shown.append(ShownCard(f"admin/home/{card.name}.html", facts | {"now": viewer.now}))
    return shown
