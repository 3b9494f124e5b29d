"""Every error of the API is a problem document, wherever it was made."""

import json
import logging

import pytest
from django.db import OperationalError
from django.test import Client

from approvals import rules
from approvals.api import problems
from cjo_site.middleware import WithRequestId
from journeys.api.customers import Customers
from journeys.models import PipelineRun
from tests.api import Caller, problem, token_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def caller(people):
    return Caller(token_of(people["operator"], "customers:read")[1])


@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api/v1/", "/api/v1/nothing", "/api/v1/customers/", "/api/v2"]
)
def test_a_path_that_is_not_there_is_a_problem_document(caller, path):
    problem(caller.get(path), 404, "not-found")


def test_what_is_no_part_of_the_api_keeps_its_own_pages(client):
    assert client.get("/nothing")["Content-Type"].startswith("text/html")


def test_an_unknown_path_shows_no_addresses_even_under_debug(caller, settings):
    settings.DEBUG = True
    assert b"urlpatterns" not in caller.get("nothing").content
    problem(caller.get("nothing"), 404, "not-found")


def test_a_row_that_is_not_there_is_named(caller):
    told = problem(caller.get("customers/C404"), 404, "not-found")
    assert told["detail"] == "There is no customer C404."
    assert told["instance"] == "/api/v1/customers/C404"


def test_a_method_that_is_not_there_says_which_are(caller):
    answer = caller.post("customers/C001", {})
    problem(answer, 405, "method-not-allowed")
    assert set(answer["Allow"].split(", ")) == {"GET", "HEAD"}


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PATCH", "PUT", "DELETE", "FOO"])
@pytest.mark.parametrize("path", ["customers", "customers/C001", "customers/batch"])
def test_any_other_method_is_refused_and_no_fault(caller, method, path):
    answer = caller.client.generic(method, f"/api/v1/{path}", headers=caller.headers)
    problem(answer, 405, "method-not-allowed")


def test_a_body_in_chunks_is_refused_and_not_taken_for_none(people):
    caller = Caller(token_of(people["operator"], "runs:write")[1])
    headers = caller.headers | {"Transfer-Encoding": "chunked"}
    problem(caller.client.generic("POST", "/api/v1/runs", headers=headers), 411, "length-required")
    assert not PipelineRun.objects.exists()


def test_a_number_without_end_is_refused_in_our_own_words(people):
    caller = Caller(token_of(people["operator"], "runs:write")[1])
    for digits in (301, 4_301, 100_000):
        answer = caller.post("runs", raw=b'{"as_of": ' + b"9" * digits + b"}")
        assert "too large for a number" in problem(answer, 400, "malformed")["detail"]


@pytest.mark.parametrize("size", [4_900_000, 5_000_001, 19_000_000])
def test_whoever_is_refused_while_they_send_sees_why(caller, size):
    """The server breaks the connection where much is left that nobody has read."""
    for who, path, status in ((Caller(), "customers", 401), (caller, "customers", 403), (caller, "x", 404)):
        answer = who.post(path, raw=b" " * size)
        assert answer.status_code == status
        assert answer.wsgi_request.read() == b""


def test_only_json_goes_out(caller):
    problem(caller.get("customers", Accept="text/html"), 406, "not-acceptable")


def test_a_host_that_is_not_answered_to_is_a_problem_document(caller):
    problem(caller.get("customers", Host="elsewhere.example"), 400, "bad-request")


def test_a_fault_tells_nothing_but_where_to_look_in_the_log(caller, monkeypatch, caplog):
    def fail(*args):
        raise ZeroDivisionError("the password is hunter2")

    monkeypatch.setattr(Customers, "get_queryset", fail)
    with caplog.at_level(logging.ERROR, "django.request"):
        answer = caller.get("customers")
    told = problem(answer, 500, "internal-error")
    assert b"hunter2" not in answer.content
    assert b"ZeroDivision" not in answer.content
    record = next(record for record in caplog.records if record.exc_info)
    assert WithRequestId().filter(record)
    assert record.request_id == f" [{told['request_id']}]"


def test_a_database_that_does_not_answer_asks_to_try_again(caller, monkeypatch):
    def locked(*args):
        raise OperationalError("database is locked")

    monkeypatch.setattr(Customers, "get_queryset", locked)
    answer = caller.get("customers")
    problem(answer, 503, "unavailable")
    assert int(answer["Retry-After"]) > 0


def test_the_id_that_a_caller_sends_is_kept_unless_it_is_none(caller):
    assert caller.get("customers", **{"X-Request-ID": "order-4711.a"})["X-Request-ID"] == "order-4711.a"
    for bad in ("x", "a b c d e f g h", "x" * 65, 'a"><script>'):
        answer = caller.get("customers", **{"X-Request-ID": bad})
        assert len(answer["X-Request-ID"]) == 32


def test_pages_that_are_no_api_carry_an_id_too(client):
    assert len(client.get("/healthz")["X-Request-ID"]) == 32


def test_nobody_is_told_to_show_a_token(db):
    answer = Caller().get("customers")
    problem(answer, 401, "not-authenticated")
    assert answer["WWW-Authenticate"] == 'Bearer realm="api"'


def test_every_refusal_of_every_service_is_told_as_one_kind_of_problem():
    def below(cls):
        for inner in cls.__subclasses__():
            yield inner
            yield from below(inner)

    for refusal in {rules.Refusal, *below(rules.Refusal)}:
        kind = problems.kind_of(refusal.__new__(refusal))
        assert 400 <= problems.KINDS[kind].status < 500


def test_a_session_without_the_csrf_token_is_refused(people):
    client = Client(enforce_csrf_checks=True)
    client.force_login(people["operator"])
    assert client.get("/api/v1/customers").status_code == 200
    answer = client.post("/api/v1/customers", {}, content_type="application/json")
    problem(answer, 403, "forbidden")
    assert "CSRF" in json.loads(answer.content)["detail"]


@pytest.mark.parametrize(
    "query",
    [
        "custmer_id=C001", "segment=", "segment=%20", "segment=SMB&segment=SMB", "segment=small",
        "do_not_contact=maybe", "owner=a%00b", "limit=0", "limit=201", "limit=x", "limit=-1", "limit=%C2%B2",
        "cursor=nonsense", "cursor=W10", "ordering=name", "fields=nonsense", "fields=name,", "format=api",
    ],
)  # fmt: skip
def test_a_query_that_cannot_be_meant_is_refused_and_not_ignored(caller, query):
    told = problem(caller.get(f"customers?{query}"), 400, "bad-query")
    assert told["errors"][0]["parameter"] == query.partition("=")[0]


@pytest.mark.parametrize("key", ["%00", "a%00b", "%0a", "%ED%A0%80", "%ff"])
def test_a_key_that_is_no_text_is_not_found(caller, key):
    problem(caller.get(f"customers/{key}"), 404, "not-found")


@pytest.mark.parametrize("number", ["0", "99999999999999999999", "x", "1.5", "-1"])
def test_a_number_that_no_row_has_is_not_found(caller, number):
    problem(caller.get(f"journey-states/{number}"), 404, "not-found")


def test_no_answer_lets_other_sites_read_it(caller):
    answer = caller.get("customers", Origin="https://elsewhere.example")
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
