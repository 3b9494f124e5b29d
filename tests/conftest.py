"""What all tests share."""

import os

import pytest

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
