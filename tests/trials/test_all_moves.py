"""Everything that people, workers, outside systems and the clock can do, in any order: after each step all
that must always hold does, nothing goes out twice, and what has ended stays as it is."""

from collections import Counter
from datetime import timedelta
from email import message_from_bytes

import pytest
from django.contrib.auth import get_user_model
from django.db import models, transaction
from django.db.models import F
from django.utils import timezone
from django_q.models import OrmQ
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from approvals import chain, services
from approvals.invariants import broken
from approvals.models import ApprovalRequest, AuditHead, Delegation
from approvals.rules import MOVES, Authority, Refusal, RejectionCategory, Status, Verdict
from approvals.services.people import Deciders
from journeys import pipeline, tasks
from journeys.domain.vocabulary import Action, Channel, ExecutionMode, ExecutionStatus, SwitchScope
from journeys.models import Execution, ExecutionSwitch, Intervention
from journeys.services import execution, intake, policies, proposals, reviews, switches, upkeep, wishes
from journeys.services.execution import worker
from tests.runs import SAMPLE_DAY, planned_run
from tests.servers import BREAK
from tests.trials.portfolio import PASSWORD
from tests.trials.rounds import FULL, rounds

STEPS = 60 if FULL else 40
CUSTOMERS = ("C001", "C004", "C005", "C006", "C007")
NAMES = ("operator", "approver", "approver2", "manager", "manager2", "superuser")
MAIL = {
    "accepts": {},
    "refuses for good": {"RCPT": "550 no such person"},
    "refuses for now": {"RCPT": "451 try again later"},
    "breaks off before it takes it": {"MAIL": BREAK},
    "takes it and breaks off": {"MESSAGE": BREAK},
}
# With 503 a receiver says that it did not act.
WEBHOOK = {"accepts": 200, "refuses for good": 400, "refuses for now": 503, "takes it and breaks off": BREAK}
CHANGES = (
    {},
    {"body": "Other words."},
    {"channel": "webhook"},
    {"channel": "email"},
    {"channel": "task"},
    {"action": "engagement_checkin"},
    {"action": "no such action"},
)
MOVING_TIMES = (ApprovalRequest, Intervention, Execution, Delegation)

pick = st.integers(0, 20)
people = st.sampled_from(NAMES)
# None: somebody who may.
mostly_who_may = st.sampled_from([None] * 8 + list(NAMES))
customers = st.sampled_from(CUSTOMERS)


class Everything(RuleBasedStateMachine):
    """Set from outside before it runs: `users` by name, `mails` and `hooks`, servers on loopback."""

    users: dict = {}
    mails = hooks = None
    reached: Counter = Counter()

    def __init__(self):
        super().__init__()
        # Each example is undone at its end. Marked as a test's own transaction, so that a claim, which wants
        # to be the outermost one, takes it for none.
        self.example = transaction.atomic()
        self.example._from_testcase = True
        self.example.__enter__()
        self.day = SAMPLE_DAY
        self.swept = True
        self.dead: list = []
        self.seen: dict[int, tuple] = {}
        self.stood: dict[int, str] = {}
        self.verified = 1
        self.mails.messages.clear()
        self.hooks.requests.clear()
        self.mails.script, self.hooks.answer = {}, 200
        self.taken: Counter = Counter()

    def teardown(self):
        transaction.set_rollback(True)
        self.example.__exit__(None, None, None)

    # ---- helpers

    def requests(self, **which):
        return list(ApprovalRequest.objects.filter(**which).order_by("-pk")[:12])

    def choose(self, rows: list, number: int):
        return rows[number % len(rows)] if rows else None

    def user(self, name: str | None, request: ApprovalRequest):
        who_may = [] if name else list(Deciders().of(request))
        return who_may[request.pk % len(who_may)] if who_may else self.users[name or "operator"]

    def ask(self, service, **arguments):
        """Call a service: it does it or refuses, and nothing else."""
        try:
            answer = service(**arguments)
        except Refusal:
            self.reached["refused"] += 1
            return None
        self.reached["done"] += 1
        return answer

    # ---- what a machine does

    @initialize()
    def begin(self):
        self.run_pipeline()

    @rule()
    def run_pipeline(self):
        pipeline.run(planned_run(min(self.day, timezone.now().date())))

    @rule(number=pick)
    def a_task_is_delivered(self, number):
        row = self.choose(list(OrmQ.objects.order_by("pk")), number)
        if row:
            task = row.task
            name = task["func"].removeprefix("journeys.tasks.")
            getattr(tasks, name)(*task["args"])
            if number % 2:  # else it comes again
                row.delete()

    @rule(number=pick)
    def a_worker_carries_out(self, number):
        if row := self.choose(list(Intervention.objects.order_by("-pk")), number):
            execution.execute(intervention_id=row.pk)

    @rule(number=pick)
    def a_worker_carries_out_what_is_due(self, number):
        due = Intervention.objects.due(timezone.now()).order_by("pk")
        if row := self.choose(list(due), number):
            execution.execute(intervention_id=row.pk)

    @rule(number=pick)
    def a_worker_dies_after_its_claim(self, number):
        row = self.choose(list(Intervention.objects.due(timezone.now()).order_by("pk")), number)
        if row:
            try:
                self.dead.append(worker._claim(row.pk, timezone.now()))
            except (worker._NotNow, worker._NoLongerHolds, Refusal):
                pass

    @precondition(lambda self: self.dead)
    @rule()
    def a_worker_that_was_taken_for_dead_comes_back(self):
        claim = self.dead.pop()
        worker._record(claim, worker._act(claim))

    @rule()
    def the_sweep_comes_by(self):
        upkeep.sweep()
        self.swept = True

    @rule()
    def what_the_policy_decided_is_drawn_for_review(self):
        reviews.draw(timezone.now().date())

    # ---- what the clock does

    @rule(hours=st.sampled_from([0.2, 0.2, 1, 1, 5, 24, 49, 200]), sweep=st.booleans())
    def time_passes(self, hours, sweep):
        self.let_pass(timedelta(hours=hours))
        if sweep:
            self.the_sweep_comes_by()

    def let_pass(self, span: timedelta) -> None:
        """All times of the gate's rows move into the past instead."""
        for model in MOVING_TIMES:
            times = [field.name for field in model._meta.fields if isinstance(field, models.DateTimeField)]
            model.objects.update(**{name: F(name) - span for name in times})
        self.day += timedelta(days=span.days)
        self.swept = False

    # ---- what people do

    @rule(
        number=pick,
        name=mostly_who_may,
        verdict=st.sampled_from([Verdict.APPROVED, Verdict.APPROVED, Verdict.REJECTED]),
        stale=st.sampled_from([False, False, False, True]),
        password=st.sampled_from([PASSWORD, PASSWORD, "wrong", None]),
        behalf=st.sampled_from([None, None, None, *NAMES]),
    )
    def somebody_decides(self, number, name, verdict, stale, password, behalf):
        request = self.choose(self.requests(), number)
        if request is None:
            return
        before = (request.status, request.approvals_given)
        decision = self.ask(
            services.decide,
            request_id=request.pk,
            verdict=verdict,
            fingerprint="0" * 64 if stale else request.fingerprint,
            user=self.user(name, request),
            on_behalf_of=self.users[behalf] if behalf else None,
            reason="It is so.",
            category=RejectionCategory.OTHER.value if verdict == Verdict.REJECTED else "",
            password=password,
            door="trial",
        )
        request.refresh_from_db()
        if decision is None:
            assert (request.status, request.approvals_given) == before
        else:
            assert not decision.people & request.hands, "They decided on what they had a hand in."
            assert before[0] == Status.PENDING
            assert not stale
            assert password == PASSWORD or not request.heightened

    @rule(number=pick, other=pick, at_once=st.booleans())
    def somebody_who_may_approves(self, number, other, at_once):
        """As it is meant: what most steps lead to needs something that was approved. `at_once`: as many as it
        takes, and the pause before it goes out is over."""
        request = self.choose(self.requests(status=Status.PENDING, returned_at=None), number)
        for place in range(request.people_needed if request and at_once else 1):
            if request and (user := self.choose(list(Deciders().of(request)), other + place)):
                self.ask(
                    services.decide,
                    request_id=request.pk,
                    verdict=Verdict.APPROVED,
                    fingerprint=request.fingerprint,
                    user=user,
                    reason="It is so.",
                    password=PASSWORD,
                    door="trial",
                )
                request.refresh_from_db()
        if at_once:
            self.let_pass(timedelta(minutes=11))

    @rule(numbers=st.lists(pick, max_size=4), name=people)
    def somebody_rejects_many(self, numbers, name):
        rows = [row for number in numbers if (row := self.choose(self.requests(), number))]
        answers = services.reject_many(
            [(row.pk, row.fingerprint) for row in rows],
            category="other",
            reason="All of it.",
            user=self.users[name],
            door="trial",
        )
        assert len(answers) == len(rows)

    @rule(number=pick, name=mostly_who_may, changes=st.sampled_from(CHANGES))
    def somebody_changes(self, number, name, changes):
        if request := self.choose(self.requests(status=Status.PENDING), number):
            self.ask(
                services.change,
                request_id=request.pk,
                fingerprint=request.fingerprint,
                changes=changes,
                user=self.user(name, request),
                door="trial",
            )

    @rule(number=pick, name=mostly_who_may, hours=st.sampled_from([-1, 1, 30, 47, 60]))
    def somebody_schedules(self, number, name, hours):
        at = timezone.now() + timedelta(hours=hours)
        if request := self.choose(self.requests(status=Status.PENDING), number):
            self.ask(
                services.change,
                request_id=request.pk,
                fingerprint=request.fingerprint,
                changes={"not_before": at.isoformat()},
                user=self.user(name, request),
                door="trial",
            )

    @rule(number=pick, name=mostly_who_may)
    def somebody_asks_for_changes(self, number, name):
        if request := self.choose(self.requests(status=Status.PENDING), number):
            self.ask(
                services.ask_for_changes,
                request_id=request.pk,
                fingerprint=request.fingerprint,
                user=self.user(name, request),
                note="Say it otherwise.",
                door="trial",
            )

    @rule(number=pick, name=people, changes=st.sampled_from(CHANGES))
    def somebody_revises(self, number, name, changes):
        if request := self.choose(self.requests(status=Status.PENDING), number):
            self.ask(
                services.revise,
                request_id=request.pk,
                fingerprint=request.fingerprint,
                changes=changes,
                user=self.users[name],
                note="As you wish.",
                door="trial",
            )

    @rule(
        number=pick,
        name=mostly_who_may,
        to=people,
        what=st.sampled_from(["claim", "release", "hand_on", "take_over"]),
    )
    def somebody_claims(self, number, name, to, what):
        if request := self.choose(self.requests(), number):
            more = {"hand_on": {"to": self.users[to]}, "take_over": {"note": "They are away."}}
            self.ask(
                getattr(services, what),
                request_id=request.pk,
                user=self.user(name, request),
                door="trial",
                **more.get(what, {}),
            )

    @rule(number=pick, name=st.sampled_from(["manager", *NAMES]))
    def somebody_revokes(self, number, name):
        if request := self.choose(self.requests(status=Status.APPROVED), number):
            used = request.used_at
            self.ask(
                services.revoke, request_id=request.pk, user=self.users[name], reason="No.", door="trial"
            )
            request.refresh_from_db()
            assert used is None or request.status == Status.APPROVED

    @rule(name=people, to=people, hours=st.sampled_from([1, 48]))
    def somebody_delegates(self, name, to, hours):
        now = timezone.now()
        self.ask(
            services.delegate,
            delegator=self.users[name],
            to=self.users[to],
            starts_at=now - timedelta(minutes=1),
            ends_at=now + timedelta(hours=hours),
            reason="Away.",
            door="trial",
        )

    @rule(customer=customers, name=people, action=st.sampled_from(list(Action)))
    def somebody_proposes(self, customer, name, action):
        self.ask(
            proposals.propose,
            customer_id=customer,
            action=action,
            subject="",
            body="",
            reason="They called.",
            user=self.users[name],
            door="trial",
        )

    @rule(number=pick, name=people, well=st.booleans())
    def somebody_ends_a_task(self, number, name, well):
        row = self.choose(list(Execution.objects.filter(status=ExecutionStatus.WITH_OWNER)), number)
        if row:
            self.ask(
                execution.finish_task,
                execution_id=row.pk,
                user=self.users[name],
                done=well,
                note="So it is.",
                door="trial",
            )

    @rule(number=pick, name=people, well=st.booleans())
    def somebody_ends_what_is_uncertain(self, number, name, well):
        if row := self.choose(list(Execution.objects.order_by("-pk")), number):
            self.ask(
                execution.end_uncertain,
                execution_id=row.pk,
                user=self.users[name],
                went_out=well,
                note="Found out.",
                door="trial",
            )

    @rule(customer=customers, never=st.booleans())
    def somebody_notes_a_wish(self, customer, never):
        self.ask(
            wishes.set_wish,
            customer_id=customer,
            do_not_contact=never,
            hold_until=None,
            reason="They said so.",
            user=self.users["operator"],
            door="trial",
        )

    @rule(
        name=people,
        mode=st.sampled_from(list(ExecutionMode)),
        scope=st.sampled_from(["all", "channel"]),
        seldom=st.integers(0, 3),
    )
    def somebody_turns_a_switch(self, name, mode, scope, seldom):
        """Less careful waits for a second person: it is among the requests then. Seldom, or in most examples
        nothing would be carried out."""
        if seldom:
            return
        self.ask(
            switches.set_mode,
            scope=SwitchScope(scope),
            value="" if scope == "all" else Channel.EMAIL.value,
            mode=mode,
            user=self.users[name],
            reason="It is time.",
            door="trial",
        )

    @rule()
    def two_people_start_execution(self):
        asked = self.ask(
            switches.set_mode,
            scope=SwitchScope.ALL,
            mode=ExecutionMode.LIVE,
            user=self.users["manager"],
            reason="All is well.",
            door="trial",
        )
        if asked:
            self.ask(
                services.decide,
                request_id=asked.pk,
                verdict=Verdict.APPROVED,
                fingerprint=asked.fingerprint,
                user=self.users["manager2"],
                door="trial",
            )

    # ---- what others do

    @rule(
        number=st.integers(0, 10**6),
        customer=customers,
        kind=st.sampled_from(["usage_drop", "negative_sentiment", "positive_sentiment"]),
        strength=st.sampled_from([0.2, 0.6, 0.95]),
    )
    def a_signal_comes_in(self, number, customer, kind, strength):
        signal = {"signal_id": f"X{number}", "customer_id": customer, "signal_type": kind}
        try:
            intake.record_signal(**signal, signal_strength=strength, detected_at=self.day)
        except intake.InvalidRecord:
            pass

    @rule(customer=customers, stage=st.sampled_from(["engagement", "support", "retention"]))
    def a_customer_enters_a_stage(self, customer, stage):
        try:
            intake.enter_stage(customer_id=customer, journey_stage=stage, state_entered_at=self.day)
        except intake.InvalidRecord:
            pass

    @rule(customer=customers, number=st.integers(0, 3), value=st.sampled_from([9_000, 42_000, 150_000]))
    def a_customer_changes(self, customer, number, value):
        intake.save_customer(
            customer_id=customer, email=f"office{number}@shared.example", account_value=value
        )

    @rule(mail=st.sampled_from(list(MAIL)), hook=st.sampled_from(list(WEBHOOK)))
    def the_other_side_changes(self, mail, hook):
        self.mails.script, self.hooks.answer = MAIL[mail], WEBHOOK[hook]

    # ---- what must hold after each

    def now_taken(self) -> Counter:
        """Mails taken, and webhooks taken that were not refused, by the intervention's id."""
        for message in self.mails.messages:
            self.taken[message_from_bytes(message)["Message-ID"].strip("<>").partition("@")[0]] += 1
        if self.hooks.answer in (200, BREAK):
            self.taken.update(headers["webhook-id"] for _, headers, _ in self.hooks.requests)
        self.mails.messages.clear()
        self.hooks.requests.clear()
        return self.taken

    @invariant()
    def nothing_goes_out_twice(self):
        for key, status in Execution.objects.values_list("pk", "status"):
            if self.stood.get(key) != status:
                self.reached[f"execution {status}"] += 1
                self.stood[key] = status
        taken = self.now_taken()
        assert max(taken.values(), default=0) <= 1
        assert set(taken) <= set(Execution.objects.values_list("intervention_id", flat=True))

    @invariant()
    def everything_holds(self):
        found = broken()
        hanging = execution.stuck(timezone.now()).count()
        assert hanging <= len(self.dead)
        expected = {"no_orphaned_claim"} if hanging else set()
        if not self.swept:
            expected.add("no_approval_overdue")
        assert [breach for breach in found if breach.invariant not in expected] == []

    @invariant()
    def what_has_ended_stays(self):
        for row in ApprovalRequest.objects.all():
            before = self.seen.get(row.pk)
            if before and before[0] != row.status:
                assert row.status in MOVES[Status(before[0])]
            if before and not MOVES[Status(before[0])]:
                assert before == (row.status, row.fingerprint, row.approvals_given, row.revision)
            if before and before[0] == Status.APPROVED:
                assert before[1] == row.fingerprint
            if not before or before[0] != row.status:
                self.reached[f"request {row.status}"] += 1
            self.seen[row.pk] = (row.status, row.fingerprint, row.approvals_given, row.revision)

    @invariant()
    def what_a_person_approved_was_approved_by_enough_others(self):
        for row in ApprovalRequest.objects.filter(status=Status.APPROVED):
            decisions = list(row.decisions.filter(verdict=Verdict.APPROVED, fingerprint=row.fingerprint))
            if any(decision.authority != Authority.PERSON for decision in decisions):
                continue
            people = [decision.people for decision in decisions]
            assert not frozenset().union(*people) & row.hands
            assert len(people) >= row.people_needed
            assert sum(len(keys) for keys in people) == len(frozenset().union(*people))

    @invariant()
    def the_chain_is_intact(self):
        assert chain.verify(start=self.verified).problems == []
        head = AuditHead.objects.filter(pk=1).first()
        self.verified = head.sequence + 1 if head else 1


@pytest.mark.trial
@pytest.mark.slow
@pytest.mark.django_db
def test_whatever_is_done_in_whatever_order_all_that_must_hold_does(
    people, sample, mail_to, receiver, bad_mail_server, tell
):
    users = get_user_model().objects
    mighty = users.create_superuser("superuser", password=PASSWORD)
    ExecutionSwitch.objects.create(scope=SwitchScope.ALL, mode=ExecutionMode.LIVE, changed_by="a trial")
    policies.install_published()
    examples = rounds(200)
    with bad_mail_server() as mails, receiver() as hooks:
        Everything.users = people | {"superuser": mighty}
        Everything.mails, Everything.hooks = mails, hooks
        run_state_machine_as_test(
            Everything,
            settings=settings(
                max_examples=examples,
                stateful_step_count=STEPS,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                database=None,
                print_blob=True,
                report_multiple_bugs=False,
            ),
        )
    assert not ApprovalRequest.objects.exists()
    reached = ", ".join(f"{name}: {number}" for name, number in sorted(Everything.reached.items()))
    tell(f"{examples} × up to {STEPS}", f"all held after each step; {reached}")
