"""For each address that acts: what has to be there first, and what has to be sent, as the row's key and the
form."""

from collections.abc import Callable
from datetime import timedelta

from django.utils import timezone

from approvals import services
from approvals.models import ApprovalRequest, AuthorityLimit, Delegation, WebhookDelivery, WebhookEndpoint
from approvals.rules import Refusal
from journeys import pipeline
from journeys.domain.vocabulary import ExecutionStatus, FindingKind, InterventionStatus, OutcomeKind
from journeys.models import Customer, Execution, ExecutionSwitch, Finding, Intervention, Policy
from tests import acting, hooks
from tests.api import token_of
from tests.forms import form
from tests.runs import planned_run
from tests.trials.portfolio import PASSWORD


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
