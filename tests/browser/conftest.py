"""A real browser against the served site. Whatever it complains of, and whatever it asks elsewhere, fails."""

import os
import shutil
from importlib.resources import files
from pathlib import Path

import pytest
from django.core.management import call_command

from journeys.models import Intervention
from tests.runs import run_pipeline

# Flags under which Debian's chromium runs as root and asks nobody for anything.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PASSWORD = "a-long-password"
# Preloading would ask for style sheets of the admin under wrong addresses.
AXE = "axe.run(document, {resultTypes: ['violations'], preload: false})"


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium on the PATH")
    before = os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    # Playwright's synchronous interface runs a loop in this thread, which the ORM would refuse.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    try:
        with playwright.sync_playwright() as running:
            started = running.chromium.launch(executable_path=chromium, args=FLAGS)
            yield started
            started.close()
    finally:
        if before is None:
            del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]
        else:
            os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = before


# Wholly in the window, and nothing lies over its middle.
SEEN = """(element) => {
  const box = element.getBoundingClientRect();
  const there = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
  return box.height > 0 && box.top >= 0 && box.left >= 0
    && box.bottom <= innerHeight && box.right <= innerWidth
    && there !== null && (element.contains(there) || there.contains(element));
}"""


class Visitor:
    """One person at one screen."""

    def __init__(self, browser, site: str, complaints: list[str], **screen) -> None:
        self.site = site
        # What the console is to say in a test that provokes it, such as "403".
        self.expected: list[str] = []
        self.context = browser.new_context(**({"viewport": {"width": 1440, "height": 900}} | screen))
        self.page = self.context.new_page()
        self.page.set_default_timeout(15_000)
        page = self.page
        page.on(
            "console",
            lambda message: (
                complaints.append(f"{page.url}: {message.text}")
                if message.type in ("error", "warning") and not any(map(message.text.count, self.expected))
                else None
            ),
        )
        page.on("pageerror", lambda error: complaints.append(f"{page.url}: {error}"))
        page.on(
            "request",
            lambda asked: complaints.append(f"asked {asked.url}") if not asked.url.startswith(site) else None,
        )

    def log_in(self, name: str) -> None:
        self.go("/admin/")
        self.page.fill("#id_username", name)
        self.page.fill("#id_password", PASSWORD)
        self.page.press("#id_password", "Enter")
        self.page.wait_for_selector("details.menu")

    def go(self, address: str) -> None:
        self.page.goto(self.site + address)

    def picture(self, name: str) -> None:
        """Kept in the folder that CJO_PICTURES names, where it does."""
        if folder := os.environ.get("CJO_PICTURES"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)

    def barriers(self) -> list[str]:
        """What axe-core finds of serious or critical impact; for a visitor made with `bypass_csp`."""
        self.page.evaluate(files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
        return [
            f"{rule['id']} ({rule['impact']}): {node['target']} {node['html'][:120]}"
            for rule in self.page.evaluate(AXE)["violations"]
            if rule["impact"] in ("serious", "critical")
            for node in rule["nodes"]
        ]

    def scrolls_sideways(self) -> bool:
        return self.page.evaluate("document.documentElement.scrollWidth > window.innerWidth")


@pytest.fixture
def visit(browser, live_server):
    """Makes visitors; at the end none of them may have heard a complaint."""
    complaints: list[str] = []
    visitors = []

    def make(**screen) -> Visitor:
        visitors.append(Visitor(browser, live_server.url, complaints, **screen))
        return visitors[-1]

    yield make
    for visitor in visitors:
        visitor.context.close()
    assert complaints == []


@pytest.fixture
def morning(live_server, people, sample, live, settings, tmp_path):
    """The sample's run, with mail that goes into files of this test, and execution live."""
    settings.DEBUG = True
    settings.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = str(tmp_path)
    call_command("loaddata", "sample_history", verbosity=0)
    # The history would hold everything back: it is of other customers for once.
    Intervention.objects.filter(customer_id__in=["C001", "C004", "C005"]).update(customer_id="C008")
    run_pipeline()
    return tmp_path
