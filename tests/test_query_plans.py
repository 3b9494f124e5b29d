"""The hottest queries find what they ask for in the index that is there for them, on both databases.

They are heard where they are asked, in the product's own functions and pages, and explained with the values
that they ask with. A few thousand rows are enough for PostgreSQL to prefer an index that helps; SQLite has no
figures to go by, here as in use.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pprint import pformat

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.utils import timezone

from approvals import delivery
from approvals.models import ApprovalRequest, WebhookDelivery, WebhookEndpoint, WebhookMessage
from approvals.services import clocks
from journeys import cases, history, score_history
from journeys.bench import invented
from journeys.bench.world import Size, fill
from journeys.cases import Span
from journeys.days import today
from journeys.models import Customer, Finding, Intervention, Mark, PipelineRun, Policy, RunRange
from journeys.pipeline import alone, ranges
from journeys.reports import snapshots
from journeys.reports.worth.scope import scope_of
from journeys.services import execution, marks
from journeys.services.proposals import machine
from journeys.table_statistics import refresh_statistics
from tests.desk import QUEUE, client_of
from tests.plans import Plan, plans_of
from tests.runs import run_pipeline

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]


@dataclass
class World:
    span: Span
    rules: object
    first: ApprovalRequest
    run: PipelineRun
    endpoint: WebhookEndpoint
    client: Client


@pytest.fixture
def world() -> World:
    fill(Size(requests=4_000, pending=80, portfolio=6_000))
    now = timezone.now()
    ids = list(Customer.objects.filter(pk__startswith="N").order_by("pk").values_list("pk", flat=True))
    Mark.objects.bulk_create(
        Mark(customer_id=f"M{number}", token="t", marked_at=now - timedelta(seconds=number))
        for number in range(5_000)
    )
    runs = list(PipelineRun.objects.order_by("-pk")[:10])
    RunRange.objects.bulk_create(
        RunRange(run=run, number=number, first="a", last="b", status="done" if number < 190 else "waiting")
        for run in runs
        for number in range(200)
    )
    endpoint = WebhookEndpoint.objects.create(
        url="https://hooks.example", enabled=True, added_by_key="user:1", added_by_name="manager"
    )
    messages = [WebhookMessage(type="t", body="{}", message_id=f"msg_{number}") for number in range(2_000)]
    WebhookMessage.objects.bulk_create(messages)
    WebhookDelivery.objects.bulk_create(
        WebhookDelivery(
            message=message, endpoint=endpoint, state="waiting" if number % 50 == 0 else "delivered",
            next_try_at=now + timedelta(hours=1),
        )
        for number, message in enumerate(messages)
    )  # fmt: skip
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("ANALYZE")
    return World(
        span=Span(ids[100], ids[119]),
        rules=Policy.objects.first().rules,
        first=ApprovalRequest.objects.pending().by_priority().first(),
        run=runs[0],
        endpoint=endpoint,
        client=client_of(get_user_model().objects.get(username="approver")),
    )


def page(address: str) -> Callable[[World], object]:
    def get(world: World) -> None:
        assert world.client.get(address.format(world=world)).status_code == 200

    return get


def load(world: World) -> object:
    return cases.load(world.span, as_of=timezone.now().date(), rules=world.rules)


def of_a_customer(world: World) -> object:
    return score_history.of(Customer.objects.get(pk=world.span.first), world.rules)


# Of a constraint SQLite names the index itself.
OF_SQLITE = {"journeys_range_once": "sqlite_autoindex_journeys_runrange_1"}


def expire(world: World) -> object:
    return clocks.expire_overdue(actor=execution.WORKER)


# What is asked, by whom, and of which table by which index.
HOT: list[tuple[str, Callable[[World], object], str, str]] = [
    ("customers of a range", load, "journeys_customer", "PRIMARY"),
    ("open states of a range", load, "journeys_journeystate", "journeys_one_open_state"),
    ("signals in force of a range", load, "journeys_signal", "journeys_signal_range"),
    (
        "interventions of a range",
        lambda world: history.past_of(world.span),
        "journeys_intervention",
        "journeys_intervention_history",
    ),
    (
        "last contacts by address",
        lambda world: history.last_contacts([f"n{number}@customer.example" for number in range(20)]),
        "journeys_intervention",
        "journeys_intervention_to",
    ),
    (
        "what customers were asked about before",
        lambda world: machine._asked_before([f"N{number:07d}" for number in range(20)]),
        "approvals_approvalrequest",
        "approvals_concerning",
    ),
    (
        "next range of a run",
        lambda world: ranges.claim(world.run),
        "journeys_runrange",
        "journeys_range_once",
    ),
    ("marks to look at", lambda world: marks.claim(20), "journeys_mark", "journeys_mark_age"),
    ("assessments of a customer", of_a_customer, "journeys_assessment", "journeys_assessment_history"),
    ("signals of a customer", of_a_customer, "journeys_signal", "journeys_signal_range"),
    ("the queue's first page", page(QUEUE), "approvals_approvalrequest", "approvals_waiting"),
    ("what is mine to decide", page(f"{QUEUE}?view=mine"), "approvals_approvalrequest", "approvals_waiting"),
    (
        "what waits, by the API",
        page("/api/v1/approval-requests?status=pending"),
        "approvals_approvalrequest",
        "approvals_waiting",
    ),
    (
        "what was rejected, the latest first",
        page(f"{QUEUE}?status=rejected"),
        "approvals_approvalrequest",
        "approvals_of_status",
    ),
    (
        "requests of a kind, by the API",
        page("/api/v1/approval-requests?kind=policy"),
        "approvals_approvalrequest",
        "approvals_of_kind",
    ),
    (
        "what waits of a kind, by the API",
        page("/api/v1/approval-requests?status=pending&kind=intervention"),
        "approvals_approvalrequest",
        "approvals_waiting",
    ),
    (
        "what waits of a kind",
        page(f"{QUEUE}?kind=intervention"),
        "approvals_approvalrequest",
        "approvals_waiting",
    ),
    (
        "events of a request",
        page(QUEUE + "{world.first.pk}/change/"),
        "approvals_auditevent",
        "approvals_audit_request",
    ),
    (
        "customers of a tier",
        page("/admin/journeys/customer/?tier=high"),
        "journeys_assessment",
        "journeys_assessment_tier",
    ),
    (
        "executions that are due",
        lambda world: execution.execute_due(),
        "journeys_intervention",
        "journeys_intervention_status",
    ),
    ("requests that expire", expire, "approvals_approvalrequest", "approvals_expiry"),
    ("approvals that lapse", expire, "approvals_approvalrequest", "approvals_unused"),
    (
        "interventions of a run, on its page",
        page("/admin/journeys/pipelinerun/{world.run.pk}/change/"),
        "journeys_intervention",
        "journeys_intervention_run",
    ),
    (
        "interventions of a run, by the API",
        page("/api/v1/interventions?run_id={world.run.pk}"),
        "journeys_intervention",
        "journeys_intervention_run",
    ),
    (
        "interventions, the latest first",
        page("/api/v1/interventions"),
        "journeys_intervention",
        "journeys_intervention_latest",
    ),
    (
        "what was suppressed for a reason, of any run",
        page("/api/v1/suppressed?suppression_reason=held_out"),
        "journeys_assessment",
        "journeys_suppressed",
    ),
    (
        "the same, on the desk",
        page("/admin/journeys/assessment/?suppression_reason=held_out"),
        "journeys_assessment",
        "journeys_suppressed",
    ),
    (
        "what a run suppressed, on its page",
        page("/admin/journeys/pipelinerun/{world.run.pk}/change/"),
        "journeys_assessment",
        "journeys_suppressed_run",
    ),
    (
        "customers whose name begins so",
        page("/admin/journeys/customer/?q=Qu"),
        "journeys_customer",
        "journeys_customer_name",
    ),
    (
        "whether any customer has left",
        lambda world: scope_of(world.run, world.rules).departures_known,
        "journeys_customer",
        "journeys_customer_churned",
    ),
    (
        "messages to be sent",
        lambda world: delivery._claim(world.endpoint),
        "approvals_webhookdelivery",
        "approvals_delivery_to",
    ),
]


def test_the_hottest_queries_use_their_indexes_and_read_no_table_whole(world):
    wrong = {}
    for what, ask, table, index in HOT:
        plans = [plan for plan in plans_of(lambda ask=ask: ask(world)) if f'"{table}"' in plan.sql]
        names = {index, OF_SQLITE.get(index)}
        if not any((table, name) in plan.used for plan in plans for name in names) or any(
            table in plan.whole for plan in plans
        ):
            wrong[what] = [(sorted(plan.used), sorted(plan.whole)) for plan in plans]
    assert not wrong, pformat(wrong, width=160)


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL counts by itself")
def test_sqlite_takes_every_whole_index_of_a_table_for_as_long_as_the_table(world):
    table, there = Intervention._meta.db_table, Intervention.objects.count()
    with connection.cursor() as cursor:
        cursor.execute("SELECT idx, stat FROM sqlite_stat1 WHERE tbl = %s", [table])
        said = {index: int(stat.split()[0]) for index, stat in cursor.fetchall()}
    assert said.pop("journeys_one_open_intervention") < there
    assert set(said.values()) == {there}


@pytest.mark.skipif(connection.vendor != "sqlite", reason="PostgreSQL reads both tables, side by side")
def test_sqlite_counts_the_portfolio_by_the_index_of_tiers(world):
    (plan,) = plans_of(lambda: snapshots.cells_of(world.run))
    assert ("journeys_assessment", "journeys_assessment_tier") in plan.used


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite gathers none by itself")
def test_postgresql_is_told_of_a_table_that_has_grown_many_times_over(world):
    """As by the first run of an installation whose empty tables somebody has analysed."""
    believed = "SELECT reltuples FROM pg_class WHERE oid = 'journeys_finding'::regclass"
    with connection.cursor() as cursor:
        cursor.execute(believed)
        assert cursor.fetchone()[0] < 100
        Finding.objects.bulk_create(
            Finding(kind="orphan_signal", subject=str(number), digest=f"{number:064}")
            for number in range(3_000)
        )
        refresh_statistics()
        cursor.execute(believed)
        assert cursor.fetchone() == (Finding.objects.count(),)


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite gathers none by itself")
def test_postgresql_is_told_of_the_tables_that_a_run_fills_while_it_fills_them(settings, monkeypatch):
    settings.RANGE_SIZE = 100
    monkeypatch.setattr(alone, "TELL_EVERY", timedelta(0))
    invented.fill(invented.Size(800), today())
    asked = []

    def hear(execute, sql, values, many, context):
        asked.append(sql)
        return execute(sql, values, many, context)

    with connection.execute_wrapper(hear):
        run_pipeline()
    told = [place for place, sql in enumerate(asked) if sql.startswith("ANALYZE")]
    read = [place for place, sql in enumerate(asked) if '"journeys_journeystate"."customer_id" >= ' in sql]
    assert told[0] < read[-1]


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite compiles nothing")
def test_postgresql_compiles_no_query(world):
    with connection.cursor() as cursor:
        cursor.execute("SHOW jit")
        assert cursor.fetchone() == ("off",)


def test_who_looks_for_signals_of_nobody_does_not_read_all_signals(world):
    asked = plans_of(lambda: page("/admin/journeys/signal/?customer=unknown")(world))
    plans = [plan for plan in asked if '"journeys_signal"' in plan.sql]
    assert plans
    assert not [plan.text for plan in plans if {"journeys_signal", "journeys_customer"} & plan.whole]


def test_signals_are_read_from_their_index_alone(world):
    (plan,) = [plan for plan in plans_of(lambda: load(world)) if 'FROM "journeys_signal"' in plan.sql]
    assert is_of_the_index_alone(plan), plan.text


def is_of_the_index_alone(plan: Plan) -> bool:
    if connection.vendor == "postgresql":
        return '"Index Only Scan"' in plan.text
    return "USING COVERING INDEX journeys_signal_range" in plan.text
