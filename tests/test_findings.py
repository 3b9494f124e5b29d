"""What fits nowhere is kept once, until it is mended or somebody dismisses it with a note."""

import pytest

from approvals.models import AuditEvent
from approvals.rules import AlreadyDecided, NotAuthorised, NotFound, ReasonNeeded, Refusal
from journeys.domain.vocabulary import FindingKind
from journeys.models import Customer, Finding
from journeys.services import findings
from journeys.services.findings import NewFinding
from journeys.services.intake import record_signal, save_customer
from tests.test_intake import SIGNAL

FOUND = NewFinding(FindingKind.BAD_RECORD, "customers.csv line 3", "email: is missing", {"customer_id": "C1"})


def finding(**fields) -> Finding:
    findings.note([FOUND])
    Finding.objects.update(**fields)
    return Finding.objects.get()


def test_only_who_has_the_permission_dismisses_a_finding(people):
    found = finding()
    with pytest.raises(NotAuthorised):
        findings.close(finding_id=found.pk, user=people["approver"], note="fine", door="test")
    people["operator"].is_active = False
    with pytest.raises(NotAuthorised):
        findings.close(finding_id=found.pk, user=people["operator"], note="fine", door="test")


@pytest.mark.parametrize(("note", "error"), [("  ", ReasonNeeded), ("x" * 301, Refusal)])
def test_a_finding_is_dismissed_with_a_note_of_some_length(people, note, error):
    with pytest.raises(error):
        findings.close(finding_id=finding().pk, user=people["operator"], note=note, door="test")


def test_a_finding_is_dismissed_once(people):
    found = finding()
    findings.close(finding_id=found.pk, user=people["operator"], note="A test record.", door="test")
    with pytest.raises(AlreadyDecided, match="already dismissed .by operator"):
        findings.close(finding_id=found.pk, user=people["operator"], note="Again.", door="test")
    with pytest.raises(NotFound):
        findings.close(finding_id=0, user=people["operator"], note="Which?", door="test")
    found.refresh_from_db()
    assert (found.status, found.closed_by, found.note) == ("dismissed", "operator", "A test record.")
    event = AuditEvent.objects.get(word="finding.closed")
    assert event.sentence == "operator closed the finding on customers.csv line 3: dismissed"
    assert event.reason == "A test record."


@pytest.mark.django_db
def test_the_same_finding_is_kept_once_and_a_dismissed_one_stays_dismissed():
    assert findings.note([FOUND, FOUND]) == 1
    Finding.objects.update(status=Finding.Status.DISMISSED)
    assert findings.note([FOUND]) == 0
    assert Finding.objects.get().status == Finding.Status.DISMISSED


@pytest.mark.django_db
def test_a_mended_finding_that_is_there_again_is_opened_again():
    found = finding()
    assert findings.mend(finding_ids=[found.pk], note="Mended by a test.") == 1
    assert findings.mend(finding_ids=[found.pk], note="Mended by a test.") == 0
    assert Finding.objects.get().note == "Mended by a test."
    assert findings.note([FOUND]) == 1
    found = Finding.objects.get()
    assert (found.status, found.closed_at, found.closed_by, found.note) == ("open", None, "", "")


@pytest.mark.django_db
def test_whatever_was_received_can_be_kept():
    deep = record = {}
    for _ in range(500):
        deep["x"] = deep = {}
    received = {
        "nul\x00": "a\x00b",
        "broken": "\udcff",
        "nan": float("nan"),
        "deep": record,
        "list": [(1, None)],
    }
    findings.note([NewFinding("bad_record", "s" * 300, "d\x00" * 600, received)])
    kept = Finding.objects.get()
    assert kept.record["nul\\u0000"] == "a\\u0000b"
    assert (kept.record["broken"], kept.record["nan"], kept.record["list"]) == ("\\udcff", "nan", [[1, None]])
    assert (len(kept.subject), len(kept.detail)) == (200, 500)


@pytest.mark.django_db
def test_the_finding_on_an_orphaned_signal_is_mended_when_its_customer_arrives():
    record_signal(**SIGNAL)
    record_signal(**SIGNAL | {"signal_id": "S2", "customer_id": "C2"})
    opened = Finding.objects.filter(kind="orphan_signal", status="open")
    assert {row.subject for row in opened} == {"S1", "S2"}
    save_customer(customer_id="C1")
    assert opened.get().subject == "S2"


@pytest.mark.django_db
def test_a_run_mends_it_where_the_customer_came_past_the_intake():
    record_signal(**SIGNAL)
    assert findings.mend_joined_signals() == 0
    Customer.objects.create(customer_id="C1")
    assert findings.mend_joined_signals() == 1
    assert Finding.objects.get().status == "mended"
