"""From rows to rules: a Case per customer, filled step by step by the rules. Reads only.

A batch is read by both ends of its range of ids, table by table: a join, or one open end, would make the
database look at the whole of the other table for each range.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db.models import BooleanField, F, Func, QuerySet, TextField

from journeys.domain import escalation, journey_state
from journeys.domain.journey_state import StateEvaluation
from journeys.domain.planning import Plan, plan
from journeys.domain.policy import PolicyDocument
from journeys.domain.risk import RiskScore, score
from journeys.domain.signals import SignalFact, SignalSummary, aggregate
from journeys.domain.signals import window as signal_window
from journeys.domain.suppression import Suppression
from journeys.domain.vocabulary import FindingKind, PersonReason, label
from journeys.models import Customer, JourneyState, Signal

_CENT = Decimal("0.01")


class Span(NamedTuple):
    """Customers that are looked at together: from `first` to `last`, both included, or those of `ids`."""

    first: str = ""
    last: str = ""
    ids: tuple[str, ...] = ()

    def of(self, rows: QuerySet, column: str = "customer_id") -> QuerySet:
        if self.ids:
            return rows.filter(Among(column, self.ids))
        return rows.filter(**{f"{column}__gte": self.first, f"{column}__lte": self.last})


def only(customer_id: str) -> Span:
    return Span(ids=(customer_id,))


class Profile(NamedTuple):
    """`exact_value` is the account value to the cent."""

    customer_id: str
    name: str
    email: str
    owner: str
    segment: str
    account_value: float | None
    currency: str
    do_not_contact: bool
    hold_until: date | None

    @property
    def exact_value(self) -> Decimal | None:
        # Twelve digits and two places: a float holds all of them.
        return None if self.account_value is None else Decimal(str(self.account_value)).quantize(_CENT)


class OpenState(NamedTuple):
    id: int
    journey_stage: str
    state_entered_at: date
    days_in_state: int | None
    previous_stage: str
    days_checked: bool


class NewFinding(NamedTuple):
    """`record` is what was received, where it could not be kept elsewhere."""

    kind: str
    subject: str
    detail: str
    record: dict | None = None


@dataclass(slots=True)
class Case:
    """One customer in one run: what is known, then what each step made of it. `state` and the following
    stay None where the customer has no open journey state."""

    customer: Profile
    stage: OpenState | None
    signals: list[SignalFact]
    value: float | None = None
    owner_name: str = ""
    # the day of the first signal that comes into force later
    ahead: date | None = None
    state: StateEvaluation | None = None
    summary: SignalSummary | None = None
    risk: RiskScore | None = None
    plan: Plan | None = None
    person_reasons: tuple[PersonReason, ...] = ()
    suppression: Suppression | None = None
    findings: list[NewFinding] = field(default_factory=list)

    @property
    def reasons(self) -> tuple[str, ...]:
        return self.state.reasons + self.summary.reasons + self.risk.reasons

    @property
    def display_name(self) -> str:
        return self.customer.name or self.customer.customer_id


def ranges() -> Iterator[Span]:
    """All customers, range by range, in the order of ids. Only the ends of each are read."""
    size = settings.RANGE_SIZE
    ids = Customer.objects.order_by("pk").values_list("pk", flat=True)
    first = ids.first()
    while first is not None:
        last = ids.filter(pk__gte=first)[size - 1 : size].first() or ids.last()
        yield Span(first, last)
        first = ids.filter(pk__gt=last).first()


def load(span: Span, *, as_of: date, rules: PolicyDocument) -> list[Case]:
    """The customers of a span, with their open state, their signals in force, and when the next will be."""
    since, until = window(as_of, rules)
    profiles = span.of(Customer.objects.order_by("pk")).values_list(
        "customer_id",
        "name",
        "email",
        "owner",
        "segment",
        _Number("account_value"),
        "currency",
        _Plain("do_not_contact"),
        _Day("hold_until"),
    )
    states = span.of(JourneyState.objects.filter(left_on__isnull=True)).values_list(
        "customer_id",
        "id",
        "journey_stage",
        _Day("state_entered_at"),
        "days_in_state",
        "previous_stage",
        _Plain("days_checked"),
    )
    known = span.of(Signal.objects.filter(detected_at__gte=since)).values_list(
        "customer_id", "signal_id", "signal_type", "signal_strength", _Day("detected_at")
    )
    open_states = {
        customer_id: OpenState(key, stage, _date(entered), days, before, checked)
        for customer_id, key, stage, entered, days, before, checked in states
    }
    customers = [Profile(*row, hold_until and _date(hold_until)) for *row, hold_until in profiles]
    owners = _names_of({customer.owner for customer in customers})
    cases = {}
    for customer in customers:
        cases[customer.customer_id] = Case(
            customer,
            open_states.get(customer.customer_id),
            [],
            customer.account_value,
            owners.get(customer.owner, customer.owner),
        )
    last = until.date() - timedelta(days=1)
    for customer_id, signal_id, kind, strength, detected_at in known:
        # A customer can arrive between the two queries; the next run sees both.
        if case := cases.get(customer_id):
            day = _date(detected_at)
            if day <= last:
                case.signals.append(SignalFact(signal_id, kind, strength, day))
            elif case.ahead is None or day < case.ahead:
                case.ahead = day
    return list(cases.values())


class Among(Func):
    """Whether a column of text is one of many values, given as one: to put a parameter for each into the
    statement, and to read it there, takes longer than to look the rows up."""

    output_field = BooleanField()
    arity = 1

    def __init__(self, column: str, values: Sequence[str]):
        super().__init__(F(column))
        self.values = list(values)

    def as_postgresql(self, compiler, connection, **context):
        column, params = compiler.compile(self.source_expressions[0])
        return f"{column} = ANY(%s)", [*params, self.values]

    def as_sqlite(self, compiler, connection, **context):
        column, params = compiler.compile(self.source_expressions[0])
        found = f"{column} IN (SELECT value FROM json_each(%s))"  # noqa: S608 - a column of our own models
        return found, [*params, json.dumps(self.values)]


class _Plain(Func):
    """A column as the driver gives it. Django would convert it row by row, which takes longer than reading
    the rows."""

    template = "%(expressions)s"
    output_field = TextField()


class _Number(_Plain):
    """An amount as a float."""

    def as_postgresql(self, compiler, connection, **context):
        return self.as_sql(compiler, connection, template="(%(expressions)s)::float8", **context)

    def as_sqlite(self, compiler, connection, **context):
        return self.as_sql(compiler, connection, template="CAST(%(expressions)s AS real)", **context)


class _Day(_Plain):
    """A date, or the day of a moment; on SQLite as text: parsing the same few days again and again takes
    longer than reading the rows."""

    def as_sqlite(self, compiler, connection, **context):
        return self.as_sql(compiler, connection, template="substr(%(expressions)s, 1, 10)", **context)

    def as_postgresql(self, compiler, connection, **context):
        # Django's sessions are in UTC.
        return self.as_sql(compiler, connection, template="(%(expressions)s)::date", **context)


def _date(told: str | date) -> date:
    return _parsed(told) if isinstance(told, str) else told


_parsed = lru_cache(maxsize=10_000)(date.fromisoformat)


def _names_of(user_names: set[str]) -> dict[str, str]:
    """What people call the owners: their full names, where they have accounts with one."""
    users = get_user_model().objects.filter(username__in=user_names - {""})
    return {user.get_username(): user.get_full_name() or user.get_username() for user in users}


def window(as_of: date, rules: PolicyDocument) -> tuple[datetime, datetime]:
    """The signals in force, as moments: from the first, and before the second."""
    first, last = signal_window(as_of, rules)
    midnight = time(0, tzinfo=UTC)
    return datetime.combine(first, midnight), datetime.combine(last + timedelta(days=1), midnight)


def evaluate_state(case: Case, as_of: date, rules: PolicyDocument) -> None:
    stage = case.stage
    if stage is None:
        case.findings.append(
            NewFinding(
                FindingKind.MISSING_STATE,
                case.customer.customer_id,
                "No open journey state, so no assessment.",
            )
        )
        return
    days = journey_state.days_in_state(stage.state_entered_at, as_of)
    case.state = journey_state.evaluate(stage=stage.journey_stage, days=days, policy=rules)
    if not journey_state.is_legal_move(stage.previous_stage or None, stage.journey_stage, rules):
        case.findings.append(
            NewFinding(
                FindingKind.ILLEGAL_MOVE,
                case.customer.customer_id,
                f"Moved from {stage.previous_stage} to {stage.journey_stage} on {stage.state_entered_at}, "
                "which the policy does not allow.",
            )
        )
    if not stage.days_checked and stage.days_in_state is not None and stage.days_in_state != days:
        case.findings.append(
            NewFinding(
                FindingKind.DAYS_MISMATCH,
                case.customer.customer_id,
                f"The record says {stage.days_in_state} days in {stage.journey_stage}, is {days} on {as_of}.",
            )
        )


def aggregate_signals(case: Case, rules: PolicyDocument) -> None:
    case.summary = aggregate(case.signals, rules)
    for kind in case.summary.unknown_kinds:
        case.findings.append(
            NewFinding(
                FindingKind.UNKNOWN_VALUE, kind, f"The policy does not know signals of the kind {kind}."
            )
        )


def score_risk(case: Case, rules: PolicyDocument) -> None:
    case.risk = score(signals=case.summary, state=case.state, account_value=case.value, policy=rules)
    stage, customer = case.stage.journey_stage, case.customer
    for name in escalation.unknown_values(stage, customer.segment, case.value, rules):
        found = {"stage": stage, "segment": customer.segment, "account_value": case.value}[name]
        what = "is missing" if found in (None, "") else f"is not known to the policy: {found}"
        case.findings.append(
            NewFinding(FindingKind.UNKNOWN_VALUE, customer.customer_id, f"The {label(name)} {what}.")
        )


def plan_intervention(case: Case, rules: PolicyDocument) -> None:
    case.plan = plan(
        stage=case.stage.journey_stage,
        kinds=case.summary.kinds,
        total_signals=case.summary.total,
        risk=case.risk,
        account_value=case.value,
        has_address=bool(case.customer.email),
        policy=rules,
    )


def weigh_escalation(case: Case, rules: PolicyDocument) -> None:
    case.person_reasons = escalation.person_reasons(
        risk=case.risk,
        plan=case.plan,
        account_value=case.value,
        stage=case.stage.journey_stage,
        segment=case.customer.segment,
        policy=rules,
    )


def assess(customer_id: str, *, as_of: date, rules: PolicyDocument) -> Case | None:
    """One customer through all the rules, as a run sees them. None where there is none such."""
    cases = load(only(customer_id), as_of=as_of, rules=rules)
    for case in cases:
        evaluate_state(case, as_of, rules)
        if case.state is not None:
            aggregate_signals(case, rules)
            score_risk(case, rules)
            plan_intervention(case, rules)
            weigh_escalation(case, rules)
    return cases[0] if cases else None
