"""The contract, tried out at random: no fault, and no answer that it does not document."""

import pytest
import schemathesis
from django.contrib.auth import get_user_model
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from django.test import Client
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from approvals import scopes
from approvals.models import ApiToken, ApprovalRequest
from approvals.scopes import DECIDE
from tests.acting import PASSWORD
from tests.api import token_of
from tests.trials.rounds import FULL, rounds

pytestmark = pytest.mark.django_db

# For each operation, of each role.
EXAMPLES = rounds(20)


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
def callers(people) -> dict[str, dict[str, str]]:
    """The headers by which each role calls: people's own tokens and a program's, each with every scope, and a
    session as the pages have it."""
    superuser = get_user_model().objects.create_superuser("superuser", password=PASSWORD)
    owners = {name: people[name] for name in ("operator", "approver", "manager", "auditor")}
    texts = {name: own_token(owner) for name, owner in (owners | {"superuser": superuser}).items()}
    texts["service"] = token_of(people["manager"], *(scopes.known().keys() - {DECIDE}))[1]
    found = {name: {"Authorization": f"Bearer {text}"} for name, text in texts.items()}
    return found | {"anonymous": {}, "session": session_of(people["approver2"])}


def own_token(owner) -> str:
    """Of any account, as if it had the permission to make one."""
    made, text = token_of(owner, *(scopes.known().keys() - {DECIDE}))
    ApiToken.objects.filter(pk=made.pk).update(kind=ApiToken.Kind.PERSONAL, scopes=sorted(scopes.known()))
    return text


def session_of(user) -> dict[str, str]:
    client = Client()
    client.force_login(user)
    mask = "t" * 32
    return {
        "Cookie": f"sessionid={client.cookies['sessionid'].value}; csrftoken={mask}",
        "X-CSRFToken": mask,
    }


@pytest.mark.parametrize("mode", GenerationMode)
def test_no_answer_is_a_fault_or_undocumented(contract, lived_in, callers, mode):
    """As each role, with what fits the contract and with what does not, on rows that are there and on any."""
    row = ApprovalRequest.objects.get(concerning="C004")
    for result in contract.get_all_operations():
        for role, who in callers.items():
            try_out = questions(result.ok(), mode, {"Accept-Encoding": "identity"} | who, row)
            if not FULL:  # the same ones each time, others of each role
                try_out = seed(f"{result.ok().label} {role}")(try_out)
            try_out()


def questions(operation, mode: GenerationMode, headers: dict[str, str], row: ApprovalRequest):
    keys = {"id": row.pk, "customer_id": "C004", "sequence": 1}

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode), real=st.booleans())
    def try_out(case, real):
        if real:
            case.path_parameters = {name: keys.get(name, key) for name, key in case.path_parameters.items()}
            if isinstance(case.body, dict) and case.method == "POST":
                case.body["fingerprint"] = row.fingerprint
        response = case.call(headers=headers)
        excluded = [positive_data_acceptance] if valid_and_still_refused(case) else []
        if real:
            excluded.append(negative_data_rejection)  # it may be good data now
        case.validate_response(response, headers=headers, excluded_checks=excluded)

    return try_out
