"""Starting a run through the API, following it, and cancelling it."""

from datetime import timedelta

import pytest
from django.utils import timezone

from journeys import pipeline
from journeys.models import Assessment, PipelineRun, Policy
from tests.acting import drain
from tests.api import Caller, problem, token_of
from tests.runs import SAMPLE_DAY

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def caller(people, sample):
    return Caller(token_of(people["operator"], "runs:write", "runs:read")[1])


def test_who_may_not_run_the_pipeline_starts_none(people, sample):
    for owner, scope, kind in (
        ("operator", "runs:read", "scope-missing"),
        ("approver", "runs:write", "permission-missing"),
    ):
        problem(Caller(token_of(people[owner], scope)[1]).post("runs"), 403, kind)
    assert not PipelineRun.objects.exists()


def test_a_run_is_queued_followed_and_done(caller):
    answer = caller.post("runs", {"as_of": SAMPLE_DAY.isoformat()})
    assert answer.status_code == 202
    assert answer.json()["status"] == "queued"
    address = answer["Location"]
    assert address == f"/api/v1/runs/{answer.json()['id']}"
    drain()
    told = caller.get(address).json()
    assert (told["status"], told["counts"]["customers"]) == ("succeeded", 10)
    assert told["requested_by_name"] == "operator"
    assert told["door"] == "api"


def test_one_customer_can_be_run(caller):
    address = caller.post("runs", {"scope": "customer", "customer_id": "C004"})["Location"]
    drain()
    assert caller.get(address).json()["counts"]["customers"] == 1


def test_a_dry_run_is_followed_by_whoever_asked_and_listed_nowhere(caller):
    address = caller.post("runs", {"dry_run": True, "as_of": SAMPLE_DAY.isoformat()})["Location"]
    drain()
    told = caller.get(address).json()
    assert (told["status"], told["dry_run"], told["counts"]["proposed"]) == ("succeeded", True, 3)
    assert caller.get("runs").json()["results"] == []
    assert not Assessment.objects.exists()


def test_another_policy_is_only_tried(caller):
    Policy.objects.create(name="other", version=1, document=pipeline.in_force().document, active=False)
    problem(caller.post("runs", {"policy": "other"}), 422, "not-in-force")
    assert caller.post("runs", {"policy": "other 1", "dry_run": True}).status_code == 202
    told = problem(caller.post("runs", {"policy": "nobody's"}), 422, "validation-failed")
    assert told["errors"][0]["pointer"] == "/policy"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"scope": "galaxy"}, "validation-failed"),
        ({"scope": "customer"}, "validation-failed"),
        ({"customer_id": "C004"}, "validation-failed"),
        ({"scope": "customer", "customer_id": "C404"}, "bad-scope"),
        ({"as_of": "soon"}, "validation-failed"),
        ({"as_of": (timezone.now() + timedelta(days=3)).date().isoformat()}, "bad-scope"),
        ({"dry_run": "yes"}, "validation-failed"),
        ({"colour": "red"}, "validation-failed"),
    ],
)
def test_what_cannot_be_run_is_refused(caller, body, kind):
    problem(caller.post("runs", body), 422, kind)
    assert not PipelineRun.with_dry_runs.exists()


def test_one_run_over_the_portfolio_waits_at_a_time(caller):
    assert caller.post("runs").status_code == 202
    problem(caller.post("runs"), 409, "run-under-way")
    assert caller.post("runs", {"dry_run": True}).status_code == 202
    assert caller.post("runs", {"scope": "customer", "customer_id": "C004"}).status_code == 202


def test_a_queued_run_is_cancelled_once(caller):
    address = caller.post("runs")["Location"]
    answer = caller.post(f"{address}/cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert answer.json()["cancelled_by"] == "operator"
    drain()
    assert caller.get(address).json()["status"] == "cancelled"
    problem(caller.post("runs/123/cancel"), 404, "not-found")


def test_a_run_that_has_ended_is_not_cancelled(caller):
    address = caller.post("runs")["Location"]
    drain()
    problem(caller.post(f"{address}/cancel"), 409, "not-running")


def test_the_same_key_starts_one_run(caller):
    key = {"Idempotency-Key": "daily"}
    first, again = caller.post("runs", **key), caller.post("runs", **key)
    assert first["Location"] == again["Location"]
    assert PipelineRun.objects.count() == 1
