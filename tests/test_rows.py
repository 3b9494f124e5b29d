"""Rows written past the ORM read as if the ORM had written them."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction

from approvals.models import ApprovalRequest
from approvals.rows import insert, insert_all, update_each
from approvals.rules import Proposer, Status
from journeys.models import Customer, Signal

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 22, 12, 0, 0, 123456, UTC)


def a_request(key: str) -> ApprovalRequest:
    return ApprovalRequest(
        kind="intervention",
        subject_key=key,
        title="Führung ☃",
        payload={"body": "Dear “customer”", "numbers": [1, 2.5, None]},
        fingerprint="f" * 64,
        value_at_stake=Decimal("1234.50"),
        currency="EUR",
        risk_score=0.1 + 0.2,
        person_reasons=["tier_high"],
        proposer=Proposer.MACHINE,
        requested_at=NOON,
        remind_at=NOON,
        decision_due_at=NOON.astimezone(timezone(timedelta(hours=5))),
        expires_at=NOON,
        execute_within_hours=1,
    )


@pytest.mark.parametrize("count", [1, 50])
def test_instances_read_as_bulk_create_would_have_written_them(count):
    ours = [a_request(f"ours-{number}") for number in range(count)]
    theirs = [a_request(f"theirs-{number}") for number in range(count)]
    with transaction.atomic():
        insert_all(ApprovalRequest, ours)
    ApprovalRequest.objects.bulk_create(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        differing = {"id", "subject_key"}
        read, expected = (ApprovalRequest.objects.filter(pk=row.pk).values().get() for row in (mine, other))
        assert {name: value for name, value in read.items() if name not in differing} == {
            name: value for name, value in expected.items() if name not in differing
        }
    assert len({row.pk for row in [*ours, *theirs]}) == 2 * count


def test_an_instance_that_was_written_can_be_saved_and_related():
    row = a_request("one")
    insert_all(ApprovalRequest, [row])
    row.status, row.decided_at = Status.SUPERSEDED, NOON
    row.save()
    assert ApprovalRequest.objects.get(pk=row.pk).status == Status.SUPERSEDED


def test_what_the_database_fills_in_is_left_to_it():
    rows = [Customer(customer_id=f"C{number}", email=f"office@N{number}.example") for number in range(30)]
    insert_all(Customer, rows)
    assert Customer.objects.get(pk="C7").email_domain == "n7.example"


def test_one_row_that_may_not_be_there_undoes_them_all():
    rows = [a_request(f"key-{number % 49}") for number in range(50)]
    with pytest.raises(IntegrityError), transaction.atomic():
        insert_all(ApprovalRequest, rows)
    assert not ApprovalRequest.objects.exists()


def test_a_row_that_is_there_already_is_left_as_it_is_where_that_was_asked_for():
    names = ("customer_id", "name", "email", "currency", "do_not_contact", "hold_reason", "owner", "segment")
    names += ("risk_tier", "received_at")

    def rows(name: str, numbers: range) -> list[tuple]:
        return [(f"C{one}", name, "", "USD", False, "", "", "", "", NOON) for one in numbers]

    with transaction.atomic():
        insert(Customer, names, rows("first", range(20)))
        insert(Customer, names, rows("second", range(10, 60)), unless_there=True)
    assert Customer.objects.filter(name="first").count() == 20
    assert Customer.objects.filter(name="second").count() == 40


def test_plain_rows_keep_money_days_moments_and_unknowns():
    elsewhere = NOON.astimezone(timezone(timedelta(hours=5)))
    names = (
        "customer_id", "name", "email", "account_value", "currency", "do_not_contact", "hold_until",
        "hold_reason", "owner", "segment", "risk_tier", "received_at",
    )  # fmt: skip
    until = date(2026, 12, 1)
    known = ("K", "Ålesund ☃", "", Decimal("12.30"), "EUR", True, until, "", "", "", "", elsewhere)
    unknown = ("U", "", "", None, "USD", False, None, "", "", "", "", NOON)
    insert(Customer, names, [known, unknown])
    kept = Customer.objects.get(pk="K")
    assert (kept.name, kept.account_value, kept.do_not_contact) == ("Ålesund ☃", Decimal("12.30"), True)
    assert (kept.hold_until, kept.received_at) == (until, NOON)
    assert Customer.objects.get(pk="U").account_value is None
    # By what was written directly, the ORM's own conditions hold.
    assert Customer.objects.filter(received_at=NOON, account_value__gte=Decimal("12.3")).count() == 1
    insert(Signal, ("signal_id", "customer_id", "signal_type", "signal_strength", "detected_at",
                    "journey_stage", "source", "received_at"),
           [("S", "K", "usage_drop", 0.5, NOON, "", "automated", NOON)])  # fmt: skip
    assert Signal.objects.get(customer="K", detected_at__lt=NOON + timedelta(microseconds=1)).pk == "S"


def test_keys_that_the_orm_gives_afterwards_are_new():
    mine = a_request("mine")
    insert_all(ApprovalRequest, [mine])
    theirs = a_request("theirs")
    theirs.save()
    assert theirs.pk > mine.pk


# A few rows are set one by one, many together where the database has a way.
@pytest.mark.parametrize("count", [1, 25])
def test_each_row_is_set_to_values_of_its_own(count):
    rows = [a_request(f"{key}-{number}") for key in ("one", "two", "three") for number in range(count)]
    insert_all(ApprovalRequest, rows)
    names = ("payload", "value_at_stake", "reminded_at", "risk_score", "heightened", "currency", "title")
    values = {
        "one": ({"body": "Ä\\u0041 'it'"}, Decimal("9.99"), NOON, 0.1 + 0.2, True, "", "☃ %s \\"),
        "two": ([1, None], None, None, None, False, "USD", "{}"),
    }
    kinds = [row.subject_key.partition("-")[0] for row in rows]
    told = [
        (*values[kind], row.pk, row.fingerprint)
        for kind, row in zip(kinds, rows, strict=True)
        if kind in values
    ]
    assert update_each(ApprovalRequest, names, ("id", "fingerprint"), told) == 2 * count
    for row in ApprovalRequest.objects.all():
        kind = row.subject_key.partition("-")[0]
        if kind in values:
            assert tuple(getattr(row, name) for name in names) == values[kind]
        else:
            assert row.payload == a_request("three").payload


@pytest.mark.parametrize("count", [1, 25])
def test_a_row_that_no_longer_reads_as_told_is_left_and_not_counted(count):
    rows = [a_request(f"{number}") for number in range(2 * count)]
    insert_all(ApprovalRequest, rows)
    told = [("EUR", row.pk, "f" * 64) for row in rows[:count]]
    told += [("USD", row.pk, "e" * 64) for row in rows[count:]]
    assert update_each(ApprovalRequest, ["currency"], ["id", "fingerprint"], told) == count
    assert set(ApprovalRequest.objects.values_list("currency", flat=True)) == {"EUR"}
    assert update_each(ApprovalRequest, ["currency"], ["id", "fingerprint"], []) == 0


def test_what_a_row_is_known_by_may_be_set_as_well():
    rows = [a_request(f"{number}") for number in range(25)]
    insert_all(ApprovalRequest, rows)
    told = [(f"now-{row.subject_key}", f"{number:064}", row.pk, "f" * 64) for number, row in enumerate(rows)]
    assert update_each(ApprovalRequest, ["title", "fingerprint"], ["id", "fingerprint"], told) == 25
    found = ApprovalRequest.objects.order_by("pk").values_list("title", "fingerprint")
    assert list(found) == [row[:2] for row in told]
