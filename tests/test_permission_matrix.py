"""Who may open and do what: every address, with every role. What is not in the table fails."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest
from axes.models import AccessAttempt, AccessFailureLog
from django.contrib.auth import get_user_model
from django.db import transaction
from django.test import Client
from django.utils import timezone

from approvals import outbox
from approvals.models import Delegation, WebhookDelivery
from approvals.rules import Status
from journeys.models import Assignment, Measurement
from journeys.services import policies
from tests import hooks
from tests.api import token_of
from tests.forms import acts
from tests.situations import situations, waiting
from tests.trials.portfolio import PASSWORD
from tests.urls import Address, addresses

pytestmark = pytest.mark.django_db

# Two things are not plain from the rows. A page of Django's own that is named by its path leads on to its
# `change`, and says nothing by itself. A superuser has every permission and no limit of authority: they may
# ask for what a second person has to confirm, and decide nothing of value.
ROLES = ("anonymous", "staff", "Operators", "Approvers", "Managers", "Auditors", "superuser")
MATRIX = """
/                                                 | yes | yes | yes | yes | yes | yes | yes
index                                             | –   | yes | yes | yes | yes | yes | yes
login                                             | yes | –   | –   | –   | –   | –   | –
do logout                                         | –   | yes | yes | yes | yes | yes | yes
password_change                                   | –   | yes | yes | yes | yes | yes | yes
password_change_done                              | –   | yes | yes | yes | yes | yes | yes
autocomplete                                      | –   | –   | –   | –   | –   | –   | –
jsi18n                                            | –   | yes | yes | yes | yes | yes | yes
view_on_site                                      | –   | –   | –   | –   | –   | –   | –
auth_user_password_change                         | –   | –   | –   | –   | –   | –   | yes
edit auth_user_password_change                    | –   | –   | –   | –   | –   | –   | yes
auth_user_changelist                              | –   | –   | –   | –   | –   | yes | yes
auth_user_add                                     | –   | –   | –   | –   | –   | –   | yes
edit auth_user_add                                | –   | –   | –   | –   | –   | –   | yes
auth_user_history                                 | –   | –   | –   | –   | –   | yes | yes
auth_user_delete                                  | –   | –   | –   | –   | –   | –   | –
edit auth_user_delete                             | –   | –   | –   | –   | –   | –   | –
auth_user_change                                  | –   | –   | –   | –   | –   | yes | yes
edit auth_user_change                             | –   | –   | –   | –   | –   | –   | yes
/admin/auth/user/…/                               | –   | yes | yes | yes | yes | yes | yes
auth_group_changelist                             | –   | –   | –   | –   | –   | yes | yes
auth_group_add                                    | –   | –   | –   | –   | –   | –   | –
edit auth_group_add                               | –   | –   | –   | –   | –   | –   | –
auth_group_history                                | –   | –   | –   | –   | –   | yes | yes
auth_group_delete                                 | –   | –   | –   | –   | –   | –   | –
edit auth_group_delete                            | –   | –   | –   | –   | –   | –   | –
auth_group_change                                 | –   | –   | –   | –   | –   | yes | yes
edit auth_group_change                            | –   | –   | –   | –   | –   | –   | –
/admin/auth/group/…/                              | –   | yes | yes | yes | yes | yes | yes
approvals_delegation_changelist                   | –   | –   | yes | yes | yes | yes | yes
do approvals_delegation_delegate                  | –   | –   | yes | yes | yes | yes | yes
do approvals_delegation_end                       | –   | –   | yes | yes | yes | yes | yes
approvals_delegation_change                       | –   | –   | –   | –   | –   | yes | yes
approvals_authoritylimit_changelist               | –   | –   | yes | yes | yes | yes | yes
do approvals_authoritylimit_propose               | –   | –   | yes | –   | yes | –   | yes
do approvals_authoritylimit_propose-membership    | –   | –   | yes | –   | yes | –   | yes
do approvals_authoritylimit_propose-change        | –   | –   | yes | –   | yes | –   | yes
do approvals_authoritylimit_propose-removal       | –   | –   | yes | –   | yes | –   | yes
approvals_authoritylimit_change                   | –   | –   | yes | yes | yes | yes | yes
approvals_approvalrequest_changelist              | –   | –   | yes | yes | yes | yes | yes
approvals_approvalrequest_figures                 | –   | –   | yes | yes | yes | yes | yes
do approvals_approvalrequest_decide-several       | –   | –   | –   | yes | yes | –   | –
do approvals_approvalrequest_decide               | –   | –   | –   | yes | yes | –   | –
do approvals_approvalrequest_revise               | –   | –   | yes | yes | yes | –   | yes
do approvals_approvalrequest_claim                | –   | –   | –   | yes | yes | –   | –
do approvals_approvalrequest_release              | –   | –   | –   | yes | yes | –   | –
do approvals_approvalrequest_hand-on              | –   | –   | –   | yes | yes | –   | –
do approvals_approvalrequest_take-over            | –   | –   | –   | –   | yes | –   | –
do approvals_approvalrequest_revoke               | –   | –   | –   | yes | yes | –   | –
approvals_approvalrequest_change                  | –   | –   | yes | yes | yes | yes | yes
approvals_preferences_changelist                  | –   | yes | yes | yes | yes | yes | yes
do approvals_preferences_choose-monthly-report    | –   | yes | yes | yes | yes | yes | yes
do approvals_preferences_choose-time-zone         | –   | yes | yes | yes | yes | yes | yes
approvals_apitoken_changelist                     | –   | –   | yes | yes | yes | yes | yes
do approvals_apitoken_make-own                    | –   | –   | yes | yes | yes | –   | yes
do approvals_apitoken_make-for-service            | –   | –   | –   | –   | –   | –   | yes
do approvals_apitoken_rotate                      | –   | –   | yes | yes | yes | –   | yes
do approvals_apitoken_revoke                      | –   | –   | yes | yes | yes | –   | yes
approvals_apitoken_change                         | –   | –   | –   | –   | –   | yes | yes
approvals_auditevent_changelist                   | –   | yes | yes | yes | yes | yes | yes
approvals_auditevent_export                       | –   | –   | –   | –   | –   | yes | yes
approvals_auditevent_change                       | –   | –   | –   | –   | –   | yes | yes
approvals_decision_changelist                     | –   | –   | yes | yes | yes | yes | yes
approvals_decision_change                         | –   | –   | yes | yes | yes | yes | yes
approvals_webhookendpoint_changelist              | –   | –   | yes | –   | yes | yes | yes
do approvals_webhookendpoint_add                  | –   | –   | –   | –   | yes | –   | yes
do approvals_webhookendpoint_choose               | –   | –   | –   | –   | yes | –   | yes
do approvals_webhookendpoint_test                 | –   | –   | –   | –   | yes | –   | yes
do approvals_webhookendpoint_replay-failed        | –   | –   | –   | –   | yes | –   | yes
do approvals_webhookendpoint_rotate               | –   | –   | –   | –   | yes | –   | yes
do approvals_webhookendpoint_disable              | –   | –   | –   | –   | yes | –   | yes
approvals_webhookendpoint_change                  | –   | –   | yes | –   | yes | yes | yes
approvals_webhookdelivery_changelist              | –   | –   | yes | –   | yes | yes | yes
do approvals_webhookdelivery_replay               | –   | –   | –   | –   | yes | –   | yes
approvals_webhookdelivery_change                  | –   | –   | yes | –   | yes | yes | yes
journeys_customer_changelist                      | –   | –   | yes | yes | yes | yes | yes
do journeys_customer_propose                      | –   | –   | yes | yes | yes | –   | yes
do journeys_customer_wish                         | –   | –   | yes | –   | yes | –   | yes
do journeys_customer_end-wish                     | –   | –   | yes | –   | yes | –   | yes
journeys_customer_change                          | –   | –   | yes | yes | yes | yes | yes
journeys_journeystate_changelist                  | –   | –   | yes | yes | yes | yes | yes
journeys_journeystate_change                      | –   | –   | yes | yes | yes | yes | yes
journeys_signal_changelist                        | –   | –   | yes | yes | yes | yes | yes
do journeys_signal_link                           | –   | –   | yes | –   | –   | –   | yes
journeys_signal_change                            | –   | –   | yes | yes | yes | yes | yes
journeys_execution_changelist                     | –   | –   | yes | yes | yes | yes | yes
journeys_execution_change                         | –   | –   | yes | yes | yes | yes | yes
journeys_executionswitch_changelist               | –   | –   | yes | yes | yes | yes | yes
do journeys_executionswitch_stop                  | –   | –   | yes | yes | yes | –   | yes
do journeys_executionswitch_set                   | –   | –   | yes | yes | yes | –   | yes
journeys_executionswitch_change                   | –   | –   | yes | yes | yes | yes | yes
journeys_finding_changelist                       | –   | –   | yes | yes | yes | yes | yes
do journeys_finding_link                          | –   | –   | yes | –   | –   | –   | yes
do journeys_finding_dismiss                       | –   | –   | yes | –   | –   | –   | yes
journeys_finding_change                           | –   | –   | yes | yes | yes | yes | yes
journeys_intervention_changelist                  | –   | –   | yes | yes | yes | yes | yes
do journeys_intervention_finish                   | –   | –   | yes | –   | yes | –   | yes
do journeys_intervention_end                      | –   | –   | yes | –   | yes | –   | yes
do journeys_intervention_outcome                  | –   | –   | yes | yes | yes | –   | yes
journeys_intervention_change                      | –   | –   | yes | yes | yes | yes | yes
journeys_outcome_changelist                       | –   | –   | yes | yes | yes | yes | yes
journeys_outcome_change                           | –   | –   | yes | yes | yes | yes | yes
journeys_policy_changelist                        | –   | –   | yes | yes | yes | yes | yes
do journeys_policy_activate                       | –   | –   | –   | –   | yes | –   | yes
journeys_policy_change                            | –   | –   | yes | yes | yes | yes | yes
journeys_pipelinerun_changelist                   | –   | –   | yes | yes | yes | yes | yes
do journeys_pipelinerun_run-now                   | –   | –   | yes | –   | yes | –   | yes
do journeys_pipelinerun_cancel                    | –   | –   | yes | –   | yes | –   | yes
journeys_pipelinerun_report_latest                | –   | –   | yes | yes | yes | yes | yes
journeys_pipelinerun_report                       | –   | –   | yes | yes | yes | yes | yes
journeys_pipelinerun_change                       | –   | –   | yes | yes | yes | yes | yes
journeys_assessment_changelist                    | –   | –   | yes | yes | yes | yes | yes
journeys_assessment_portfolio                     | –   | –   | yes | yes | yes | yes | yes
journeys_assessment_risen                         | –   | –   | yes | yes | yes | yes | yes
journeys_assessment_change                        | –   | –   | yes | yes | yes | yes | yes
journeys_assignment_changelist                    | –   | –   | yes | yes | yes | yes | yes
journeys_assignment_change                        | –   | –   | yes | yes | yes | yes | yes
journeys_assignment_results                       | –   | –   | yes | yes | yes | yes | yes
journeys_assignment_rows                          | –   | –   | yes | yes | yes | yes | yes
journeys_measurement_changelist                   | –   | –   | yes | yes | yes | yes | yes
journeys_measurement_change                       | –   | –   | yes | yes | yes | yes | yes
axes_accessattempt_changelist                     | –   | –   | –   | –   | –   | yes | yes
axes_accessattempt_add                            | –   | –   | –   | –   | –   | –   | –
edit axes_accessattempt_add                       | –   | –   | –   | –   | –   | –   | –
axes_accessattempt_history                        | –   | –   | –   | –   | –   | yes | yes
axes_accessattempt_delete                         | –   | –   | –   | –   | –   | –   | yes
edit axes_accessattempt_delete                    | –   | –   | –   | –   | –   | –   | yes
axes_accessattempt_change                         | –   | –   | –   | –   | –   | yes | yes
edit axes_accessattempt_change                    | –   | –   | –   | –   | –   | –   | yes
/admin/axes/accessattempt/…/                      | –   | yes | yes | yes | yes | yes | yes
axes_accesslog_changelist                         | –   | –   | –   | –   | –   | yes | yes
axes_accesslog_add                                | –   | –   | –   | –   | –   | –   | –
edit axes_accesslog_add                           | –   | –   | –   | –   | –   | –   | –
axes_accesslog_history                            | –   | –   | –   | –   | –   | yes | yes
axes_accesslog_delete                             | –   | –   | –   | –   | –   | –   | –
edit axes_accesslog_delete                        | –   | –   | –   | –   | –   | –   | –
axes_accesslog_change                             | –   | –   | –   | –   | –   | yes | yes
edit axes_accesslog_change                        | –   | –   | –   | –   | –   | –   | –
/admin/axes/accesslog/…/                          | –   | yes | yes | yes | yes | yes | yes
axes_accessfailurelog_changelist                  | –   | –   | –   | –   | –   | yes | yes
axes_accessfailurelog_add                         | –   | –   | –   | –   | –   | –   | –
edit axes_accessfailurelog_add                    | –   | –   | –   | –   | –   | –   | –
axes_accessfailurelog_history                     | –   | –   | –   | –   | –   | yes | yes
axes_accessfailurelog_delete                      | –   | –   | –   | –   | –   | –   | –
edit axes_accessfailurelog_delete                 | –   | –   | –   | –   | –   | –   | –
axes_accessfailurelog_change                      | –   | –   | –   | –   | –   | yes | yes
edit axes_accessfailurelog_change                 | –   | –   | –   | –   | –   | –   | –
/admin/axes/accessfailurelog/…/                   | –   | yes | yes | yes | yes | yes | yes
app_list                                          | –   | –   | yes | yes | yes | yes | yes
/admin/no-such-page/                              | –   | –   | –   | –   | –   | –   | –
/favicon.ico                                      | yes | yes | yes | yes | yes | yes | yes
healthz                                           | yes | yes | yes | yes | yes | yes | yes
"""


def table() -> dict[str, dict[str, bool]]:
    rows = {}
    for line in MATRIX.strip().splitlines():
        name, *cells = [cell.strip() for cell in line.split("|")]
        rows[name] = dict(zip(ROLES, [cell == "yes" for cell in cells], strict=True))
    return rows


# ---- somebody of each role, and a row of every kind


@pytest.fixture
def somebody(people) -> dict:
    users = get_user_model().objects
    return {
        "anonymous": None,
        "staff": users.create_user("staff", password=PASSWORD, is_staff=True),
        "Operators": people["operator"],
        "Approvers": people["approver"],
        "Managers": people["manager"],
        "Auditors": people["auditor"],
        "superuser": users.create_superuser("superuser", password=PASSWORD),
    }


@pytest.fixture
def everything(people, sample_run, lived_in):
    """C004 waits for a decision, C005 is a task with its owner, the operator; the rest is there."""
    policies.add_policy(name="another", document={}, created_by="a test")
    _measured(sample_run)
    token_of(people["manager2"], "customers:read")
    AccessAttempt.objects.create(username="operator", failures_since_start=1)
    AccessFailureLog.objects.create(username="operator")
    now = timezone.now()
    endpoint, _ = hooks.add(people)
    outbox.write("ping", [{}], at=now, to=[endpoint.pk])
    WebhookDelivery.objects.update(state="failed")
    Delegation.objects.create(
        delegator=people["manager2"], delegate=people["approver2"], starts_at=now, ends_at=now + timedelta(1)
    )


def _measured(run) -> None:
    """C009 is held out of an experiment, and was measured."""
    drawn = Assignment.objects.create(
        experiment="first",
        customer_id="C009",
        arm="held_out",
        assigned_on=run.as_of,
        run=run,
        share=0.1,
        recommended_action="general_checkin",
        risk_tier="low",
    )
    Measurement.objects.create(
        assignment=drawn,
        customer_id="C009",
        checkpoint_days=7,
        since=run.as_of,
        until=run.as_of + timedelta(7),
        negative_signals=0,
        positive_signals=0,
        run=run,
    )


# ---- the walk

# Of Django's own pages, those that change something.
EDITS = ("add", "change", "delete", "password_change")


def client_of(user) -> Client:
    client = Client()
    if user:
        client.force_login(user)
    return client


def path_of(address: Address) -> str:
    model = address.model()
    key = model.objects.order_by("pk").values_list("pk", flat=True).first() if model else None
    return address.at(1 if key is None else key)


def opens(address: Address, people, user) -> bool:
    return got_it(client_of(user).get(path_of(address)))


def edits(address: Address, people, user) -> bool:
    """The pages that are Django's own: an empty form comes back to whoever may send one."""
    return got_it(client_of(user).post(path_of(address), {"post": "yes"}))


def does(address: Address, people, user) -> bool:
    key, fields = situations()[address.name](people, user)
    page = client_of(user).post(address.at(key), fields)
    if page.status_code == 200 and b"It is good until" in page.content:  # a token, shown this once
        return True
    if page.status_code == 200:
        pytest.fail(f"{address.name}: neither done nor forbidden.")
    if address.name.endswith("_decide-several"):  # each row answers for itself
        return waiting().status == Status.REJECTED
    return got_it(page)


def got_it(page) -> bool:
    """Sent to the login, or away from what is not theirs, they did not. /healthz may say it is not well."""
    if page.status_code in (301, 302):
        away = page["Location"] == "/admin/" and page.wsgi_request.path.startswith("/admin/")
        return not away and "/login/" not in page["Location"]
    return page.status_code < 400 or page.status_code == 503


def walks() -> dict[str, Callable]:
    """The rows of the table: an address that is opened, `do` for one that acts, `edit` for Django's own."""
    found = {}
    for address in addresses():
        if address.route.startswith("api/"):  # by scope and permission: tests/test_api_permissions.py
            continue
        name = address.name.removeprefix("admin:")
        if name == "logout":
            found["do logout"] = partial(edits, address)
        elif address.name in acts():
            found[f"do {name}"] = partial(does, address)
        else:
            found[name] = partial(opens, address)
            if address.route.startswith(("admin/auth/", "admin/axes/")) and name.endswith(EDITS):
                found[f"edit {name}"] = partial(edits, address)
    return found


def test_every_address_opens_and_does_for_whom_it_is_meant(people, somebody, everything):
    found = {}
    for name, walk in walks().items():
        found[name] = {}
        for role, user in somebody.items():
            with transaction.atomic():
                found[name][role] = walk(people, user)
                transaction.set_rollback(True)
    assert found.keys() == table().keys()
    wrong = [
        f"{name}, {role}: {'may' if answer else 'may not'}"
        for name, cells in found.items()
        for role, answer in cells.items()
        if answer != table()[name][role]
    ]
    assert wrong == []
