"""The figures of a report about the portfolio, the queue and the executions, read from the rows."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from itertools import islice

from django.db.models import (
    Count,
    Exists,
    F,
    FilteredRelation,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Sum,
)
from django.utils import timezone

from approvals import queue
from approvals.models import ApprovalRequest, Decision
from approvals.rules import Authority, Status, Verdict
from journeys import held
from journeys.domain.signals import window
from journeys.domain.vocabulary import (
    Disposition,
    ExecutionMode,
    ExecutionStatus,
    FindingKind,
    InterventionStatus,
    Segment,
    Stage,
    Tier,
)
from journeys.models import Assessment, Finding, Intervention, PipelineRun, PortfolioSnapshot, Signal
from journeys.reports.movement import customer_figures, movement
from journeys.reports.outcomes import figure, outcome_figures
from journeys.reports.snapshots import AT_RISK, cells_of
from journeys.reports.worth.microseconds import HOUR, span

# The layout of the dict; a stored report of another one is not rendered by this code.
VERSION = 3
TOP = 12
EXAMPLES = 3
FIRST_REASONS = 3

INTERVENTION, REVIEW = "intervention", "policy_review"
# PostgreSQL would put what has no priority first.
_BY_PRIORITY = F("priority_score").desc(nulls_last=True)


def collect(run: PipelineRun) -> dict:
    """Everything that is counted. A run on one customer is about that customer throughout."""
    now = timezone.now()
    done_by = Intervention.objects.filter(as_of__lte=run.as_of, **_of_customer(run, "customer_id"))
    decided = ApprovalRequest.objects.filter(
        Exists(Intervention.objects.filter(pk=OuterRef("subject_key"), as_of__lte=run.as_of)),
        kind=INTERVENTION,
        **_of_customer(run, "concerning"),
    )
    assessments = held.after(run)
    portfolio = _portfolio(run)
    proposed_here = _decisions_of_run(run)
    decisions = _decided(decided)
    return {
        "version": VERSION,
        "run": _run(run, now),
        "auto_approval": {
            "on": run.auto_approve_for_testing,
            "approved_in_run": proposed_here.get(Authority.AUTO_APPROVAL_FOR_TESTING, 0),
            "standing": decisions.pop("auto_approval_standing"),
        },
        "portfolio": portfolio,
        "movement": movement(run),
        "at_risk": _at_risk(run, assessments, portfolio["by_tier"]),
        "proposed": _proposed(run, proposed_here),
        "suppressed": _suppressed(assessments),
        "pending": _pending(run, now),
        "decided": decisions,
        "reviewed": _reviewed(run),
        "executed": _executed(done_by, now),
        "outcomes": outcome_figures(done_by, as_of=run.as_of),
        "worth": run.results,
        "findings": _findings(run),
    }


def _of_customer(run: PipelineRun, field: str) -> dict:
    return {field: run.customer_id} if run.customer_id else {}


def _run(run: PipelineRun, now: datetime) -> dict:
    first, last = window(run.as_of, run.policy.rules)
    return {
        "id": run.pk,
        "scope": run.scope,
        "customer_id": run.customer_id,
        "as_of": run.as_of.isoformat(),
        "policy": {"name": run.policy.name, "version": run.policy.version},
        "signals_from": first.isoformat(),
        "signals_until": last.isoformat(),
        "requested_by": run.requested_by_name,
        "door": run.door,
        "started_at": _moment(run.started_at),
        # The report is a run's last step, so it is written just before the run ends.
        "finished_at": _moment(run.finished_at or now),
        "written_at": _moment(now),
    }


def _portfolio(run: PipelineRun) -> dict:
    """As the run's snapshot has counted it, where it has one. The stage "" and the segment "" gather what the
    product has no word for, and what is not known."""
    counts = run.counts
    snapshot = PortfolioSnapshot.objects.filter(run=run).first()
    cells = snapshot.cells if snapshot else cells_of(run)
    by_tier, by_stage, by_segment = Counter(), Counter(), Counter()
    value_unknown = 0
    for stage, segment, _, tier, customers, valued, _ in cells:
        by_tier[tier] += customers
        by_stage[stage, tier] += customers
        by_segment[segment, tier] += customers
        value_unknown += customers - valued
    return {
        # Of a run that looked at some, what holds of all: their signals it has not counted.
        "customers": counts["customers"] + counts.get("not_looked_at", 0) if "customers" in counts else None,
        "assessed": by_tier.total(),
        "signals": None if run.changed_only else counts.get("signals"),
        "value_unknown": value_unknown,
        "by_tier": {tier.value: by_tier[tier] for tier in Tier},
        "by_segment": _rows(by_segment, "segment", Segment),
        "by_stage": _rows(by_stage, "journey_stage", Stage),
    }


def _rows(counts: Counter, name: str, words: type[StrEnum]) -> list[dict]:
    wanted = [*words, ""] if any(word == "" for word, _ in counts) else list(words)
    return [
        {name: str(word)} | {tier.value: counts[str(word), tier.value] for tier in Tier} for word in wanted
    ]


def _at_risk(run: PipelineRun, assessments: QuerySet, by_tier: dict[str, int]) -> dict:
    """High and medium, by risk, then by value. A run on one customer shows that customer in any case."""
    at_risk = assessments.filter(risk_tier__in=AT_RISK)
    shown = assessments if run.customer_id else at_risk
    rows = shown.select_related("customer").order_by(
        "-overall_risk_score", F("customer__account_value").desc(nulls_last=True), "customer_id"
    )
    found = list(rows[:TOP])
    total = sum(row.risk_tier in AT_RISK for row in found)
    if len(found) == TOP:
        # Counted a moment before the rows were read: of fewer, they themselves say how many they are.
        total = max(total, sum(by_tier[tier] for tier in AT_RISK))
    return {
        "total": total,
        "rows": [
            customer_figures(row.customer)
            | {
                "journey_stage": row.journey_stage,
                "days_in_state": row.days_in_state,
                "stage_health": row.stage_health,
                "overall_risk_score": row.overall_risk_score,
                "churn_risk_score": row.churn_risk_score,
                "risk_tier": row.risk_tier,
                "reasons": row.risk_factors[:FIRST_REASONS],
                "disposition": row.disposition,
                "recommended_action": row.recommended_action,
            }
            for row in found
        ],
        "more": max(0, total - TOP),
    }


def _decisions_of_run(run: PipelineRun) -> dict[str, int]:
    """How many of what this run proposed is approved already, by authority."""
    proposed = Intervention.objects.filter(pk=OuterRef("request__subject_key"), run=run)
    decisions = Decision.objects.filter(
        Exists(proposed), request__kind=INTERVENTION, verdict=Verdict.APPROVED, ends=True
    )
    return dict(decisions.values_list("authority").annotate(number=Count("pk")).order_by())


def _proposed(run: PipelineRun, approved: dict[str, int]) -> dict:
    proposed = Intervention.objects.filter(run=run)
    rows = list(proposed.select_related("customer").order_by(_BY_PRIORITY, "customer_id")[:TOP])
    authorities = dict(
        Decision.objects.filter(
            request__kind=INTERVENTION, request__subject_key__in=[row.pk for row in rows]
        ).values_list("request__subject_key", "authority")
    )
    total = proposed.count()
    by_policy = approved.get(Authority.POLICY, 0)
    by_auto_approval = approved.get(Authority.AUTO_APPROVAL_FOR_TESTING, 0)
    return {
        "total": total,
        "by_person": total - by_policy - by_auto_approval,
        "by_policy": by_policy,
        "by_auto_approval": by_auto_approval,
        "rows": [
            customer_figures(row.customer)
            | {
                "intervention_id": row.pk,
                "recommended_action": row.recommended_action,
                "channel": row.channel,
                "confidence": row.confidence,
                "priority_score": row.priority_score,
                "requires_human_approval": row.requires_human_approval,
                "person_reasons": row.person_reasons,
                "authority": authorities.get(row.pk),
                "status": row.status,
            }
            for row in rows
        ],
        "more": max(0, total - TOP),
    }


def _suppressed(assessments: QuerySet) -> dict:
    suppressed = assessments.filter(disposition=Disposition.SUPPRESSED)
    by_reason = suppressed.values_list("suppression_reason").annotate(number=Count("pk"))
    counts = list(by_reason.order_by("-number", "suppression_reason"))
    total = sum(number for _, number in counts)
    # By their keys first: of all others neither the texts nor the customer are read.
    first = suppressed.order_by(_BY_PRIORITY, "customer_id").values_list("pk", flat=True)[:TOP]
    rows = Assessment.objects.filter(pk__in=list(first)).select_related("customer")
    return {
        "total": total,
        "by_reason": [{"reason": reason, "count": number} for reason, number in counts],
        "rows": [
            customer_figures(row.customer)
            | {
                "recommended_action": row.recommended_action,
                "reason": row.suppression_reason,
                "detail": row.disposition_detail,
            }
            for row in rows.order_by(_BY_PRIORITY, "customer_id")
        ],
        "more": max(0, total - TOP),
    }


def _pending(run: PipelineRun, now: datetime) -> dict:
    """Everything that waits for a decision now, whichever run asked for it."""
    waiting = ApprovalRequest.objects.filter(queue.WAITING, **_of_customer(run, "concerning"))
    # In one pass, and the kinds told apart here: by one SQLite would look among all that there ever were.
    groups = waiting.values("kind", "currency").annotate(
        number=Count("pk"),
        oldest=Min("requested_at"),
        overdue=Count("pk", filter=Q(decision_due_at__lt=now)),
        valued=Count("value_at_stake"),
        amount=Sum("value_at_stake"),
    )
    pending, other = [], Counter()
    for row in groups.order_by("currency"):
        if row["kind"] == INTERVENTION:
            pending.append(row)
        else:
            other[row["kind"]] += row["number"]
    total = sum(row["number"] for row in pending)
    most_pressing = (row for row in waiting.by_priority().iterator(TOP) if row.kind == INTERVENTION)
    return {
        "total": total,
        "oldest_requested_at": _moment(min((row["oldest"] for row in pending), default=None)),
        "overdue": sum(row["overdue"] for row in pending),
        "value_at_stake": [
            {"currency": row["currency"], "amount": _cents(row["amount"]), "count": row["valued"]}
            for row in pending
            if row["valued"]
        ],
        "value_unknown": total - sum(row["valued"] for row in pending),
        "other": [{"kind": kind, "count": number} for kind, number in sorted(other.items())],
        "rows": [
            {
                "request_id": row.pk,
                "title": row.title,
                "summary": row.summary,
                "customer_id": row.concerning,
                "priority_score": row.priority_score,
                "account_value": _text(row.value_at_stake),
                "currency": row.currency,
                "requested_at": _moment(row.requested_at),
                "decision_due_at": _moment(row.decision_due_at),
                "overdue": row.decision_due_at < now,
            }
            for row in islice(most_pressing, TOP)
        ],
        "more": max(0, total - TOP),
    }


def _decided(requests: QuerySet) -> dict:
    """How requests ended. An approval that expired, lapsed or was revoked since counts as an approval
    and, of these, once more under `approved_then`."""
    ended = requests.exclude(status=Status.PENDING).annotate(
        ending=FilteredRelation("decisions", condition=Q(decisions__ends=True))
    )
    groups = ended.order_by().values_list(
        "status", "ending__verdict", "ending__authority", "ending__actor_key"
    )
    counts, people = [], defaultdict(lambda: {"approved": 0, "rejected": 0, "waited": 0})
    for *how, actor, number, waited in groups.annotate(
        number=Count("pk"), waited=Sum(span("requested_at", "ending__decided_at"))
    ):
        counts.append((*how, number))
        _, verdict, authority = how
        if authority == Authority.PERSON:
            people[actor][verdict] += number
            people[actor]["waited"] += int(waited)
    by_person = [_by_person(actor, row) for actor, row in people.items()]
    by_person.sort(key=lambda row: (-row["approved"] - row["rejected"], row["person"]))

    def of(test) -> int:
        return sum(number for *row, number in counts if test(*row))

    return {
        "people": len(people),
        "hours_to_decide": _hours(people.values()),
        "by_person": by_person[:TOP],
        "total": of(lambda *_: True),
        "approved": {
            authority.value: of(
                lambda _, verdict, by, authority=authority: verdict == Verdict.APPROVED and by == authority
            )
            for authority in Authority
        },
        "approved_then": {
            status.value: of(
                lambda ended, verdict, _, status=status: verdict == Verdict.APPROVED and ended == status
            )
            for status in (Status.EXPIRED, Status.LAPSED, Status.REVOKED)
        },
        "rejected": of(lambda ended, *_: ended == Status.REJECTED),
        "expired_undecided": of(lambda ended, verdict, _: ended == Status.EXPIRED and not verdict),
        "superseded": of(lambda ended, *_: ended == Status.SUPERSEDED),
        "auto_approval_standing": of(
            lambda ended, _, by: ended == Status.APPROVED and by == Authority.AUTO_APPROVAL_FOR_TESTING
        ),
    }


def _by_person(actor: str, row: dict) -> dict:
    """By the key that the audit knows them by: a name can be erased there, and would stay here."""
    return {
        "person": actor,
        "approved": row["approved"],
        "rejected": row["rejected"],
        "hours_to_decide": _hours([row]),
    }


def _hours(rows: Iterable[dict]) -> dict:
    rows = list(rows)
    return figure(
        sum(row["waited"] for row in rows) / HOUR,
        sum(row["approved"] + row["rejected"] for row in rows),
        "hours from the request to the person's decision that ended it",
    )


def _reviewed(run: PipelineRun) -> dict:
    """What people said afterwards of what the policy had decided alone."""
    reviews = ApprovalRequest.objects.filter(kind=REVIEW, **_of_customer(run, "concerning"))
    counts = dict(reviews.values_list("status").annotate(number=Count("pk")).order_by())
    return {
        "agreed": counts.get(Status.APPROVED, 0),
        "disagreed": counts.get(Status.REJECTED, 0),
        "waiting": counts.get(Status.PENDING, 0),
    }


def _executed(interventions: QuerySet, now: datetime) -> dict:
    rows = interventions.values_list("status", "execution__status", "execution__mode")
    counts = list(rows.annotate(number=Count("pk")).order_by())

    def of(test) -> int:
        return sum(number for *row, number in counts if test(*row))

    executed = InterventionStatus.EXECUTED
    tasks = interventions.filter(execution__status=ExecutionStatus.WITH_OWNER)
    return {
        "live": of(lambda status, _, mode: status == executed and mode == ExecutionMode.LIVE),
        "record_only": of(lambda status, _, mode: status == executed and mode == ExecutionMode.RECORD_ONLY),
        "without_execution": of(lambda status, execution, _: status == executed and execution is None),
        "recorded": of(lambda status, *_: status == InterventionStatus.RECORDED),
        "waiting": of(
            lambda status, execution, _: (
                status == InterventionStatus.APPROVED and execution != ExecutionStatus.RETRYING
            )
        ),
        "retrying": of(lambda _, execution, __: execution == ExecutionStatus.RETRYING),
        "under_way": of(
            lambda status, execution, _: (
                status == InterventionStatus.EXECUTING
                and execution not in (ExecutionStatus.WITH_OWNER, ExecutionStatus.RETRYING)
            )
        ),
        "with_owner": of(lambda _, execution, __: execution == ExecutionStatus.WITH_OWNER),
        "overdue": tasks.filter(execution__due_at__lt=now).count(),
        "failed": of(lambda status, *_: status == InterventionStatus.FAILED),
        "unknown": of(lambda status, *_: status == InterventionStatus.UNKNOWN),
        "imported": of(lambda status, *_: status == InterventionStatus.IMPORTED),
    }


def _findings(run: PipelineRun) -> dict:
    found = Finding.objects.filter(status=Finding.Status.OPEN)
    if run.customer_id:
        signals = Signal.objects.filter(customer_id=run.customer_id).values("pk")
        found = found.filter(Q(subject=run.customer_id) | Q(subject__in=signals))
    counts = dict(found.values_list("kind").annotate(number=Count("pk")).order_by())
    return {
        "total": sum(counts.values()),
        "by_kind": [
            {
                "kind": kind.value,
                "count": counts[kind],
                "examples": list(
                    found.filter(kind=kind).order_by("subject", "pk").values("subject", "detail")[:EXAMPLES]
                ),
            }
            for kind in FindingKind
            if kind in counts
        ],
    }


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else str(amount)


def _cents(amount: Decimal) -> str:
    # SQLite adds decimals up as binary floats; to the cent the sum is exact up to some 10 ** 13.
    return str(amount.quantize(Decimal("0.01")))


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="seconds")
