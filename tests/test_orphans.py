"""A signal of an unknown customer, linked to a known one by a person."""

import pytest
from django.utils import timezone

from approvals.models import AuditEvent
from approvals.rules import NotAuthorised, NotFound, ReasonNeeded, Refusal
from journeys import pipeline
from journeys.models import Assessment, Customer, Finding, Mark, Signal
from journeys.records import SignalRecord, parse
from journeys.services.findings import close
from journeys.services.intake import Receipt, Taken, record_signal, save_customer, take
from journeys.services.orphans import NotAnOrphan, link_orphan
from tests.acting import together
from tests.runs import run_pipeline

pytestmark = pytest.mark.django_db


def link(user, customer_id="C003", signal_id="S009", note="They signed as C999 before the merger."):
    return link_orphan(signal_id=signal_id, customer_id=customer_id, note=note, user=user, door="test")


def again(**change):
    """The sample's S009 as it was received, once more."""
    signal = Signal.objects.get(pk="S009")
    return {
        "signal_id": "S009",
        "customer_id": "C999",
        "signal_type": signal.signal_type,
        "signal_strength": signal.signal_strength,
        "detected_at": signal.detected_at,
    } | change


# -- refused


@pytest.mark.parametrize("who", ["approver", "manager", "auditor"])
def test_without_the_permission_nothing_is_linked(sample_run, people, who):
    with pytest.raises(NotAuthorised):
        link(people[who])
    assert Signal.objects.get(pk="S009").customer_id == "C999"


@pytest.mark.parametrize(
    ("wish", "refusal", "said"),
    [
        ({"customer_id": "C777"}, NotFound, "There is no customer C777"),
        ({"customer_id": "C999"}, NotFound, "There is no customer C999"),
        ({"customer_id": " "}, NotFound, "Name the customer"),
        ({"signal_id": "S777"}, NotFound, "There is no signal S777"),
        ({"signal_id": "S001"}, NotAnOrphan, "S001 belongs to"),
        ({"note": "  "}, ReasonNeeded, "Say how you know"),
        ({"note": "x" * 301}, Refusal, "300 is the most"),
    ],
)
def test_what_cannot_be_linked_is_refused_in_words_and_nothing_moves(sample_run, people, wish, refusal, said):
    events = AuditEvent.objects.count()
    with pytest.raises(refusal, match=said):
        link(people["operator"], **wish)
    signal = Signal.objects.get(pk="S009")
    assert (signal.customer_id, signal.received_for) == ("C999", "")
    assert Finding.objects.get(kind="orphan_signal").status == "open"
    assert not Mark.objects.exists()
    assert AuditEvent.objects.count() == events


def test_a_signal_is_linked_once_and_the_second_hears_to_whom(sample_run, people):
    link(people["operator"])
    with pytest.raises(NotAnOrphan, match="S009 belongs to .*C003.* already: it was linked"):
        link(people["operator"], customer_id="C004")
    assert Signal.objects.get(pk="S009").customer_id == "C003"
    assert AuditEvent.objects.filter(word="signal.linked").count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_who_link_it_at_the_same_moment_one_does(sample_run, people):
    answers = together(
        lambda: link(people["operator"], customer_id="C003"),
        lambda: link(people["operator"], customer_id="C004"),
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["NotAnOrphan", "Signal"]
    event = AuditEvent.objects.get(word="signal.linked")
    assert Signal.objects.get(pk="S009").customer_id == event.after == event.concerning


# -- done


def test_it_counts_for_the_customer_and_the_id_it_came_with_is_kept(sample_run, people):
    signal = link(people["operator"])
    assert (signal.customer_id, signal.received_for) == ("C003", "C999")
    assert not Signal.objects.orphaned().exists()
    finding = Finding.objects.get(kind="orphan_signal")
    assert (finding.status, finding.closed_by) == ("mended", "operator")
    assert finding.note == "Linked to C003: They signed as C999 before the merger."
    event = AuditEvent.objects.get(word="signal.linked")
    assert (event.concerning, event.before, event.after) == ("C003", "C999", "C003")
    assert event.reason == "They signed as C999 before the merger."
    assert event.sentence == "operator linked S009, received for C999, to C003"


def test_the_next_run_weighs_it_and_finds_no_orphan(sample_run, people):
    before = Assessment.objects.get(run=sample_run, customer="C003")
    link(people["operator"])
    second = run_pipeline()
    after = Assessment.objects.get(run=second, customer="C003")
    assert after.contribution_signal_count > before.contribution_signal_count
    assert second.counts["signals"]["orphaned"] == 0
    assert Finding.objects.get(kind="orphan_signal").status == "mended"


def test_a_worker_looks_at_the_customer_at_once(sample_run, people):
    link(people["operator"])
    assert [mark.customer_id for mark in Mark.objects.all()] == ["C003"]
    pipeline.look_at_marked()
    looked = Assessment.objects.filter(run__scope="marked")
    assert [row.customer_id for row in looked] == ["C003"]


def test_one_that_was_dismissed_can_still_be_linked(sample_run, people):
    finding = Finding.objects.get(kind="orphan_signal")
    close(finding_id=finding.pk, user=people["operator"], note="A test account?", door="test")
    link(people["operator"])
    assert Finding.objects.get(pk=finding.pk).status == "dismissed"


def test_it_is_linked_before_any_run_has_found_it(sample, people):
    link(people["operator"])
    assert not Finding.objects.exists()
    assert Signal.objects.get(pk="S009").customer_id == "C003"


# -- what comes from outside afterwards


def test_the_same_signal_received_again_is_a_duplicate(sample_run, people):
    link(people["operator"])
    assert record_signal(**again()) == Receipt.DUPLICATE
    assert record_signal(**again(customer_id="C003")) == Receipt.DUPLICATE
    assert Signal.objects.get(pk="S009").customer_id == "C003"


def test_an_import_of_the_same_again_leaves_the_link(sample_run, people):
    link(people["operator"])
    record = parse(SignalRecord, again(), today=timezone.now().date())
    assert take([record]) == [Taken.UNCHANGED]
    stronger = parse(SignalRecord, again(signal_strength=0.11), today=timezone.now().date())
    assert take([stronger]) == [Taken.UPDATED]
    signal = Signal.objects.get(pk="S009")
    assert (signal.customer_id, signal.received_for, signal.signal_strength) == ("C003", "C999", 0.11)
    finding = Finding.objects.get(kind="orphan_signal")
    assert (finding.status, finding.closed_by) == ("mended", "operator")


def test_a_correction_of_a_linked_signal_has_whom_it_was_linked_to_looked_at(sample_run, people):
    link(people["operator"])
    Mark.objects.all().delete()
    take([parse(SignalRecord, again(signal_strength=0.11), today=timezone.now().date())], at_once=True)
    assert [mark.customer_id for mark in Mark.objects.all()] == ["C003"]


def test_one_that_is_corrected_to_a_customer_we_know_is_found_no_more(sample_run):
    take([parse(SignalRecord, again(customer_id="C004"), today=timezone.now().date())])
    finding = Finding.objects.get(kind="orphan_signal")
    assert (finding.status, finding.note) == ("mended", "It was corrected.")


def test_a_correction_at_the_source_wins_over_the_link(sample_run, people):
    link(people["operator"])
    record = parse(SignalRecord, again(customer_id="C004"), today=timezone.now().date())
    assert take([record]) == [Taken.UPDATED]
    signal = Signal.objects.get(pk="S009")
    assert (signal.customer_id, signal.received_for) == ("C004", "")


def test_it_stays_with_whom_it_was_linked_to_when_its_own_customer_arrives(sample_run, people):
    link(people["operator"])
    save_customer(customer_id="C999")
    run_pipeline()
    assert Signal.objects.get(pk="S009").customer_id == "C003"
    assert not Customer.objects.get(pk="C999").signals.exists()
