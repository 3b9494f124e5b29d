"""The published plan: `STEPS`, top to bottom, and what each of them does.

The first six work on one range of customers after the other, so that memory stays flat whatever their
number; the others look at the run as a whole. Execution is never a step: workers carry out what is approved.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from typing import NamedTuple

from django.conf import settings

from approvals.models import ApprovalRequest
from approvals.rules import Authority
from approvals.services import Deciders
from journeys import cases, history, reports
from journeys.cases import Case, NewFinding, Span
from journeys.domain import holdout
from journeys.domain.due import Lines
from journeys.domain.holdout import Arm
from journeys.domain.policy import PolicyDocument
from journeys.domain.suppression import suppress
from journeys.domain.vocabulary import InterventionStatus, PersonReason, SuppressionReason, Tier
from journeys.models import Customer, Intervention, PipelineRun, Policy, PortfolioSnapshot, Signal
from journeys.pipeline.changes import Current, current_of
from journeys.pipeline.totals import Progress, Totals
from journeys.pipeline.urgent import Candidate, MostUrgent, rank
from journeys.reports import snapshots, worth
from journeys.services import allowance, findings, marks, measuring
from journeys.services.proposals import Proposal
from journeys.table_statistics import refresh_statistics


class Part(NamedTuple):
    """Customers of a run that are looked at together. A run over the portfolio comes to some of them twice:
    where the policy alone may decide more than its cap allows, the most urgent of all are its own, and who
    that is shows only once everybody has been looked at. `decided` are then those of the span that the policy
    decides; in the first look it is None, and `alone` says that there is no other part to wait for."""

    span: Span
    alone: bool = True
    decided: frozenset[str] | None = None


@dataclass
class Context:
    """What the steps share. `on_case` is told of every case once it is written, with its intervention or
    None: the run's document is made of that. A dry run writes nothing but what its own row says.

    `step` is the one that is under way. `marks` are the tokens that a run of marked customers takes off, by
    customer. `totals` are those of everything that was done so far, and `urgent` knows the most urgent of
    those left for the second look, as far as this process has heard of them."""

    run: PipelineRun
    policy: Policy
    rules: PolicyDocument
    today: date
    dry_run: bool = False
    on_case: Callable[[Case, Intervention | None], None] = lambda case, intervention: None
    on_finding: Callable[[NewFinding], None] = lambda finding: None
    step: str = "data_loading"
    marks: Mapping[str, str] = field(default_factory=dict)
    totals: Totals = field(default_factory=Totals)

    @cached_property
    def counted(self) -> snapshots.Counted:
        """Once everybody has been looked at: the figures rest on it, and then the snapshot."""
        return snapshots.count(self.run)

    @cached_property
    def scope(self) -> worth.Scope:
        return worth.scope_of(self.run, self.rules)

    @cached_property
    def deciders(self) -> Deciders:
        """As of when this process took the run up. Who may decide only since is seen by the sweep."""
        return Deciders()

    @cached_property
    def urgent(self) -> MostUrgent:
        return MostUrgent(self.rules.authority.max_per_run)

    @contextmanager
    def timed(self, step: str, totals: Totals) -> Iterator[Progress]:
        self.step = step
        with totals.timed(step) as progress:
            yield progress

    @cached_property
    def lines(self) -> Lines:
        return Lines(self.rules)

    @cached_property
    def signals_orphaned(self) -> int | None:
        """Those in force of nobody we know, once everybody has been looked at: each has a finding by then.
        None where no stock is taken."""
        if self.run.scope != PipelineRun.Scope.PORTFOLIO:
            return 0
        if not self.run.takes_stock:
            return None
        since, until = cases.window(self.run.as_of, self.rules)
        orphaned = Signal.objects.orphaned() if self.dry_run else findings.orphans_noted()
        return orphaned.filter(detected_at__gte=since, detected_at__lt=until).count()

    @property
    def signals_received(self) -> int:
        """Of the customers who were looked at, and of nobody; of all, where everybody's figures are counted
        and not everybody is looked at."""
        if self.run.changed_only and self.run.takes_stock:
            since, until = cases.window(self.run.as_of, self.rules)
            return Signal.objects.filter(detected_at__gte=since, detected_at__lt=until).count()
        return self.totals.signals + (self.signals_orphaned or 0)

    @property
    def policy_may_decide(self) -> bool:
        """A run on a day long past decides nothing alone: its recommendations are out of date."""
        age = abs((self.today - self.run.as_of).days)
        return settings.DEBUG or age <= self.rules.authority.as_of_within_days

    def note(self, found: list[NewFinding]) -> None:
        if self.dry_run:
            for finding in found:
                self.on_finding(finding)
        else:
            findings.note(found, run=self.run)


@dataclass
class Range:
    """One range of customers on its way through the steps. `proposals` are written when it is stored, and
    what waits for a decision already (`waiting`, by intervention) is brought up to date. `entering` are those
    who are eligible for the experiment for the first time, each with their arm. `left` are those whom the
    second look decides, each with its priority: they are proposed then, and not now. `assessed` are those
    with an open state.

    `decided_before` is how many the policy has decided already of what shares its cap. `current` is what held
    of the customers before, and `unchanged` counts what holds on. `marks` are the tokens to be taken off."""

    cases: list[Case]
    past: dict[str, history.Past]
    part: Part
    decided_before: int = 0
    current: dict[str, Current] = field(default_factory=dict)
    marks: Mapping[str, str] = field(default_factory=dict)
    unchanged: Counter[str] = field(default_factory=Counter)
    started: float = field(default_factory=time.perf_counter)
    proposals: list[Proposal] = field(default_factory=list)
    waiting: dict[str, Case] = field(default_factory=dict)
    entering: list[tuple[Case, Arm]] = field(default_factory=list)
    left: dict[str, float] = field(default_factory=dict)
    assessed: list[Case] = field(default_factory=list)

    @property
    def for_second_look(self) -> list[Candidate]:
        return [(priority, customer_id) for customer_id, priority in self.left.items()]

    @property
    def by_policy(self) -> int:
        return sum(proposal.authority == Authority.POLICY for proposal in self.proposals)

    @property
    def auto_approved(self) -> int:
        automatic = Authority.AUTO_APPROVAL_FOR_TESTING
        return sum(proposal.authority == automatic for proposal in self.proposals)


_WAITING = (SuppressionReason.ALREADY_PENDING, SuppressionReason.PERSON_PENDING)

# The steps over a range. Each fills its part of the cases and counts what went in and came out.


def data_loading(context: Context, part: Part, progress: Progress) -> Range:
    # Before the inputs: what makes one of these due while the inputs are read is seen when they are written.
    is_compared = not context.dry_run and part.decided is None
    current = current_of(part.span) if is_compared else {}
    tokens = context.marks
    if is_compared and context.run.changed_only:
        tokens = marks.tokens(part.span)
    loaded = cases.load(part.span, as_of=context.run.as_of, rules=context.rules)
    progress.count(len(loaded), sum(case.stage is not None for case in loaded))
    # Runs for what was received share the cap of the day.
    of_events = context.run.scope == PipelineRun.Scope.MARKED
    used = allowance.used(context.today) if of_events else 0
    return Range(loaded, history.past_of(part.span), part, used, current, tokens)


def journey_state_evaluation(context: Context, batch: Range, progress: Progress) -> None:
    for case in batch.cases:
        cases.evaluate_state(case, context.run.as_of, context.rules)
    batch.assessed = [case for case in batch.cases if case.state is not None]
    progress.count(len(batch.cases), len(batch.assessed))


def signal_aggregation(context: Context, batch: Range, progress: Progress) -> None:
    assessed = batch.assessed
    for case in assessed:
        cases.aggregate_signals(case, context.rules)
    progress.count(
        sum(len(case.signals) for case in batch.cases), sum(case.summary.total > 0 for case in assessed)
    )


def risk_scoring(context: Context, batch: Range, progress: Progress) -> None:
    assessed = batch.assessed
    for case in assessed:
        cases.score_risk(case, context.rules)
    progress.count(len(assessed), sum(case.risk.tier != Tier.LOW for case in assessed))


def intervention_planning(context: Context, batch: Range, progress: Progress) -> None:
    assessed = batch.assessed
    for case in assessed:
        cases.plan_intervention(case, context.rules)
    planned = [case for case in assessed if case.plan.action]
    contacts = history.last_contacts({case.customer.email for case in planned})
    arms = Arms(planned, batch.part.span, context)
    for case in planned:
        past = batch.past.get(case.customer.customer_id, history.NOTHING)
        contact = contacts.get(case.customer.email)
        case.suppression = suppress(
            action=case.plan.action,
            channel=case.plan.channel,
            facts=history.history_of(case, past, contact, held_out=arms.held_out(case)),
            as_of=context.run.as_of,
            policy=context.rules,
        )
        if arm := arms.entered(case):
            batch.entering.append((case, arm))
    progress.count(len(assessed), sum(case.suppression is None for case in planned))


class Arms:
    """Which customers of a range the experiment of the policy leaves alone. Where the policy has none, it
    reads nothing."""

    def __init__(self, planned: list[Case], span: Span, context: Context):
        self._rules = context.rules
        self._on = bool(planned) and holdout.is_on(context.rules, context.run.as_of)
        self._known: dict[str, str] = {}
        if self._on:
            self._known = history.arms_of(span, experiment=context.rules.holdout.experiment)

    def held_out(self, case: Case) -> str:
        """The experiment, where the customer is held out now; else empty. Who has become too large, or too
        much at risk, is contacted as always, and stays counted in their arm."""
        return self._rules.holdout.experiment if self._arm(case) == Arm.HELD_OUT else ""

    def entered(self, case: Case) -> Arm | None:
        """The arm of somebody who is contacted, or left alone, for the first time."""
        reason = case.suppression and case.suppression.reason
        if reason not in (None, SuppressionReason.HELD_OUT) or case.customer.customer_id in self._known:
            return None
        return self._arm(case)

    def _arm(self, case: Case) -> Arm | None:
        takes_part = self._on and holdout.takes_part(
            channel=case.plan.channel, tier=case.risk.tier, value=case.value, policy=self._rules
        )
        if not takes_part:
            return None
        key = case.customer.customer_id
        return Arm(self._known[key]) if key in self._known else holdout.draw(key, self._rules)


def human_escalation(context: Context, batch: Range, progress: Progress) -> None:
    wanted = []
    for case in batch.assessed:
        if case.plan.action is None:
            continue
        cases.weigh_escalation(case, context.rules)
        if case.suppression is None:
            wanted.append(case)
        elif case.suppression.reason in _WAITING:
            batch.waiting[batch.past[case.customer.customer_id].open_id] = case
    of_policy = _left_to_policy(context, batch, wanted)
    automatic = _automatic(context)
    for case in wanted:
        key = case.customer.customer_id
        if key in batch.left:
            continue
        authority = Authority.POLICY if key in of_policy else None
        if authority is None:
            case.person_reasons = case.person_reasons or (PersonReason.POLICY_CAP,)
            if automatic:
                authority, automatic = Authority.AUTO_APPROVAL_FOR_TESTING, automatic - 1
        past = batch.past.get(key, history.NOTHING)
        batch.proposals.append(
            Proposal(
                case=case,
                person_reasons=case.person_reasons,
                authority=authority,
                replaces=past.open_id,
                latency_ms=(time.perf_counter() - batch.started) * 1000 / max(1, len(batch.cases)),
            )
        )
    progress.count(len(batch.proposals), sum(proposal.authority is None for proposal in batch.proposals))


def _left_to_policy(context: Context, batch: Range, wanted: list[Case]) -> frozenset[str]:
    """Whom the policy decides alone: where no rule asks for a person, and of these the most urgent, as far
    as its cap goes. In the first look of several it is left to the second (`batch.left`) who that is; whoever
    cannot be one of them is a person's already."""
    if not context.policy_may_decide:
        return frozenset()
    free = [(case.plan.priority, case.customer.customer_id) for case in wanted if not case.person_reasons]
    most = max(0, context.rules.authority.max_per_run - batch.decided_before)
    chosen = sorted(free, key=rank)[:most]
    keys = frozenset([customer_id for _, customer_id in chosen])
    if batch.part.decided is not None:
        return keys & batch.part.decided
    if batch.part.alone:
        return keys
    batch.left = {key: priority for priority, key in chosen if context.urgent.may_include((priority, key))}
    return frozenset()


def _automatic(context: Context) -> int:
    """How many more may be approved automatically, for testing."""
    if not context.run.auto_approve_for_testing:
        return 0
    return max(0, context.rules.authority.auto_approval_for_testing - context.totals.auto_approved)


# The steps over the run as a whole.


def outcome_tracking(context: Context, progress: Progress) -> None:
    """Measure what became of those who were treated, and of those held out; then count what has an outcome
    on record."""
    if not context.dry_run:
        # Before the steps that count all that was done.
        refresh_statistics()
        measuring.measure_due(context.run, context.rules)
    done = Intervention.objects.filter(status__in=[InterventionStatus.EXECUTED, InterventionStatus.IMPORTED])
    progress.count(done.count(), done.filter(outcomes__isnull=False).distinct().count())


def kpi_calculation(context: Context, progress: Progress) -> None:
    """The KPIs, effects and lessons of the portfolio. A run on one customer has none, and a dry run has no
    rows that they could be counted from."""
    if _is_measured(context):
        facts = {
            "customers": context.totals.customers,
            "received": context.signals_received,
            "orphaned": context.signals_orphaned,
            "seconds": _seconds_over_customers(context.run),
            "cells": context.counted.cells,
        }
        context.run.results = worth.kpi_results(context.scope, facts)
    rows = context.run.results.get("kpis", [])
    progress.count(len(rows), sum(row["value"] is not None for row in rows))


def roi_calculation(context: Context, progress: Progress) -> None:
    if _is_measured(context):
        context.run.results = worth.roi_results(context.scope, context.run.results)
    executed = context.run.results.get("roi", {}).get("executed", 0)
    progress.count(executed, 1 if executed else 0)


def _is_measured(context: Context) -> bool:
    run = context.run
    return run.scope == PipelineRun.Scope.PORTFOLIO and run.takes_stock and not context.dry_run


def _seconds_over_customers(run: PipelineRun) -> float:
    names = {step.name for step in RANGE_STEPS}
    return sum(row["seconds"] or 0.0 for row in run.steps if row["name"] in names)


def counts_of(context: Context) -> dict:
    """The figures of the run's document, as far as it has come."""
    counted = context.totals
    return {
        "customers": counted.customers,
        "not_looked_at": Customer.objects.count() - counted.customers if context.run.changed_only else 0,
        "signals": {
            "received": counted.signals + (context.signals_orphaned or 0),
            "matched": counted.signals,
            "orphaned": context.signals_orphaned,
        },
        "at_risk": counted.at_risk,
        "proposed": counted.proposed,
        "suppressed": counted.suppressed_by.total(),
        "suppressed_by": dict(counted.suppressed_by),
        "below_confidence": counted.below_confidence,
        "not_assessed": counted.not_assessed,
        "unchanged": counted.unchanged_by.total(),
        "unchanged_by": dict(counted.unchanged_by),
        "by_policy": counted.by_policy,
        "auto_approved": counted.auto_approved,
        "pending_approvals": ApprovalRequest.objects.pending().count(),
    }


def summary_generation(context: Context, progress: Progress) -> None:
    context.run.counts = counts_of(context)
    if _is_measured(context):
        # Whoever summed up before and died left one.
        fields = snapshots.collect(context.run, context.counted)
        PortfolioSnapshot.objects.update_or_create(run=context.run, defaults=fields)
    progress.count(context.totals.customers, 1)


def report_generation(context: Context, progress: Progress) -> None:
    if not context.dry_run:
        context.run.report = reports.build(context.run)
    progress.count(1, 0 if context.dry_run else 1)


@dataclass(frozen=True, slots=True)
class Step:
    """A row of the plan. One that takes stock looks at everything: it is left out, and recorded as skipped,
    where a run is for a few marked customers, or the portfolio has been counted for that day."""

    name: str
    function: Callable
    depends_on: tuple[str, ...] = ()
    takes_stock: bool = False


RANGE_STEPS = (
    Step("data_loading", data_loading),
    Step("journey_state_evaluation", journey_state_evaluation, ("data_loading",)),
    Step("signal_aggregation", signal_aggregation, ("data_loading",)),
    Step("risk_scoring", risk_scoring, ("journey_state_evaluation", "signal_aggregation")),
    Step("intervention_planning", intervention_planning, ("risk_scoring",)),
    Step("human_escalation", human_escalation, ("intervention_planning",)),
)
RUN_STEPS = (
    Step("outcome_tracking", outcome_tracking, ("human_escalation",), takes_stock=True),
    Step("kpi_calculation", kpi_calculation, ("outcome_tracking",), takes_stock=True),
    Step("roi_calculation", roi_calculation, ("outcome_tracking", "kpi_calculation"), takes_stock=True),
    Step("summary_generation", summary_generation, ("human_escalation", "outcome_tracking")),
    Step("report_generation", report_generation, ("summary_generation",), takes_stock=True),
)
STEPS = RANGE_STEPS + RUN_STEPS
