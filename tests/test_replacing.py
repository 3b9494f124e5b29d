"""A run that replaces what waits, while somebody decides."""

import threading
import time
from datetime import UTC, datetime

import pytest
from django.db import connection, transaction

from approvals import services
from approvals.models import ApprovalRequest, AuditHead
from approvals.rules import Verdict
from journeys.models import Customer, Intervention, JourneyState, Signal
from journeys.pipeline import looking
from tests.runs import run_pipeline


def another_action_is_called_for(customer_id: str) -> None:
    Signal.objects.filter(customer_id=customer_id).delete()
    Signal.objects.create(
        signal_id=f"S200-{customer_id}",
        customer_id=customer_id,
        signal_type="inactivity_warning",
        signal_strength=0.9,
        detected_at=datetime(2025, 1, 14, tzinfo=UTC),
    )


def like_c004(key: str) -> None:
    customer = Customer.objects.get(pk="C004")
    state = JourneyState.objects.get(customer_id="C004", left_on=None)
    signals = list(Signal.objects.filter(customer_id="C004"))
    customer.pk, customer.email = key, f"{key}@a.example"
    customer.save(force_insert=True)
    state.pk, state.customer_id = None, key
    state.save(force_insert=True)
    for signal in signals:
        signal.pk, signal.customer_id = f"{key}-{signal.pk}", key
        signal.save(force_insert=True)


@pytest.mark.django_db
def test_what_is_decided_before_the_run_replaces_it_stays_decided_and_the_range_is_read_again(
    sample_run, people, monkeypatch
):
    another_action_is_called_for("C004")
    waits = ApprovalRequest.objects.get(concerning="C004", status="pending")
    prepare, looks = looking.prepare_range, []

    def decided_meanwhile(context, batch):
        looks.append(batch)
        conclusions = prepare(context, batch)
        if len(looks) == 1:
            services.decide(
                request_id=waits.pk,
                user=people["approver"],
                verdict=Verdict.APPROVED,
                fingerprint=waits.fingerprint,
                door="test",
            )
        return conclusions

    monkeypatch.setattr(looking, "prepare_range", decided_meanwhile)
    run = run_pipeline()
    assert run.status == "succeeded"
    assert len(looks) == 2
    assert [row.status for row in Intervention.objects.filter(customer_id="C004")] == ["approved"]


@pytest.mark.skipif(connection.vendor == "sqlite", reason="SQLite lets one writer in at a time")
@pytest.mark.django_db(transaction=True)
def test_a_run_waits_for_whoever_decides_before_it_takes_the_head_of_the_trail(sample):
    for key in ("P1", "P2"):
        like_c004(key)
    run_pipeline()
    for key in ("C004", "P1", "P2"):
        another_action_is_called_for(key)
    last = ApprovalRequest.objects.pending().filter(concerning="P2").get()
    held = threading.Event()
    failed = []

    def decide_slowly() -> None:
        """As a decision does: the request, and the head last."""
        try:
            with transaction.atomic():
                ApprovalRequest.objects.select_for_update().get(pk=last.pk)
                held.set()
                wait_until_somebody_waits()
                AuditHead.objects.select_for_update().get(pk=1)
        except Exception as error:
            failed.append(error)
        finally:
            held.set()
            connection.close()

    other = threading.Thread(target=decide_slowly)
    other.start()
    try:
        assert held.wait(30)
        run = run_pipeline()
    finally:
        other.join()
    assert not failed
    assert run.status == "succeeded"
    assert ApprovalRequest.objects.filter(status="superseded").count() == 3


def wait_until_somebody_waits() -> None:
    until = time.monotonic() + 30
    with connection.cursor() as cursor:
        while time.monotonic() < until:
            cursor.execute(
                "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database OR database IS NULL "
                "WHERE NOT granted AND d.datname = current_database()"
            )
            if cursor.fetchone()[0]:
                return
            time.sleep(0.05)
    raise AssertionError("Nobody waited.")
