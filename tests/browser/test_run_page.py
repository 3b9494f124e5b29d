"""A run that is watched: started by the button, seen to go on and to end, without anybody reloading."""

import threading
from datetime import timedelta

import pytest
from django.db import connections
from django.utils import timezone

from journeys import pipeline
from journeys.models import Heartbeat, Intervention, PipelineRun
from journeys.pipeline import alone
from tests.runs import SAMPLE_DAY, run_pipeline

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

RUNS = "/admin/journeys/pipelinerun/"
# Longer than the page waits between two looks.
SOON = 15_000


class Worker:
    """Takes the queued run on a thread, and stops after each range until it is let go on."""

    def __init__(self):
        self.let_go = threading.Semaphore(0)
        self.failed: Exception | None = None
        self.thread = threading.Thread(target=self._work)

    def _work(self) -> None:
        try:
            queued = PipelineRun.objects.get(status=PipelineRun.Status.QUEUED)
            pipeline.run(queued, on_progress=lambda customers: self.let_go.acquire(timeout=60))
        except Exception as error:
            self.failed = error
        finally:
            connections.close_all()


@pytest.fixture
def worker():
    worker = Worker()
    yield worker
    for _ in range(10):
        worker.let_go.release()
    if worker.thread.ident:
        worker.thread.join(60)


@pytest.fixture
def site(live_server, people, sample, settings, monkeypatch):
    """The sample, in three ranges, as if each took its second."""
    settings.DEBUG = True
    settings.RANGE_SIZE = 4
    monkeypatch.setattr(alone, "TELL_EVERY", timedelta(0))
    Heartbeat.objects.create(name="worker", beat_at=timezone.now())


def start(operator) -> None:
    operator.log_in("operator")
    operator.go(RUNS)
    operator.page.click("text=Run the pipeline now")
    operator.page.wait_for_selector("text=A worker takes it in a moment")


def test_a_run_is_seen_to_go_on_and_to_end_without_a_reload(site, visit, worker):
    operator = visit()
    page = operator.page
    start(operator)
    address = page.url
    page.evaluate("window.never = 'reloaded'")
    page.evaluate(
        """window.heard = [];
        new MutationObserver(() => heard.push(document.getElementById('run-said').textContent))
          .observe(document.getElementById('run-said'), {childList: true});"""
    )
    worker.thread.start()
    page.wait_for_selector("text=4 of 10 customers", timeout=SOON)
    assert page.get_attribute("progress", "value") == "4"
    assert page.inner_text("table.plan tr:has-text('Risk scoring') .chip") == "running"
    operator.picture("run-under-way")
    worker.let_go.release()
    page.wait_for_selector("text=8 of 10 customers", timeout=SOON)
    worker.let_go.release()
    worker.let_go.release()
    page.wait_for_selector("text=What became of the 10 customers", timeout=SOON)
    assert worker.failed is None
    assert page.inner_text(".sub .chip").lower() == "succeeded"
    assert page.locator("#cancel").count() == 0
    assert page.locator("progress").count() == 0
    proposed = Intervention.objects.count()
    assert f"Proposed: {proposed}" in page.inner_text("[data-part=run]")
    assert page.evaluate("window.never") == "reloaded"
    assert page.url == address
    heard = page.evaluate("heard")
    assert heard[-1].startswith(f"Succeeded: {proposed} proposed")
    assert len(heard) == len(set(heard)) <= 6


def test_a_run_is_cancelled_while_it_is_watched(site, visit, worker):
    operator = visit()
    page = operator.page
    start(operator)
    worker.thread.start()
    page.wait_for_selector("text=4 of 10 customers", timeout=SOON)
    page.click("summary:has-text('Cancel it')")
    page.click("text=Cancel the run")
    page.wait_for_selector("text=It ends after the range that it is at")
    worker.let_go.release()
    page.wait_for_selector("text=It had written 4 of 10 customers", timeout=SOON)
    assert worker.failed is None


def test_once_it_is_over_the_page_asks_no_more(site, visit, worker):
    operator = visit()
    start(operator)
    worker.thread.start()
    for _ in range(3):
        worker.let_go.release()
    operator.page.wait_for_selector("text=What became of the 10 customers", timeout=SOON)
    asked = []
    operator.page.on("request", lambda request: asked.append(request.url))
    operator.page.wait_for_timeout(5_000)
    assert asked == []


def test_when_the_session_ends_the_page_says_so_and_shows_no_login_inside_it(site, visit, worker):
    operator = visit()
    start(operator)
    operator.context.clear_cookies()
    operator.page.wait_for_selector("text=cannot be brought up to date any more", timeout=SOON)
    assert operator.page.locator("#id_password").count() == 0


def test_without_the_script_a_link_brings_it_up_to_date(site, visit, worker):
    operator = visit(java_script_enabled=False)
    start(operator)
    worker.thread.start()
    for _ in range(3):
        worker.let_go.release()
    worker.thread.join(60)
    assert worker.failed is None
    operator.page.click("text=Look again")
    operator.page.wait_for_selector("text=What became of the 10 customers")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_pages_fit_a_phone_and_a_desk(site, visit, scheme):
    run_pipeline()
    run_pipeline(SAMPLE_DAY + timedelta(days=5))
    run = PipelineRun.objects.first()
    for width in (1280, 390):
        somebody = visit(viewport={"width": width, "height": 844}, color_scheme=scheme)
        somebody.log_in("operator")
        for name, address in (
            ("run", f"{RUNS}{run.pk}/change/"),
            ("customer", "/admin/journeys/customer/C001/change/"),
            ("findings", "/admin/journeys/finding/"),
        ):
            somebody.go(address)
            assert not somebody.scrolls_sideways(), (name, width)
            somebody.picture(f"{name}-{width}-{scheme}")
