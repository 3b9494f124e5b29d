"""The mail on the 1st: what the month just ended was worth, in short, for those who want it."""

import logging
from datetime import date, timedelta

from django.conf import settings
from django.contrib.auth import get_user_model
from django.template.loader import render_to_string
from django.urls import reverse

from approvals.services.notices import can_be_told, write_letters
from approvals.services.people import was_given
from journeys.days import today
from journeys.domain.kpis import KPIS, KpiTier
from journeys.domain.vocabulary import label
from journeys.models import PipelineRun
from journeys.reports.wording import one_line, warning
from journeys.reports.worth import wording

log = logging.getLogger(__name__)

# Where the worker stood still on the 1st, it is caught up with for so many days.
_CAUGHT_UP_FOR = 7
RECEIVES, READS = "journeys.receive_report", "journeys.view_pipelinerun"


def send_report_of_the_month() -> int:
    """Write the mail of the month before today's, to everybody who has not got it; returns to how many. Sent
    it is with all other mail. After the first days of a month nothing is told any more."""
    day = today()
    if day.day > _CAUGHT_UP_FOR:
        return 0
    last = day.replace(day=1) - timedelta(days=1)
    month = _runs_of(last)
    run = month.filter(status=PipelineRun.Status.SUCCEEDED).exclude(report=None).exclude(results={})
    run = run.order_by("-as_of", "-pk").first()
    if run is None:
        log.warning("No report of %s: no run over the portfolio succeeded in it.", f"{last:%B %Y}")
        return 0
    tested = month.filter(auto_approve_for_testing=True).exists()
    facts = _letter(run, last, tested=tested)
    return write_letters((user, f"report:{last:%Y-%m}:{user.pk}", facts) for user in _readers())


def _runs_of(last: date):
    """Over the portfolio, in the month of which this is the last day."""
    return PipelineRun.objects.filter(
        scope=PipelineRun.Scope.PORTFOLIO, as_of__gte=last.replace(day=1), as_of__lte=last
    )


def _readers() -> list:
    """Whose role has it so, or who asked for it; nobody who may not read reports, or asked not to get it."""
    people = get_user_model().objects.filter(is_active=True).select_related("preferences").order_by("pk")
    return [user for user in people if can_be_told(user) and _wants(user) and user.has_perm(READS)]


def _wants(user) -> bool:
    chosen = getattr(getattr(user, "preferences", None), "monthly_report", None)
    return was_given(user, RECEIVES) if chosen is None else chosen


def _letter(run: PipelineRun, last: date, *, tested: bool) -> dict:
    report = one_line(run.report)
    said = warning(report)
    if tested and not report["auto_approval"]["on"]:
        said = f"AUTOMATIC APPROVAL FOR TESTING WAS ON IN A RUN OF THIS MONTH. {said or ''}".strip()
    context = {
        "month": f"{last:%B %Y}",
        "as_of": run.as_of,
        "warning": said,
        "takeaways": report["takeaways"],
        "window": report["worth"]["window"],
        "tiers": [_tier(report["worth"], tier) for tier in KpiTier],
        "link": settings.SITE_URL + reverse("admin:journeys_pipelinerun_report", args=[run.pk]),
    }
    return {
        "subject": f"What {context['month']} was worth",
        "text": render_to_string("journeys/monthly.txt", context).strip() + "\n",
        "html": render_to_string("journeys/monthly.html", context),
    }


def _tier(results: dict, tier: KpiTier) -> dict:
    rows = [row for row in results["kpis"] if row["tier"] == tier]
    return {
        "label": label(tier),
        "headline": label(results["headlines"][tier]),
        "rows": [
            {
                "label": KPIS[row["name"]].label + (f", {row['currency']}" if row["currency"] else ""),
                "value": wording.written(row),
                "status": label(row["status"]) if row["target"] is not None else "No target",
            }
            for row in rows
        ],
    }
