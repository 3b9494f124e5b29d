"""Importing a folder of files: the bad is named and kept, the good goes in, and twice is like once."""

import csv
import io
import json
import tempfile
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from approvals.models import AuditEvent
from approvals.rules import Actor
from journeys import portfolio_files
from journeys.models import Customer, Finding, Intervention, JourneyState, Outcome, Signal
from journeys.records import KINDS, columns
from journeys.services.portfolio import import_portfolio

pytestmark = pytest.mark.django_db

MODELS = (Customer, JourneyState, Signal, Intervention, Outcome)
FIELDS = {kind.FILE: [column.name for column in columns(kind)] for kind in KINDS}
ACTOR = Actor(key="machine:test", name="a test", door="test")
SIGNALS = "signal_id,customer_id,signal_type,signal_strength,detected_at\n"


def run(folder: Path, *options: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of the command."""
    out, err = io.StringIO(), io.StringIO()
    try:
        call_command("import_portfolio", str(folder), *options, stdout=out, stderr=err)
    except CommandError as error:
        return error.returncode, out.getvalue(), err.getvalue() + str(error)
    return 0, out.getvalue(), err.getvalue()


def put(folder: Path, **files: str | bytes) -> Path:
    """Write files, named with __ for the dot."""
    for name, content in files.items():
        content = content if isinstance(content, bytes) else content.encode()
        (folder / name.replace("__", ".")).write_bytes(content)
    return folder


def everything() -> list[list[dict]]:
    volatile = ("received_at", "recorded_at", "id")
    return [
        [
            {name: value for name, value in row.items() if name not in volatile}
            for row in model.objects.order_by("customer_id" if model is JourneyState else "pk").values()
        ]
        for model in MODELS
    ]


# ---- a folder or file that is not what it should be: exit 2, nothing printed, nothing written


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "has no file of a portfolio"),
        ({"notes__txt": "hello"}, "has no file of a portfolio"),
        ({"customers__xlsx": "PK"}, "customers.xlsx is of the wrong kind"),
        (
            {"customers__csv": "customer_id\nC1\n", "signal__csv": SIGNALS},
            "signal.csv is no file of a portfolio",
        ),
        ({"customers__csv": "customer_id\nC1\n", "customers__json": "[]"}, "are both customers"),
        ({"customers__csv": ""}, "customers.csv line 1: the line with the names of the columns is missing"),
        ({"customers__csv": "customer_id\n\n"}, "There is no record in customers.csv"),
        (
            {"customers__json": "[]", "signals__jsonl": "\n"},
            "There is no record in customers.json, signals.jsonl",
        ),
        (
            {"customers__csv": "customer_id;name\nC1;One\n"},
            "line 1: 'customer_id;name' is no column of customers",
        ),
        ({"customers__csv": "customer_id,shoe_size\nC1,44\n"}, "'shoe_size' is no column"),
        ({"customers__csv": "customer_id,name,name\nC1,a,b\n"}, "the column name is there twice"),
        ({"customers__csv": "name\nOne\n"}, "the column customer_id is missing"),
        ({"customers__csv": "customer_id\nC1\n".encode("utf-16")}, "customers.csv is UTF-16"),
        ({"customers__json": '{"customer_id": "C1"}'}, "customers.json line 1: a JSON array"),
        ({"customers__json": ""}, "customers.json line 1: a JSON array"),
        (
            {"customers__json": '[{"customer_id": "C1"},\n{"customer_id": C2}]'},
            "customers.json line 2: not JSON",
        ),
        ({"customers__json": '[{"customer_id": "C1"}'}, "customers.json line 1: a comma or the end"),
        ({"customers__json": '[{"customer_id": "C1"},\n]'}, "customers.json line 2: a record is missing"),
        (
            {"customers__json": '[{"customer_id": "C1"}]\n[]'},
            "customers.json line 2: there is something behind",
        ),
        ({"customers__json": "[" * 100_000}, "customers.json line 1: nested too deeply"),
    ],
)
def test_what_is_no_portfolio_is_an_error_and_nothing_is_taken(tmp_path, files, says):
    code, out, err = run(put(tmp_path, **files))
    assert (code, out) == (2, "")
    assert says in err
    assert everything() == [[], [], [], [], []]
    assert not Finding.objects.exists()
    assert not AuditEvent.objects.exists()


def test_a_missing_folder_is_an_error(tmp_path):
    code, out, err = run(tmp_path / "nowhere")
    assert (code, out) == (2, "")
    assert "There is no folder" in err


def test_a_folder_in_the_place_of_a_file_is_an_error(tmp_path):
    (tmp_path / "customers.csv").mkdir()
    assert run(tmp_path)[0] == 2


# ---- bad records: named by file, line and field; kept; the good ones go in


def test_a_bad_record_is_named_and_kept_and_the_good_ones_go_in(tmp_path):
    rows = [
        "S1,C1,usage_drop,0.5,2025-01-01",
        "S2,C1,usage_drop,lots,2025-01-01",
        "",
        ",C1,usage_drop,0.5,2025-01-01",
    ]
    put(tmp_path, signals__csv=SIGNALS + "\n".join(rows))
    code, out, err = run(tmp_path)
    assert code == 0
    assert err.splitlines() == [
        "signals.csv line 3, signal_strength: must be a number from 0 to 1, not lots",
        "signals.csv line 5, signal_id: is missing",
    ]
    assert [row.pk for row in Signal.objects.all()] == ["S1"]
    first, second = Finding.objects.filter(kind="bad_record").order_by("pk")
    assert (first.kind, first.subject, first.status) == ("bad_record", "signals.csv line 3", "open")
    assert first.detail == "signal_strength: must be a number from 0 to 1, not lots"
    assert first.record == dict(zip(SIGNALS.strip().split(","), rows[1].split(","), strict=True))
    assert second.subject == "signals.csv line 5"


C2 = '{"customer_id": "C2"}'
BAD_LINES = [
    (
        "customers.csv",
        b"customer_id,name\nC1,\xff\nC2,b",
        "line 2, name: is not UTF-8",
        {"customer_id": "C1", "name": "\\udcff"},
    ),
    ("customers.csv", 'customer_id,name\n"C1,x\nC2,b', "line 2, is not CSV", '"C1,x'),
    ("customers.csv", "customer_id,name\nC1,a,b\nC2,b", "line 2, has 3 values, the header 2", "C1,a,b"),
    ("customers.csv", "customer_id,name\nC1\nC2,b", "line 2, has 1 values, the header 2", "C1"),
    (
        "customers.csv",
        f"customer_id,name\nC1,{'x' * 140_000}\nC2,b",
        "line 2, is not CSV: field larger",
        f"C1,{'x' * 140_000}",
    ),
    (
        "customers.jsonl",
        f'{{"customer_id": "C1"\n{C2}',
        "line 1, is not JSON: Expecting ',' delimiter at character 21",
        '{"customer_id": "C1"',
    ),
    (
        "customers.jsonl",
        f'{{"name": "a", "name": "b"}}\n{C2}',
        "line 1, has the field 'name' twice",
        [["name", "a"], ["name", "b"]],
    ),
    ("customers.jsonl", f"{'[' * 100_000}\n{C2}", "line 1, is nested too deeply", "[" * 100_000),
    (
        "customers.jsonl",
        f'{{"customer_id": {"9" * 5000}}}\n{C2}',
        "line 1, customer_id: must have at most 64 characters",
        {"customer_id": "9" * 5000},
    ),
    ("customers.json", f"[7,\n\n{C2}]", "line 1, is no object with named fields", 7),
    (
        "customers.json",
        f'[{{"customer_id": "C1", "x": NaN}}, {C2}]',
        "line 1, x: is not a field of customers",
        {"customer_id": "C1", "x": "nan"},
    ),
    (
        "customers.json",
        f'[{{"customer_id": "\\u0000"}}, {C2}]',
        "line 1, customer_id: has a character that cannot be shown: U+0000",
        {"customer_id": "\\u0000"},
    ),
]


@pytest.mark.parametrize(
    ("name", "content", "says", "kept"), BAD_LINES, ids=[row[2][:40] for row in BAD_LINES]
)
def test_what_is_wrong_with_a_line_stays_with_it(tmp_path, name, content, says, kept):
    code, _, err = run(put(tmp_path, **{name: content}))
    assert code == 0
    assert says in err
    assert [row.pk for row in Customer.objects.all()] == ["C2"]
    assert Finding.objects.get().record == kept


def test_an_import_of_which_nothing_could_be_taken_is_no_success(tmp_path):
    code, _, err = run(put(tmp_path, customers__csv="customer_id,email\nC1,nobody\n"))
    assert code == 1
    assert "Not one record could be taken." in err


def test_of_two_records_that_contradict_each_other_in_one_file_the_second_is_bad(tmp_path):
    put(tmp_path, customers__csv="customer_id,name\nC1,One\nC1,Two\nC1,One\n")
    for _ in range(2):
        _, _, err = run(tmp_path)
        assert err.strip() == "customers.csv line 3, customer_id: stands on line 2 too, with other content"
    assert Customer.objects.get().name == "One"
    assert Finding.objects.get().status == "open"


def test_a_strict_import_takes_all_or_nothing(tmp_path):
    put(
        tmp_path,
        customers__csv="customer_id\nC1\n",
        signals__csv=SIGNALS + "S1,C1,x,2,2025-01-01\nS2,C1,x,,\n",
    )
    code, out, err = run(tmp_path, "--strict")
    assert (code, out) == (1, "")
    assert "signals.csv line 2, signal_strength" in err
    assert "signals.csv line 3, signal_strength" in err
    assert "Nothing was imported: 2 bad records." in err
    assert not Customer.objects.exists()
    assert not Finding.objects.exists()
    assert not AuditEvent.objects.exists()
    put(tmp_path, signals__csv=SIGNALS + "S1,C1,x,.2,2025-01-01\n")
    assert run(tmp_path, "--strict")[0] == 0
    assert (Customer.objects.count(), Signal.objects.count()) == (1, 1)


def test_what_belongs_to_nobody_yet_goes_in_once_its_customer_has_arrived(tmp_path):
    put(
        tmp_path,
        journey_state_log__csv="customer_id,journey_stage,state_entered_at\nC1,support,2025-01-01\n",
        signals__csv=SIGNALS + "S1,C1,x,.2,2025-01-01\n",
        interventions__csv="intervention_id,customer_id,recommended_action,generated_at\n"
        "I1,C1,monitor_only,2025-01-02\n",
        outcomes__csv="outcome_id,intervention_id,outcome,measured_at\nO1,I1,resolved,2025-01-03\n",
    )
    code, _, err = run(tmp_path)
    assert code == 0
    assert err.splitlines() == [
        "journey_state_log.csv line 2, customer_id: there is no customer C1",
        "interventions.csv line 2, customer_id: there is no customer C1",
        "outcomes.csv line 2, intervention_id: there is no intervention I1",
    ]
    assert [row.pk for row in Signal.objects.orphaned()] == ["S1"]
    assert Finding.objects.filter(kind="bad_record", status="open").count() == 3

    put(tmp_path, customers__csv="customer_id\nC1\n")
    code, out, err = run(tmp_path)
    assert (code, err) == (0, "")
    assert "Findings mended: 3." in out
    assert [model.objects.count() for model in MODELS] == [1] * 5
    assert set(Finding.objects.values_list("status", "closed_by")) == {("mended", "system")}


def test_a_corrected_record_mends_its_finding_wherever_it_stands(tmp_path):
    run(put(tmp_path, signals__csv=SIGNALS + "S1,C1,x,2,2025-01-01\nS2,C1,x,9,2025-01-01\n"))
    (tmp_path / "signals.csv").unlink()
    good = {
        "signal_id": "S1",
        "customer_id": "C1",
        "signal_type": "x",
        "signal_strength": 0.2,
        "detected_at": "2025-01-01",
    }
    run(put(tmp_path, signals__json=json.dumps([good])))
    assert dict(Finding.objects.filter(kind="bad_record").values_list("subject", "status")) == {
        "signals.csv line 2": "mended",
        "signals.csv line 3": "open",
    }


# ---- what goes in


def sample_records() -> dict[str, list[dict]]:
    """The sample and its history as loaded, in the words of the files."""
    renamed = {}
    for kind, model in zip(KINDS, MODELS, strict=True):
        rows = []
        for row in model.objects.order_by("pk").values():
            record = {name: row[name] for name in FIELDS[kind.FILE] if name in row}
            rows.append(json.loads(json.dumps(record, default=str)))
        renamed[kind.FILE] = rows
    return renamed


def as_csv(name: str, rows: list[dict]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, [field for field in FIELDS[name] if field in rows[0]])
    writer.writeheader()
    writer.writerows(
        {field: ";".join(value) if isinstance(value, list) else value for field, value in row.items()}
        for row in rows
    )
    return out.getvalue()


WRITERS = {
    "csv": as_csv,
    "jsonl": lambda name, rows: "".join(json.dumps(row) + "\n" for row in rows),
    "json": lambda name, rows: json.dumps(rows, indent=1, ensure_ascii=False),
}


@pytest.fixture
def sample_with_history(sample):
    call_command("loaddata", "sample_history", verbosity=0)
    expected, records = everything(), sample_records()
    for model in reversed(MODELS):
        model.objects.all().delete()
    return expected, records


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_all_formats_give_the_rows_of_the_fixtures_and_twice_is_like_once(
    tmp_path, sample_with_history, suffix, mark
):
    expected, records = sample_with_history
    for name, rows in records.items():
        put(tmp_path, **{f"{name}__{suffix}": mark + WRITERS[suffix](name, rows)})
    code, out, err = run(tmp_path, "--json")
    assert (code, err) == (0, "")
    assert [(row["file"], row["new"]) for row in json.loads(out)["files"]] == [
        (f"customers.{suffix}", 10),
        (f"journey_state_log.{suffix}", 10),
        (f"signals.{suffix}", 12),
        (f"interventions.{suffix}", 8),
        (f"outcomes.{suffix}", 6),
    ]
    assert everything() == expected
    document = json.loads(run(tmp_path, "--json")[1])
    assert [row["unchanged"] for row in document["files"]] == [10, 10, 12, 8, 6]
    assert document["bad_records"] == []
    assert everything() == expected


def test_a_changed_record_is_an_update(tmp_path):
    put(
        tmp_path,
        customers__csv="customer_id,segment\nC1,SMB\nC2,SMB\n",
        signals__csv=SIGNALS + "S1,C1,x,.2,2025-01-01\n",
    )
    run(tmp_path)
    put(
        tmp_path,
        customers__csv="customer_id,segment\nC1,Enterprise\nC2,SMB\n",
        signals__csv=SIGNALS + "S1,C1,x,.3,2025-01-01\n",
    )
    _, out, _ = run(tmp_path)
    assert [line.split() for line in out.splitlines()] == [
        ["new", "updated", "unchanged", "bad"],
        ["customers.csv", "0", "1", "1", "0"],
        ["signals.csv", "0", "1", "0", "0"],
    ]
    assert Customer.objects.get(pk="C1").segment == "Enterprise"
    assert Signal.objects.get().signal_strength == 0.3


def test_several_states_of_a_customer_are_a_log_whatever_their_order(tmp_path):
    put(
        tmp_path,
        customers__csv="customer_id\nC1\n",
        journey_state_log__csv="customer_id,journey_stage,state_entered_at\n"
        "C1,support,2025-01-20\nC1,onboarding,2025-01-01\nC1,engagement,2025-01-10\n",
    )
    for _ in range(2):
        assert run(tmp_path)[0] == 0
    rows = JourneyState.objects.values_list("journey_stage", "left_on", "previous_stage")
    assert [(stage, left and str(left), previous) for stage, left, previous in rows] == [
        ("onboarding", "2025-01-10", ""),
        ("engagement", "2025-01-20", "onboarding"),
        ("support", None, "engagement"),
    ]


def test_an_import_is_audited_once_with_its_counts(tmp_path):
    run(put(tmp_path, customers__csv="customer_id,email\nC1,\nC2,nobody\n"))
    event = AuditEvent.objects.get()
    assert event.word == "portfolio.imported"
    assert event.sentence == f"import_portfolio imported the portfolio {tmp_path.name}"
    assert event.detail.document["files"] == [
        {"file": "customers.csv", "new": 1, "updated": 0, "unchanged": 0, "bad": 1}
    ]


def test_more_records_than_a_batch_are_taken_and_counted(tmp_path):
    rows = "".join(f"S{n},C{n % 7},usage_drop,0.5,2025-01-01\n" for n in range(2500))
    put(
        tmp_path,
        signals__csv=SIGNALS + rows + "S1,C1,usage_drop,0.5,2025-01-01\nS2500,C1,usage_drop,5,2025-01-01\n",
    )
    document = json.loads(run(tmp_path, "--json")[1])
    assert document["files"] == [{"file": "signals.csv", "new": 2500, "updated": 0, "unchanged": 1, "bad": 1}]
    assert Signal.objects.count() == 2500


def test_a_json_array_is_read_piece_by_piece(tmp_path):
    rows = [{"customer_id": f"C{n}", "name": "x" * 150} for n in range(3000)]
    put(tmp_path, customers__json=json.dumps(rows, indent=2))
    file = portfolio_files.find(tmp_path, {"customers": portfolio_files.Kind(["customer_id", "name"], [])})[0]
    lines = list(file.lines())
    assert [line.content for line in lines] == rows
    assert [line.number for line in lines] == [2 + 4 * n for n in range(3000)]


# ---- whatever is sent

JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=70)
    | st.sampled_from(["C1", "I1", "2025-01-01", "0.5", "1e308", "iv-1", "9999-12-31", "", " "]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
GOOD = {
    "customers": {"customer_id": "GOOD"},
    "journey_state_log": {"customer_id": "GOOD", "journey_stage": "x", "state_entered_at": "2025-01-01"},
    "signals": {
        "signal_id": "GOOD",
        "customer_id": "GOOD",
        "signal_type": "x",
        "signal_strength": 0,
        "detected_at": "2025-01-01",
    },
    "interventions": {
        "intervention_id": "GOOD",
        "customer_id": "GOOD",
        "recommended_action": "x",
        "generated_at": "2025-01-01",
    },
    "outcomes": {
        "outcome_id": "GOOD",
        "intervention_id": "GOOD",
        "outcome": "x",
        "measured_at": "2025-01-01",
    },
}


def junk_records(name: str):
    near = st.fixed_dictionaries({}, optional=dict.fromkeys(FIELDS[name], JUNK))
    half_good = near.map(lambda record: GOOD[name] | record)
    return st.lists(near | half_good | JUNK, max_size=4)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=st.fixed_dictionaries({name: junk_records(name) for name in FIELDS}))
def test_whatever_is_sent_the_good_records_go_in_and_every_record_is_accounted_for(junk):
    for model in (*reversed(MODELS), Finding):
        model.objects.all().delete()
    with tempfile.TemporaryDirectory() as folder:
        for name, records in junk.items():
            text = "".join(json.dumps(record) + "\n" for record in [GOOD[name], *records])
            put(Path(folder), **{f"{name}__jsonl": text})
        imported = import_portfolio(folder=Path(folder), actor=ACTOR)
    for counts in imported.files:
        records = junk[counts.file.removesuffix(".jsonl")]
        assert counts.new + counts.updated + counts.unchanged + counts.bad == 1 + len(records)
    assert [
        model.objects.filter(pk="GOOD").count() for model in (Customer, Signal, Intervention, Outcome)
    ] == [1] * 4
    assert JourneyState.objects.filter(customer_id="GOOD", journey_stage="x").exists()
    assert Finding.objects.count() == len(imported.bad)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from([f"{kind}.{suffix}" for kind in FIELDS for suffix in WRITERS]),
    content=st.binary(max_size=200),
)
def test_whatever_bytes_are_in_a_file_the_answer_is_a_count_or_a_named_error(name, content):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / name).write_bytes(content)
        code, out, err = run(Path(folder), "--json")
    assert code in (0, 1, 2)
    assert (out == "") == (code == 2)
    assert code == 0 or name in err
    assert all(bad["file"] == name and bad["line"] for bad in json.loads(out or "{}").get("bad_records", []))
