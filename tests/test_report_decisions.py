"""What the report says of decisions: how many, by whom, and how fast; and who is told the names."""

import json

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.urls import reverse
from django.utils import timezone

from approvals.models import ApprovalRequest, AuthorityLimit, Decision, user_key
from approvals.rules import Verdict
from approvals.services import decide
from journeys import reports
from journeys.models import PipelineRun

pytestmark = pytest.mark.django_db


def an_approver(name="anna") -> User:
    group = Group.objects.create(name=f"Group of {name}")
    group.permissions.add(Permission.objects.get(codename="decide_approvalrequest"))
    AuthorityLimit.objects.create(name=name, group=group, max_value=None)
    user = User.objects.create_user(name)
    user.groups.add(group)
    return user


def a_decision(customer_id, verdict, user) -> None:
    request = ApprovalRequest.objects.get(concerning=customer_id, status="pending")
    decide(
        request_id=request.pk,
        verdict=Verdict(verdict),
        fingerprint=request.fingerprint,
        user=user,
        door="test",
        reason="As agreed.",
        category="wrong_action",
    )


def test_decisions_are_counted_by_whose_they_were(sample_run):
    approver = an_approver()
    a_decision("C004", "approved", approver)
    a_decision("C005", "rejected", approver)
    decided = reports.build(sample_run)["decided"]
    assert decided["approved"] == {"person": 1, "policy": 1, "auto_approval_for_testing": 0}
    assert decided["rejected"] == 1
    ended = sum(decided["approved"].values()) + decided["rejected"]
    ended += decided["expired_undecided"] + decided["superseded"]
    assert decided["total"] == ended == ApprovalRequest.objects.exclude(status="pending").count()


def test_an_approval_that_took_two_people_counts_once(sample_run):
    ApprovalRequest.objects.filter(concerning="C004").update(people_needed=2)
    a_decision("C004", "approved", an_approver())
    a_decision("C004", "approved", an_approver("bert"))
    decided = reports.build(sample_run)["decided"]
    assert decided["approved"]["person"] == 1
    assert decided["total"] == ApprovalRequest.objects.exclude(status="pending").count()


def test_an_approval_that_expired_is_told_from_a_request_that_nobody_decided(sample_run):
    a_decision("C004", "approved", an_approver())
    ApprovalRequest.objects.filter(concerning__in=["C004", "C005"]).update(
        status="expired", decided_at=timezone.now()
    )
    decided = reports.build(sample_run)["decided"]
    assert decided["approved_then"] == {"expired": 1, "lapsed": 0, "revoked": 0}
    assert decided["expired_undecided"] == 1


def test_how_many_people_decided_and_how_long_it_took_is_told(sample_run):
    a_decision("C004", "approved", an_approver())
    a_decision("C005", "rejected", an_approver("bert"))
    decided = reports.build(sample_run)["decided"]
    ends = Decision.objects.filter(authority="person").select_related("request")
    waited = [(end.decided_at - end.request.requested_at).total_seconds() / 3600 for end in ends]
    assert decided["people"] == 2
    assert decided["hours_to_decide"]["denominator"] == 2
    assert decided["hours_to_decide"]["value"] == pytest.approx(sum(waited) / 2)


def test_who_decided_what_and_how_fast_is_told_to_those_who_may_know_it(sample_run, client):
    anna, bert = an_approver(), an_approver("bert")
    a_decision("C004", "approved", anna)
    a_decision("C005", "rejected", bert)
    report = reports.build(sample_run)
    ends = Decision.objects.filter(authority="person").select_related("request")
    assert {row["person"]: (row["approved"], row["rejected"]) for row in report["decided"]["by_person"]} == {
        user_key(user): (
            ends.filter(actor_key=user_key(user), verdict="approved").count(),
            ends.filter(actor_key=user_key(user), verdict="rejected").count(),
        )
        for user in (anna, bert)
    }
    for row in report["decided"]["by_person"]:
        end = ends.get(actor_key=row["person"])
        waited = (end.decided_at - end.request.requested_at).total_seconds() / 3600
        assert row["hours_to_decide"]["value"] == pytest.approx(waited)
    # A name that the trail can forget is not kept in a report for ever.
    assert "anna" not in json.dumps(report["decided"])
    assert "| anna | 1 | 0 |" in reports.render_markdown(report, names=reports.names_in(report))
    assert "anna" not in reports.render_markdown(report)


def test_the_page_of_a_report_names_who_decided_to_auditors_alone(people, sample_run, client):
    anna = an_approver()
    a_decision("C004", "approved", anna)
    PipelineRun.objects.filter(pk=sample_run.pk).update(report=reports.build(sample_run))
    address = reverse("admin:journeys_pipelinerun_report", args=[sample_run.pk])
    for name, told in (("auditor", True), ("operator", False)):
        client.force_login(people[name])
        page = client.get(address).content.decode()
        assert ("Who decided" in page) == told
        assert ("anna" in page) == told
