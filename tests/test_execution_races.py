"""Several workers at the same moment: at most one carries it out. Each on a connection of its own."""

from functools import partial

import pytest

from approvals.models import AuditEvent
from journeys.models import Customer, Execution, Intervention
from journeys.services import execution
from tests.acting import approve, together, words_about
from tests.runs import run_pipeline
from tests.servers import BREAK

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(*interventions):
    """Five workers for each."""
    calls = [partial(execution.execute, intervention_id=row.pk) for row in interventions for _ in range(5)]
    answers = together(*calls)
    assert not [answer for answer in answers if isinstance(answer, Exception)]
    return [answer for answer in answers if answer]


def test_five_workers_send_one_mail(sample_run, people, live, mailbox):
    intervention = approve("C004", people["approver"])
    [done] = at_once(intervention)
    assert (done.status, done.attempts) == ("done", 1)
    assert len(mailbox.envelopes) == 1
    assert Execution.objects.count() == 1
    assert words_about(intervention).count("execution.claimed") == 1


def test_five_workers_on_a_server_that_breaks_off_send_one_mail(sample_run, people, live, bad_mail_server):
    intervention = approve("C004", people["approver"])
    with bad_mail_server(MESSAGE=BREAK) as server:
        [unknown] = at_once(intervention)
    assert unknown.status == "unknown"
    assert len(server.messages) == 1


def test_two_customers_with_one_address_get_one_mail_even_at_the_same_moment(
    sample, people, live, mailbox, settings
):
    settings.DEBUG = True
    Customer.objects.filter(pk="C001").update(email="office@northbeck.example")
    run_pipeline()
    approve("C004", people["approver"])
    both = list(Intervention.objects.filter(customer_id__in=["C001", "C004"]))
    at_once(*both)
    execution.execute_due()
    assert len(mailbox.envelopes) == 1
    assert sorted(Intervention.objects.get(pk=row.pk).status for row in both) == ["executed", "lapsed"]


def test_different_customers_do_not_hinder_each_other(sample_run, people, live, mailbox):
    rows = [
        Intervention.objects.get(customer_id="C001"),
        approve("C004", people["approver"]),
        approve("C005", people["approver"]),
    ]
    assert sorted(done.status for done in at_once(*rows)) == ["done", "done", "with_owner"]
    assert len(mailbox.envelopes) == 2
    sequences = list(AuditEvent.objects.order_by("sequence").values_list("sequence", flat=True))
    assert sequences == list(range(1, len(sequences) + 1))
