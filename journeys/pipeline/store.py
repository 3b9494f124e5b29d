"""Writing what the steps found out about a range of customers, in one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from django.db import IntegrityError
from django.db.models import QuerySet

from approvals.rows import Prepared, insert, prepared, update_each
from journeys import cases, history
from journeys.batches import in_batches
from journeys.cases import Case, NewFinding
from journeys.domain.effect import customers_needed
from journeys.domain.holdout import Arm
from journeys.domain.vocabulary import Disposition, FindingKind
from journeys.models import Assessment, Assignment, Intervention, JourneyState, PipelineRun, Signal
from journeys.pipeline.changes import Changes, Current, Fresh, disposition_of, sort_out
from journeys.pipeline.steps import Context, Range
from journeys.services import allowance, findings, marks
from journeys.services.proposals import (
    Drafts,
    Moved,
    Proposal,
    draft,
    find_moved,
    hold_requests,
    open_proposals,
    prepare_proposals,
    refresh_moved,
    status_in_run,
)

# So many findings are noted at once.
_NOTED = 1_000


@dataclass(slots=True)
class Conclusions:
    """What is to be written of a range: made ready before the transaction that writes it, which on SQLite
    keeps everybody else from writing. A second look has no `changes`, and nothing to bring up to date."""

    drafts: Drafts
    moved: Moved
    changes: Changes = field(default_factory=Changes)
    assessments: Prepared = field(default_factory=Prepared)


def prepare_range(context: Context, batch: Range) -> Conclusions:
    run, policy, rules = context.run, context.policy, context.rules
    drafts = prepare_proposals(
        batch.proposals, run=run, policy=policy, rules=rules, deciders=context.deciders
    )
    waiting = batch.waiting if batch.part.decided is None else {}
    moved = find_moved(waiting, policy=policy, rules=rules, deciders=context.deciders)
    if batch.part.decided is not None:
        return Conclusions(drafts, moved)
    changes = sort_out(
        batch.cases,
        batch.current,
        followed=history.followed(batch.part.span, batch.past),
        as_of=run.as_of,
        policy_id=policy.pk,
        lines=context.lines,
    )
    rows = [_assessment(fresh, run) for fresh in changes.fresh]
    return Conclusions(drafts, moved, changes, prepared(Assessment, _ASSESSMENT, rows))


def store_range(context: Context, batch: Range, conclusions: Conclusions) -> dict[str, Intervention]:
    """Write a range within the caller's transaction: the assessments that changed, findings, and what is
    proposed with its requests. Returns what was proposed, by customer.

    Raises IntegrityError where somebody else began something with one of the customers, or concluded
    something about one, since the range was read."""
    hold_requests(conclusions.drafts, conclusions.moved)
    if batch.part.decided is None:
        _store_first_look(context, batch, conclusions)
    else:
        _put_right(context, batch)
    # Whoever marks a customer holds what they wrote before while waiting for the mark, and the mark while
    # waiting for the audit's head: so it is taken off after the states, and before the head is taken.
    marks.take_off(batch.marks)
    if context.run.scope == PipelineRun.Scope.MARKED:
        allowance.take(context.today, batch.by_policy, most=context.rules.authority.max_per_run)
    opened = open_proposals(conclusions.drafts, policy=context.policy)
    # After what others may be writing too: it takes the audit's head, and only what is held by now.
    refresh_moved(conclusions.moved)
    return {intervention.customer_id: intervention for intervention in opened}


def foresee_range(context: Context, batch: Range) -> dict[str, Intervention]:
    """What `store_range` would write, for a dry run."""
    if batch.part.decided is None:
        context.note([finding for case in batch.cases for finding in case.findings])
        _note_ahead_of(context, batch)
    return {proposal.case.customer.customer_id: _foreseen(proposal, context) for proposal in batch.proposals}


def _store_first_look(context: Context, batch: Range, conclusions: Conclusions) -> None:
    unchecked = [case.stage.id for case in batch.assessed if not case.stage.days_checked]
    batch.unchanged = conclusions.changes.unchanged
    _write(conclusions, context.run)
    context.note([finding for case in batch.cases for finding in case.findings])
    _note_ahead_of(context, batch)
    for start in range(0, len(unchecked), 500):
        JourneyState.objects.filter(pk__in=unchecked[start : start + 500]).update(days_checked=True)
    Assignment.objects.bulk_create(
        [_assignment(case, arm, context) for case, arm in batch.entering], batch_size=500
    )


def _put_right(context: Context, batch: Range) -> None:
    """The first look said of all these that they are proposed. Where something came in between, its row says
    what became of them; without a digest, so that the next look writes it anew."""
    for case in batch.assessed:
        disposition, reason, detail = disposition_of(case)
        if disposition != Disposition.PROPOSED:
            Assessment.objects.filter(run=context.run, customer=case.customer.customer_id).update(
                disposition=disposition,
                suppression_reason=reason,
                disposition_detail=detail[:300],
                digest=None,
            )


def _assignment(case: Case, arm: Arm, context: Context) -> Assignment:
    rules = context.rules.holdout
    return Assignment(
        experiment=rules.experiment,
        customer_id=case.customer.customer_id,
        arm=arm,
        assigned_on=context.run.as_of,
        run=context.run,
        share=rules.share,
        planned=customers_needed(
            base=rules.base_share,
            difference=rules.smallest_difference,
            held_share=rules.share,
            power=rules.power,
        ),
        recommended_action=case.plan.action,
        segment=case.customer.segment,
        risk_tier=case.risk.tier,
        account_value=case.customer.exact_value,
    )


def _foreseen(proposal: Proposal, context: Context) -> Intervention:
    intervention = draft(proposal, run=context.run)
    intervention.status = status_in_run(proposal)
    return intervention


_ASSESSMENT = (
    "run", "customer", "as_of",
    "journey_stage", "days_in_state", "stage_health",
    "signal_risk", "friction_score", "overall_risk_score", "churn_risk_score",
    "contribution_signals", "contribution_time_in_state", "contribution_customer_value",
    "contribution_signal_count",
    "risk_tier", "urgency", "risk_factors",
    "confidence", "recommended_action", "channel", "priority_score",
    "disposition", "suppression_reason", "disposition_detail",
    "is_current", "due_on", "digest", "held_until_run",
)  # fmt: skip


def _write(conclusions: Conclusions, run: PipelineRun) -> None:
    changes = conclusions.changes
    _hold([*changes.former, *(row for row, _ in changes.due)])
    former = [row.id for row in changes.former]
    if former:
        Assessment.objects.filter(pk__in=former).update(is_current=False, held_until_run=run.pk)
    update_each(Assessment, ["due_on"], ["id"], [(due_on, row.id) for row, due_on in changes.due])
    insert(Assessment, _ASSESSMENT, conclusions.assessments)


def _hold(rows: Sequence[Current]) -> None:
    """Lock them, in the order of keys, as long as they stand as they were read: another run may have
    concluded something since, or something may have made them due."""
    if not rows:
        return
    read = {row.id: row.due_on for row in rows}
    there = Assessment.objects.current().filter(pk__in=read).order_by("pk").select_for_update()
    if dict(there.values_list("pk", "due_on")) != read:
        raise IntegrityError("A customer of the range was looked at by another run meanwhile.")


def _assessment(fresh: Fresh, planned: PipelineRun) -> tuple:
    """In the order of _ASSESSMENT."""
    case = fresh.case
    disposition, reason, detail = fresh.disposition
    state, risk, plan = case.state, case.risk, case.plan
    return (
        planned.pk, case.customer.customer_id, planned.as_of,
        case.stage.journey_stage, state.days, state.health,
        case.summary.signal_risk, risk.friction_score, risk.overall, risk.churn,
        *risk.contributions,
        risk.tier, risk.urgency, case.reasons,
        plan.confidence, plan.action or "", plan.channel or "", plan.priority,
        disposition, reason, detail[:300],
        fresh.is_current, fresh.due_on, fresh.digest, None if fresh.is_current else planned.pk,
    )  # fmt: skip


def note_portfolio_findings(context: Context) -> None:
    """Signals that belong to nobody, or to the future, and those that have found their customer since. For a
    run over what changed the first have been noted as they were received, and it comes to the second where
    their customers are known."""
    run = context.run
    if run.scope != PipelineRun.Scope.PORTFOLIO:
        return
    if not context.dry_run:
        findings.mend_joined_signals()
    if run.changed_only and not context.dry_run:
        return
    orphaned = Signal.objects.orphaned().values_list("signal_id", "customer_id")
    for chunk in in_batches(orphaned.iterator(), _NOTED):
        context.note([findings.of_orphan(signal_id, customer_id) for signal_id, customer_id in chunk])
    _note_ahead(context, Signal.objects.all())


def _note_ahead_of(context: Context, batch: Range) -> None:
    """Of a range that was read by its ids."""
    ids = [case.customer.customer_id for case in batch.cases if case.ahead]
    if ids and batch.part.span.ids:
        _note_ahead(context, Signal.objects.filter(customer_id__in=ids))


def _note_ahead(context: Context, signals: QuerySet[Signal]) -> None:
    _, ahead = cases.window(context.today, context.rules)
    rows = signals.filter(detected_at__gte=ahead).values_list("signal_id", "detected_at")
    for chunk in in_batches(rows.iterator(), _NOTED):
        context.note(
            [
                NewFinding(
                    FindingKind.FUTURE_SIGNAL,
                    signal_id,
                    f"Detected on {detected_at:%Y-%m-%d}, which lies ahead.",
                )
                for signal_id, detected_at in chunk
            ]
        )
