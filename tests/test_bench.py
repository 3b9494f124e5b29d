"""`manage.py bench`, on a portfolio so small that its figures say nothing: that it measures what it says, in
a database of its own."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from datetime import date
from io import StringIO

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from journeys.bench import invented
from journeys.bench.invented import Size
from journeys.bench.place import Broken, place
from journeys.domain.vocabulary import Stage
from journeys.models import Customer, PipelineRun
from tests.trials.cluster import ROOT, database_url, wait_until

DAY = date(2026, 1, 31)
PROMISED = {
    "customers",
    "signals",
    "database",
    "floor_seconds",
    "full_seconds",
    "full_to_floor",
    "incremental_to_full",
    "two_workers_to_floor",
    "peak_mib",
}


@pytest.fixture
def left_behind(tmp_path, monkeypatch):
    """What measurements have left of their databases and folders."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    def there() -> set[str]:
        names = {path.name for path in tmp_path.iterdir()}
        if connection.vendor == "postgresql":
            with psycopg.connect(database_url()) as server:
                rows = server.execute("SELECT datname FROM pg_database WHERE datname LIKE 'cjo_bench_%'")
                names |= {name for (name,) in rows}
        return names

    before = there()
    return lambda: there() - before


def bench(*arguments: str) -> str:
    out = StringIO()
    call_command("bench", *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_it_measures_in_a_database_of_its_own_and_leaves_yours_alone(left_behind):
    Customer.objects.create(customer_id="MINE")
    found = json.loads(bench("--customers", "300", "--rounds", "1", "--changed", "5%", "--json"))
    assert left_behind() == set()
    assert list(Customer.objects.values_list("pk", flat=True)) == ["MINE"]
    assert not PipelineRun.objects.exists()

    assert found.keys() >= PROMISED
    assert (found["customers"], found["database"]) == (300, connection.vendor)
    assert 1200 < found["signals"] < 1800
    assert 0 < found["floor_seconds"] < found["full_seconds"]
    assert found["full_to_floor"] == pytest.approx(found["full_seconds"] / found["floor_seconds"])
    assert found["two_workers_to_floor"] > 1
    assert 20 < found["peak_mib"] < 500

    (measured,) = found["measured"]
    counts = measured["full"]["counts"]
    assert counts["customers"] == 300
    for key in ("two_workers", "four_workers"):
        of_workers = measured[key]["counts"]
        assert {name: of_workers[name] for name in ("customers", "proposed", "suppressed_by")} == {
            name: counts[name] for name in ("customers", "proposed", "suppressed_by")
        }
    # Those that are looked at again are those about whom something came in; the next day, who is due as well.
    changed = measured["incremental"]["counts"]
    assert 3 < changed["customers"] < 40
    assert changed["customers"] + changed["not_looked_at"] == 300
    assert changed["customers"] < measured["next_day"]["counts"]["customers"] < 300
    again = measured["again"]["counts"]
    assert (again["proposed"], again["customers"]) == (0, 300)
    assert again["unchanged"] == counts["below_confidence"] + counts["suppressed"]
    # The floor wrote once more what the run had written.
    written = measured["floor"]["written"]
    assert written["journeys_assessment"] == 300
    assert written["journeys_intervention"] == written["approvals_approvalrequest"] == counts["proposed"] > 0
    assert written["approvals_auditevent"] == written["approvals_auditdetail"] >= counts["proposed"]
    assert sum(written.values()) == found["rows_written"]
    assert found["decisions"]["during"].keys() == found["decisions"]["alone"].keys()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_for_people_it_prints_a_table(left_behind):
    text = bench("--customers", "50", "--rounds", "1", "--full-only")
    assert text.startswith("50 customers, ")
    assert f" signals, on {connection.vendor};" in text
    assert "x the floor" in text
    assert text.count("not measured") == 5


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_nothing_is_left_of_a_measurement_that_breaks_off(left_behind):
    def break_off():
        with place() as here:
            here.make("empty")
            here.do("empty", "run", as_of="2026-01-31")

    with pytest.raises(Broken):
        break_off()
    assert left_behind() == set()


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_nothing_is_left_of_one_that_is_ended(left_behind, tmp_path):
    command = [sys.executable, "manage.py", "bench", "--customers", "100", "--database", database_url()]
    site = {"DJANGO_SETTINGS_MODULE": "cjo_site.settings"}
    bench = subprocess.Popen(command, cwd=ROOT, env=os.environ | site, start_new_session=True)
    wait_until(lambda: any(tmp_path.glob("cjo-bench-*/*")))
    assert left_behind()
    bench.terminate()
    assert bench.wait(60) == 128 + signal.SIGTERM
    assert left_behind() == set()
    with pytest.raises(ProcessLookupError):
        os.killpg(bench.pid, 0)


@pytest.mark.parametrize("changed", ["0", "101%", "2", "some"])
def test_a_share_that_is_none_is_refused(changed):
    with pytest.raises(CommandError, match="no share"):
        call_command("bench", "--changed", changed)


def test_it_takes_a_customer_at_least():
    with pytest.raises(CommandError, match="a customer at least"):
        call_command("bench", "--customers", "0")


def test_the_same_seed_invents_the_same_portfolio():
    def portfolio(seed: int) -> list:
        return list(invented.batches(Size(500, seed=seed), DAY))

    assert portfolio(1) == portfolio(1)
    assert portfolio(1) != portfolio(2)


def test_an_invented_portfolio_is_an_ordinary_one():
    customers, states, signals = [], [], []
    for batch in invented.batches(Size(3_000, signals_per_customer=4), DAY):
        for rows, more in zip((customers, states, signals), batch, strict=True):
            rows += more
    assert len({row[0] for row in customers}) == 3_000
    assert [row[0] for row in customers] == [row[0] for row in states]
    assert {row[1] for row in states} == {stage.value for stage in Stage}
    assert all(row[2] <= DAY for row in states)
    assert 3.6 < len(signals) / 3_000 < 4.4
    days = [(DAY - row[4].date()).days for row in signals]
    assert (min(days), max(days)) == (0, invented.DAYS - 1)
    assert 0.4 < sum(day <= 90 for day in days) / len(days) < 0.6


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_the_report_is_measured_in_a_database_of_its_own(left_behind):
    out = StringIO()
    call_command("bench_report", "--interventions", "300", "--json", stdout=out)
    assert left_behind() == set()
    assert not PipelineRun.objects.exists()
    found = json.loads(out.getvalue())
    assert found["database"] == connection.vendor
    assert 200 < found["interventions"] < 400
    assert found["seconds"] > 0
    assert 0 < found["peak_mib"] < 300


def test_a_report_of_no_intervention_is_not_measured():
    with pytest.raises(CommandError, match="It takes an intervention at least"):
        call_command("bench_report", "--interventions", "0")
