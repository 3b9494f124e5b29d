"""A database as it is after two years of use, for measuring: some customers go through the real pipeline, and
what it made of them is copied as often as it takes, each copy under an id and at a time of its own.

It writes past the services, which would take hours, and so only ever into a database made for a measurement.
The audit is of the right size, and its chain is not intact.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from django.contrib.auth import get_user_model
from django.core.management.color import no_style
from django.db import connection, models, transaction
from django.db.models import Max
from django.utils import timezone

from approvals import append_only
from approvals.models import ApprovalRequest, AuditDetail, AuditEvent, AuditHead, Decision, user_key
from approvals.rows import insert
from approvals.rules import Authority, RejectionCategory, Status, Verdict
from journeys.batches import in_batches
from journeys.bench.patterns import Pattern, Row, asked_about, left_alone, people, row_of, run_pipeline
from journeys.domain.holdout import Arm
from journeys.domain.vocabulary import (
    Channel,
    ExecutionMode,
    ExecutionStatus,
    InterventionStatus,
    OutcomeKind,
)
from journeys.models import (
    Assessment,
    Assignment,
    Customer,
    Execution,
    Intervention,
    JourneyState,
    Measurement,
    Outcome,
    PipelineRun,
    PortfolioSnapshot,
    Signal,
)
from journeys.services.proposals import KIND
from journeys.table_statistics import refresh_statistics

CHECKPOINT = timedelta(days=30)
WEEKS = 104
DECIDERS = ("approver", "approver2", "manager")
BATCH = 20_000
# How requests ended, of 100, and what then became of the intervention.
_ENDS = (
    (Status.APPROVED, InterventionStatus.EXECUTED, 62),
    (Status.REJECTED, InterventionStatus.REJECTED, 14),
    (Status.EXPIRED, InterventionStatus.EXPIRED, 12),
    (Status.SUPERSEDED, InterventionStatus.SUPERSEDED, 6),
    (Status.LAPSED, InterventionStatus.LAPSED, 4),
    (Status.REVOKED, InterventionStatus.REVOKED, 2),
)
# In an order in which each row finds what it refers to.
MODELS = (
    PipelineRun,
    Customer,
    JourneyState,
    Signal,
    Assessment,
    Intervention,
    ApprovalRequest,
    AuditEvent,
    AuditDetail,
    Decision,
    Execution,
    Outcome,
    Assignment,
    Measurement,
)
_ODD = 0x9E3779B97F4A7C15F39CC0605CEDC8341082276BF3A27251F86C6A11D0C18E95
Rows = dict[type[models.Model], list[Row]]
_DECIDED = (Status.APPROVED, Status.REJECTED, Status.LAPSED, Status.REVOKED)


@dataclass(frozen=True, slots=True)
class Size:
    """`portfolio` is the least number of customers; the requests were asked over the last `days`."""

    requests: int
    pending: int
    portfolio: int = 0
    days: int = 730

    @property
    def asked_about(self) -> int:
        """The customers with requests: ten each in two years; but only one of a customer's can be pending."""
        each = max(1, 10 * self.days // 730)
        return max(self.requests // each, self.pending, 1)

    @property
    def customers(self) -> int:
        return max(self.asked_about, self.portfolio)

    @property
    def apart(self) -> int:
        """Every so many-th is one with requests."""
        return self.customers // self.asked_about


def fill(size: Size, on_progress: Callable[[str], None] = lambda text: None) -> None:
    """Into an empty, migrated database, which has to be one's own."""
    on_progress("the pipeline")
    people()
    run_pipeline()
    copied, others = list(asked_about()), list(left_alone())
    append_only.remove(connection)
    try:
        _copy(Copier(size, copied, others), on_progress)
    finally:
        append_only.install(connection)
    on_progress("indexes")
    _settle()


@dataclass(slots=True)
class Asked:
    """A request that is made up; `ended` is None while it is pending, `actor` who asked or decided."""

    number: int
    customer: int
    pattern: Pattern
    at: datetime
    ended: datetime | None
    status: Status
    became: InterventionStatus
    priority: float
    actor: tuple[str, str]

    @property
    def intervention_id(self) -> str:
        return f"iv-{self.number:016d}"

    @property
    def fingerprint(self) -> str:
        """Looks like one."""
        return f"{self.number * _ODD % 2**256:064x}"


class Copier:
    """Makes the rows of the copies, by model. A customer's number says which pattern it follows."""

    def __init__(self, size: Size, copied: Sequence[Pattern], others: Sequence[Pattern]):
        self.size, self.patterns, self.others = size, copied, others
        self.now = timezone.now()
        self.random = Random(1)
        self.deciders = [
            (user_key(user), user.get_username())
            for user in get_user_model().objects.filter(username__in=DECIDERS)
        ]
        self.event = row_of(AuditEvent(at=self.now, kind=KIND, door="admin"))
        self.decision = row_of(Decision(authority=Authority.PERSON, decided_at=self.now))
        self.execution = row_of(
            Execution(
                status=ExecutionStatus.DONE, mode=ExecutionMode.LIVE, attempts=1, detail="It was accepted."
            )
        )
        self.outcome = row_of(Outcome(recorded_by="operator"))
        self.measurement = row_of(
            Measurement(
                checkpoint_days=CHECKPOINT.days, negative_signals=1, positive_signals=1, churn_before=0.5
            )
        )
        self.assignment = row_of(Assignment(experiment="measured", arm=Arm.TREATED, share=0.1))
        self.runs: list[int] = []
        self._last = {
            model: model.objects.aggregate(last=Max("pk"))["last"] or 0
            for model in MODELS
            if isinstance(model._meta.pk, models.IntegerField)
        }

    def _number(self, model: type[models.Model]) -> int:
        """The next one of its ids."""
        self._last[model] += 1
        return self._last[model]

    # -- runs and customers

    def make_runs(self) -> Rows:
        """One for each week, each with what it amounted to; the last is of today."""
        run, snapshot = row_of(PipelineRun.objects.get()), row_of(PortfolioSnapshot.objects.get())
        rows: Rows = {PipelineRun: [], PortfolioSnapshot: []}
        for week in range(WEEKS - 1, -1, -1):
            at, number = self.now - timedelta(weeks=week), self._number(PipelineRun)
            times = dict.fromkeys(("queued_at", "started_at", "heartbeat_at", "finished_at"), at)
            rows[PipelineRun].append(run | times | {"id": number, "as_of": at.date()})
            rows[PortfolioSnapshot].append(snapshot | {"run_id": number, "as_of": at.date()})
            self.runs.append(number)
        return rows

    def customers(self) -> Iterator[Rows]:
        for number in range(self.size.customers):
            yield self._customer(self._pattern(number), self._id(number), self._email(number))

    def _customer(self, pattern: Pattern, customer_id: str, email: str) -> Rows:
        """With what the run before the last concluded."""
        its = {"customer_id": customer_id}
        return {
            Customer: [pattern.customer | its | {"email": email}],
            JourneyState: [row | its | {"id": self._number(JourneyState)} for row in pattern.states],
            Signal: [
                row | its | {"signal_id": _renamed(row["signal_id"], customer_id)} for row in pattern.signals
            ],
            Assessment: [self._assessment(pattern, customer_id, weeks=1)],
            Assignment: [self._assignment(customer_id, pattern)] if pattern.proposal else [],
        }

    def assessments(self) -> Iterator[Rows]:
        """What holds now, of the last run."""
        for number in range(self.size.customers):
            yield {Assessment: [self._assessment(self._pattern(number), self._id(number), weeks=0)]}

    def _assessment(self, pattern: Pattern, customer_id: str, *, weeks: int) -> Row:
        return pattern.assessment | {
            "id": self._number(Assessment),
            "customer_id": customer_id,
            "run_id": self.runs[-1 - weeks],
            "as_of": (self.now - timedelta(weeks=weeks)).date(),
            "is_current": weeks == 0,
            "held_until_run": self.runs[-1] if weeks else None,
        }

    def _assignment(self, customer_id: str, pattern: Pattern) -> Row:
        return self.assignment | {
            "id": self._number(Assignment),
            "customer_id": customer_id,
            "assigned_on": self.now.date(),
            "run_id": self.runs[-1],
            "recommended_action": pattern.proposal.intervention["recommended_action"],
            "risk_tier": pattern.assessment["risk_tier"],
            "account_value": pattern.customer["account_value"],
        }

    def _pattern(self, customer: int) -> Pattern:
        place, beside = divmod(customer, self.size.apart)
        if beside or place >= self.size.asked_about:
            return self.others[customer % len(self.others)]
        return self.patterns[place % len(self.patterns)]

    def _id(self, customer: int) -> str:
        return f"N{customer:07d}"

    def _email(self, customer: int) -> str:
        email = self._pattern(customer).customer["email"]
        return email and f"n{customer}.{email}"

    # -- requests

    def requests(self) -> Iterator[Rows]:
        """Those that have ended, the oldest first, then the pending ones."""
        ends = [end for *end, weight in _ENDS for _ in range(weight)]
        ended = self.size.requests - self.size.pending
        for number in range(ended):
            at = self.now - timedelta(days=self.size.days) * (1 - number / ended) - timedelta(hours=8)
            yield self._rows(self._asked(number, at, *self.random.choice(ends)))
        for number in range(self.size.pending):
            request = self._pattern(number * self.size.apart).proposal.request
            time_to_decide = request["expires_at"] - request["requested_at"]
            at = self.now - time_to_decide * self.random.random() * 0.8
            yield self._rows(self._asked(number, at, Status.PENDING, InterventionStatus.PENDING))

    def _asked(self, number: int, at: datetime, status: Status, became: InterventionStatus) -> Asked:
        customer = number % self.size.asked_about * self.size.apart
        pattern, pending = self._pattern(customer), status == Status.PENDING
        return Asked(
            number=self._number(ApprovalRequest),
            customer=customer,
            pattern=pattern,
            at=at,
            ended=None if pending else at + timedelta(hours=8) * self.random.random(),
            status=status,
            became=became,
            priority=round(pattern.proposal.request["priority_score"] * self.random.uniform(0.6, 0.99), 2),
            actor=("machine:pipeline", "the pipeline") if pending else self.random.choice(self.deciders),
        )

    def _rows(self, asked: Asked) -> Rows:
        event = self._number(AuditEvent)
        told = {"actor_name": asked.actor[1], "subject_name": asked.pattern.proposal.request["title"]}
        rows = {
            Intervention: [self._intervention(asked)],
            ApprovalRequest: [self._request(asked)],
            AuditEvent: [self._event(asked, event)],
            AuditDetail: [{"event_id": event, "salt": asked.fingerprint[:32], "document": told}],
        }
        if asked.status in _DECIDED:
            rows[Decision] = [self._decision(asked, event)]
        if asked.became == InterventionStatus.EXECUTED:
            rows[Execution] = [self._execution(asked)]
            if asked.number % 2:
                rows[Outcome] = [self._outcome(asked)]
            if asked.ended < self.now - CHECKPOINT:
                rows[Measurement] = [self._measurement(asked)]
        return rows

    def _intervention(self, asked: Asked) -> Row:
        pattern = asked.pattern.proposal.intervention
        by_mail = pattern["channel"] == Channel.EMAIL
        received = pattern["signals_received_at"]
        return pattern | {
            "intervention_id": asked.intervention_id,
            "customer_id": self._id(asked.customer),
            "run_id": self.runs[max(-WEEKS, -1 - (self.now - asked.at) // timedelta(weeks=1))],
            "recipient": self._email(asked.customer) if by_mail else pattern["recipient"],
            "status": asked.became.value,
            "priority_score": asked.priority,
            "as_of": asked.at.date(),
            "generated_at": asked.at,
            "signals_received_at": received and received + (asked.at - pattern["generated_at"]),
            "ended_at": asked.ended,
        }

    def _request(self, asked: Asked) -> Row:
        pattern, customer_id = asked.pattern.proposal.request, self._id(asked.customer)
        evidence, payload = pattern["evidence"], pattern["payload"]
        signals = [[_renamed(row[0], customer_id), *row[1:]] for row in payload["evidence"]]
        later = asked.at - pattern["requested_at"]
        by_mail = payload["channel"] == Channel.EMAIL
        return pattern | {
            "id": asked.number,
            "subject_key": asked.intervention_id,
            "concerning": customer_id,
            "status": asked.status.value,
            "payload": payload
            | {
                "customer_id": customer_id,
                "recipient": self._email(asked.customer) if by_mail else payload["recipient"],
                "evidence": signals,
            },
            "evidence": evidence | {"signals": signals},
            "fingerprint": asked.fingerprint,
            "priority_score": asked.priority,
            "requested_at": asked.at,
            "remind_at": pattern["remind_at"] + later,
            "decision_due_at": pattern["decision_due_at"] + later,
            "expires_at": pattern["expires_at"] + later,
            "decided_at": asked.ended,
            "used_at": asked.ended if asked.status == Status.APPROVED else None,
        }

    def _event(self, asked: Asked, sequence: int) -> Row:
        hashes = dict.fromkeys(("fingerprint", "detail_digest", "previous_hash", "hash"), asked.fingerprint)
        return (
            self.event
            | hashes
            | {
                "sequence": sequence,
                "at": asked.ended or asked.at,
                "word": f"request.{asked.status}" if asked.ended else "request.opened",
                "actor_key": asked.actor[0],
                "subject_key": asked.intervention_id,
                "concerning": self._id(asked.customer),
                "request_id": asked.number,
                "after": asked.status.value,
            }
        )

    def _decision(self, asked: Asked, event: int) -> Row:
        rejected = asked.status == Status.REJECTED
        return self.decision | {
            "id": self._number(Decision),
            "request_id": asked.number,
            "event_id": event,
            "verdict": (Verdict.REJECTED if rejected else Verdict.APPROVED).value,
            "category": RejectionCategory.BAD_TIMING.value if rejected else "",
            "actor_key": asked.actor[0],
            "fingerprint": asked.fingerprint,
            "decided_at": asked.ended,
        }

    def _execution(self, asked: Asked) -> Row:
        return self.execution | {
            "id": self._number(Execution),
            "intervention_id": asked.intervention_id,
            "idempotency_key": asked.intervention_id,
            "channel": asked.pattern.proposal.intervention["channel"],
            "claimed_at": asked.ended,
            "finished_at": asked.ended,
        }

    def _outcome(self, asked: Asked) -> Row:
        measured = asked.ended + timedelta(days=3)
        return self.outcome | {
            "outcome_id": f"oc-{asked.intervention_id}",
            "intervention_id": asked.intervention_id,
            "outcome": self.random.choice(list(OutcomeKind)).value,
            "measured_at": measured.date(),
            "recorded_at": measured,
        }

    def _measurement(self, asked: Asked) -> Row:
        since = asked.ended.date()
        return self.measurement | {
            "id": self._number(Measurement),
            "intervention_id": asked.intervention_id,
            "customer_id": self._id(asked.customer),
            "since": since,
            "until": since + CHECKPOINT,
            "churn_after": self.random.random(),
            "run_id": self.runs[-1],
        }


def _renamed(signal_id: str, customer_id: str) -> str:
    """A signal's id begins with its customer's."""
    return customer_id + signal_id[signal_id.index("-") :]


def _copy(copier: Copier, on_progress: Callable[[str], None]) -> None:
    for model, rows in copier.make_runs().items():
        _write(model, rows)
    for what, rows_of_each in (
        ("customers", copier.customers()),
        ("assessments", copier.assessments()),
        ("requests", copier.requests()),
    ):
        done = 0
        for batch in in_batches(rows_of_each, BATCH):
            with transaction.atomic():
                for model in MODELS:
                    _write(model, [row for found in batch for row in found.get(model, ())])
            done += len(batch)
            on_progress(f"{done:,} {what}")
    AuditHead.objects.update(sequence=AuditEvent.objects.aggregate(last=Max("sequence"))["last"])


def _write(model: type[models.Model], rows: Sequence[Row]) -> None:
    if rows:
        insert(model, tuple(rows[0]), [tuple(row.values()) for row in rows])


def _settle() -> None:
    """What the databases do by themselves in the time that this is meant to take."""
    with connection.cursor() as cursor:
        for statement in connection.ops.sequence_reset_sql(no_style(), MODELS):
            cursor.execute(statement)
        if connection.vendor == "postgresql":
            cursor.execute("VACUUM ANALYZE")
        else:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            refresh_statistics()
