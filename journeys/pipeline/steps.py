"""The published plan: `STEPS`, top to bottom, and what each of them does.

The first six work on one range of customers after the other, so that memory stays flat whatever their
number; the others look at the run as a whole. Execution is never a step: workers carry out what is approved.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date

from django.conf import settings

from approvals.models import ApprovalRequest
from approvals.rules import Authority
from journeys import cases, history, reports
from journeys.cases import Case, NewFinding, Span
from journeys.domain import holdout
from journeys.domain.holdout import Arm
from journeys.domain.policy import PolicyDocument
from journeys.domain.suppression import suppress
from journeys.domain.vocabulary import InterventionStatus, PersonReason, SuppressionReason, Tier
from journeys.models import Intervention, PipelineRun, Policy, PortfolioSnapshot
from journeys.reports import snapshots, worth
from journeys.services import allowance, findings, measuring
from journeys.services.proposals import Proposal


@dataclass(slots=True)
class Progress:
    """What a step has done so far; `taken` and `given` are its `in` and `out`."""

    seconds: float = 0.0
    taken: int = 0
    given: int = 0

    def count(self, taken: int, given: int) -> None:
        self.taken += taken
        self.given += given


@dataclass
class Context:
    """What the steps share. `on_case` is told of every case once it is written, with its intervention or
    None: the run's document is made of that. A dry run writes nothing but what its own row says.

    `marks` are the tokens that a run of marked customers takes off, by customer; `decided_before` is how many
    the policy has decided today in runs of that kind, which share one cap."""

    run: PipelineRun
    policy: Policy
    rules: PolicyDocument
    today: date
    dry_run: bool = False
    on_case: Callable[[Case, Intervention | None], None] = lambda case, intervention: None
    on_finding: Callable[[NewFinding], None] = lambda finding: None
    marks: Mapping[str, str] = field(default_factory=dict)
    decided_before: int = 0
    customers: int = 0
    at_risk: int = 0
    signals_matched: int = 0
    signals_orphaned: int = 0
    proposed: int = 0
    suppressed_by: Counter[str] = field(default_factory=Counter)
    below_confidence: int = 0
    not_assessed: int = 0
    by_policy: int = 0
    auto_approved: int = 0

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
    who are eligible for the experiment for the first time, each with their arm."""

    cases: list[Case]
    past: dict[str, history.Past]
    span: Span
    started: float = field(default_factory=time.perf_counter)
    proposals: list[Proposal] = field(default_factory=list)
    waiting: dict[str, Case] = field(default_factory=dict)
    entering: list[tuple[Case, Arm]] = field(default_factory=list)
    by_policy: int = 0
    auto_approved: int = 0

    @property
    def assessed(self) -> list[Case]:
        return cases.assessed(self.cases)


_WAITING = (SuppressionReason.ALREADY_PENDING, SuppressionReason.PERSON_PENDING)

# The steps over a range. Each fills its part of the cases and counts what went in and came out.


def data_loading(context: Context, span: Span, progress: Progress) -> Range:
    loaded = cases.load(span, as_of=context.run.as_of, rules=context.rules)
    progress.count(len(loaded), sum(case.stage is not None for case in loaded))
    if context.run.scope == PipelineRun.Scope.MARKED:
        context.decided_before = allowance.used(context.today)
    return Range(loaded, history.past_of(span), span)


def journey_state_evaluation(context: Context, batch: Range, progress: Progress) -> None:
    for case in batch.cases:
        cases.evaluate_state(case, context.run.as_of, context.rules)
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
    arms = Arms(planned, batch.span, context)
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
    for case in batch.assessed:
        if case.plan.action is None:
            continue
        cases.weigh_escalation(case, context.rules)
        if case.suppression is not None:
            if case.suppression.reason in _WAITING:
                batch.waiting[batch.past[case.customer.customer_id].open_id] = case
            continue
        authority, reasons = _authority(context, batch, case.person_reasons)
        case.person_reasons = reasons
        past = batch.past.get(case.customer.customer_id, history.NOTHING)
        batch.proposals.append(
            Proposal(
                case=case,
                person_reasons=reasons,
                authority=authority,
                replaces=past.open_id,
                latency_ms=(time.perf_counter() - batch.started) * 1000 / max(1, len(batch.cases)),
            )
        )
    progress.count(len(batch.proposals), sum(proposal.authority is None for proposal in batch.proposals))


def _authority(
    context: Context, batch: Range, reasons: tuple[PersonReason, ...]
) -> tuple[Authority | None, tuple[PersonReason, ...]]:
    """On whose word a proposal goes ahead: the policy's where no rule asks for a person and its cap is not
    reached, for testing an automatic one, else (None) a person's, for the reasons returned."""
    authority = context.rules.authority
    if not reasons:
        used = context.decided_before + context.by_policy + batch.by_policy
        if context.policy_may_decide and used < authority.max_per_run:
            batch.by_policy += 1
            return Authority.POLICY, ()
        reasons = (PersonReason.POLICY_CAP,)
    if context.run.auto_approve_for_testing:
        used = context.auto_approved + batch.auto_approved
        if used < authority.auto_approval_for_testing:
            batch.auto_approved += 1
            return Authority.AUTO_APPROVAL_FOR_TESTING, reasons
    return None, reasons


# The steps over the run as a whole.


def outcome_tracking(context: Context, progress: Progress) -> None:
    """Measure what became of those who were treated, and of those held out; then count what has an outcome
    on record."""
    if not context.dry_run:
        measuring.measure_due(context.run, context.rules)
    done = Intervention.objects.filter(status__in=[InterventionStatus.EXECUTED, InterventionStatus.IMPORTED])
    progress.count(done.count(), done.filter(outcomes__isnull=False).distinct().count())


def kpi_calculation(context: Context, progress: Progress) -> None:
    """The KPIs, effects and lessons of the portfolio. A run on one customer has none, and a dry run has no
    rows that they could be counted from."""
    if _is_measured(context):
        facts = {
            "customers": context.customers,
            "received": context.signals_matched + context.signals_orphaned,
            "orphaned": context.signals_orphaned,
            "seconds": _seconds_over_customers(context.run),
        }
        context.run.results = worth.kpi_results(worth.scope_of(context.run, context.rules), facts)
    rows = context.run.results.get("kpis", [])
    progress.count(len(rows), sum(row["value"] is not None for row in rows))


def roi_calculation(context: Context, progress: Progress) -> None:
    if _is_measured(context):
        scope = worth.scope_of(context.run, context.rules)
        context.run.results = worth.roi_results(scope, context.run.results)
    executed = context.run.results.get("roi", {}).get("executed", 0)
    progress.count(executed, 1 if executed else 0)


def _is_measured(context: Context) -> bool:
    return context.run.scope == PipelineRun.Scope.PORTFOLIO and not context.dry_run


def _seconds_over_customers(run: PipelineRun) -> float:
    names = {step.name for step in RANGE_STEPS}
    return sum(row["seconds"] or 0.0 for row in run.steps if row["name"] in names)


def summary_generation(context: Context, progress: Progress) -> None:
    context.run.counts = {
        "customers": context.customers,
        "signals": {
            "received": context.signals_matched + context.signals_orphaned,
            "matched": context.signals_matched,
            "orphaned": context.signals_orphaned,
        },
        "at_risk": context.at_risk,
        "proposed": context.proposed,
        "suppressed": context.suppressed_by.total(),
        "suppressed_by": dict(context.suppressed_by),
        "below_confidence": context.below_confidence,
        "not_assessed": context.not_assessed,
        "by_policy": context.by_policy,
        "auto_approved": context.auto_approved,
        "pending_approvals": ApprovalRequest.objects.pending().count(),
    }
    if context.run.scope == PipelineRun.Scope.PORTFOLIO and not context.dry_run:
        PortfolioSnapshot.objects.create(run=context.run, **snapshots.collect(context.run))
    progress.count(context.customers, 1)


def report_generation(context: Context, progress: Progress) -> None:
    if not context.dry_run:
        context.run.report = reports.build(context.run)
    progress.count(1, 0 if context.dry_run else 1)


@dataclass(frozen=True, slots=True)
class Step:
    """A row of the plan. One that looks at everything is left out, and recorded as skipped, where a run was
    for a few marked customers."""

    name: str
    function: Callable
    depends_on: tuple[str, ...] = ()
    when_marked: bool = True

    def is_due(self, scope: str) -> bool:
        return self.when_marked or scope != PipelineRun.Scope.MARKED


RANGE_STEPS = (
    Step("data_loading", data_loading),
    Step("journey_state_evaluation", journey_state_evaluation, ("data_loading",)),
    Step("signal_aggregation", signal_aggregation, ("data_loading",)),
    Step("risk_scoring", risk_scoring, ("journey_state_evaluation", "signal_aggregation")),
    Step("intervention_planning", intervention_planning, ("risk_scoring",)),
    Step("human_escalation", human_escalation, ("intervention_planning",)),
)
RUN_STEPS = (
    Step("outcome_tracking", outcome_tracking, ("human_escalation",), when_marked=False),
    Step("kpi_calculation", kpi_calculation, ("outcome_tracking",), when_marked=False),
    Step("roi_calculation", roi_calculation, ("outcome_tracking", "kpi_calculation"), when_marked=False),
    Step("summary_generation", summary_generation, ("human_escalation", "outcome_tracking")),
    Step("report_generation", report_generation, ("summary_generation",), when_marked=False),
)
STEPS = RANGE_STEPS + RUN_STEPS
