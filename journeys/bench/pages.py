"""How long the desk's pages take on the server, how many queries they ask, and what they weigh.

Through Django's test client: the real addresses, middleware and templates, without the network. On a database
of its own, made for the measurement and removed again; the one in use is left alone.
"""

import gzip
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from statistics import median

from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext, override_settings
from django.urls import reverse

from approvals.bench import database_of_its_own
from approvals.desk import MOST_LISTED, DeskAdmin
from approvals.models import ApprovalRequest
from approvals.rules import Status
from journeys.bench.world import Size, fill
from journeys.models import Intervention, PipelineRun
from journeys.services.proposals import KIND

# Each page is opened once, to warm up, and then so many times.
TIMES = 7
_MEDIA = re.compile(r"<(?:link|script|img)[^>]*\s(?:href|src)=\"([^\"]+)\"")
SETTINGS = {
    "DEBUG": False,
    "ALLOWED_HOSTS": ["testserver"],
    "SECURE_SSL_REDIRECT": False,
    # The site's own cache has to stay as it is.
    "CACHES": {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
}


@dataclass(frozen=True, slots=True)
class Page:
    """`user` is as whom it is opened."""

    name: str
    address: str
    user: str


@dataclass(frozen=True, slots=True)
class Measured:
    """`milliseconds` is the median; `kilobytes` is what a browser with an empty cache gets: the page with its
    style sheets, scripts and images, each compressed as the server sends it; 1 kB is 1000 bytes."""

    page: str
    user: str
    queries: int
    milliseconds: float
    kilobytes: float


def measure(
    size: Size,
    *,
    on_progress: Callable[[str], None] = lambda text: None,
    on_page: Callable[[Measured], None] = lambda measured: None,
) -> dict:
    """{database, customers, requests, pending, pages: [Measured as a dict]}."""
    with override_settings(**SETTINGS), database_of_its_own():
        fill(size, on_progress)
        measured = []
        for page in pages():
            measured.append(weigh(page))
            on_page(measured[-1])
    return {
        "database": connection.display_name,
        "customers": size.customers,
        "requests": size.requests,
        "pending": size.pending,
        "pages": [asdict(row) for row in measured],
    }


def pages() -> Iterator[Page]:
    """What people open: the queue with each view and filter, the first request and the last, every list."""

    def page(name: str, view: str, *arguments: object, query: str = "", user: str = "approver") -> Page:
        return Page(name, reverse(f"admin:{view}", args=arguments) + query, user)

    requests, queue = ApprovalRequest.objects.filter(kind=KIND), "approvals_approvalrequest_changelist"
    trail = "approvals_auditevent_changelist"
    pending = requests.pending().by_priority()
    first, last = pending.first(), pending.last()
    last_page = min(pending.count(), MOST_LISTED) // DeskAdmin.list_per_page
    decided = requests.filter(status=Status.APPROVED).last()
    customer = first.concerning
    done = Intervention.objects.get(pk=decided.subject_key)
    run = PipelineRun.objects.order_by("-pk").first()

    for user in ("approver", "manager", "auditor", "operator"):
        yield page("home", "index", user=user)
    yield page("queue", queue)
    yield page("queue, of an auditor", queue, user="auditor")
    for view in ("mine", "due", "high", "unroutable", "expired"):
        yield page(f"queue, view {view}", queue, query=f"?view={view}")
    yield page("queue, page 2", queue, query="?p=2")
    yield page("queue, the last page listed", queue, query=f"?p={last_page}")
    yield page("queue, risk high", queue, query="?risk_tier=high")
    yield page("queue, one action", queue, query=f"?action={first.action}")
    yield page("queue, one segment", queue, query=f"?segment={first.segment}")
    yield page("queue, view and filters", queue, query=f"?view=mine&risk_tier=medium&action={first.action}")
    yield page("queue, search for a customer", queue, query=f"?q={customer}")
    yield page("queue, search by a beginning", queue, query=f"?q={customer[:3]}")
    yield page("queue, search for a request", queue, query=f"?q=%23{first.pk}")
    yield page("figures of the queue", "approvals_approvalrequest_figures")
    yield page("figures of the queue", "approvals_approvalrequest_figures", user="auditor")
    yield page("queue, every status", queue, query="?status=all")
    yield page("queue, approved ones", queue, query="?status=approved")
    yield page("request, the first", "approvals_approvalrequest_change", first.pk)
    yield page("request, the last", "approvals_approvalrequest_change", last.pk)
    yield page("request, decided", "approvals_approvalrequest_change", decided.pk)
    yield page("trail", trail, user="auditor")
    yield page("trail of a customer", trail, query=f"?concerning={customer}", user="auditor")
    yield page("decisions", "approvals_decision_changelist")
    yield page("customers", "journeys_customer_changelist")
    yield page("customers, risk high", "journeys_customer_changelist", query="?tier=high")
    yield page("customers, search", "journeys_customer_changelist", query=f"?q={customer[:4]}")
    yield page("customer", "journeys_customer_change", customer)
    yield page("portfolio", "journeys_assessment_portfolio", user="manager")
    yield page("results", "journeys_assignment_results", user="manager")
    yield page("runs", "journeys_pipelinerun_changelist")
    yield page("run", "journeys_pipelinerun_change", run.pk)
    yield page("report", "journeys_pipelinerun_report", run.pk)
    yield page("interventions", "journeys_intervention_changelist")
    yield page("interventions, pending", "journeys_intervention_changelist", query="?status=pending")
    yield page("intervention", "journeys_intervention_change", done.pk)
    yield page("findings", "journeys_finding_changelist", user="operator")
    yield page("executions", "journeys_execution_changelist")
    yield page("outcomes", "journeys_outcome_changelist")
    yield page("assessments", "journeys_assessment_changelist")
    yield page("signals", "journeys_signal_changelist")
    # In a session: what else a token costs depends on nothing.
    for what, query, user in (
        ("customer", "", "approver"),
        ("journey-state", "", "approver"),
        ("signal", "", "approver"),
        ("assessment", "", "approver"),
        ("suppressed", "", "approver"),
        ("intervention", "?status=pending", "approver"),
        ("execution", "", "approver"),
        ("outcome", "", "approver"),
        ("run", "", "approver"),
        ("finding", "", "approver"),
        ("approval-request", "?status=pending", "approver"),
        ("approval-request", f"?concerning={customer}", "approver"),
        ("decision", "", "approver"),
        ("audit-event", "", "auditor"),
    ):
        yield Page(f"API: {what} {query}".strip(), f"{reverse(f'{what}-list')}{query}", user)


def weigh(page: Page, times: int = TIMES) -> Measured:
    """Raises RuntimeError where it does not open."""
    client = Client(headers={"accept-encoding": "gzip"})
    client.force_login(get_user_model().objects.get(username=page.user))

    def get(address: str) -> bytes:
        response = client.get(address)
        if response.status_code != 200:
            raise RuntimeError(f"{page.name}: {address} answered {response.status_code}.")
        return response.getvalue()

    body = get(page.address)
    spent = []
    for _ in range(times):
        started = time.perf_counter()
        get(page.address)
        spent.append(time.perf_counter() - started)
    with CaptureQueriesContext(connection) as asked:
        get(page.address)
    media = set(_MEDIA.findall(_plain(body).decode()))
    return Measured(
        page=page.name,
        user=page.user,
        queries=len(asked),
        milliseconds=round(median(spent) * 1000, 1),
        kilobytes=round((len(body) + sum(len(get(address)) for address in media)) / 1000, 1),
    )


def _plain(body: bytes) -> bytes:
    return gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
