"""Over weeks in which anything may happen, a run over what changed or is due comes to what a run over
everybody comes to."""

import random
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

import pytest
from django.db import transaction

from approvals import services
from approvals.models import ApprovalRequest
from approvals.rules import Refusal, Status, Verdict
from journeys import pipeline
from journeys.days import today
from journeys.domain.policy import PUBLISHED
from journeys.domain.vocabulary import Action, Stage
from journeys.models import Assessment, Execution, Intervention, PipelineRun
from journeys.records import CustomerRecord, InterventionRecord, SignalRecord, StateRecord
from journeys.services import execution, intake, proposals, wishes
from tests.acting import decide, let_the_grace_pass
from tests.runs import run_pipeline

pytestmark = pytest.mark.django_db

CUSTOMERS, DAYS = 12, 21


class Rolled(Exception):
    """Takes back all that was done since."""


def concluded() -> dict[str, tuple]:
    """What holds of everybody: the decision, and why not."""
    return {
        row.customer_id: (
            row.journey_stage, row.stage_health, row.risk_tier, row.urgency, row.recommended_action,
            row.channel, row.disposition, row.suppression_reason,
            row.disposition_detail if row.suppression_reason else "",
        )
        for row in Assessment.objects.current()
    }  # fmt: skip


def proposed(run: PipelineRun) -> set[tuple]:
    return {
        (row.customer_id, row.recommended_action, row.channel, row.status, *row.person_reasons)
        for row in run.interventions.all()
    }


def in_full(as_of) -> tuple[dict, set]:
    """What a run over everybody would come to, of which nothing stays."""
    with suppress(Rolled), transaction.atomic():
        run = run_pipeline(as_of)
        found = concluded(), proposed(run)
        raise Rolled
    return found


class Weeks:
    """What happens to a portfolio, day by day, at random."""

    def __init__(self, seed: int, people: dict):
        self.random, self.people = random.Random(seed), people
        self.number = 0
        self.ids = [f"W{number:02}" for number in range(CUSTOMERS)]

    def begin(self, day) -> None:
        self.take(
            CustomerRecord(
                customer_id=key,
                # Some share an address.
                email=f"w{number // 3}@example.com" if number % 5 else "",
                owner="olga",
                segment=self.random.choice(["SMB", "SMB", "Enterprise", "Startup"]),
                account_value=self.random.choice([None, Decimal(5_000), Decimal(29_000), Decimal(80_000)]),
            )
            for number, key in enumerate(self.ids[:-1])
        )
        self.take(
            StateRecord(
                customer_id=key,
                journey_stage=self.random.choice(list(Stage)).value,
                state_entered_at=day - timedelta(days=self.random.randrange(200)),
            )
            for key in self.ids[:-2]
        )
        for _ in range(5 * CUSTOMERS):
            self.signal(day, back=110, at_once=False)

    def take(self, records, *, at_once: bool = False) -> None:
        intake.take(list(records), at_once=at_once)

    def live_through(self, day) -> None:
        for happens, often in (
            (self.signal, 2.0),
            (self.stage, 0.3),
            (self.customer, 0.4),
            (self.decision, 1.5),
            (self.carrying_out, 0.8),
            (self.wish, 0.3),
            (self.by_hand, 0.3),
            (self.revocation, 0.2),
            (self.expiry, 0.2),
            (self.edit, 0.2),
            (self.history, 0.2),
        ):
            while self.random.random() < often / (1 + often):
                happens(day)

    def signal(self, day, back: int = 5, *, at_once: bool | None = None) -> None:
        self.number += 1
        detected = day - timedelta(days=self.random.randrange(-4, back))
        record = SignalRecord(
            signal_id=f"W-{self.number}",
            customer_id=self.random.choice(self.ids),
            signal_type=self.random.choice([*PUBLISHED.signals.kinds, "unheard_of"]),
            signal_strength=round(self.random.random(), 2),
            detected_at=datetime.combine(detected, time(9), UTC),
        )
        self.take([record], at_once=self.random.random() < 0.5 if at_once is None else at_once)

    def stage(self, day) -> None:
        key, stage = self.random.choice(self.ids), self.random.choice(list(Stage)).value
        record = StateRecord(customer_id=key, journey_stage=stage, state_entered_at=day)
        self.take([record], at_once=self.random.random() < 0.5)

    def customer(self, day) -> None:
        key = self.random.choice(self.ids)
        news = self.random.choice(
            [
                {"account_value": Decimal(self.random.choice([1_000, 31_000, 150_000]))},
                {"segment": self.random.choice(["SMB", "Nobody's"])},
                {"email": f"w{self.random.randrange(4)}@example.com"},
            ]
        )
        self.take([CustomerRecord(customer_id=key, **news)], at_once=self.random.random() < 0.5)

    def decision(self, day) -> None:
        waiting = list(ApprovalRequest.objects.pending().filter(kind="intervention").order_by("pk"))
        if waiting:
            verdict = self.random.choice([Verdict.APPROVED, Verdict.APPROVED, Verdict.REJECTED])
            with suppress(Refusal):
                decide(self.random.choice(waiting), self.people["manager"], verdict, reason="So be it.")

    def carrying_out(self, day) -> None:
        let_the_grace_pass()
        execution.execute_due()
        for task in Execution.objects.filter(status="with_owner"):
            with suppress(Refusal):
                execution.finish_task(
                    execution_id=task.pk,
                    done=True,
                    note="Done.",
                    user=self.people["operator"],
                    door="test",
                )

    def wish(self, day) -> None:
        never = self.random.random() < 0.5
        with suppress(Refusal):
            wishes.set_wish(
                customer_id=self.random.choice(self.ids),
                do_not_contact=never,
                hold_until=None if never else self.random.choice([None, today() + timedelta(days=3)]),
                reason="They said so.",
                user=self.people["operator"],
                door="test",
            )

    def by_hand(self, day) -> None:
        with suppress(Refusal):
            proposals.propose(
                customer_id=self.random.choice(self.ids),
                action=self.random.choice(list(Action)),
                subject="",
                body="",
                reason="It is time.",
                user=self.people["operator"],
                door="test",
            )

    def expiry(self, day) -> None:
        waiting = list(ApprovalRequest.objects.pending().filter(kind="intervention").order_by("pk"))
        if waiting:
            late = self.random.choice(waiting)
            ApprovalRequest.objects.filter(pk=late.pk).update(expires_at=late.requested_at)
            services.expire_overdue(actor=pipeline.WORKER)

    def edit(self, day) -> None:
        waiting = list(ApprovalRequest.objects.pending().filter(kind="intervention").order_by("pk"))
        if waiting:
            request = self.random.choice(waiting)
            with suppress(Refusal):
                services.change(
                    request_id=request.pk,
                    fingerprint=request.fingerprint,
                    changes={"action": self.random.choice(list(Action)).value},
                    user=self.people["manager"],
                    reason="Better so.",
                    door="test",
                )

    def revocation(self, day) -> None:
        approved = ApprovalRequest.objects.filter(kind="intervention", status=Status.APPROVED).first()
        if approved:
            with suppress(Refusal):
                services.revoke(
                    request_id=approved.pk, user=self.people["manager"], reason="No.", door="test"
                )

    def history(self, day) -> None:
        self.number += 1
        record = InterventionRecord(
            intervention_id=f"H{self.number}",
            customer_id=self.random.choice(self.ids),
            recommended_action=self.random.choice(list(Action)).value,
            generated_at=datetime.combine(day, time(9), UTC),
        )
        self.take([record])


@pytest.mark.parametrize("seed", range(3))
def test_day_by_day_it_comes_to_the_same_decisions(
    seed, people, policy_with, live, settings, django_capture_on_commit_callbacks
):
    settings.DEBUG = seed % 2 == 0  # in DEBUG the policy decides alone also on past days
    policy_with({"clocks": {"grace_seconds": 0}, "suppression": {"cool_down_days": 5, "contact_cap_days": 3}})
    first = today() - timedelta(days=DAYS)
    weeks = Weeks(seed, people)
    weeks.begin(first)
    run_pipeline(first)
    looked_at = 0
    for day in (first + timedelta(days=number) for number in range(1, DAYS)):
        with django_capture_on_commit_callbacks(execute=True):
            weeks.live_through(day)
        if day == first + timedelta(days=DAYS // 2):
            policy_with({"planning": {"confidence_floor": 0.4}, "clocks": {"grace_seconds": 0}}, name="later")
        everything = in_full(day)
        run = run_pipeline(day, changed_only=True)
        assert (concluded(), proposed(run)) == everything, day
        assert run.changed_only == (day != first + timedelta(days=DAYS // 2))
        looked_at += run.counts["customers"]
    assert looked_at < DAYS * CUSTOMERS * 0.8
    assert Intervention.objects.filter(status="executed").exists()
