"""Sending customers, stages, signals and outcomes: one by one, and up to 1,000 at once."""

import re
from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from approvals.models import AuditEvent, IdempotencyKey
from approvals.services.idempotency import forget_old
from journeys import records
from journeys.domain.vocabulary import FindingKind
from journeys.models import Customer, Finding, Intervention, JourneyState, Mark, Outcome, Signal
from journeys.services import receiving
from tests.acting import together
from tests.api import Caller, problem, token_of

pytestmark = pytest.mark.django_db

SCOPES = ("signals:write", "customers:write", "outcomes:write")
NOON = "2026-11-20T12:00:00Z"


@pytest.fixture
def crm(people):
    """A program's account, as the docs make it."""
    account = get_user_model().objects.create_user("crm")
    account.groups.add(Group.objects.get(name="Integrations"))
    return Caller(token_of(account, *SCOPES)[1])


def signal(number: int = 1, **changed) -> dict:
    return {
        "signal_id": f"S-{number}",
        "customer_id": "C001",
        "signal_type": "usage_drop",
        "signal_strength": 0.5,
        "detected_at": NOON,
    } | changed


def results_of(answer) -> list[str]:
    return [row["result"] for row in answer.json()["results"]]


# -- refused


@pytest.mark.parametrize("path", ["signals", "customers", "journey-states", "outcomes"])
def test_without_the_scope_or_the_permission_nothing_is_taken(people, path):
    for caller, kind in (
        (Caller(token_of(people["operator"], "signals:read")[1]), "scope-missing"),
        (Caller(token_of(people["auditor"], *SCOPES)[1]), "permission-missing"),
    ):
        problem(caller.post(path, signal()), 403, kind)
        problem(caller.post(f"{path}/batch", {"items": [signal()]}), 403, kind)
    assert not Signal.objects.exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("signal_strength", "0.5"),
        ("signal_strength", True),
        ("signal_strength", 1.01),
        ("signal_strength", None),
        ("detected_at", 5),
        ("detected_at", "soon"),
        ("detected_at", "9999-01-01T00:00:00Z"),
        ("detected_at", "2026-02-30"),
        ("customer_id", 7),
        ("customer_id", ""),
        ("customer_id", "x" * 65),
        ("customer_id", "a\u0000b"),
        ("signal_type", ["usage_drop"]),
        ("signal_type", {"a": 1}),
        ("colour", "red"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_kept(crm, sample, field, value):
    there = Signal.objects.count()
    told = problem(crm.post("signals", signal(**{field: value})), 422, "validation-failed")
    assert told["errors"][0]["pointer"] == f"/{field}"
    told = problem(crm.post("signals/batch", {"items": [signal(**{field: value})]}), 422, "validation-failed")
    assert told["errors"][0]["pointer"] == f"/items/0/{field}"
    assert told["results"][0]["result"] == "rejected"
    assert told["results"][0]["ids"] == {"signal_id": "S-1"}
    assert Signal.objects.count() == there


@pytest.mark.parametrize(
    "body", [{}, {"items": []}, {"items": "all"}, {"items": {"0": 1}}, {"items": [signal()], "more": 1}]
)
def test_a_batch_is_a_list_of_items_and_nothing_else(crm, body):
    problem(crm.post("signals/batch", body), 422, "validation-failed")
    assert not Signal.objects.exists()


def test_ten_thousand_items_are_too_many_and_none_is_taken(crm):
    body = {"items": [signal(number) for number in range(10_000)]}
    problem(crm.post("signals/batch", body), 422, "too-many-items")
    assert not Signal.objects.exists()


def test_items_that_are_no_objects_are_rejected_one_by_one(crm, sample):
    answer = crm.post("signals/batch", {"items": [None, 1, "x", [], signal()]})
    assert answer.status_code == 207
    assert results_of(answer) == ["rejected"] * 4 + ["accepted"]


@pytest.mark.parametrize("name", ["a/b~c", "\ud800"])
def test_a_field_that_there_is_not_is_pointed_at_whatever_its_name(crm, name):
    pointer = "/" + records.shown(name).replace("~", "~0").replace("/", "~1")
    told = problem(crm.post("signals", signal(**{name: 1})), 422, "validation-failed")
    assert told["errors"][0]["pointer"] == pointer
    told = problem(crm.post("signals/batch", {"items": [signal(**{name: 1})]}), 422, "validation-failed")
    assert told["errors"][0]["pointer"] == f"/items/0{pointer}"


def test_what_was_refused_is_named_by_the_ids_that_it_came_with(crm):
    ids = ["S-1", "x" * 200, "a\u0000b", "\ud800", 7, True, None, ["S-1"], {}]
    answer = crm.post("signals/batch", {"items": [signal(signal_id=key, wrong=1) for key in ids]})
    told = problem(answer, 422, "validation-failed")
    named = [row["ids"].get("signal_id") for row in told["results"]]
    assert named == ["S-1", "x" * 59 + "…", "a\\x00b", "\\ud800", *[None] * 5]


# -- one


def test_a_signal_is_taken_known_and_contradicted(crm, sample):
    assert crm.post("signals", signal()).status_code == 201
    assert crm.post("signals", signal()).status_code == 200
    told = problem(crm.post("signals", signal(signal_strength=0.6)), 409, "conflict")
    assert "signal_strength" in told["detail"]
    assert Signal.objects.get(pk="S-1").signal_strength == 0.5
    assert Mark.objects.get().pk == "C001"


def test_a_signal_without_an_id_gets_one_and_is_told_it(crm, sample):
    body = signal()
    del body["signal_id"]
    answer = crm.post("signals", body)
    made = answer.json()["ids"]["signal_id"]
    assert answer.status_code == 201
    assert Signal.objects.get(pk=made).customer_id == "C001"


def test_a_signal_of_an_unknown_customer_is_held_as_a_finding_until_the_customer_arrives(crm):
    answer = crm.post("signals", signal(customer_id="LATE"))
    assert (answer.status_code, answer.json()["result"]) == (202, "held")
    assert Signal.objects.get().customer_id == "LATE"
    assert Finding.objects.get().kind == FindingKind.ORPHAN_SIGNAL
    assert crm.post("signals", signal(customer_id="LATE")).status_code == 200
    assert crm.post("customers", {"customer_id": "LATE"}).status_code == 201
    assert Finding.objects.get().status == "mended"
    assert Mark.objects.filter(pk="LATE").exists()


def test_a_stage_of_an_unknown_customer_is_held_and_taken_up(crm):
    stage = {"customer_id": "LATE", "journey_stage": "support", "state_entered_at": "2026-11-01"}
    assert crm.post("journey-states", stage).status_code == 202
    assert crm.post("journey-states", stage).status_code == 202
    assert Finding.objects.get().kind == FindingKind.HELD_RECORD
    answer = crm.post("customers/batch", {"items": [{"customer_id": "LATE", "name": "Late & Sons"}]})
    assert results_of(answer) == ["accepted"]
    assert JourneyState.objects.get().journey_stage == "support"
    assert Finding.objects.get().status == "mended"


def test_what_is_held_is_taken_up_by_an_import_too(crm, tmp_path):
    stage = {"customer_id": "LATE", "journey_stage": "support", "state_entered_at": "2026-11-01"}
    assert crm.post("journey-states", stage).status_code == 202
    (tmp_path / "customers.csv").write_text("customer_id,name\nLATE,Late & Sons\n")
    call_command("import_portfolio", str(tmp_path), stdout=StringIO())
    assert JourneyState.objects.get().journey_stage == "support"
    assert Finding.objects.get().status == "mended"
    assert not Mark.objects.exists()


def test_a_customer_is_made_changed_and_left_as_it_is(crm):
    assert crm.post("customers", {"customer_id": "N1", "account_value": "12.30"}).status_code == 201
    answer = crm.post("customers", {"customer_id": "N1", "account_value": 99})
    assert (answer.status_code, answer.json()["result"]) == (200, "accepted")
    assert crm.post("customers", {"customer_id": "N1", "account_value": 99}).json()["result"] == "duplicate"
    assert Customer.objects.get().account_value == 99


def test_an_outcome_of_what_was_never_done_is_rejected(crm, sample_run):
    body = {"intervention_id": "I404", "outcome": "resolved", "measured_at": "2026-11-20"}
    told = problem(crm.post("outcomes", body), 422, "validation-failed")
    assert "there is no intervention I404" in told["errors"][0]["detail"]
    assert not Outcome.objects.exists()


# -- many


def test_each_item_is_answered_for_in_its_order(crm, sample):
    crm.post("signals", signal(1))
    items = [
        signal(1),
        signal(1, signal_strength=0.9),
        signal(2),
        signal(2),
        signal(2, signal_type="negative_sentiment"),
        signal(3, customer_id="NOBODY"),
        signal(4, signal_strength=7),
    ]
    answer = crm.post("signals/batch", {"items": items})
    assert answer.status_code == 207
    assert results_of(answer) == [
        "duplicate", "conflict", "accepted", "duplicate", "conflict", "held", "rejected",
    ]  # fmt: skip
    told = answer.json()
    assert (told["accepted"], told["duplicate"], told["held"]) == (1, 2, 1)
    assert (told["conflict"], told["rejected"]) == (2, 1)
    assert [row["index"] for row in told["results"]] == list(range(7))
    assert told["results"][6]["field"] == "signal_strength"


def test_all_that_went_in_is_200_also_where_it_was_known_or_is_held(crm, sample):
    items = [signal(1), signal(2, customer_id="NOBODY")]
    assert crm.post("signals/batch", {"items": items}).status_code == 200
    answer = crm.post("signals/batch", {"items": items})
    assert (answer.status_code, results_of(answer)) == (200, ["duplicate", "duplicate"])


def test_of_a_customer_named_twice_the_later_item_holds(crm):
    items = [{"customer_id": "N1", "name": "First"}, {"customer_id": "N1", "name": "Second"}]
    assert results_of(crm.post("customers/batch", {"items": items})) == ["accepted", "accepted"]
    assert Customer.objects.get().name == "Second"


def test_a_thousand_items_take_few_statements(crm, sample, django_assert_max_num_queries):
    body = {"items": [signal(number) for number in range(1_000)]}
    with django_assert_max_num_queries(40):
        assert crm.post("signals/batch", body).status_code == 200


identifiers = st.sampled_from(["A", "B", "C"])
items = st.lists(
    st.fixed_dictionaries(
        {
            "signal_id": identifiers,
            "customer_id": st.sampled_from(["C001", "NOBODY"]),
            "signal_type": st.just("usage_drop"),
            "signal_strength": st.sampled_from([0.1, 0.9, 5, "0.5"]),
            "detected_at": st.just(NOON),
        }
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(items, min_size=1, max_size=3))
def test_what_is_stored_is_what_a_plain_model_would_store(crm, sample, batches):
    Signal.objects.filter(pk__in=["A", "B", "C"]).delete()
    known: dict[str, tuple] = {}
    for batch in batches:
        expected = [_expected(item, known) for item in batch]
        assert results_of(crm.post("signals/batch", {"items": batch})) == expected
    stored = Signal.objects.filter(pk__in=["A", "B", "C"])
    assert {row.pk: (row.customer_id, row.signal_strength) for row in stored} == known


def _expected(item: dict, known: dict[str, tuple]) -> str:
    if item["signal_strength"] not in (0.1, 0.9):
        return "rejected"
    content = (item["customer_id"], item["signal_strength"])
    if item["signal_id"] in known:
        return "duplicate" if known[item["signal_id"]] == content else "conflict"
    known[item["signal_id"]] = content
    return "held" if item["customer_id"] == "NOBODY" else "accepted"


# -- sent again


def test_the_same_key_and_body_are_done_once_and_answered_alike(crm, sample):
    body = signal()
    del body["signal_id"]
    first = crm.post("signals", body, **{"Idempotency-Key": "k-1"})
    again = crm.post("signals", body, **{"Idempotency-Key": "k-1"})
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert again["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first
    assert Signal.objects.filter(customer_id="C001", detected_at=NOON).count() == 1


def test_the_same_key_with_another_body_or_address_is_refused(crm, sample):
    key = {"Idempotency-Key": "k-1"}
    crm.post("signals", signal(1), **key)
    problem(crm.post("signals", signal(2), **key), 409, "key-reused")
    problem(crm.post("signals/batch", signal(1), **key), 409, "key-reused")
    assert not Signal.objects.filter(pk="S-2").exists()


def test_the_key_of_one_caller_is_nothing_to_another(crm, people, sample):
    key = {"Idempotency-Key": "k-1"}
    assert crm.post("signals", signal(1), **key).status_code == 201
    account = get_user_model().objects.create_user("helpdesk")
    account.groups.add(Group.objects.get(name="Integrations"))
    other = Caller(token_of(account, *SCOPES)[1])
    assert other.post("signals", signal(2), **key).status_code == 201


def test_a_request_in_flight_is_told_and_a_dead_one_is_begun_anew(crm, sample):
    key = {"Idempotency-Key": "k-1"}
    crm.post("signals", signal(1), **key)
    row = IdempotencyKey.objects.get()
    IdempotencyKey.objects.update(answered_at=None, status=None, body=None)
    problem(crm.post("signals", signal(1), **key), 409, "in-flight")
    IdempotencyKey.objects.update(begun_at=row.begun_at - timedelta(minutes=6))
    assert crm.post("signals", signal(1), **key).status_code == 200


def test_a_request_that_failed_releases_its_key(crm, sample, monkeypatch):
    key = {"Idempotency-Key": "k-1"}
    problem(crm.post("signals", signal(signal_strength=7), **key), 422, "validation-failed")
    assert not IdempotencyKey.objects.exists()

    def break_down(*arguments, **named):
        raise ValueError("broken")

    monkeypatch.setattr(receiving.intake, "take", break_down)
    problem(crm.post("signals", signal(), **key), 500, "internal-error")
    monkeypatch.undo()
    assert crm.post("signals", signal(), **key).status_code == 201


def test_a_key_is_kept_for_a_day(crm, sample):
    key = {"Idempotency-Key": "k-1"}
    crm.post("signals", signal(1), **key)
    IdempotencyKey.objects.update(begun_at=timezone.now() - timedelta(hours=23))
    forget_old()
    problem(crm.post("signals", signal(2), **key), 409, "key-reused")
    IdempotencyKey.objects.update(begun_at=timezone.now() - timedelta(hours=25))
    assert crm.post("signals", signal(2), **key).status_code == 201
    IdempotencyKey.objects.update(begun_at=timezone.now() - timedelta(hours=25))
    forget_old()
    assert not IdempotencyKey.objects.exists()


@pytest.mark.parametrize("key", ["", "x" * 256, "with space"])
def test_a_key_that_is_none_is_refused(crm, sample, key):
    problem(crm.post("signals", signal(), **{"Idempotency-Key": key}), 400, "bad-request")


def test_a_batch_of_which_only_some_went_in_is_replayed_too(crm, sample):
    body = {"items": [signal(1), signal(2, signal_strength=7)]}
    first = crm.post("signals/batch", body, **{"Idempotency-Key": "k-1"})
    again = crm.post("signals/batch", body, **{"Idempotency-Key": "k-1"})
    assert (first.status_code, again.status_code) == (207, 207)
    assert first.json() == again.json()


def test_outcomes_are_put_on_record_once_and_last(crm, lived_in):
    """From there on nobody else can append, so no row is taken after it that another may hold who waits."""
    done = Intervention.objects.filter(status="imported").values_list("pk", flat=True)[0]
    items = [
        {"outcome_id": key, "intervention_id": done, "outcome": outcome, "measured_at": "2026-11-20"}
        for key, outcome in (("O-1", "resolved"), ("O-2", "resolved"), ("O-1", "no_response"))
    ]
    before = AuditEvent.objects.count()
    with CaptureQueriesContext(connection) as made:
        assert results_of(crm.post("outcomes/batch", {"items": items})) == ["accepted"] * 3
    writes = [query["sql"] for query in made if re.match(r"(\d+ times: )?(INSERT|UPDATE)", query["sql"])]
    takes_head = next(place for place, sql in enumerate(writes) if "audithead" in sql)
    assert [sql for sql in writes[takes_head:] if "journeys_" in sql] == []
    told = AuditEvent.objects.filter(word="outcome.recorded").order_by("sequence")
    assert AuditEvent.objects.count() - before == 2
    assert {event.after for event in told[told.count() - 2 :]} == {"resolved", "no response"}
    assert Outcome.objects.get(pk="O-1").earlier[0]["outcome"] == "resolved"


@pytest.mark.django_db(transaction=True)
def test_one_key_posted_by_many_at_once_is_done_once(crm, sample):
    body = signal()
    del body["signal_id"]
    before = Signal.objects.count()
    answers = together(*[lambda: crm.post("signals", body, **{"Idempotency-Key": "k"})] * 8)
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert Signal.objects.count() - before == 1
