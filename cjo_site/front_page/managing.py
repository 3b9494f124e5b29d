"""For whoever answers for it: the portfolio, how long people wait, what the policy did alone, the stop."""

from datetime import datetime, timedelta

from django.db.models import Count

from approvals import charts, queue, shown
from approvals.addresses import request_url
from approvals.models import ApprovalRequest, Decision
from approvals.rules import Authority
from cjo_site.front_page.viewer import Viewer
from journeys.domain.vocabulary import ExecutionMode, SwitchScope, label
from journeys.models import ExecutionSwitch
from journeys.reports.portfolio import latest
from journeys.services import switches

# Of what is switched off besides, and of the policy's actions, so many are named.
NAMED = 4

# Of the line of those at risk, in pixels.
SPARK_HEIGHT = 34


def portfolio(viewer: Viewer) -> dict:
    """As the latest run over it left it; `found` is None before the first."""
    found = latest()
    if found is None:
        return {"found": None}
    points = [(day.as_of.toordinal(), "", (day.tiers.at_risk,)) for day in found.trend]
    return {
        "found": found,
        "first": found.trend[0],
        "line": charts.lines(points, (charts.Series("medium", "at risk"),), plot=SPARK_HEIGHT),
    }


def queue_age(viewer: Viewer) -> dict:
    """How long what is pending now has waited; None where nothing is."""
    found, now = viewer.pending, viewer.now
    if not found["oldest"]:
        return found | {"median": None}
    median = _median_wait(ApprovalRequest.objects.filter(queue.WAITING), found["number"], now)
    return found | {"oldest": shown.span(now - found["oldest"]), "median": shown.span(median)}


def _median_wait(pending, number: int, now: datetime) -> timedelta:
    middle = pending.order_by("requested_at").values_list("requested_at", flat=True)
    asked = list(middle[(number - 1) // 2 : number // 2 + 1])
    return sum((now - moment for moment in asked), timedelta(0)) / max(len(asked), 1)


def by_policy(viewer: Viewer) -> dict:
    """What the policy decided alone since midnight, beside what people decided."""
    today = Decision.objects.filter(
        authority__in=(Authority.POLICY, Authority.PERSON), decided_at__gte=queue.midnight_before(viewer.now)
    )
    rows = list(today.order_by().values_list("authority", "request__action").annotate(number=Count("pk")))
    alone = [(action, number) for authority, action, number in rows if authority == Authority.POLICY]
    actions = sorted(alone, key=lambda row: (-row[1], row[0]))
    return {
        "number": sum(number for _, number in actions),
        "actions": [(label(action), number) for action, number in actions[:NAMED]],
        "others": sum(number for _, number in actions[NAMED:]),
        "by_people": sum(number for authority, _, number in rows if authority == Authority.PERSON),
    }


def stop(viewer: Viewer) -> dict:
    """How far execution goes. One person stops it here; to start it again takes two, on another page."""
    mode = switches.current(SwitchScope.ALL)
    restricted = ExecutionSwitch.objects.exclude(scope=SwitchScope.ALL).filter(mode=ExecutionMode.OFF)
    facts = {
        "mode": mode,
        "off": [
            switches.target(row.scope, row.value) for row in restricted.order_by("scope", "value")[:NAMED]
        ],
    }
    if mode == ExecutionMode.OFF:
        asked = ApprovalRequest.objects.pending().filter(kind=switches.KIND, subject_key=SwitchScope.ALL)
        facts |= {
            "switch": ExecutionSwitch.objects.filter(scope=SwitchScope.ALL).first(),
            "asked": [(row, request_url(row.pk)) for row in asked],
        }
    return facts
