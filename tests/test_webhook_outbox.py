"""What is written for endpoints: each event once, with its transaction or not at all, and thin."""

import json
from datetime import date
from decimal import Decimal

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from django_q.models import OrmQ

from approvals import event_types, outbox, services
from approvals.audit import Event, record
from approvals.models import ApprovalRequest, WebhookDelivery, WebhookEndpoint, WebhookMessage
from approvals.rules import Actor, Verdict
from approvals.services import webhooks
from journeys import pipeline, records
from journeys.domain.vocabulary import OutcomeKind
from journeys.models import Customer, Execution, Intervention, PipelineRun
from journeys.models.runs import HEARTBEAT_LIMIT
from journeys.services import execution, intake, outcomes, proposals
from tests import hooks
from tests.acting import PASSWORD, approve, decide, let_the_grace_pass, waiting
from tests.hooks import told, types_told
from tests.pages import ROOT
from tests.runs import planned_run, run_pipeline

pytestmark = pytest.mark.django_db

WORKER = Actor(key="machine:worker", name="the worker", door="worker")
# Every name, address and text in the sample, and what people in these tests write.
PRIVATE = ("The CRM wants", "Dear ", "Not now", "@", "Subject")


@pytest.fixture
def endpoint(people, sample):
    return hooks.add(people)[0]


@pytest.fixture
def ran(endpoint, settings):
    """The run over the sample, told of to an endpoint."""
    settings.DEBUG = True
    return run_pipeline()


def forget():
    WebhookMessage.objects.all().delete()


def data_of(name):
    return [data for kind, data in told() if kind == name]


# ---- which


def test_a_run_tells_of_each_proposal_of_what_waits_for_people_and_of_its_end(ran):
    proposed = Intervention.objects.filter(run=ran)
    pending = proposed.filter(status="pending")
    assert 0 < pending.count() < proposed.count()
    assert types_told().count("intervention.proposed") == proposed.count()
    assert {data["subject_id"] for data in data_of("approval.requested")} == {row.pk for row in pending}
    by_policy = data_of("approval.decided")
    assert {data["authority"] for data in by_policy} == {"policy"}
    assert len(by_policy) == proposed.count() - pending.count()
    [finished] = data_of("run.finished")
    assert finished["run_id"] == ran.pk
    assert finished["status"] == "succeeded"
    assert finished["counts"]["proposed"] == proposed.count()


def test_a_proposal_by_hand_is_told_like_any_other(endpoint, people):
    proposals.propose(
        customer_id="C004",
        action="usage_review_checkin",
        subject="",
        body="",
        reason="They called.",
        user=people["operator"],
        door="test",
    )
    assert types_told() == ["approval.requested", "intervention.proposed"]
    assert data_of("intervention.proposed")[0]["origin"] == "person"


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_decision_is_told_with_who_made_it(ran, people, verdict):
    forget()
    decision = decide(waiting("C004"), people["approver"], verdict, reason="Not now.")
    [(name, data)] = told()
    assert name == "approval.decided"
    assert data["status"] == verdict.value
    assert data["authority"] == "person"
    assert data["decided_by"] == f"user:{people['approver'].pk}"
    assert data["request_id"] == decision.request_id
    assert data["fingerprint"] == decision.fingerprint


def test_one_of_two_approvals_decides_nothing_and_is_not_told(endpoint, people, settings):
    settings.DEBUG = True
    Customer.objects.filter(pk="C004").update(account_value=150_000)
    run_pipeline()
    forget()
    decide(waiting("C004"), people["manager"], reason="Yes.", password=PASSWORD)
    assert types_told() == []
    decide(waiting("C004"), people["manager2"], reason="Yes.", password=PASSWORD)
    assert types_told() == ["approval.decided"]


def test_taking_an_approval_back_is_a_decision_too(ran, people):
    request = waiting("C004")
    decide(request, people["approver"])
    forget()
    services.revoke(request_id=request.pk, user=people["manager"], reason="Not now.", door="test")
    [(name, data)] = told()
    assert (name, data["status"]) == ("approval.decided", "revoked")


def test_what_nobody_decided_in_time_has_expired(ran):
    forget()
    ApprovalRequest.objects.pending().update(expires_at=timezone.now())
    expired = services.expire_overdue(actor=WORKER)
    assert types_told() == ["approval.expired"] * expired
    assert {data["was"] for data in data_of("approval.expired")} == {"pending"}


def test_what_was_carried_out_is_told_with_how_far_it_went(ran, people, mailbox, live):
    intervention = approve("C004", people["approver"])
    forget()
    execution.execute(intervention_id=intervention.pk)
    [(name, data)] = told()
    assert name == "intervention.executed"
    assert (data["intervention_id"], data["mode"], data["attempts"]) == (intervention.pk, "live", 1)


def test_what_is_only_put_on_record_says_so(ran, people):
    intervention = approve("C004", people["approver"])
    forget()
    execution.execute(intervention_id=intervention.pk)
    assert [(name, data["mode"]) for name, data in told()] == [("intervention.executed", "record_only")]


def test_what_failed_for_good_is_told_and_what_is_tried_again_is_not(
    ran, people, live, bad_mail_server, policy_with
):
    intervention = approve("C004", people["approver"])
    forget()
    with bad_mail_server(RCPT="451 later"):
        execution.execute(intervention_id=intervention.pk)
    assert types_told() == []
    Execution.objects.update(retry_at=None)
    with bad_mail_server(RCPT="550 never"):
        execution.execute(intervention_id=intervention.pk)
    assert [(name, data["attempts"]) for name, data in told()] == [("intervention.failed", 2)]


@pytest.mark.parametrize(("done", "name"), [(True, "intervention.executed"), (False, "intervention.failed")])
def test_a_task_is_told_once_its_owner_has_ended_it(ran, people, live, done, name):
    intervention = approve("C005", people["approver"])
    forget()
    row = execution.execute(intervention_id=intervention.pk)
    assert types_told() == []
    execution.finish_task(
        execution_id=row.pk, user=people["operator"], done=done, note="It is so.", door="test"
    )
    assert types_told() == [name]


def test_an_outcome_is_told_by_its_own_id_with_money_in_its_currency(ran, people):
    intervention = approve("C004", people["approver"])
    execution.execute(intervention_id=intervention.pk)
    for saved in (None, Decimal("1200.5")):
        forget()
        row = outcomes.record_outcome(
            intervention_id=intervention.pk,
            outcome=next(iter(OutcomeKind)),
            resolution_time_days=None,
            csat_delta=None,
            churn_risk_delta=-0.25,
            estimated_revenue_saved=saved,
            human_override=None,
            measured_at=date.today(),  # noqa: DTZ011 - the day, wherever this runs
            user=people["operator"],
            door="test",
        )
        [(name, data)] = told()
        assert (name, data["outcome_id"]) == ("outcome.recorded", row.pk)
        assert data["csat_delta"] is None
        currency = intervention.customer.currency
        expected = None if saved is None else {"amount": "1200.50", "currency": currency}
        assert data["estimated_revenue_saved"] == expected


def test_an_outcome_that_another_system_sends_is_told_and_a_correction_again(ran, people):
    intervention = approve("C004", people["approver"])
    execution.execute(intervention_id=intervention.pk)
    forget()
    fields = {"outcome_id": "O100", "intervention_id": intervention.pk, "measured_at": timezone.now().date()}
    for outcome in ("resolved", "resolved", "no_response"):
        intake.save_outcome(**fields, outcome=outcome)
    assert [(name, data["outcome_id"], data["outcome"]) for name, data in told()] == [
        ("outcome.recorded", "O100", "resolved"),
        ("outcome.recorded", "O100", "no_response"),
    ]


def test_an_outcome_that_is_imported_is_history(ran, people):
    intervention = approve("C004", people["approver"])
    execution.execute(intervention_id=intervention.pk)
    forget()
    raw = {"outcome_id": "O100", "intervention_id": intervention.pk, "outcome": "resolved"}
    raw["measured_at"] = timezone.now().date()
    intake.take([records.parse(records.OutcomeRecord, raw, today=timezone.now().date())])
    assert told() == []


def test_a_run_that_breaks_has_ended_as_well(endpoint, monkeypatch):
    def broken(*arguments):
        raise RuntimeError("It broke.")

    monkeypatch.setattr(pipeline.looking, "store_range", broken)
    with pytest.raises(pipeline.RunFailed):
        run_pipeline()
    assert [(name, data["status"]) for name, data in told()] == [("run.finished", "failed")]


def test_a_run_that_went_silent_has_ended_once_somebody_notices(endpoint):
    silent = planned_run()
    silent.status, silent.heartbeat_at = "running", timezone.now() - 2 * HEARTBEAT_LIMIT
    silent.save()
    run_pipeline()
    ended = {data["run_id"]: data["status"] for data in data_of("run.finished")}
    assert ended == {silent.pk: "failed", PipelineRun.objects.latest("pk").pk: "succeeded"}


def test_a_run_that_is_cancelled_has_ended_whether_it_had_begun_or_not(endpoint):
    queued = pipeline.queue(planned_run())
    pipeline.cancel(queued.pk, actor=WORKER)
    assert [data["run_id"] for data in data_of("run.finished")] == [queued.pk]
    under_way = planned_run()
    pipeline.run(under_way, on_progress=lambda customers: pipeline.cancel(under_way.pk, actor=WORKER))
    ended = {data["run_id"]: data["status"] for data in data_of("run.finished")}
    assert ended == {queued.pk: "cancelled", under_way.pk: "cancelled"}


def test_a_dry_run_that_is_kept_says_that_it_is_one(endpoint):
    kept = pipeline.queue(planned_run(dry_run=True))
    pipeline.run_queued(kept.pk)
    assert [(name, data["dry_run"]) for name, data in told()] == [("run.finished", True)]


def test_a_dry_run_that_is_not_kept_tells_of_nothing(endpoint):
    pipeline.run(planned_run(dry_run=True))
    assert told() == []


def test_a_look_at_what_was_received_tells_by_what_it_proposes_alone(endpoint):
    """It comes by the second: its end is nobody's news."""
    intake.record_signal(
        signal_id="S-new",
        customer_id="C004",
        signal_type="usage_drop",
        signal_strength=0.9,
        detected_at=timezone.now(),
    )
    pipeline.look_at_marked()
    assert PipelineRun.objects.filter(scope=PipelineRun.Scope.MARKED).exists()
    assert "run.finished" not in types_told()


# ---- to whom


def test_only_what_was_chosen_is_written_and_once_for_all_endpoints(people, sample, settings):
    settings.DEBUG = True
    one, _ = hooks.add(people, events=["approval.requested", "run.finished"])
    other, _ = hooks.add(people, events=["run.finished"])
    forget()
    run_pipeline()
    assert set(types_told()) == {"approval.requested", "run.finished"}
    finished = WebhookMessage.objects.get(type="run.finished")
    assert {row.endpoint_id for row in finished.deliveries.all()} == {one.pk, other.pk}
    assert {row.message.type for row in other.deliveries.all()} == {"run.finished"}


def test_an_endpoint_that_is_off_is_told_of_nothing(endpoint, people):
    webhooks.disable(endpoint_id=endpoint.pk, reason="Enough.", user=people["manager"], door="test")
    run_pipeline()
    assert told() == []


def test_an_endpoint_is_told_from_the_moment_at_which_it_is_switched_on(people, ran):
    request = waiting("C004")
    WebhookEndpoint.objects.update(enabled=False)
    forget()
    decide(request, people["approver"])
    assert told() == []
    WebhookEndpoint.objects.update(enabled=True)
    decide(waiting("C005"), people["approver"])
    assert types_told() == ["approval.decided"]


# ---- with the transaction


def test_what_is_rolled_back_was_never_written(ran, people):
    forget()
    request = waiting("C004")
    with transaction.atomic():
        decide(request, people["approver"])
        assert WebhookMessage.objects.count() == WebhookDelivery.objects.count() == 1
        transaction.set_rollback(True)
    assert not WebhookMessage.objects.exists()
    assert not WebhookDelivery.objects.exists()


def test_an_event_that_cannot_be_told_is_no_event(endpoint, people, monkeypatch):
    """Rather nothing happens than that something happens of which nobody is told."""
    run_pipeline()
    request = waiting("C004")
    broken = event_types.EventType(
        name="approval.decided", label="", words=frozenset({"request.approved"}), data=lambda events: 1 / 0
    )
    monkeypatch.setitem(event_types._TYPES, "approval.decided", broken)
    with pytest.raises(ZeroDivisionError):
        decide(request, people["approver"])
    request.refresh_from_db()
    assert request.status == "pending"


@pytest.mark.django_db(transaction=True)
def test_the_bell_rings_once_a_transaction_and_only_once_it_is_committed(people, sample):
    hooks.add(people)
    OrmQ.objects.all().delete()

    def bells():
        return [row.func() for row in OrmQ.objects.all()].count(outbox.TASK)

    with transaction.atomic():
        for _ in range(3):
            a_run_ends()
        assert bells() == 0
    assert bells() == 1
    with transaction.atomic():
        a_run_ends()
        transaction.set_rollback(True)
    assert bells() == 1


def a_run_ends():
    run = planned_run()
    run.save()
    record([Event(word="run.finished", actor=WORKER, kind="run", subject_key=str(run.pk))])


# ---- what


def test_what_is_told_is_thin(ran, people):
    """Ids, words and figures; no names, addresses or texts."""
    text = " ".join(WebhookMessage.objects.values_list("body", flat=True))
    names = [name for name in Customer.objects.values_list("name", flat=True) if name]
    mails = [mail for mail in Customer.objects.values_list("email", flat=True) if mail]
    assert names
    assert mails
    assert [word for word in (*names, *mails, *PRIVATE) if word in text] == []


def test_the_body_has_the_three_parts_of_the_standard_and_the_time_of_the_event(ran, people):
    decision = decide(waiting("C004"), people["approver"])
    body = json.loads(WebhookMessage.objects.filter(type="approval.decided").latest("at").body)
    assert body.keys() == {"type", "timestamp", "data"}
    assert body["timestamp"] == decision.event.at.isoformat()
    assert body["data"]["url"] == (
        f"http://testserver/admin/approvals/approvalrequest/{decision.request_id}/change/"
    )


def test_the_documentation_shows_every_event_with_the_fields_that_it_has(ran, people, live, mailbox):
    approve("C004", people["approver"])
    let_the_grace_pass()
    execution.execute_due()
    outcome_of = Intervention.objects.filter(status="executed").first()
    outcomes.record_outcome(
        intervention_id=outcome_of.pk,
        outcome=next(iter(OutcomeKind)),
        resolution_time_days=None,
        csat_delta=None,
        churn_risk_delta=None,
        estimated_revenue_saved=None,
        human_override=None,
        measured_at=date.today(),  # noqa: DTZ011 - any day will do
        user=people["operator"],
        door="test",
    )
    ApprovalRequest.objects.pending().update(expires_at=timezone.now())
    services.expire_overdue(actor=WORKER)
    shown = {}
    page = (ROOT / "docs" / "webhooks.md").read_text()
    for block in page.split("```json\n")[1:]:
        example = json.loads(block.split("```")[0])
        shown[example["type"]] = example["data"].keys()
    assert shown.keys() - {"ping"} == event_types.labels().keys()
    found = {name: data.keys() for name, data in told()}
    assert found | {"intervention.failed": found["intervention.executed"]} == {
        name: fields for name, fields in shown.items() if name != "ping"
    }


# ---- at what cost


def test_without_endpoints_an_event_costs_one_look(people, sample_run):
    with CaptureQueriesContext(connection) as queries:
        decide(waiting("C004"), people["approver"])
    looks = [query["sql"] for query in queries if "webhook" in query["sql"]]
    assert len(looks) == 1
    assert looks[0].startswith("SELECT")


def test_what_is_no_event_costs_nothing(people, sample_run):
    with CaptureQueriesContext(connection) as queries:
        services.claim(request_id=waiting("C004").pk, user=people["approver"], door="test")
    assert not [query for query in queries if "webhook" in query["sql"]]


def test_thousands_of_proposals_are_written_in_few_statements(people, sample, settings):
    hooks.add(people)
    requests = [_new_request(number) for number in range(3000)]
    with CaptureQueriesContext(connection) as queries:
        services.open_requests(requests, proposer=WORKER)
    assert WebhookMessage.objects.count() == 3000
    assert len([query for query in queries if "webhook" in query["sql"]]) < 10


def _new_request(number):
    now = timezone.now()
    terms = services.Terms(remind_at=now, decision_due_at=now, expires_at=now, execute_within_hours=1)
    return services.NewRequest(
        kind="test", subject_key=str(number), title="A test", payload={"n": number}, terms=terms
    )
