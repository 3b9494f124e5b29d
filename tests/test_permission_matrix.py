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

from approvals import outbox, services
from approvals.models import (
    ApprovalRequest,
    AuthorityLimit,
    Delegation,
    WebhookDelivery,
    WebhookEndpoint,
)
from approvals.rules import Refusal, Status
from journeys import pipeline
from journeys.domain.vocabulary import ExecutionStatus, FindingKind, InterventionStatus, OutcomeKind
from journeys.models import (
    Assignment,
    Customer,
    Execution,
    ExecutionSwitch,
    Finding,
    Intervention,
    Measurement,
    Policy,
)
from journeys.services import policies
from tests import acting, hooks
from tests.api import token_of
from tests.forms import acts, form
from tests.runs import planned_run
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


# ---- what has to be sent, and what has to be there first; each gives the row's key and the form


def waiting() -> ApprovalRequest:
    return ApprovalRequest.objects.get(concerning="C004")


def seen(**fields):
    return lambda people, user: (waiting().pk, {"fingerprint": waiting().fingerprint, **fields})


def decide(people, user):
    return waiting().pk, form(waiting())


def decide_several(people, user):
    selected = f"{waiting().pk}:{waiting().fingerprint}"
    return None, {"selected": selected, "verdict": "rejected", "category": "other", "reason": "It is so."}


def revise(people, user):
    row = waiting()
    services.ask_for_changes(
        request_id=row.pk, fingerprint=row.fingerprint, user=people["manager2"], note="Shorter.", door="test"
    )
    return row.pk, {"fingerprint": row.fingerprint, "note": "Shorter.", "body": "Short."}


def _claimed(people, user):
    """By them where they may, else by somebody else."""
    for reviewer in filter(None, (user, people["manager2"])):
        try:
            return services.claim(request_id=waiting().pk, user=reviewer, door="test").pk
        except Refusal:
            continue
    return None


def release(people, user):
    return _claimed(people, user), {}


def hand_on(people, user):
    return _claimed(people, user), {"to": "approver2"}


def take_over(people, user):
    services.claim(request_id=waiting().pk, user=people["approver2"], door="test")
    return waiting().pk, {"note": "They are away."}


def revoke(people, user):
    row = waiting()
    acting.decide(row, people["manager2"])
    return row.pk, {"reason": "Not now."}


def switch_on(people, user):
    ExecutionSwitch.objects.update(mode="record_only")
    return None, {"what": "all", "mode": "live", "reason": "All is well."}


def end_wish(people, user):
    Customer.objects.filter(pk="C003").update(do_not_contact=True)
    return "C003", {"reason": "They called."}


def end_unknown(people, user):
    Execution.objects.update(status=ExecutionStatus.UNKNOWN)
    rows = Intervention.objects.filter(execution__isnull=False)
    rows.update(status=InterventionStatus.UNKNOWN)
    return rows.get().pk, {"went_out": "yes", "note": "They answered."}


def delegation_of_theirs(people, user):
    now = timezone.now()
    who = user or people["manager"]
    row = Delegation.objects.create(
        delegator=who, delegate=people["approver2"], starts_at=now, ends_at=now + timedelta(1)
    )
    return row.pk, {}


def token_of_theirs(people, user):
    """Their own, where they may make one."""
    owner = user if user and user.has_perm("approvals.issue_apitoken") else people["manager2"]
    token, _ = token_of(owner, "customers:read")
    return token.pk, {"days": "30", "overlap": "1"}


def make_token(people, user):
    fields = {"name": "CRM", "scopes": "customers:read", "days": "30", "owner": "operator"}
    return None, fields | {"password": PASSWORD}


def _a_limit() -> int:
    return AuthorityLimit.objects.get(name="approvers").pk


def _the_endpoint() -> int:
    return WebhookEndpoint.objects.get().pk


def _limit(**fields):
    return {"group": "Approvers", "max_value": "50000", "escalates_to": "", "reason": "Enough.", **fields}


def _given(key, fields: dict) -> Callable:
    """`key` is a function that finds the row, or None for an act on the list."""
    return lambda people, user: (key() if key else None, fields)


def _dates() -> dict:
    now = timezone.now()
    return {"starts_at": f"{now:%Y-%m-%d %H:%M}", "ends_at": f"{now + timedelta(1):%Y-%m-%d %H:%M}"}


def situations() -> dict[str, Callable]:
    request, customer = "admin:approvals_approvalrequest_", "admin:journeys_customer_"
    endpoint = "admin:approvals_webhookendpoint_"
    limit, intervention = "admin:approvals_authoritylimit_", "admin:journeys_intervention_"
    link = {"customer_id": "C003", "note": "Their old id."}
    return {
        f"{request}decide": decide,
        f"{request}revise": revise,
        f"{request}claim": seen(),
        f"{request}release": release,
        f"{request}hand-on": hand_on,
        f"{request}take-over": take_over,
        f"{request}revoke": revoke,
        f"{customer}propose": _given(
            lambda: "C003",
            {"action": "engagement_checkin", "reason": "They called.", "subject": "", "body": ""},
        ),
        f"{customer}wish": _given(lambda: "C003", {"do_not_contact": "on", "reason": "They asked."}),
        f"{customer}end-wish": end_wish,
        f"{request}decide-several": decide_several,
        "admin:approvals_apitoken_make-own": make_token,
        "admin:approvals_apitoken_make-for-service": make_token,
        "admin:approvals_apitoken_rotate": token_of_theirs,
        "admin:approvals_apitoken_revoke": token_of_theirs,
        "admin:journeys_executionswitch_stop": _given(None, {"reason": "Stop."}),
        "admin:journeys_executionswitch_set": switch_on,
        "admin:journeys_finding_dismiss": _given(
            lambda: Finding.objects.filter(status=Finding.Status.OPEN).first().pk, {"note": "It is so."}
        ),
        "admin:journeys_finding_link": _given(
            lambda: Finding.objects.get(kind=FindingKind.ORPHAN_SIGNAL).pk, link
        ),
        "admin:journeys_signal_link": _given(lambda: "S009", link),
        f"{intervention}finish": _given(
            lambda: Intervention.objects.get(execution__status=ExecutionStatus.WITH_OWNER).pk, {"done": "yes"}
        ),
        f"{intervention}end": end_unknown,
        f"{intervention}outcome": _given(
            lambda: Intervention.objects.filter(status=InterventionStatus.IMPORTED).first().pk,
            {"outcome": next(iter(OutcomeKind)).value, "measured_at": f"{timezone.now():%Y-%m-%d}"},
        ),
        "admin:journeys_policy_activate": _given(
            lambda: Policy.objects.get(active=False).pk, {"note": "It is time.", "reason": "It is time."}
        ),
        "admin:journeys_pipelinerun_run-now": _given(None, {}),
        "admin:journeys_pipelinerun_cancel": _given(lambda: pipeline.queue(planned_run()).pk, {}),
        "admin:approvals_delegation_delegate": _given(None, {"to": "approver2", "reason": "", **_dates()}),
        "admin:approvals_delegation_end": delegation_of_theirs,
        f"{endpoint}add": _given(
            None, {"url": hooks.SOMEWHERE, "events": ["run.finished"], "reason": "It wants to know."}
        ),
        f"{endpoint}choose": _given(_the_endpoint, {"events": ["run.finished"], "reason": "No more."}),
        f"{endpoint}test": _given(_the_endpoint, {}),
        f"{endpoint}replay-failed": _given(_the_endpoint, {"since": "2025-01-01 00:00"}),
        f"{endpoint}rotate": _given(_the_endpoint, {"overlap_hours": 24}),
        f"{endpoint}disable": _given(_the_endpoint, {"reason": "Enough."}),
        "admin:approvals_webhookdelivery_replay": _given(lambda: WebhookDelivery.objects.get().pk, {}),
        "admin:approvals_preferences_choose-monthly-report": _given(None, {"monthly_report": "no"}),
        "admin:approvals_preferences_choose-time-zone": _given(None, {"time_zone": "Europe/Berlin"}),
        f"{limit}propose": _given(None, _limit(name="small")),
        f"{limit}propose-membership": _given(
            None, {"user_name": "auditor", "group": "Approvers", "member": "1", "reason": "A new one."}
        ),
        f"{limit}propose-change": _given(_a_limit, _limit()),
        f"{limit}propose-removal": _given(_a_limit, {"reason": "Too much."}),
    }


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
