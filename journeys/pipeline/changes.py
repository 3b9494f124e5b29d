"""What of a run's conclusions is written: those that are other than what holds already."""

from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from datetime import date
from hashlib import blake2b
from typing import NamedTuple

import orjson

from journeys.cases import Case, Span
from journeys.domain.due import Lines
from journeys.domain.vocabulary import Disposition
from journeys.models import Assessment


class Current(NamedTuple):
    """The assessment of a customer that holds, as far as it is compared. One that an earlier release wrote
    has no digest, and is written anew."""

    id: int
    as_of: date
    digest: int | None
    due_on: date | None


class Fresh(NamedTuple):
    """An assessment to be written, with what becomes of the customer: see `disposition_of`. It does not
    become the current one where that is of a later day."""

    case: Case
    disposition: tuple[Disposition, str, str]
    is_current: bool
    due_on: date | None
    digest: int


@dataclass(slots=True)
class Changes:
    """`former` hold no longer; `due` hold on, each with the day on which they are due, which is not the one
    that they say. `unchanged` counts those that hold on by what they say: the reason why not, or that the
    confidence is too low."""

    fresh: list[Fresh] = field(default_factory=list)
    former: list[Current] = field(default_factory=list)
    due: list[tuple[Current, date | None]] = field(default_factory=list)
    unchanged: Counter[str] = field(default_factory=Counter)


def current_of(span: Span) -> dict[str, Current]:
    rows = span.of(Assessment.objects.current()).values_list("customer_id", *Current._fields)
    return {row[0]: Current(*row[1:]) for row in rows}


def sort_out(
    cases: Iterable[Case],
    current: dict[str, Current],
    *,
    followed: Container[str],
    as_of: date,
    policy_id: int,
    lines: Lines,
) -> Changes:
    """What is proposed is always written: each run's proposals have their assessments. `followed` are the
    customers of whom an outcome is measured."""
    changes = Changes()
    for case in cases:
        before = current.get(case.customer.customer_id)
        if case.state is None:
            # Without a stage nothing holds any more.
            if before is not None and before.as_of <= as_of:
                changes.former.append(before)
            continue
        concluded = disposition, reason, detail = disposition_of(case)
        digest = _digest(case, policy_id, disposition, reason, detail)
        due_on = _due_on(case, as_of, lines, followed=case.customer.customer_id in followed)
        proposed = disposition == Disposition.PROPOSED
        if before is not None and before.as_of > as_of:
            changes.fresh.append(Fresh(case, concluded, False, None, digest))
            if proposed:  # something is open with the customer, of which the current one knows nothing
                changes.due.append((before, before.as_of))
        elif before is not None and before.digest == digest and not proposed:
            changes.unchanged[str(reason or disposition)] += 1
            if before.due_on != due_on:
                changes.due.append((before, due_on))
        else:
            changes.fresh.append(Fresh(case, concluded, True, due_on, digest))
            if before is not None:
                changes.former.append(before)
    return changes


def disposition_of(case: Case) -> tuple[Disposition, str, str]:
    """What becomes of an assessed customer: the word, the suppression's reason, and a sentence."""
    if case.plan.action is None:
        return Disposition.BELOW_CONFIDENCE, "", " ".join(case.plan.reasons)
    if case.suppression is not None:
        return Disposition.SUPPRESSED, case.suppression.reason, case.suppression.detail
    return Disposition.PROPOSED, "", " ".join(case.plan.reasons)


def _digest(case: Case, policy_id: int, disposition: str, reason: str, detail: str) -> int:
    """Of all that was concluded but what days alone move: the days in the stage, the parts of the scores that
    follow from them, and the sentences that tell these. The other parts of the scores follow from the policy,
    the value, and the signals' risk and number."""
    risk, summary, plan = case.risk, case.summary, case.plan
    told = (
        policy_id, case.stage.journey_stage, case.state.health, case.state.friction,
        case.value, summary.signal_risk, summary.total,
        risk.tier, risk.urgency, plan.action, plan.channel, disposition, reason, detail if reason else "",
        *case.person_reasons, *summary.reasons,
    )  # fmt: skip
    return int.from_bytes(blake2b(orjson.dumps(told), digest_size=8).digest(), "big", signed=True)


def _due_on(case: Case, as_of: date, lines: Lines, *, followed: bool) -> date | None:
    return lines.due_on(
        as_of=as_of,
        stage=case.stage.journey_stage,
        entered_on=case.stage.state_entered_at,
        state=case.state,
        signals=case.signals,
        summary=case.summary,
        ahead=case.ahead,
        risk=case.risk,
        plan=case.plan,
        suppression=case.suppression,
        followed=followed,
    )
