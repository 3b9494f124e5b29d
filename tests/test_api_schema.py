"""The contract: complete, valid, as committed, and readable offline."""

import json
import re

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from approvals import scopes
from approvals.api import problems
from approvals.api.requests import RequestFilters
from journeys.services import intake
from tests import pages
from tests.api import Caller, token_of
from tests.desk import check_html


@pytest.fixture(scope="module")
def contract() -> dict:
    return SchemaGenerator().get_schema(request=None, public=True)


@pytest.fixture(scope="module")
def operations(contract) -> list[tuple[str, str, dict]]:
    return [
        (method.upper(), path, operation)
        for path, methods in contract["paths"].items()
        for method, operation in methods.items()
    ]


def followed(contract: dict, part: dict) -> dict:
    if "$ref" not in part:
        return part
    found = contract
    for name in part["$ref"].split("/")[1:]:
        found = found[name]
    return found


def test_the_committed_contract_is_the_one_that_the_code_makes():
    assert pages.OPENAPI.read_text() == pages.openapi(), "To write it anew: python -m tests.pages"


def test_every_scope_and_every_problem_is_documented_and_no_other():
    assert pages.API_PAGE.read_text() == pages.api_page(), "To write it anew: python -m tests.pages"


def test_it_is_valid_openapi_31_and_nothing_warns(contract, capsys):
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", "/dev/null")
    assert contract["openapi"].startswith("3.1")
    validate_schema(contract)


def test_it_is_served_to_whoever_asks(client, contract):
    answer = client.get("/api/v1/schema")
    assert answer["Content-Type"].startswith("application/vnd.oai.openapi+json")
    assert json.loads(answer.content)["paths"].keys() == contract["paths"].keys()


def test_every_operation_says_what_it_is_what_it_needs_and_who_may(operations):
    seen = set()
    for method, path, operation in operations:
        assert operation["description"], path
        assert operation["operationId"] not in seen
        seen.add(operation["operationId"])
        scope = operation["x-required-scope"]
        assert scope in scopes.known(), (method, path)
        assert {"token": [scope]} in operation["security"]
        assert {"session": []} in operation["security"]


def test_every_operation_documents_every_status_that_it_answers(operations):
    for method, path, operation in operations:
        expected = {"400", "401", "403", "406", "429", "500", "503"}
        if "{" in path:
            expected |= {"404"}
        expected |= {"200", "304"} if method == "GET" else {"409", "411", "413", "415", "422"}
        assert expected <= operation["responses"].keys(), (method, path)
        assert [status for status in operation["responses"] if status.startswith("2")], path


def test_every_body_that_goes_out_or_comes_in_has_an_example_that_fits(contract, operations):
    registry = Registry().with_resource(
        "urn:contract", Resource.from_contents(contract, default_specification=DRAFT202012)
    )
    for method, path, operation in operations:
        parts = [operation.get("requestBody", {}), *operation["responses"].values()]
        for part in parts:
            for body in followed(contract, part).get("content", {}).values():
                assert body.get("examples"), (method, path, body["schema"])
                for example in body["examples"].values():
                    told = body["schema"]
                    schema = {"$ref": f"urn:contract{told['$ref']}"} if "$ref" in told else told
                    Draft202012Validator(schema, registry=registry).validate(example["value"])


def test_every_word_that_a_parameter_may_be_is_of_its_type(operations):
    """Where none is, nothing that is sent is valid, and whatever is sent is taken."""
    for method, path, operation in operations:
        for parameter in operation["parameters"]:
            for word in parameter["schema"].get("enum", ()):
                assert Draft202012Validator(parameter["schema"]).is_valid(word), (method, path, parameter)


def test_every_parameter_says_what_its_filter_says(operations):
    by_id = {operation["operationId"]: operation for _, _, operation in operations}
    asked = by_id["list_approval_requests"]["parameters"]
    told = {parameter["name"]: parameter.get("description", "") for parameter in asked}
    for name, wanted in RequestFilters.base_filters.items():
        assert told[name] == wanted.extra.get("help_text", ""), name


@pytest.mark.django_db
def test_a_word_that_nobody_here_knows_goes_out_as_it_came_and_as_the_contract_says(contract):
    intake.save_customer(customer_id="K1", segment="Startup", risk_tier="dire")
    intake.enter_stage(
        customer_id="K1", journey_stage="trial", state_entered_at="2026-11-01", previous_stage="lead"
    )
    intake.record_signal(
        signal_id="KS1", customer_id="K1", signal_type="dance", signal_strength=0.5,
        detected_at="2026-11-02", journey_stage="trial", source="chat",
    )  # fmt: skip
    intake.save_imported_intervention(
        intervention_id="KI1", customer_id="K1", recommended_action="sing", generated_at="2026-11-03",
        journey_stage="trial",
    )  # fmt: skip
    intake.save_outcome(outcome_id="KO1", intervention_id="KI1", outcome="laughter", measured_at="2026-11-04")
    registry = Registry().with_resource(
        "urn:contract", Resource.from_contents(contract, default_specification=DRAFT202012)
    )
    owner = get_user_model().objects.create_superuser("reader")
    caller = Caller(
        token_of(owner, "customers:read", "signals:read", "interventions:read", "outcomes:read")[1]
    )
    for path, name in (
        ("customers", "Customer"), ("journey-states", "JourneyState"), ("signals", "Signal"),
        ("interventions", "Intervention"), ("outcomes", "Outcome"),
    ):  # fmt: skip
        [row] = caller.get(path).json()["results"]
        told = {"$ref": f"urn:contract#/components/schemas/{name}"}
        Draft202012Validator(told, registry=registry).validate(row)


def test_every_error_is_a_problem_document(contract, operations):
    for _, path, operation in operations:
        for status, answer in operation["responses"].items():
            if status >= "400":
                content = followed(contract, answer)["content"]
                assert list(content) == [problems.MEDIA_TYPE], path
                example = next(iter(content[problems.MEDIA_TYPE]["examples"].values()))["value"]
                assert example["status"] == int(status)


def test_every_scope_is_explained_where_tokens_are(contract):
    told = contract["components"]["securitySchemes"]["token"]["description"]
    assert all(f"`{scope}`" in told for scope in scopes.known())


def test_every_path_of_the_contract_has_no_slash_at_its_end(contract):
    assert not [path for path in contract["paths"] if path.endswith("/")]


def test_the_page_reads_offline_under_the_policy_of_the_site(client):
    page = client.get("/api/v1/docs")
    html = page.content.decode()
    check_html(html)
    assert "script-src 'self'" in page["Content-Security-Policy"]
    for address in re.findall(r'(?:src|href)="([^"]+)"', html):
        answer = client.get(address)
        assert answer.status_code == 200, address
        list(answer) if answer.streaming else answer.content


def test_there_is_no_redoc_which_asks_elsewhere_for_a_font(client):
    assert client.get("/api/v1/redoc").status_code == 404
