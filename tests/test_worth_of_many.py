"""What it costs to count what many interventions were worth: no more queries, and next to no memory."""

import tracemalloc

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from journeys import reports
from journeys.models import Customer, Execution, Intervention, Outcome, PipelineRun
from tests.by_hand import AS_OF, an_assessment, an_intervention, an_outcome, days, run_row
from tests.worth import results_of

pytestmark = pytest.mark.django_db


def test_the_number_of_queries_depends_on_no_number_of_rows():
    def queries(customers: int) -> int:
        run = run_row()
        for _ in range(customers):
            customer = an_assessment(run).customer
            an_outcome(an_intervention(customer=customer))
            an_intervention(status="rejected")
        with CaptureQueriesContext(connection) as captured:
            results_of(run)
        return len(captured)

    assert queries(1) == queries(40)


def many_done(number: int) -> PipelineRun:
    """So many executed interventions, each of another customer, with an outcome of its own figures."""
    run = run_row()
    made = timezone.now()
    people = Customer.objects.bulk_create(
        Customer(customer_id=f"M{number}-{n}", account_value=n, currency="USD") for n in range(number)
    )
    done = Intervention.objects.bulk_create(
        Intervention(
            intervention_id=f"iv-{customer.pk}",
            customer=customer,
            agent_name="x",
            origin="machine",
            run=run,
            recommended_action="general_checkin",
            channel="email",
            status="executed",
            as_of=AS_OF,
            generated_at=made,
            ended_at=made,
        )
        for customer in people
    )
    Execution.objects.bulk_create(
        Execution(
            intervention=row,
            idempotency_key=row.pk,
            status="done",
            mode="live",
            channel="email",
            claimed_at=made,
        )
        for row in done
    )
    Outcome.objects.bulk_create(
        Outcome(
            outcome_id=f"o-{row.pk}",
            intervention=row,
            outcome="resolved",
            resolution_time_days=n / 7,
            estimated_revenue_saved=n,
            measured_at=AS_OF,
        )
        for n, row in enumerate(done)
    )
    return run


def test_an_intervention_takes_next_to_no_memory_however_different_its_outcome():
    def peak(number: int) -> int:
        run = many_done(number)
        if connection.vendor == "postgresql":
            # Its server may have looked at the tables while they were empty, and would plan for that.
            with connection.cursor() as cursor:
                cursor.execute("ANALYZE")
        tracemalloc.start()
        run.results = results_of(run)
        reports.build(run)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        Intervention.objects.update(as_of=AS_OF - days(400))
        return most

    # What is read first stays in memory, whatever comes after.
    peak(10)
    few, many = peak(200), peak(2200)
    # 100,000 of them take less than 150 MiB.
    assert (many - few) / 2000 < 1500
