"""What all tests share."""

import os

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import connection

from approvals import append_only
from journeys.services.policies import install_published

SERVER_MARKS = ("postgres", "browser")
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
def _database_that_can_be_flushed(request):
    """Tests that commit end with a flush, which the append-only triggers refuse: they are taken away just
    before it. The flush also takes what the migrations put in, so a test that commits puts it back first.
    """
    mark = request.node.get_closest_marker("django_db")
    commits = bool(mark and mark.kwargs.get("transaction")) or bool(
        {"transactional_db", "live_server"} & set(request.fixturenames)
    )
    if not commits:
        yield
        return
    request.getfixturevalue("transactional_db")
    _with_editor(append_only.install)
    install_published()
    yield
    _with_editor(append_only.remove)


def _with_editor(change) -> None:
    with connection.schema_editor() as editor:
        change(editor)


@pytest.fixture
def people(db):
    """One user a role, by name: operator, approver, approver2, manager, auditor."""
    call_command("loaddata", "people", verbosity=0)
    groups = {
        "operator": "Operators",
        "approver": "Approvers",
        "approver2": "Approvers",
        "manager": "Managers",
        "auditor": "Auditors",
    }
    users = {}
    for name, group in groups.items():
        users[name] = get_user_model().objects.create_user(name, password="a-long-password", is_staff=True)
        users[name].groups.add(Group.objects.get(name=group))
    return users


@pytest.fixture
def sample(db):
    """The sample portfolio, without its history."""
    call_command("loaddata", "sample", verbosity=0)


@pytest.fixture
def sample_run(sample, settings):
    """The run over the sample on its day: C004 and C005 wait for a decision, C001 went by policy."""
    from tests.runs import run_pipeline

    settings.DEBUG = True
    return run_pipeline()
