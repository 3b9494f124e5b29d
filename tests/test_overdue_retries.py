"""What waits for its next attempt ends with its approval, also while a switch holds everything back."""

from datetime import timedelta

import pytest
from django.utils import timezone

from approvals.invariants import broken
from approvals.models import ApprovalRequest
from journeys import tasks
from journeys.models import Execution, Intervention
from journeys.services import execution, switches
from tests.acting import decide
from tests.trials import portfolio

pytestmark = pytest.mark.django_db


@pytest.fixture
def refused_once(people, live, bad_mail_server):
    portfolio.without_grace()
    [request] = portfolio.waiting(1)
    decide(request, people["approver"])
    with bad_mail_server(RCPT="451 try again later"):
        assert execution.execute(intervention_id=request.subject_key).status == "retrying"
    switches.stop(scope="all", user=people["operator"], door="test")
    return request


def test_a_retry_that_a_switch_holds_back_is_given_up_when_its_approval_is_past_its_time(refused_once):
    ApprovalRequest.objects.update(execute_by=timezone.now() - timedelta(hours=1))
    tasks.sweep()
    assert Intervention.objects.get().status == "failed"
    assert "past its time" in Execution.objects.get().detail
    assert broken() == []


def test_a_retry_within_the_time_of_its_approval_waits_until_execution_goes_on(refused_once):
    Execution.objects.update(retry_at=timezone.now())
    tasks.sweep()
    assert Intervention.objects.get().status == "approved"
    assert Execution.objects.get().status == "retrying"
