"""What a run's page shows: how far it is while it goes on, what became of everybody once it is over."""

from datetime import datetime, timedelta
from typing import NamedTuple
from urllib.parse import urlencode

from django.db.models import Count
from django.urls import reverse
from django.utils import timezone

from journeys.domain.vocabulary import Disposition, FindingKind, InterventionStatus, label, phrase
from journeys.models import Assessment, Finding, Heartbeat, PipelineRun
from journeys.models.runs import HEARTBEAT_LIMIT
from journeys.services.upkeep import HEARTBEAT

# Of long lists the page shows so many, and leads to all of them.
SHOWN = 25
# The worker shows itself every minute.
_WORKER_SILENT = timedelta(minutes=3)
LIVE = (PipelineRun.Status.QUEUED, PipelineRun.Status.RUNNING)


class Progress(NamedTuple):
    """How many customers the run has come to, and how many there were when it began; None where that is not
    known. `announced` is said aloud, and so changes only now and then."""

    done: int
    expected: int | None
    announced: str


class Became(NamedTuple):
    """So many customers, and where they are listed, or "". A `part` is counted in the row above it, too."""

    label: str
    number: int
    percent: float
    url: str
    part: bool = False


def context(run: PipelineRun) -> dict:
    live = run.status in LIVE
    now = timezone.now()
    shared = {
        "live": live,
        "progress": _progress(run),
        "duration": _duration(run, now),
        "concern": _concern(run, now),
        "plan": _plan(run),
    }
    return shared if live else shared | _outcome(run)


# -- while it goes on


def _progress(run: PipelineRun) -> Progress:
    done = next((step["in"] for step in run.steps if step["name"] == "data_loading"), None) or 0
    expected = run.counts.get("expected")
    return Progress(done, expected, _announced(run, done, expected))


def _announced(run: PipelineRun, done: int, expected: int | None) -> str:
    if run.status == PipelineRun.Status.RUNNING:
        quarters = min(4, 4 * done // expected) if expected else 0
        step = next((step["name"] for step in run.steps if step["status"] == "running"), "")
        at = f"{25 * quarters} per cent" if quarters < 4 or not step else phrase(step)
        return f"Running: {at}."
    if run.status == PipelineRun.Status.SUCCEEDED:
        counts = run.counts
        return f"Succeeded: {counts.get('proposed')} proposed, {counts.get('suppressed')} suppressed."
    return f"{run.get_status_display()}."


def _duration(run: PipelineRun, now: datetime) -> float | None:
    """Seconds."""
    if run.started_at is None:
        return None
    return ((run.finished_at or now) - run.started_at).total_seconds()


def _concern(run: PipelineRun, now: datetime) -> str:
    """What may keep a run from going on."""
    if run.status == PipelineRun.Status.RUNNING and run.heartbeat_at < now - HEARTBEAT_LIMIT:
        return "It has given no sign of life for more than five minutes: the next run counts it as failed."
    if run.status == PipelineRun.Status.QUEUED and not _worker_lives(now):
        return "No worker has shown itself in the last minutes: it waits until one runs (manage.py qcluster)."
    return ""


def _worker_lives(now: datetime) -> bool:
    return Heartbeat.objects.filter(name=HEARTBEAT, beat_at__gt=now - _WORKER_SILENT).exists()


def _plan(run: PipelineRun) -> list[dict]:
    """The steps, numbered, each with the numbers of those that it builds on. What has not begun has counted
    nothing, which is not 0."""
    places = {step["name"]: place for place, step in enumerate(run.steps, start=1)}
    rows = []
    for step in run.steps:
        row = step | {"place": places[step["name"]], "after": [places[name] for name in step["depends_on"]]}
        if row["status"] == "planned":
            row |= {"in": None, "out": None, "seconds": None}
        rows.append(row)
    return rows


# -- once it is over


def _outcome(run: PipelineRun) -> dict:
    counts = run.counts if "suppressed_by" in run.counts else _counted(run)
    suppressed = run.assessments.suppressed().select_related("customer")
    proposed = run.interventions.select_related("customer").order_by("-priority_score", "pk")
    statuses = run.interventions.order_by().values_list("status").annotate(number=Count("pk"))
    by_status = dict(statuses)
    return {
        "counts": counts,
        "suppressed_anew": counts["suppressed"] - sum(_unchanged_by(counts).values()),
        "became": _became(run, counts),
        "proposed": list(proposed[:SHOWN]),
        "proposed_now": [
            (label(status), by_status[status]) for status in InterventionStatus if status in by_status
        ],
        "suppressed": list(suppressed.order_by("-overall_risk_score", "pk")[:SHOWN]),
        "findings": list(run.findings.order_by("-pk")[:SHOWN]),
        "findings_count": run.findings.count(),
        "all": {
            "proposed": _list("intervention", run=run.pk),
            "suppressed": _list("assessment", run=run.pk, disposition=Disposition.SUPPRESSED),
            "findings": _list("finding", run=run.pk, status="all"),
            "orphans": _list("signal", customer="unknown"),
        },
    }


def _counted(run: PipelineRun) -> dict:
    """For a run that ended before it had its figures: what its rows say."""
    rows = Assessment.objects.filter(run=run).order_by().values_list("disposition", "suppression_reason")
    numbers = {(disposition, why): number for disposition, why, number in rows.annotate(number=Count("pk"))}
    suppressed_by = {why: number for (disposition, why), number in numbers.items() if why}
    return {
        "customers": sum(numbers.values()),
        "proposed": numbers.get((Disposition.PROPOSED, ""), 0),
        "suppressed": sum(suppressed_by.values()),
        "suppressed_by": suppressed_by,
        "below_confidence": numbers.get((Disposition.BELOW_CONFIDENCE, ""), 0),
        "not_assessed": 0,
    }


def _unchanged_by(counts: dict) -> dict[str, int]:
    """Of those suppressed: how many were already, in the same words, by reason."""
    unchanged = counts.get("unchanged_by", {})
    return {why: number for why, number in unchanged.items() if why != Disposition.BELOW_CONFIDENCE}


def _became(run: PipelineRun, counts: dict) -> list[Became]:
    """What the run concluded anew, and how many stand as they stood. Run by run, nobody counts twice."""
    not_looked_at = counts.get("not_looked_at", 0)
    total = max(1, counts["customers"] + not_looked_at)

    def row(text: str, number: int, url: str, *, part: bool = False) -> Became:
        return Became(text, number, round(100 * number / total, 1), url, part)

    unchanged, already = counts.get("unchanged_by", {}), _unchanged_by(counts)
    anew = {why: number - already.get(why, 0) for why, number in counts["suppressed_by"].items()}
    reasons = sorted(anew.items(), key=lambda pair: (-pair[1], pair[0]))
    rows = [
        row("Proposed", counts["proposed"], _list("intervention", run=run.pk)),
        row(
            "Suppressed",
            sum(anew.values()),
            _list("assessment", run=run.pk, disposition=Disposition.SUPPRESSED),
        ),
        *(
            row(label(why), number, _list("assessment", run=run.pk, suppression_reason=why), part=True)
            for why, number in reasons
            if number
        ),
        row(
            label(Disposition.BELOW_CONFIDENCE),
            counts["below_confidence"] - unchanged.get(Disposition.BELOW_CONFIDENCE, 0),
            _list("assessment", run=run.pk, disposition=Disposition.BELOW_CONFIDENCE),
        ),
    ]
    if unchanged:
        rows.append(row("Unchanged since an earlier run", sum(unchanged.values()), ""))
    if run.changed_only:
        rows.append(row("Not looked at: nothing new, and not due", not_looked_at, ""))
    if counts["not_assessed"]:
        # A finding is made once, by the first run that made it.
        missing = _list("finding", kind=FindingKind.MISSING_STATE, status=Finding.Status.OPEN)
        rows.append(row("Not assessed", counts["not_assessed"], missing))
    return rows


def _list(model: str, **query: object) -> str:
    return f"{reverse(f'admin:journeys_{model}_changelist')}?{urlencode(query)}"
