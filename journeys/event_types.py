"""What other systems can be told of journeys: each type with the words of the trail that make it."""

from collections.abc import Callable, Iterable, Sequence

from django.contrib.admin.utils import quote
from django.db.models import Model, QuerySet
from django.urls import reverse

from approvals.audit import Event
from approvals.event_types import EventType, link, money, register, stamp
from journeys.domain.vocabulary import InterventionStatus
from journeys.models import Intervention, Outcome, PipelineRun

# An execution ends by these words; by which of the two, its intervention's status says.
_ENDINGS = frozenset({"task.done", "execution.ended"})


def _proposed(row: Intervention, event: Event) -> dict | None:
    if event.kind != "intervention":
        return None
    return _intervention(row) | {
        "request_id": event.request_id,
        "origin": row.origin,
        "run_id": row.run_id,
        "journey_stage": row.journey_stage or None,
        "risk_tier": row.risk_tier or None,
        "risk_score": row.risk_score,
        "confidence": row.confidence,
        "priority_score": row.priority_score,
        "requires_human_approval": row.requires_human_approval,
        "person_reasons": row.person_reasons,
        "triggered_by_signals": row.triggered_by_signals,
        "as_of": row.as_of.isoformat(),
        "generated_at": stamp(row.generated_at),
    }


def _ended(status: InterventionStatus) -> Callable[[Intervention, Event], dict | None]:
    def tell(row: Intervention, event: Event) -> dict | None:
        if row.status != status:
            return None
        return _intervention(row) | {
            "request_id": event.request_id,
            "status": row.status,
            "mode": row.execution.mode,
            "attempts": row.execution.attempts,
            "finished_at": stamp(row.execution.finished_at),
        }

    return tell


def _intervention(row: Intervention) -> dict:
    return {
        "intervention_id": row.pk,
        "customer_id": row.customer_id,
        "recommended_action": row.recommended_action,
        "channel": row.channel,
        "url": _page("intervention", row.pk),
    }


def _outcome(row: Outcome, event: Event) -> dict:
    currency = row.intervention.customer.currency
    return {
        "outcome_id": row.pk,
        "intervention_id": row.intervention_id,
        "customer_id": row.intervention.customer_id,
        "outcome": row.outcome,
        "measured_at": row.measured_at.isoformat(),
        "resolution_time_days": row.resolution_time_days,
        "csat_delta": row.csat_delta,
        "churn_risk_delta": row.churn_risk_delta,
        "estimated_revenue_saved": money(row.estimated_revenue_saved, currency),
        "human_override": row.human_override,
        "url": _page("intervention", row.intervention_id),
    }


def _finished(row: PipelineRun, event: Event) -> dict:
    return {
        "run_id": row.pk,
        "status": row.status,
        "scope": row.scope,
        "customer_id": row.customer_id,
        "dry_run": row.dry_run,
        "as_of": row.as_of.isoformat(),
        "policy": str(row.policy),
        "started_at": stamp(row.started_at),
        "finished_at": stamp(row.finished_at),
        "counts": row.counts,
        "url": _page("pipelinerun", row.pk),
    }


def _page(model: str, key: object) -> str:
    return link(reverse(f"admin:journeys_{model}_change", args=[quote(key)]))


def _of(
    rows: QuerySet, key: Callable[[Event], object], tell: Callable[[Model, Event], dict | None]
) -> Callable[[Sequence[Event]], Iterable[dict | None]]:
    """The data of each event, of the row that it names; None where it names none."""

    def data(events: Sequence[Event]) -> list[dict | None]:
        found = {str(row.pk): row for row in rows.filter(pk__in={key(event) for event in events})}
        return [tell(found[str(key(event))], event) if str(key(event)) in found else None for event in events]

    return data


def _subject(event: Event) -> str:
    return event.subject_key


def _register(name: str, label: str, words: Iterable[str], data: Callable) -> None:
    register(EventType(name=name, label=label, words=frozenset(words), data=data))


def register_all() -> None:
    interventions = Intervention.objects.select_related("execution")
    _register(
        "intervention.proposed",
        "An action is recommended for a customer",
        ["request.opened"],
        _of(Intervention.objects.all(), _subject, _proposed),
    )
    _register(
        "intervention.executed",
        "An approved action was carried out",
        ["execution.finished", "execution.recorded", *_ENDINGS],
        _of(interventions, _subject, _ended(InterventionStatus.EXECUTED)),
    )
    _register(
        "intervention.failed",
        "An approved action failed for good",
        ["execution.failed", *_ENDINGS],
        _of(interventions, _subject, _ended(InterventionStatus.FAILED)),
    )
    _register(
        "outcome.recorded",
        "What came of an action was recorded",
        ["outcome.recorded"],
        _of(
            Outcome.objects.select_related("intervention__customer"),
            lambda event: event.facts["outcome_id"],
            _outcome,
        ),
    )
    _register(
        "run.finished",
        "A run of the pipeline has ended, well or not",
        ["run.finished"],
        _of(
            PipelineRun.with_dry_runs.select_related("policy"),
            lambda event: int(event.subject_key),
            _finished,
        ),
    )
