"""The demonstration: a portfolio that is invented, and a past that is not. The weeks before today are run,
decided, carried out (record-only) and measured by the same services as everything else.
"""

from collections.abc import Callable
from dataclasses import asdict
from datetime import timedelta

from django.conf import settings
from django.db import transaction

from approvals.audit import Event, record, through_door
from approvals.models import ApprovalRequest, AuditEvent
from approvals.rules import Refusal, Verdict
from approvals.services import decide, silently
from journeys.days import today
from journeys.demo import people, sample
from journeys.demo.made import Seeded
from journeys.demo.past import DOOR, SEEDER, Past
from journeys.demo.portfolio import Portfolio
from journeys.domain.vocabulary import ExecutionMode, SwitchScope
from journeys.models import Customer, PipelineRun
from journeys.services import policies, switches
from journeys.services.proposals import testing_refusal

WORD = "portfolio.seeded"
TODAY = "today"
POLICY = "demo"
# Nothing goes out in the past, so that there is nothing to wait for; and as every password takes a third of a
# second to check, it takes two people for the biggest accounts only.
# A tenth of the smaller accounts is held out; ten weeks are too short to wait for anything for ninety days.
MEASURED = {
    "holdout": {"share": 0.1, "experiment": "demo", "below_account_value": 100_000.0},
    "outcomes": {"checkpoint_days": [7, 30], "proxy_days": 30, "truth_days": 30},
}
PAST = {"clocks": {"grace_seconds": 0}, "quorum": {"account_value": 300_000.0}} | MEASURED
PRESENT = {"clocks": {"grace_seconds": 15}} | MEASURED


class NotHere(Refusal):
    """Demonstration data is not made in this database."""

    code = "no_demo_here"


class AlreadyThere(Refusal):
    code = "already_there"


def seed(
    *,
    customers: int,
    seed: int,
    weeks: int,
    on_progress: Callable[[str], None] = lambda text: None,
) -> Seeded:
    """Make the demo in an empty database: people, portfolio, `weeks` of past, the sample as of today.
    `on_progress` is told which week it is, and TODAY at the last part.

    Raises NotHere where DEBUG is off, other customers are there, or something could go out; AlreadyThere;
    people.NameTaken. Nothing is written then.
    """
    _check()
    with through_door(DOOR), silently():
        made = Seeded(customers, seed, weeks)
        users = people.make()
        day = today()  # once: midnight may pass meanwhile
        past = Past(Portfolio(customers, seed, day), users, made)
        if weeks:
            _put_in_force(users, PAST, "For the past, which is recorded and not sent.")
        for week in range(weeks, 0, -1):
            on_progress(f"week {weeks - week + 1} of {weeks}")
            past.live_through(day - timedelta(days=7 * week))
        past.silence()
        on_progress(TODAY)
        past.arrive(until=day)
        past.hold()
        for records in sample.records(day):
            past.take(records)
        _put_in_force(users, PRESENT, "In a demonstration nobody waits ten minutes.")
        _go_live(users, made)
        _record(made)
    return made


def _check() -> None:
    if not settings.DEBUG:
        raise NotHere("Demonstration data is for trying out: it is refused where DEBUG is off.")
    if event := AuditEvent.objects.filter(word=WORD).select_related("detail").first():
        raise AlreadyThere(f"The demo is there already: {event.told('subject_name') or 'made before'}.")
    if PipelineRun.objects.filter(door=DOOR).exists():
        raise NotHere(
            "A demo was begun in this database and broken off half-way; it cannot be continued. Start again "
            f"with an empty one{_which()}."
        )
    if Customer.objects.exists():
        raise NotHere(
            "There are customers here already, and they are not the demo's; they would be mixed up with "
            "invented ones. Use an empty database (DATABASE_URL)."
        )
    if switches.current(SwitchScope.ALL) == ExecutionMode.LIVE:
        raise NotHere(
            "Execution is live here; the demo's past must not be sent. Make execution record-only first."
        )
    people.check_names_are_free()


def _which() -> str:
    database = settings.DATABASES["default"]
    return f" (this one is the file {database['NAME']})" if database["ENGINE"].endswith("sqlite3") else ""


def _put_in_force(users: dict, document: dict, reason: str) -> None:
    """The policy `demo`: the published one but for what is in the document."""
    policy = policies.add_policy(name=POLICY, document=document, created_by="manager")
    request = policies.propose_activation(policy=policy, user=users["manager"], reason=reason, door=DOOR)
    _confirm(request, users["manager2"])


def _confirm(request: ApprovalRequest, user) -> None:
    decide(
        request_id=request.pk,
        verdict=Verdict.APPROVED,
        fingerprint=request.fingerprint,
        user=user,
        door=DOOR,
    )


def _go_live(users: dict, made: Seeded) -> None:
    """Two people, as always. Not where anything could leave this machine."""
    if refusal := testing_refusal():
        made.kept_back = refusal
        return
    request = switches.set_mode(
        scope=SwitchScope.ALL,
        mode=ExecutionMode.LIVE,
        user=users["operator"],
        reason="So that what is approved in the demo is carried out; mail goes to files.",
        door=DOOR,
    )
    _confirm(request, users["manager"])
    made.execution = ExecutionMode.LIVE.value


def _record(made: Seeded) -> None:
    with transaction.atomic():
        record(
            [
                Event(
                    word=WORD,
                    actor=SEEDER,
                    kind="portfolio",
                    subject_key="demo",
                    subject_name=made.subject,
                    details=asdict(made),
                )
            ]
        )
