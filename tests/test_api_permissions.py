"""Who may do what through the API: every operation of the contract, with every role and every scope. What is
not in the table fails."""

import json
from collections.abc import Callable

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db import transaction
from drf_spectacular.generators import SchemaGenerator

from approvals import scopes, services
from approvals.models import ApiToken, ApprovalRequest
from approvals.rules import Refusal
from approvals.services import tokens
from journeys.api.receiving import RECEIVED
from journeys.models import PipelineRun
from journeys.records import CustomerRecord, OutcomeRecord, SignalRecord, StateRecord
from tests import acting
from tests.acting import PASSWORD
from tests.api import Caller
from tests.runs import run_pipeline

pytestmark = pytest.mark.django_db

# `service` is a program whose account is in Managers, `Integrations` one in that group, each with a service's
# token of every scope. Everybody else has a token of their own with every scope. The trail gives those
# without the permission their own acts.
ROLES = (
    "anonymous", "nobody", "Operators", "Approvers", "Managers", "Auditors", "superuser", "service",
    "Integrations",
)  # fmt: skip
TABLE = """
list_customers                      | customers:read     |  –  |  –  | yes | yes | yes | yes | yes | yes | yes
get_customer                        | customers:read     |  –  |  –  | yes | yes | yes | yes | yes | yes | yes
list_journey_states                 | customers:read     |  –  |  –  | yes | yes | yes | yes | yes | yes | yes
get_journey_state                   | customers:read     |  –  |  –  | yes | yes | yes | yes | yes | yes | yes
list_signals                        | signals:read       |  –  |  –  | yes | yes | yes | yes | yes | yes | yes
get_signal                          | signals:read       |  –  |  –  | yes | yes | yes | yes | yes | yes | yes
list_assessments                    | assessments:read   |  –  |  –  | yes | yes | yes | yes | yes | yes |  –
get_assessment                      | assessments:read   |  –  |  –  | yes | yes | yes | yes | yes | yes |  –
list_suppressed                     | assessments:read   |  –  |  –  | yes | yes | yes | yes | yes | yes |  –
get_suppressed                      | assessments:read   |  –  |  –  | yes | yes | yes | yes | yes | yes |  –
list_interventions                  | interventions:read |  –  |  –  | yes | yes | yes | yes | yes | yes | yes
get_intervention                    | interventions:read |  –  |  –  | yes | yes | yes | yes | yes | yes | yes
list_executions                     | interventions:read |  –  |  –  | yes | yes | yes | yes | yes | yes |  –
get_execution                       | interventions:read |  –  |  –  | yes | yes | yes | yes | yes | yes |  –
list_outcomes                       | outcomes:read      |  –  |  –  | yes | yes | yes | yes | yes | yes | yes
get_outcome                         | outcomes:read      |  –  |  –  | yes | yes | yes | yes | yes | yes | yes
list_runs                           | runs:read          |  –  |  –  | yes | yes | yes | yes | yes | yes |  –
get_run                             | runs:read          |  –  |  –  | yes | yes | yes | yes | yes | yes |  –
list_findings                       | runs:read          |  –  |  –  | yes | yes | yes | yes | yes | yes |  –
get_finding                         | runs:read          |  –  |  –  | yes | yes | yes | yes | yes | yes |  –
list_reports                        | runs:read          |  –  |  –  | yes | yes | yes | yes | yes | yes |  –
get_report                          | runs:read          |  –  |  –  | yes | yes | yes | yes | yes | yes |  –
list_decisions                      | approvals:read     |  –  |  –  | yes | yes | yes | yes | yes | yes |  –
get_decision                        | approvals:read     |  –  |  –  | yes | yes | yes | yes | yes | yes |  –
list_audit_events                   | audit:read         |  –  | yes | yes | yes | yes | yes | yes | yes | yes
get_audit_event                     | audit:read         |  –  |  –  |  –  |  –  |  –  | yes | yes |  –  |  –
list_approval_requests              | approvals:read     |  –  |  –  | yes | yes | yes | yes | yes | yes |  –
get_approval_request                | approvals:read     |  –  |  –  | yes | yes | yes | yes | yes | yes |  –
approve_approval_request            | approvals:decide   |  –  |  –  |  –  | yes | yes |  –  |  –  |  –  |  –
reject_approval_request             | approvals:decide   |  –  |  –  |  –  | yes | yes |  –  |  –  |  –  |  –
approve_with_changes_approval_request | approvals:decide  |  –  |  –  |  –  | yes | yes |  –  |  –  |  –  |  –
ask_for_changes_approval_request    | approvals:decide   |  –  |  –  |  –  | yes | yes |  –  |  –  |  –  |  –
revise_approval_request             | approvals:decide   |  –  |  –  | yes | yes | yes |  –  | yes |  –  |  –
claim_approval_request              | approvals:decide   |  –  |  –  |  –  | yes | yes |  –  |  –  |  –  |  –
release_approval_request            | approvals:decide   |  –  |  –  |  –  | yes | yes |  –  |  –  |  –  |  –
hand_on_approval_request            | approvals:decide   |  –  |  –  |  –  | yes | yes |  –  |  –  |  –  |  –
take_over_approval_request          | approvals:decide   |  –  |  –  |  –  |  –  | yes |  –  |  –  |  –  |  –
revoke_approval_request             | approvals:decide   |  –  |  –  |  –  | yes | yes |  –  |  –  |  –  |  –
create_customer                     | customers:write    |  –  |  –  |  –  |  –  |  –  |  –  | yes |  –  | yes
batch_customers                     | customers:write    |  –  |  –  |  –  |  –  |  –  |  –  | yes |  –  | yes
create_journey_state                | customers:write    |  –  |  –  |  –  |  –  |  –  |  –  | yes |  –  | yes
batch_journey_states                | customers:write    |  –  |  –  |  –  |  –  |  –  |  –  | yes |  –  | yes
create_signal                       | signals:write      |  –  |  –  |  –  |  –  |  –  |  –  | yes |  –  | yes
batch_signals                       | signals:write      |  –  |  –  |  –  |  –  |  –  |  –  | yes |  –  | yes
create_outcome                      | outcomes:write     |  –  |  –  | yes | yes | yes |  –  | yes | yes | yes
batch_outcomes                      | outcomes:write     |  –  |  –  | yes | yes | yes |  –  | yes | yes | yes
create_run                          | runs:write         |  –  |  –  | yes |  –  | yes |  –  | yes | yes |  –
cancel_run                          | runs:write         |  –  |  –  | yes |  –  | yes |  –  | yes | yes |  –
"""


def table() -> dict[str, tuple[str, dict[str, bool]]]:
    rows = {}
    for line in TABLE.strip().splitlines():
        name, scope, *cells = [cell.strip() for cell in line.split("|")]
        rows[name] = scope, dict(zip(ROLES, [cell == "yes" for cell in cells], strict=True))
    return rows


@pytest.fixture
def accounts(people) -> dict:
    users = get_user_model().objects
    program = users.create_user("program")
    program.groups.set(people["manager"].groups.all())
    sender = users.create_user("sender")
    sender.groups.add(Group.objects.get(name="Integrations"))
    return {
        "anonymous": None,
        "nobody": users.create_user("nobody", password=PASSWORD),
        "Operators": people["operator"],
        "Approvers": people["approver"],
        "Managers": people["manager"],
        "Auditors": people["auditor"],
        "superuser": users.create_superuser("superuser", password=PASSWORD),
        "service": program,
        "Integrations": sender,
    }


def token(user, kind: str, *wanted: str) -> str:
    """Of any account, as if it had the permission to make one."""
    made, text = tokens.make_for_service(
        owner=user, name="test", scopes_wanted={*wanted} - {scopes.DECIDE} or {"audit:read"}, days=1, door="x"
    )
    ApiToken.objects.filter(pk=made.pk).update(kind=kind, scopes=sorted(wanted))
    return text


@pytest.fixture
def callers(accounts) -> dict[str, Caller]:
    found = {}
    for role, user in accounts.items():
        is_program = role in ("service", "Integrations")
        kind = ApiToken.Kind.SERVICE if is_program else ApiToken.Kind.PERSONAL
        found[role] = Caller(token(user, kind, *scopes.known()) if user else "")
    return found


# ---- what is asked for, and what has to be there first


def waiting() -> ApprovalRequest:
    return ApprovalRequest.objects.get(concerning="C004")


def _claimed(people, user) -> None:
    """By them where they may, else by somebody else."""
    for reviewer in filter(None, (user, people["manager2"])):
        try:
            services.claim(request_id=waiting().pk, user=reviewer, door="test")
        except Refusal:
            continue
        return


def _sent_back(people, user) -> None:
    row = waiting()
    services.ask_for_changes(
        request_id=row.pk, fingerprint=row.fingerprint, user=people["manager2"], note="Shorter.", door="test"
    )


def _under_review(people, user) -> None:
    services.claim(request_id=waiting().pk, user=people["approver2"], door="test")


def _approved(people, user) -> None:
    acting.decide(waiting(), people["manager2"])


def _nothing(people, user) -> None:
    pass


ACTS: dict[str, tuple[Callable, dict]] = {
    "approve": (_nothing, {}),
    "reject": (_nothing, {"category": "other", "reason": "It is so."}),
    "approve-with-changes": (_nothing, {"changes": {"body": "Shorter."}}),
    "ask-for-changes": (_nothing, {"note": "Shorter."}),
    "revise": (_sent_back, {"note": "It is so."}),
    "claim": (_nothing, {}),
    "release": (_claimed, {}),
    "hand-on": (_claimed, {"to": "approver2"}),
    "take-over": (_under_review, {"note": "They are away."}),
    "revoke": (_approved, {"reason": "Not now."}),
}


SENT = {
    "customers": RECEIVED[CustomerRecord],
    "journey-states": RECEIVED[StateRecord] | {"customer_id": "C001"},
    "signals": RECEIVED[SignalRecord] | {"customer_id": "C001"},
    "outcomes": RECEIVED[OutcomeRecord] | {"intervention_id": "I001"},
}


def operations() -> list[tuple[str, str, str]]:
    """(id, method, path) of everything in the contract."""
    schema = SchemaGenerator().get_schema(request=None, public=True)
    return [
        (operation["operationId"], method, path)
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]


def key_of(path: str, reader: Caller) -> str:
    """The key of a row that is there."""
    name = path.removeprefix("/api/v1/").partition("/")[0]
    if "{" not in path:
        return ""
    if name == "approval-requests":
        return str(waiting().pk)
    row = json.loads(reader.get(f"{name}?limit=1").content)["results"][0]
    return str(next(iter(row.values())))


def answer(caller: Caller, method: str, path: str, key: str, people, user):
    address = (
        path if "{" not in path else path.replace("{" + path.partition("{")[2].partition("}")[0] + "}", key)
    )
    if method == "get":
        return caller.get(address)
    name, _, act = path.removeprefix("/api/v1/").partition("/")
    if name in SENT:
        return caller.post(address, {"items": [SENT[name]]} if act else SENT[name])
    if name == "runs":
        # One that waits can be cancelled, and keeps another one from being begun.
        status = PipelineRun.Status.QUEUED if act else PipelineRun.Status.SUCCEEDED
        PipelineRun.objects.update(status=status)
        return caller.post(address, {})
    prepare, body = ACTS[act.rpartition("/")[2]]
    prepare(people, user)
    return caller.post(address, {"fingerprint": waiting().fingerprint, **body})


def test_every_operation_is_for_whom_it_is_meant(people, lived_in, accounts, callers):
    run_pipeline()  # so that something is suppressed
    found = {}
    for name, method, path in operations():
        key = key_of(path, callers["superuser"])
        found[name] = {}
        for role, caller in callers.items():
            with transaction.atomic():
                given = answer(caller, method, path, key, people, accounts[role])
                transaction.set_rollback(True)
            expected = (401,) if role == "anonymous" else (200, 201, 202, 403, 404)
            assert given.status_code in expected, (name, role, given.content)
            found[name][role] = given.status_code < 300
    assert found.keys() == table().keys()
    wrong = [
        f"{name}, {role}: {'may' if may else 'may not'}"
        for name, cells in found.items()
        for role, may in cells.items()
        if may != table()[name][1][role]
    ]
    assert wrong == []


def test_every_operation_takes_its_scope_and_no_other_one_does(people, lived_in, accounts, callers):
    run_pipeline()
    manager = people["manager"]
    by_scope = {scope: Caller(token(manager, ApiToken.Kind.PERSONAL, scope)) for scope in scopes.known()}
    for name, method, path in operations():
        key = key_of(path, callers["superuser"])
        for scope, caller in by_scope.items():
            with transaction.atomic():
                given = answer(caller, method, path, key, people, manager)
                transaction.set_rollback(True)
            missing = given.status_code == 403 and b"scope-missing" in given.content
            assert missing == (scope != table()[name][0]), (name, scope, given.content)
