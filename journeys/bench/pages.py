"""How long the desk's pages and the API's lists take on the server, how many queries they ask and what they
weigh, and how much memory an export takes.

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
from django.urls import resolve, reverse

from approvals.bench import database_of_its_own
from approvals.desk import MOST_LISTED, DeskAdmin
from approvals.models import ApprovalRequest
from approvals.rules import Status
from journeys.bench.processes import resident_mib
from journeys.bench.world import Size, fill
from journeys.models import Customer, Intervention, PipelineRun
from journeys.services.proposals import KIND

# Each page is opened once, to warm up, and then so many times.
TIMES = 7
# What an export takes by then is what it may take in all.
FEW_ROWS = 20_000
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
    """`milliseconds` is the median, `processor_milliseconds` that of the process's own processor time, which
    on SQLite has the database's in it; `kilobytes` is what a browser with an empty cache gets: the page with
    its style sheets, scripts and images, each compressed as the server sends it; 1 kB is 1000 bytes."""

    page: str
    user: str
    queries: int
    milliseconds: float
    processor_milliseconds: float
    kilobytes: float


@dataclass(frozen=True, slots=True)
class Streamed:
    """`begun_seconds` is when the first line came. `early_mib` and `most_mib` are the most that the process
    had in memory beyond what it had before, by the FEW_ROWS-th line and by the last; None where that is not
    told."""

    export: str
    rows: int
    begun_seconds: float
    seconds: float
    early_mib: float | None
    most_mib: float | None


def measure(
    size: Size,
    *,
    on_progress: Callable[[str], None] = lambda text: None,
    on_row: Callable[[Measured | Streamed], None] = lambda row: None,
) -> dict:
    """{database, customers, requests, pending, pages: [Measured as a dict], exports: [Streamed as one]}."""
    with override_settings(**SETTINGS), database_of_its_own():
        fill(size, on_progress)
        found = {"pages": [], "exports": []}
        for kind, rows in (("pages", map(weigh, pages())), ("exports", map(stream, exports()))):
            for row in rows:
                on_row(row)
                found[kind].append(asdict(row))
    return {
        "database": connection.display_name,
        "customers": size.customers,
        "requests": size.requests,
        "pending": size.pending,
    } | found


def pages() -> Iterator[Page]:
    """What people open: the queue with each view and filter, the first request and the last, every list."""

    def page(name: str, view: str, *arguments: object, query: str = "", user: str = "approver") -> Page:
        return Page(name, reverse(f"admin:{view}", args=arguments) + query, user)

    requests, queue = ApprovalRequest.objects.filter(kind=KIND), "approvals_approvalrequest_changelist"
    trail = "approvals_auditevent_changelist"
    pending = requests.pending().by_priority()
    first, last = pending.first(), pending.last()
    last_listed = MOST_LISTED // DeskAdmin.list_per_page
    last_page = min(pending.count() // DeskAdmin.list_per_page, last_listed)
    decided = requests.filter(status=Status.APPROVED).last()
    customer, customers = first.concerning, Customer.objects.count()
    done = Intervention.objects.get(pk=decided.subject_key)
    run = PipelineRun.objects.order_by("-pk").first()
    addressed = Customer.objects.filter(email__gt="").first()

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
    yield page("customers, one segment", "journeys_customer_changelist", query=f"?segment={first.segment}")
    yield page(
        "customers, not to be contacted", "journeys_customer_changelist", query="?do_not_contact__exact=1"
    )
    yield page(
        "customers, the last page listed",
        "journeys_customer_changelist",
        query=f"?p={min(last_listed, customers // DeskAdmin.list_per_page)}",
    )
    yield page("customers, search", "journeys_customer_changelist", query=f"?q={customer[:4]}")
    yield page("customer", "journeys_customer_change", customer)
    yield page("portfolio", "journeys_assessment_portfolio", user="manager")
    yield page("customers whose risk rose", "journeys_assessment_risen", user="manager")
    yield page("results", "journeys_assignment_results", user="manager")
    yield page("results, the rows of a figure", "journeys_assignment_rows", user="manager")
    yield page("held out, or not", "journeys_assignment_changelist")
    yield page("measurements", "journeys_measurement_changelist")
    yield page("runs", "journeys_pipelinerun_changelist")
    yield page("run", "journeys_pipelinerun_change", run.pk)
    yield page("report", "journeys_pipelinerun_report", run.pk)
    yield page("interventions", "journeys_intervention_changelist")
    yield page("interventions of a run", "journeys_intervention_changelist", query=f"?run={run.pk}")
    yield page("interventions, pending", "journeys_intervention_changelist", query="?status=pending")
    yield page("intervention", "journeys_intervention_change", done.pk)
    yield page("findings", "journeys_finding_changelist", user="operator")
    yield page("executions", "journeys_execution_changelist")
    yield page("outcomes", "journeys_outcome_changelist")
    yield page("assessments", "journeys_assessment_changelist")
    yield page("assessments of a run", "journeys_assessment_changelist", query=f"?run={run.pk}")
    yield page("assessments, suppressed", "journeys_assessment_changelist", query="?disposition=suppressed")
    yield page(
        "assessments, cooling down", "journeys_assessment_changelist", query="?suppression_reason=cool_down"
    )
    yield page(
        "assessments that hold, risk high",
        "journeys_assessment_changelist",
        query="?is_current__exact=1&risk_tier=high",
    )
    yield page("stages", "journeys_journeystate_changelist")
    yield page("signals", "journeys_signal_changelist")
    yield page("signals of nobody", "journeys_signal_changelist", query="?customer=unknown")
    yield from _api(
        {
            "customer": ["", f"segment={first.segment}", "do_not_contact=true", f"email={addressed.email}"],
            "journey-state": ["", f"customer_id={customer}", "journey_stage=support"],
            "signal": ["", f"customer_id={customer}"],
            "assessment": [
                "",
                f"customer_id={customer}",
                f"run_id={run.pk}",
                f"run_id={run.pk}&disposition=suppressed",
                "is_current=true&risk_tier=high",
            ],
            "suppressed": ["", f"run_id={run.pk}", "suppression_reason=cool_down", f"customer_id={customer}"],
            "intervention": ["", "status=pending", "status=executed", f"run_id={run.pk}"],
            "execution": ["", "status=done", "status=failed"],
            "outcome": ["", "outcome=resolved", f"intervention_id={done.pk}"],
            "run": ["", "scope=portfolio"],
            "finding": ["", "status=open"],
            "report": [""],
            "approval-request": [
                "",
                "status=pending",
                f"concerning={customer}",
                "decidable=true",
                "unroutable=true",
            ],
            "decision": ["", "verdict=rejected", f"request_id={decided.pk}"],
        }
    )
    yield from _api({"audit-event": ["", f"concerning={customer}", f"request_id={decided.pk}"]}, "auditor")


def _api(queries: dict[str, list[str]], user: str = "approver") -> Iterator[Page]:
    """The first page of each, and of all rows one in their midst. In a session: what else a token costs
    depends on nothing."""
    for what, each in queries.items():
        address = reverse(f"{what}-list")
        for query in each:
            yield Page(f"API: {what} {query}".strip(), f"{address}?{query}", user)
        view = resolve(address).func.cls
        order = next(order for order in view.orders if not order.given)
        rows = view.queryset.order_by(*order.fields)
        if (middle := rows.count() // 2) > FEW_ROWS:
            cursor = view.pagination_class.after(order, rows[middle])
            yield Page(f"API: {what}, deep within", f"{address}?cursor={cursor}", user)


def exports() -> Iterator[Page]:
    """The one that grows with what there is; all other files hold what a page shows."""
    yield Page("trail", reverse("admin:approvals_auditevent_export"), "auditor")


def stream(page: Page) -> Streamed:
    """Raises RuntimeError where it does not open."""
    client = Client()
    client.force_login(get_user_model().objects.get(username=page.user))
    before, started = resident_mib(), time.perf_counter()
    response = client.get(page.address)
    if response.status_code != 200:
        raise RuntimeError(f"{page.name}: {page.address} answered {response.status_code}.")
    rows, begun, early, most = 0, None, None, None
    for chunk in response.streaming_content:
        begun = begun or time.perf_counter() - started
        rows += chunk.count(b"\n")
        if before is not None and (rows == 1 or rows % 500 == 0):
            most = max(most or 0.0, resident_mib() - before)
        if rows == FEW_ROWS:
            early = most
    return Streamed(
        export=page.name,
        rows=rows,
        begun_seconds=round(begun, 3),
        seconds=round(time.perf_counter() - started, 1),
        early_mib=_rounded(early),
        most_mib=_rounded(most),
    )


def _rounded(mib: float | None) -> float | None:
    return None if mib is None else round(mib, 1)


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
    spent, worked = [], []
    for _ in range(times):
        started, working = time.perf_counter(), time.process_time()
        get(page.address)
        spent.append(time.perf_counter() - started)
        worked.append(time.process_time() - working)
    with CaptureQueriesContext(connection) as asked:
        get(page.address)
    media = set(_MEDIA.findall(_plain(body).decode()))
    return Measured(
        page=page.name,
        user=page.user,
        queries=len(asked),
        milliseconds=round(median(spent) * 1000, 1),
        processor_milliseconds=round(median(worked) * 1000, 1),
        kilobytes=round((len(body) + sum(len(get(address)) for address in media)) / 1000, 1),
    )


def _plain(body: bytes) -> bytes:
    return gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body
