"""The contract, tried out at random: no fault, and no answer that it does not document."""

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from approvals import scopes
from approvals.models import ApprovalRequest
from approvals.scopes import DECIDE
from tests.api import token_of
from tests.trials.rounds import rounds

pytestmark = pytest.mark.django_db

EXAMPLES = rounds(100)


@pytest.fixture(scope="module")
def contract():
    schema = schemathesis.openapi.from_dict(SchemaGenerator().get_schema(request=None, public=True))
    schema.app = get_wsgi_application()
    return schema


@pytest.fixture(autouse=True)
def _the_tests_own_connection():
    """A request's end drops connections that are in a transaction, as a test's is."""
    request_started.disconnect(close_old_connections)
    request_finished.disconnect(close_old_connections)
    yield
    request_started.connect(close_old_connections)
    request_finished.connect(close_old_connections)


def valid_and_still_refused(case) -> bool:
    """What the contract cannot say: a cursor that came with no page, an order without its filter, and what a
    request is when it is decided."""
    return case.method == "POST" or bool({"cursor", "ordering", "subject_key"} & (case.query or {}).keys())


@pytest.fixture
def tokens(people) -> dict[str, str]:
    """By role, with every scope: people's own, and a program's."""
    found = {"anonymous": "", "service": token_of(people["manager"], *(scopes.known().keys() - {DECIDE}))[1]}
    for name in ("operator", "approver", "manager"):
        found[name] = token_of(people[name], *scopes.known(), personal=True)[1]
    return found


@pytest.mark.parametrize("mode", GenerationMode)
def test_no_answer_is_a_fault_or_undocumented(contract, lived_in, tokens, mode):
    """With what fits the contract, and with what does not; on rows that are there, and on any."""
    row = ApprovalRequest.objects.get(concerning="C004")
    keys = {"id": row.pk, "customer_id": "C004", "sequence": 1}

    for result in contract.get_all_operations():
        operation = result.ok()

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(
            case=operation.as_strategy(generation_mode=mode),
            role=st.sampled_from(sorted(tokens)),
            real=st.booleans(),
        )
        def try_out(case, role, real):
            if real:
                case.path_parameters = {
                    name: keys.get(name, key) for name, key in case.path_parameters.items()
                }
                if isinstance(case.body, dict) and case.method == "POST":
                    case.body["fingerprint"] = row.fingerprint
            headers = {"Accept-Encoding": "identity"}
            if tokens[role]:
                headers["Authorization"] = f"Bearer {tokens[role]}"
            response = case.call(headers=headers)
            excluded = [positive_data_acceptance] if valid_and_still_refused(case) else []
            if real:
                excluded.append(negative_data_rejection)  # it may be good data now
            case.validate_response(response, headers=headers, excluded_checks=excluded)

        try_out()
