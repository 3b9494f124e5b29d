"""What comes in from outside: what is refused, what is kept as it came, and that twice is like once."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from django.db import connection

from journeys.domain.vocabulary import InterventionStatus
from journeys.models import Customer, Intervention, JourneyState, Outcome, Signal
from journeys.records import CustomerRecord, InvalidRecord, SignalRecord, StateRecord, parse
from journeys.services.intake import (
    Conflict,
    Receipt,
    Taken,
    UnknownReference,
    enter_stage,
    record_signal,
    save_customer,
    save_imported_intervention,
    save_outcome,
)

TODAY = date(2025, 1, 15)
SIGNAL = {
    "signal_id": "S1",
    "customer_id": "C1",
    "signal_type": "usage_drop",
    "signal_strength": 0.6,
    "detected_at": "2025-01-12",
}
INTERVENTION = {
    "intervention_id": "I1",
    "customer_id": "C1",
    "recommended_action": "usage_review_checkin",
    "generated_at": "2025-01-13",
}
OUTCOME = {
    "outcome_id": "O1",
    "intervention_id": "I1",
    "outcome": "resolved",
    "measured_at": "2025-01-18",
}


# ---- fields: what is refused, by name


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (SignalRecord, "signal_strength", value)
        for value in (
            True,
            "NaN",
            "inf",
            float("nan"),
            float("inf"),
            -0.01,
            1.01,
            "1_0",
            "0,5",
            [],
            {},
            "0x1",
            10**400,
        )
    ]
    + [
        (SignalRecord, "detected_at", value)
        for value in (
            20250112,
            "12.01.2025",
            "2025-02-30",
            "2025-W03-3",
            "20250112",
            "1969-12-31",
            "2036-01-01",
            "2025-01-12T25:00",
            "0001-01-01T00:00:00+14:00",
            "２０２５-01-12",
        )
    ]
    + [
        (CustomerRecord, "account_value", value)
        for value in (-1, "12,000", "$5", "NaN", float("inf"), True, "1e15", 10**400, "999999999999.999")
    ]
    + [(CustomerRecord, "tenure_months", value) for value in (-1, 1.5, "3.5", "many", False)]
    + [(CustomerRecord, "do_not_contact", value) for value in ("maybe", 2, 0.0, "t", [])]
    + [
        (CustomerRecord, "email", value)
        for value in ("nobody", "a@b", "a b@c.example", "x@y.example\nBcc: z", 5)
    ]
    + [
        (CustomerRecord, "name", value)
        for value in ("a\x00b", "a\nb", "a\u2028b", "x" * 201, "\udcff", 7, ["x"])
    ]
    + [(CustomerRecord, "customer_id", value) for value in ("a\u200bb", "x" * 65, 1.0, True, "", "  ", None)]
    + [(CustomerRecord, "currency", value) for value in ("US", "U$D", "USDX", 840)]
    + [(CustomerRecord, "segement", "SMB"), (CustomerRecord, "hold_until", "2025-02-01")]
    + [(StateRecord, "days_in_state", -1), (StateRecord, "journey_stage", "x" * 41)],
)
def test_a_wrong_value_is_refused_and_its_field_is_named(kind, field, value):
    good = {
        SignalRecord: SIGNAL,
        CustomerRecord: {"customer_id": "C1"},
        StateRecord: {"customer_id": "C1", "journey_stage": "support", "state_entered_at": "2025-01-01"},
    }[kind]
    with pytest.raises(InvalidRecord) as refused:
        parse(kind, good | {field: value}, today=TODAY)
    assert refused.value.field == field
    assert str(refused.value).startswith(f"{field}: ")
    assert len(str(refused.value)) < 300
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("field", SIGNAL)
def test_a_missing_field_is_refused_by_its_name(field):
    with pytest.raises(InvalidRecord, match=f"{field}: is missing"):
        parse(SignalRecord, {name: value for name, value in SIGNAL.items() if name != field}, today=TODAY)


@pytest.mark.parametrize("raw", [None, [], "text", 5])
def test_what_is_no_object_is_refused_as_a_whole(raw):
    with pytest.raises(InvalidRecord, match="no object"):
        parse(SignalRecord, raw, today=TODAY)


# ---- fields: what is read


@pytest.mark.parametrize(
    ("field", "value", "read"),
    [
        ("customer_id", "007", "007"),
        ("customer_id", 7, "7"),
        ("customer_id", " C1 ", "C1"),
        ("account_value", "12000", Decimal("12000.00")),
        ("account_value", 0.1, Decimal("0.10")),
        ("account_value", "0.125", Decimal("0.12")),
        ("account_value", -0.0, Decimal("0.00")),
        ("account_value", "", None),
        ("account_value", None, None),
        ("tenure_months", "14.0", 14),
        ("segment", "Galactic", "Galactic"),
        ("segment", "  ", ""),
        ("name", "Søren & Fils — Kraków", "Søren & Fils — Kraków"),
        ("do_not_contact", "Yes", True),
        ("do_not_contact", 0, False),
        ("currency", "eur", "EUR"),
        ("renewal_date", "2025-06-30T23:30:00-02:00", date(2025, 7, 1)),
    ],
)
def test_values_are_read_as_what_they_mean(field, value, read):
    record = parse(CustomerRecord, {"customer_id": "C1"} | {field: value}, today=TODAY)
    assert getattr(record, field) == read


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2025-01-12", datetime(2025, 1, 12, tzinfo=UTC)),
        ("2025-01-12T08:30:00Z", datetime(2025, 1, 12, 8, 30, tzinfo=UTC)),
        ("2025-01-12T08:30:00+02:00", datetime(2025, 1, 12, 6, 30, tzinfo=UTC)),
        ("2025-01-12 08:30", datetime(2025, 1, 12, 8, 30, tzinfo=UTC)),
        (date(2025, 1, 12), datetime(2025, 1, 12, tzinfo=UTC)),
    ],
)
def test_a_time_is_kept_in_utc_and_a_day_is_its_midnight(text, moment):
    assert parse(SignalRecord, SIGNAL | {"detected_at": text}, today=TODAY).detected_at == moment


# ---- customers


@pytest.mark.django_db
def test_a_customer_keeps_what_is_not_given_and_loses_what_is_given_as_empty():
    assert save_customer(customer_id="C1", name="One", account_value="5", segment="SMB") == Taken.NEW
    assert save_customer(customer_id="C1", account_value=None) == Taken.UPDATED
    assert save_customer(customer_id="C1", account_value="") == Taken.UNCHANGED
    customer = Customer.objects.get()
    assert (customer.name, customer.segment, customer.account_value) == ("One", "SMB", None)


@pytest.mark.django_db
def test_a_wish_not_to_be_contacted_is_taken_from_outside_but_never_lifted():
    save_customer(customer_id="C1", do_not_contact=True)
    assert save_customer(customer_id="C1", do_not_contact=False) == Taken.UNCHANGED
    assert Customer.objects.get().do_not_contact is True


@pytest.mark.django_db
def test_an_update_leaves_what_somebody_else_changes_at_the_same_moment(monkeypatch):
    save_customer(customer_id="C1", name="One")
    read = Customer.objects.in_bulk

    def read_then_held(ids):
        rows = read(ids)
        Customer.objects.filter(pk="C1").update(do_not_contact=True)
        return rows

    monkeypatch.setattr(Customer.objects, "in_bulk", read_then_held)
    save_customer(customer_id="C1", name="Two", do_not_contact=False)
    customer = Customer.objects.get()
    assert (customer.name, customer.do_not_contact) == ("Two", True)


# ---- stages


@pytest.fixture
def customer(db):
    return Customer.objects.create(customer_id="C1")


def enter(stage: str, day: str, **more) -> Taken:
    return enter_stage(customer_id="C1", journey_stage=stage, state_entered_at=day, **more)


def log() -> list[tuple]:
    return [
        (row.journey_stage, str(row.state_entered_at), row.left_on and str(row.left_on), row.previous_stage)
        for row in JourneyState.objects.filter(customer_id="C1")
    ]


@pytest.mark.django_db
def test_a_stage_of_an_unknown_customer_is_refused():
    with pytest.raises(UnknownReference, match="customer_id: there is no customer C1"):
        enter("support", "2025-01-01")


def test_entering_a_stage_ends_the_one_before(customer):
    enter("onboarding", "2025-01-01")
    enter("engagement", "2025-01-10")
    assert log() == [
        ("onboarding", "2025-01-01", "2025-01-10", ""),
        ("engagement", "2025-01-10", None, "onboarding"),
    ]


def test_a_stage_entered_before_is_history_and_leaves_the_open_one_open(customer):
    enter("support", "2025-01-20")
    enter("onboarding", "2025-01-01")
    enter("engagement", "2025-01-10")
    assert log() == [
        ("onboarding", "2025-01-01", "2025-01-10", ""),
        ("engagement", "2025-01-10", "2025-01-20", "onboarding"),
        ("support", "2025-01-20", None, ""),
    ]


def test_the_same_stage_again_is_an_update_and_its_days_are_compared_again(customer):
    enter("support", "2025-01-10", days_in_state=5)
    JourneyState.objects.update(days_checked=True)
    assert enter("support", "2025-01-10", days_in_state=5) == Taken.UNCHANGED
    assert JourneyState.objects.get().days_checked is True
    assert enter("support", "2025-01-10", days_in_state=6, previous_stage="retention") == Taken.UPDATED
    state = JourneyState.objects.get()
    assert (state.days_in_state, state.previous_stage, state.days_checked) == (6, "retention", False)


def test_two_stages_on_one_day_follow_in_the_order_in_which_they_came(customer):
    enter("onboarding", "2025-01-01")
    enter("engagement", "2025-01-01")
    assert enter("onboarding", "2025-01-01") == Taken.UNCHANGED
    assert log()[1] == ("engagement", "2025-01-01", None, "onboarding")


def test_an_illegal_move_and_an_unknown_stage_are_kept_as_they_came(customer):
    enter("support", "2025-01-01")
    enter("engagement", "2025-01-09", previous_stage="support")
    enter("hibernation", "2025-01-10")
    assert [row[0] for row in log()] == ["support", "engagement", "hibernation"]


def test_a_closed_log_is_not_opened_by_what_comes_late(customer):
    enter("onboarding", "2025-01-01")
    JourneyState.objects.update(left_on=date(2025, 1, 5))
    enter("escalation", "2024-12-01")
    assert log() == [
        ("escalation", "2024-12-01", "2025-01-01", ""),
        ("onboarding", "2025-01-01", "2025-01-05", ""),
    ]


# ---- signals


@pytest.mark.django_db
def test_another_signal_under_an_id_that_is_taken_is_a_conflict():
    record_signal(**SIGNAL)
    with pytest.raises(Conflict, match="signal_id: S1 was received before with another signal_strength"):
        record_signal(**SIGNAL | {"signal_strength": 0.7})
    assert Signal.objects.get().signal_strength == 0.6


@pytest.mark.django_db
def test_a_signal_is_accepted_once_also_for_a_customer_that_nobody_knows():
    assert record_signal(**SIGNAL) == Receipt.ACCEPTED
    assert record_signal(**SIGNAL) == Receipt.DUPLICATE
    assert [row.pk for row in Signal.objects.orphaned()] == ["S1"]
    save_customer(customer_id="C1")
    assert not Signal.objects.orphaned().exists()


@pytest.mark.django_db
def test_unknown_kinds_and_sources_are_kept_as_they_came():
    record_signal(**SIGNAL | {"signal_type": "tea_leaves", "source": "oracle", "journey_stage": "limbo"})
    signal = Signal.objects.get()
    assert (signal.signal_type, signal.source, signal.journey_stage) == ("tea_leaves", "oracle", "limbo")


# ---- interventions and outcomes of the time before


@pytest.mark.django_db
def test_an_intervention_of_an_unknown_customer_is_refused():
    with pytest.raises(UnknownReference, match="there is no customer C1"):
        save_imported_intervention(**INTERVENTION)


@pytest.mark.parametrize("intervention_id", ["iv-0123456789abcdef", "IV-1"])
def test_an_id_that_looks_like_one_of_our_own_is_refused(customer, intervention_id):
    with pytest.raises(Conflict, match="an id of our own"):
        save_imported_intervention(**INTERVENTION | {"intervention_id": intervention_id})
    assert not Intervention.objects.exists()


def test_an_intervention_that_was_not_imported_is_never_touched(customer):
    mine = Intervention.objects.create(
        intervention_id="I1",
        customer=customer,
        agent_name="x",
        origin="machine",
        status="pending",
        recommended_action="monitor_only",
        channel="none",
        as_of=TODAY,
    )
    with pytest.raises(Conflict):
        save_imported_intervention(**INTERVENTION)
    mine.refresh_from_db()
    assert (mine.recommended_action, mine.status) == ("monitor_only", "pending")


def test_an_id_used_again_for_another_customer_is_refused(customer):
    save_imported_intervention(**INTERVENTION)
    save_customer(customer_id="C2")
    with pytest.raises(Conflict, match="customer_id: I1 is an intervention of C1 already"):
        save_imported_intervention(**INTERVENTION | {"customer_id": "C2"})


def test_imported_interventions_are_history(customer):
    assert save_imported_intervention(**INTERVENTION, triggered_by_signals=["S1", "S2"]) == Taken.NEW
    assert save_imported_intervention(**INTERVENTION, triggered_by_signals="S1; S2") == Taken.UNCHANGED
    assert save_imported_intervention(**INTERVENTION | {"generated_at": "2025-01-14"}) == Taken.UPDATED
    row = Intervention.objects.get()
    assert (row.status, row.origin, row.authority) == ("imported", "imported", "imported")
    assert (row.channel, row.as_of, row.generated_at) == (
        "email",
        date(2025, 1, 14),
        datetime(2025, 1, 14, tzinfo=UTC),
    )
    assert row.triggered_by_signals == ["S1", "S2"]
    assert row not in Intervention.objects.open()


def test_an_action_that_nobody_knows_is_kept_and_sends_nothing(customer):
    save_imported_intervention(**INTERVENTION | {"recommended_action": "sing"})
    assert Intervention.objects.values_list("recommended_action", "channel").get() == ("sing", "none")


@pytest.mark.django_db
def test_an_outcome_of_an_unknown_intervention_is_refused():
    with pytest.raises(UnknownReference, match="intervention_id: there is no intervention I1"):
        save_outcome(**OUTCOME)


def test_an_outcome_that_names_another_customer_is_refused(customer):
    save_imported_intervention(**INTERVENTION)
    with pytest.raises(Conflict, match="I1 is an intervention of C1, not of C2"):
        save_outcome(**OUTCOME, customer_id="C2")


def test_an_outcome_of_what_was_not_carried_out_is_refused(customer):
    save_imported_intervention(**INTERVENTION)
    Intervention.objects.update(status=InterventionStatus.PENDING)
    with pytest.raises(Conflict, match="is pending, not carried out"):
        save_outcome(**OUTCOME)


def test_an_outcome_recorded_here_is_never_touched(customer):
    save_imported_intervention(**INTERVENTION)
    save_outcome(**OUTCOME)
    Outcome.objects.update(recorded_by="operator")
    with pytest.raises(Conflict, match="recorded here, by operator"):
        save_outcome(**OUTCOME | {"outcome": "no_response"})


def test_an_outcome_is_taken_once_and_corrected_by_the_next(customer):
    save_imported_intervention(**INTERVENTION)
    assert save_outcome(**OUTCOME, customer_id="C1", estimated_revenue_saved=2000) == Taken.NEW
    assert save_outcome(**OUTCOME) == Taken.UNCHANGED
    assert save_outcome(**OUTCOME, churn_risk_delta=-0.25, human_override="no") == Taken.UPDATED
    row = Outcome.objects.get()
    assert (row.estimated_revenue_saved, row.churn_risk_delta, row.human_override) == (2000, -0.25, False)
    assert (row.csat_delta, row.resolution_time_days) == (None, None)


# ---- at the same moment


def at_once(act: Callable[[int], object], count: int = 4) -> list:
    barrier = threading.Barrier(count)

    def work(place: int) -> object:
        try:
            barrier.wait()
            return act(place)
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, range(count)))


@pytest.mark.django_db(transaction=True)
def test_of_the_same_signal_sent_by_four_at_once_one_is_accepted():
    assert sorted(at_once(lambda _: record_signal(**SIGNAL))) == ["accepted", *["duplicate"] * 3]


@pytest.mark.django_db(transaction=True)
def test_four_stages_entered_at_once_make_one_log():
    save_customer(customer_id="C1")
    stages = ["onboarding", "engagement", "support", "retention"]
    answers = at_once(lambda place: enter(stages[place], f"2025-01-0{place + 1}"))
    assert answers == [Taken.NEW] * 4
    assert [row[:3] for row in log()] == [
        ("onboarding", "2025-01-01", "2025-01-02"),
        ("engagement", "2025-01-02", "2025-01-03"),
        ("support", "2025-01-03", "2025-01-04"),
        ("retention", "2025-01-04", None),
    ]
