"""What all tests share."""

import os
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.core.management import call_command
from django.core.serializers import deserialize
from django.core.serializers.base import DeserializedObject
from django.db import connection
from django.db.models import Min
from django.utils import timezone

from approvals import append_only
from cjo_site.environment import BASE_DIR
from journeys import demo
from journeys.days import today
from journeys.domain.vocabulary import ExecutionMode, SwitchScope
from journeys.models import Customer, Execution, ExecutionSwitch, Intervention, Policy
from journeys.services import execution
from journeys.services.policies import add_policy, install_published
from tests import servers
from tests.acting import PASSWORD, approve, waiting
from tests.front_page import beat
from tests.runs import run_pipeline

SERVER_MARKS = ("postgres", "browser")
# On a test that ends with a flush: what lets the database be used outside of tests.
FLUSHED = pytest.StashKey()
NO_SKIPS = os.environ.get("CJO_NO_SKIPS") == "1"


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """With CJO_NO_SKIPS=1 no file is passed over, as one is that finds its library missing."""
    report = yield
    if NO_SKIPS and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} was skipped as a whole: {_reason(report)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """With CJO_NO_SKIPS=1 a test that is marked as needing a server fails where it would be skipped: the
    server was promised.
    """
    report = yield
    if (
        NO_SKIPS
        and report.skipped
        and not hasattr(report, "wasxfail")
        and any(item.get_closest_marker(mark) for mark in SERVER_MARKS)
    ):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, though its server was promised: {_reason(report)}"
    return report


def _reason(report):
    return report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr


@pytest.fixture(autouse=True)
def _database_that_can_be_flushed(request, django_db_blocker):
    """Tests that commit end with a flush, which the append-only triggers refuse: they are taken away just
    before it."""
    mark = request.node.get_closest_marker("django_db")
    commits = bool(mark and mark.kwargs.get("transaction")) or bool(
        {"transactional_db", "live_server"} & set(request.fixturenames)
    )
    if not commits:
        yield
        return
    request.getfixturevalue("transactional_db")
    request.node.stash[FLUSHED] = django_db_blocker
    yield
    append_only.remove(connection)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item, nextitem):
    """What the migrations put in, and the flush took, is put back once it is done: which test comes next must
    not matter."""
    try:
        return (yield)
    finally:
        if FLUSHED in item.stash and nextitem is not None:
            with item.stash[FLUSHED].unblock():
                append_only.install(connection)
                install_published()


# What fixtures/people.json holds, as (row, its permissions and the like), by the key of the first permission:
# a flush makes permissions anew.
_groups_read: dict[int, list[tuple]] = {}


def _load_groups() -> None:
    """As loaddata, but read once: it asks for each permission of each group by its name, one at a time."""
    first = Permission.objects.aggregate(first=Min("pk"))["first"]
    if first not in _groups_read:
        _groups_read[first] = []
        for read in deserialize("json", (BASE_DIR / "fixtures" / "people.json").read_text()):
            _groups_read[first].append((read.object, read.m2m_data))
            read.save()
    else:
        for row, related in _groups_read[first]:
            DeserializedObject(row, related).save()


@pytest.fixture
def people(db):
    """By name: operator, approver, approver2, manager, manager2, auditor."""
    _load_groups()
    groups = {
        "operator": "Operators",
        "approver": "Approvers",
        "approver2": "Approvers",
        "manager": "Managers",
        "manager2": "Managers",
        "auditor": "Auditors",
    }
    users = {}
    for name, group in groups.items():
        users[name] = get_user_model().objects.create_user(name, password=PASSWORD, is_staff=True)
        users[name].groups.add(Group.objects.get(name=group))
    return users


@pytest.fixture
def worker_alive(db):
    """It has just given a sign of life."""
    beat(timedelta(0))


@pytest.fixture
def sample(db):
    """The sample portfolio, without its history."""
    call_command("loaddata", "sample", verbosity=0)


@pytest.fixture
def sample_run(sample, settings):
    """The run over the sample on its day: C004 and C005 wait for a decision, C001 went by policy."""
    settings.DEBUG = True
    return run_pipeline()


@pytest.fixture
def waits(people, sample_run):
    """C004's mail, waiting for a decision."""
    return waiting("C004")


@pytest.fixture
def history(sample):
    """What was done for the customers of the sample before, and what came of it."""
    call_command("loaddata", "sample_history", verbosity=0)


@pytest.fixture
def settled(sample, people, policy_with, live):
    """Everybody was looked at today, and something waits for C004 and C005."""
    policy_with({"clocks": {"grace_seconds": 0}, "signals": {"days_back": 3000}})
    return run_pipeline(today())


@pytest.fixture
def lived_in(people, sample_run, live):
    """Rows of every kind: C004 waits for a decision, C005 is a task with its owner, the operator, and the
    sample's history is there."""
    execution.execute(intervention_id=approve("C005", people["approver2"]).pk)
    call_command("loaddata", "sample_history", verbosity=0)


@pytest.fixture
def big(people, sample, settings):
    """C004's mail, where the account is worth 150,000: only the two managers reach it, and it takes both."""
    settings.DEBUG = True
    Customer.objects.filter(pk="C004").update(account_value=150_000)
    run_pipeline()
    return waiting("C004")


@pytest.fixture
def policy_with(db):
    """`policy_with({...})`: put a policy in force that departs from the published one in this."""

    def put_in_force(document: dict, name: str = "ours") -> Policy:
        policy = add_policy(name=name, document=document, created_by="a test")
        Policy.objects.update(active=False)
        Policy.objects.filter(pk=policy.pk).update(active=True)
        return policy

    return put_in_force


@pytest.fixture
def no_grace(policy_with):
    """What is approved can be carried out, and is rung, at once."""
    policy_with({"clocks": {"grace_seconds": 0}}, name="without grace")


@pytest.fixture
def live():
    """Execution for everything is live."""
    ExecutionSwitch.objects.create(scope=SwitchScope.ALL, mode=ExecutionMode.LIVE, changed_by="a test")


@pytest.fixture
def mail_to(settings):
    """Point Django's mail at a port on loopback."""

    def point(port: int) -> None:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", port, 0.3

    return point


@pytest.fixture
def mailbox(mail_to):
    """A mail server that accepts everything; the box holds what arrived."""
    mailbox = servers.Mailbox()
    with servers.mail_server(mailbox) as port:
        mail_to(port)
        yield mailbox


@pytest.fixture
def bad_mail_server(mail_to):
    """`with bad_mail_server(COMMAND=reply): ...`: a mail server that keeps to this script."""

    @contextmanager
    def run(**script):
        server = servers.BadMailServer(script)
        with server.running() as port:
            mail_to(port)
            yield server

    return run


@pytest.fixture
def receiver(settings):
    """`with receiver(answer=...): ...`: an HTTP receiver, at the address in the settings."""

    @contextmanager
    def run(**behaviour):
        server = servers.Receiver(**behaviour)
        with server.running() as url:
            settings.WEBHOOK_URL, settings.WEBHOOK_SECRET = url, servers.SECRET
            settings.WEBHOOK_TIMEOUT = 0.3
            yield server

    return run


@pytest.fixture
def lived(settings):
    """Some weeks of a small portfolio, and a run today; a third of what was executed really went out."""
    settings.DEBUG = True
    demo.seed(customers=70, seed=5, weeks=7, on_progress=lambda text: None)
    # The same third each time: the end of a key is random.
    executed = Intervention.objects.filter(status="executed").order_by("as_of", "customer_id")
    live = list(executed.values_list("pk", flat=True))
    Execution.objects.filter(intervention__in=live[::3]).update(mode="live")
    gone = Customer.objects.filter(interventions__status="rejected").order_by("pk").distinct()[:2]
    for customer in gone:
        first = customer.interventions.filter(status="rejected").earliest("as_of")
        Customer.objects.filter(pk=customer.pk).update(churned_on=first.as_of + timedelta(days=5))
    return run_pipeline(timezone.now().date())
