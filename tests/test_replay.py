"""Any past recommendation can be derived again, and says where it cannot."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from approvals.models import ApprovalRequest
from journeys.models import Customer, Signal

pytestmark = pytest.mark.django_db


def replay(customer_id: str) -> tuple[int, str]:
    out = StringIO()
    request = ApprovalRequest.objects.get(concerning=customer_id)
    try:
        call_command("replay_request", str(request.pk), stdout=out)
    except SystemExit as stopped:
        return stopped.code, out.getvalue()
    return 0, out.getvalue()


@pytest.mark.parametrize("customer_id", ["C001", "C004", "C005"])
def test_a_recommendation_is_derived_again_identically(sample_run, customer_id):
    code, told = replay(customer_id)
    assert (code, "identical" in told) == (0, True)


def test_it_rests_on_the_frozen_facts_and_not_on_what_the_rows_say_now(sample_run):
    Signal.objects.all().delete()
    Customer.objects.filter(pk="C004").update(account_value=1, name="Another", segment="SMB")
    assert replay("C004")[0] == 0


@pytest.mark.parametrize(
    ("name", "altered"), [("overall_risk_score", 0.9), ("days_in_state", 3), ("account_value", 1.0)]
)
def test_an_altered_fact_shows(sample_run, name, altered):
    request = ApprovalRequest.objects.get(concerning="C004")
    ApprovalRequest.objects.filter(pk=request.pk).update(evidence=request.evidence | {name: altered})
    code, told = replay("C004")
    assert code == 1
    assert "overall_risk_score" in told


def test_an_altered_text_shows(sample_run):
    request = ApprovalRequest.objects.get(concerning="C004")
    ApprovalRequest.objects.filter(pk=request.pk).update(payload=request.payload | {"body": "Pay now."})
    code, told = replay("C004")
    assert code == 1
    assert "body" in told
    assert "fingerprint" in told


def test_an_unknown_request_is_bad_input(db):
    with pytest.raises(CommandError, match="no request 77") as refused:
        call_command("replay_request", "77")
    assert refused.value.returncode == 2
