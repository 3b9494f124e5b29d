"""The demo's weeks before today: a run, decisions, what was carried out, and what came of it. All of it goes
through the services, at the time at which it is really done; only the runs' own day lies in the past.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from random import Random

from django_q.models import OrmQ

from approvals import services as gate
from approvals.models import ApprovalRequest
from approvals.rules import Actor, Refusal, Verdict
from journeys import pipeline
from journeys.demo import words
from journeys.demo.made import Seeded
from journeys.demo.people import APPROVERS, MANAGERS, logins
from journeys.demo.portfolio import ID_PREFIX, Portfolio
from journeys.demo.stories import Mood
from journeys.domain.vocabulary import Channel, InterventionStatus, OutcomeKind
from journeys.models import Customer, Intervention, PipelineRun
from journeys.records import CustomerRecord, InvalidRecord, Record
from journeys.services import execution, intake, outcomes, wishes
from journeys.services.policies import in_force
from journeys.services.proposals import KIND

DOOR = "seed_demo"
SEEDER = Actor(key="machine:seed_demo", name="seed_demo", door=DOOR)
# What the demo's people get through in a week; in a large portfolio the rest waits, as it would.
DECISIONS_A_WEEK = 300
_CUSTOMERS_AT_ONCE = 500
_REJECTED, _MEASURED = 0.16, 0.72
_WELL, _SO_SO, _BADLY = OutcomeKind.RESOLVED, OutcomeKind.PARTIAL_IMPROVEMENT, OutcomeKind.NO_RESPONSE
# What came of it as a rule, by how the customer fares.
_OUTCOMES = {
    Mood.QUIET: (_WELL, _WELL, OutcomeKind.IMPROVED_ENGAGEMENT, OutcomeKind.NO_ACTION_NEEDED, _BADLY),
    Mood.RECOVERED: (_WELL, _WELL, _SO_SO, OutcomeKind.IMPROVED_ENGAGEMENT, _BADLY),
    Mood.TROUBLED: (_WELL, _SO_SO, _SO_SO, _BADLY, _BADLY),
}
# Change of satisfaction and of the churn risk (least, most), and the share of the account's value that was
# saved at most. What is not named here changed nothing.
_EFFECTS = {
    OutcomeKind.RESOLVED: ((0, 1, 1, 2), (-0.35, -0.10), 0.15),
    OutcomeKind.PARTIAL_IMPROVEMENT: ((0, 0, 1), (-0.15, -0.02), 0.05),
    OutcomeKind.IMPROVED_ENGAGEMENT: ((0, 1), (-0.20, -0.05), 0.08),
}


# Of those in such a mood, the share that leaves in a week; and of all, the share that renews.
_LEAVES = {Mood.QUIET: 0.002, Mood.RECOVERED: 0.006, Mood.TROUBLED: 0.03}
_RENEWS = 0.008


class Past:
    """The weeks, one after the other. `users` are the demo's people by name; `made` counts along."""

    def __init__(self, portfolio: Portfolio, users: dict, made: Seeded):
        self.portfolio, self.users, self.made = portfolio, users, made
        self._passwords = logins()
        self._known_until: date | None = None

    def live_through(self, as_of: date) -> None:
        """One week: what had happened by that day arrives, and is judged, decided and carried out."""
        self.arrive(until=as_of)
        self._part_or_stay(as_of)
        if not Customer.objects.exists():  # in a very small portfolio all may have come later
            return
        run = pipeline.run(pipeline.plan_run(policy=in_force(), actor=SEEDER, as_of=as_of))
        self.made.proposed += run.counts["proposed"]
        self._decide(as_of)
        self._carry_out()
        self._measure(run)

    def arrive(self, *, until: date) -> None:
        """Take the stages that were entered since the last time and by `until`, and the customers who came
        with them. A newcomer's signals come along at once, also later ones: a run counts those of its days.
        """
        since = self._known_until or date.min
        numbers = self.portfolio.numbers()
        for start in range(0, len(numbers), _CUSTOMERS_AT_ONCE):
            newcomers, entered = [], []
            for number in numbers[start : start + _CUSTOMERS_AT_ONCE]:
                states = self.portfolio.states(number)
                entered += [state for state in states if since < state.state_entered_at <= until]
                if since < states[0].state_entered_at <= until:
                    newcomers.append(self.portfolio.customer(number))
            self.take([newcomer.profile for newcomer in newcomers])
            self.take(entered)
            self.take([signal for newcomer in newcomers for signal in newcomer.signals])
        self._known_until = until

    def _part_or_stay(self, as_of: date) -> None:
        """Some customers leave in that week, and some renew. Nobody's fate hangs on what was done for them:
        the demo plants no effect."""
        news = []
        here = Customer.objects.filter(pk__startswith=ID_PREFIX, churned_on__isnull=True).order_by("pk")
        for customer_id in here.values_list("pk", flat=True):
            random = self.portfolio.random(customer_id, as_of, "fate")
            drawn, day = random.random(), as_of - timedelta(days=random.randint(0, 6))
            if drawn < _LEAVES[self.portfolio.mood(customer_id)]:
                news.append(CustomerRecord(customer_id=customer_id, churned_on=day, do_not_contact=True))
            elif drawn > 1 - _RENEWS:
                news.append(CustomerRecord(customer_id=customer_id, renewed_on=day))
        self.take(news)

    def take(self, records: Sequence[Record]) -> None:
        """Records of one kind, as if they had been received."""
        refused = [answer for answer in intake.take(records) if isinstance(answer, InvalidRecord)]
        if refused:
            raise refused[0]

    def hold(self) -> None:
        """Leave those alone who asked for it, from today on."""
        for customer in self.portfolio:
            if customer.hold_until:
                wishes.set_wish(
                    customer_id=customer.profile.customer_id,
                    do_not_contact=customer.profile.do_not_contact,
                    hold_until=customer.hold_until,
                    reason="They asked to be left alone until their audit is over.",
                    user=self._who_may(wishes.PERMISSION),
                    door=DOOR,
                )

    def _decide(self, as_of: date) -> None:
        pending = ApprovalRequest.objects.pending().filter(kind=KIND).by_priority()[:DECISIONS_A_WEEK]
        for request in pending:
            random = self.portfolio.random(request.concerning, as_of, "decision")
            rejected = random.random() < _REJECTED
            if rejected:
                category, reason = random.choice(words.WHY_REJECTED)
            else:
                told = words.WHY_APPROVED_HIGH if request.heightened else words.WHY_APPROVED
                category, reason = "", random.choice(told)
            for user in self._deciders(request, random)[: 1 if rejected else request.people_needed]:
                gate.decide(
                    request_id=request.pk,
                    verdict=Verdict.REJECTED if rejected else Verdict.APPROVED,
                    fingerprint=request.fingerprint,
                    user=user,
                    reason=reason,
                    category=category,
                    password=self._passwords[user.get_username()] if request.heightened else None,
                    door=DOOR,
                )
            self.made.decided_by_people += 1
            self.made.rejected += rejected

    def _deciders(self, request: ApprovalRequest, random: Random) -> list:
        """Those who may decide this request: the approvers first, in any order, then the managers."""
        users = [self.users[name] for name in random.sample(APPROVERS, len(APPROVERS)) + list(MANAGERS)]
        return [user for user in users if self._may_decide(request, user)]

    def _may_decide(self, request: ApprovalRequest, user) -> bool:
        try:
            gate.check_may_decide(request, user)
        except Refusal:
            return False
        return True

    def _carry_out(self) -> None:
        approved = Intervention.objects.filter(status=InterventionStatus.APPROVED)
        for intervention_id in list(approved.values_list("pk", flat=True)):
            done = execution.execute(intervention_id=intervention_id)
            self.made.executed += done is not None

    def silence(self) -> None:
        """Take the bells out of the queue that called for what is carried out by now: the worker would run
        after each of them, while a real one waits."""
        for bell in OrmQ.objects.all():
            task = bell.task
            if task.get("func") == "journeys.tasks.execute":
                waiting = Intervention.objects.filter(pk__in=task["args"], status=InterventionStatus.APPROVED)
                if not waiting.exists():
                    bell.delete()

    def _measure(self, run: PipelineRun) -> None:
        """Record what came of most of what was done, some days later on the run's calendar."""
        done = Intervention.objects.filter(run=run, status__in=outcomes.DONE).select_related("customer")
        for intervention in list(done):
            random = self.portfolio.random(intervention.customer_id, run.as_of, "outcome")
            if random.random() < _MEASURED:
                outcomes.record_outcome(
                    intervention_id=intervention.pk,
                    **self._outcome(intervention, random),
                    user=self.users["operator"],
                    door=DOOR,
                )
                self.made.outcomes += 1

    def _outcome(self, intervention: Intervention, random: Random) -> dict:
        if intervention.channel == Channel.NONE:
            kind = OutcomeKind.MONITOR_ONLY
        else:
            kind = random.choice(_OUTCOMES[self.portfolio.mood(intervention.customer_id)])
        days = random.randint(1, 6)
        found = {
            "outcome": kind,
            "resolution_time_days": None,
            "csat_delta": None,
            "churn_risk_delta": None,
            "estimated_revenue_saved": None,
            "human_override": None,
            "measured_at": intervention.as_of + timedelta(days=days),
        }
        if kind in _EFFECTS:
            satisfaction, churn, saved = _EFFECTS[kind]
            value = intervention.customer.account_value
            found |= {
                "resolution_time_days": float(days),
                "csat_delta": float(random.choice(satisfaction)),
                "churn_risk_delta": round(random.uniform(*churn), 2),
                "estimated_revenue_saved": value
                and round(value * Decimal(str(round(random.uniform(0, saved), 3))), -2),
            }
        return found

    def _who_may(self, permission: str):
        return next(user for user in self.users.values() if user.has_perm(permission))
