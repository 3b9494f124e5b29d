"""Whatever is done to the audit behind the program's back is found, and the event is named."""

import json
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection

from approvals import append_only
from approvals.audit import Event, record
from approvals.chain import verify
from approvals.models import AuditDetail, AuditEvent, AuditHead, ChainCheck
from approvals.rules import Actor, chain_hash
from journeys import tasks
from journeys.services import upkeep
from tests.meanwhile import writing_after_each_look_at

ANNA = Actor(key="user:1", name="anna", door="test", address="127.0.0.1")
README = Path(__file__).resolve().parent.parent / "README.md"
EVENTS = 9
MIDDLE = 5


@pytest.fixture
def chain(db):
    """Nine events, and no triggers any more."""
    record(
        Event(
            word="request.opened",
            actor=ANNA,
            kind="intervention",
            subject_key=f"iv-{number}",
            reason=f"No. {number}",
        )
        for number in range(EVENTS)
    )
    append_only.remove(connection)


def wrong() -> set[int]:
    return {problem.sequence for problem in verify().problems}


def rechain(start: int) -> None:
    """Compute the chain anew from an event on, as somebody would who wants to hide a change."""
    previous = (
        AuditEvent.objects.filter(sequence=start - 1).values_list("hash", flat=True).first() or "0" * 64
    )
    for event in AuditEvent.objects.filter(sequence__gte=start).order_by("sequence"):
        event.previous_hash = previous
        event.hash = previous = chain_hash(previous, event.chained_fields())
        event.save()
    AuditHead.objects.update(hash=previous)


def test_an_untouched_chain_is_internally_consistent_and_no_more(chain):
    found = verify()
    assert (found.ok, found.events, found.verdict) == (True, EVENTS, "internally consistent")


def test_with_a_head_that_was_kept_elsewhere_it_is_unaltered(chain):
    kept = AuditEvent.objects.get(sequence=7).hash
    assert verify(kept_head=kept).verdict == "unaltered up to event 7"


ALTERED = {
    "word": "request.expired",
    "actor_key": "user:2",
    "on_behalf_of_key": "user:2",
    "door": "admin",
    "kind": "other",
    "subject_key": "iv-x",
    "concerning": "C004",
    "request_id": 77,
    "before": "pending",
    "after": "approved",
    "fingerprint": "f" * 64,
    "policy": "other 1",
    "detail_digest": "d" * 64,
    "previous_hash": "e" * 64,
    "hash": "a" * 64,
}


def test_every_column_of_an_event_is_tried_below():
    columns = {field.attname for field in AuditEvent._meta.concrete_fields}
    assert columns == {*ALTERED, "sequence", "at"}


@pytest.mark.parametrize("column", ALTERED)
def test_an_altered_column_of_an_event_in_the_middle_is_found(chain, column):
    AuditEvent.objects.filter(sequence=MIDDLE).update(**{column: ALTERED[column]})
    assert MIDDLE in wrong()


def test_an_altered_time_is_found(chain):
    event = AuditEvent.objects.get(sequence=MIDDLE)
    AuditEvent.objects.filter(sequence=MIDDLE).update(at=event.at.replace(year=2020))
    assert wrong() == {MIDDLE}


def test_an_altered_name_or_reason_is_found(chain):
    AuditDetail.objects.filter(pk=MIDDLE).update(document={"actor_name": "bert", "reason": "No. 4"})
    assert wrong() == {MIDDLE}


def test_a_lost_detail_is_found_and_an_erased_one_is_no_break(chain):
    AuditDetail.objects.filter(pk=MIDDLE).update(document=None, salt="")
    assert verify().ok
    AuditDetail.objects.filter(pk=MIDDLE).delete()
    assert wrong() == {MIDDLE}


def test_a_deleted_event_is_found(chain):
    AuditDetail.objects.filter(pk=MIDDLE).delete()
    AuditEvent.objects.filter(sequence=MIDDLE).delete()
    assert wrong() == {MIDDLE}


def test_two_swapped_events_are_found(chain):
    first, second = AuditEvent.objects.get(sequence=4), AuditEvent.objects.get(sequence=5)
    fields = [name for name in AuditEvent.CHAINED if name != "sequence"] + ["previous_hash", "hash"]
    for row, other in ((4, second), (5, first)):
        AuditEvent.objects.filter(sequence=row).update(**{name: getattr(other, name) for name in fields})
    assert {4, 5} <= wrong()


def test_an_inserted_event_is_found(chain):
    event = AuditEvent.objects.get(sequence=EVENTS)
    event.sequence = EVENTS + 1
    event.previous_hash, event.hash = event.hash, chain_hash(event.hash, event.chained_fields())
    event.save(force_insert=True)
    AuditDetail.objects.create(event=event, salt="", document=None)
    assert wrong() == {EVENTS + 1}


def test_a_tail_that_was_cut_is_found(chain):
    AuditDetail.objects.filter(pk__gt=6).delete()
    AuditEvent.objects.filter(sequence__gt=6).delete()
    assert wrong() == {7}


def test_a_tail_that_was_cut_with_its_head_is_found_against_a_kept_head(chain):
    kept = AuditEvent.objects.get(sequence=EVENTS).hash
    AuditDetail.objects.filter(pk__gt=6).delete()
    AuditEvent.objects.filter(sequence__gt=6).delete()
    AuditHead.objects.update(sequence=6, hash=AuditEvent.objects.get(sequence=6).hash)
    assert verify().verdict == "internally consistent"
    assert verify(kept_head=kept).verdict == "broken"


def test_a_chain_that_was_computed_anew_is_found_against_a_kept_head(chain):
    kept = AuditEvent.objects.get(sequence=EVENTS).hash
    AuditEvent.objects.filter(sequence=MIDDLE).update(actor_key="user:2")
    rechain(MIDDLE)
    assert verify().verdict == "internally consistent"
    assert not verify(kept_head=kept).ok


def test_verification_can_begin_in_the_middle(chain):
    AuditEvent.objects.filter(sequence=2).update(actor_key="user:2")
    assert not verify().ok
    found = verify(start=4)
    assert (found.ok, found.events) == (True, EVENTS - 3)


def test_the_command_says_which_and_exits_with_1(chain):
    out = StringIO()
    call_command("verify_audit", "--json", stdout=out)
    document = json.loads(out.getvalue())
    assert (document["ok"], document["events"], document["problems"]) == (True, EVENTS, [])
    AuditEvent.objects.filter(sequence=MIDDLE).update(actor_key="user:2")
    out = StringIO()
    with pytest.raises(SystemExit) as stopped:
        call_command("verify_audit", "--json", stdout=out)
    assert stopped.value.code == 1
    assert json.loads(out.getvalue())["problems"][0]["sequence"] == MIDDLE


def test_the_head_can_be_kept(chain):
    out = StringIO()
    call_command("audit_head", stdout=out)
    number, kept = out.getvalue().split()
    assert int(number) == EVENTS
    assert verify(kept_head=kept).verdict == f"unaltered up to event {EVENTS}"


def test_an_export_can_be_verified_by_the_lines_in_the_readme(chain, tmp_path):
    AuditDetail.objects.filter(pk=2).update(document=None, salt="")
    path, lines = tmp_path / "audit.jsonl", tmp_path / "verify.py"
    call_command("export_audit", "--out", str(path), stdout=StringIO())
    lines.write_text(README.read_text().split("```python\n")[1].split("```")[0])
    told = subprocess.run([sys.executable, lines, path], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    kept = told.stdout.split()[-1]
    assert verify(kept_head=kept).verdict == f"unaltered up to event {EVENTS}"
    path.write_text(path.read_text().replace("No. 4", "No. 5", 1))
    assert subprocess.run([sys.executable, lines, path], capture_output=True).returncode == 1


# ---- what the last walk found is kept, for whoever opens the front page


def test_the_scheduled_walk_is_kept_and_claims_no_more_than_it_knows(chain):
    tasks.check_audit_chain()
    kept = ChainCheck.objects.get()
    assert (kept.ok, kept.first, kept.last, kept.attested) == (True, 1, EVENTS, None)
    assert kept.head == AuditEvent.objects.get(sequence=EVENTS).hash


def test_what_a_kept_head_attested_outlives_the_walks_without_one(chain):
    head = AuditEvent.objects.get(sequence=7).hash
    call_command("verify_audit", "--head", head, stdout=StringIO())
    tasks.check_audit_chain()
    kept = ChainCheck.objects.get()
    assert kept.attested == 7
    assert kept.attested_at < kept.checked_at


def test_a_break_is_kept_and_attests_nothing(chain):
    head = AuditEvent.objects.get(sequence=7).hash
    AuditEvent.objects.filter(sequence=MIDDLE).update(actor_key="user:2")
    with pytest.raises(SystemExit):
        call_command("verify_audit", "--head", head, stdout=StringIO())
    kept = ChainCheck.objects.get()
    assert [number for number, _ in kept.problems] == [MIDDLE]
    assert kept.attested is None


def test_the_scheduled_walk_takes_the_end_of_a_chain_that_is_too_long_for_it(chain, monkeypatch):
    monkeypatch.setattr(upkeep, "MOST_EVENTS", 4)
    AuditEvent.objects.filter(sequence=2).update(actor_key="user:2")
    tasks.check_audit_chain()
    kept = ChainCheck.objects.get()
    assert (kept.ok, kept.first, kept.last) == (True, EVENTS - 3, EVENTS)


def test_what_is_written_while_the_chain_is_walked_is_no_break_and_left_to_the_next_walk(chain):
    with writing_after_each_look_at("approvals_audit"):
        found = verify()
    written = AuditEvent.objects.count()
    assert found.ok
    assert EVENTS <= found.events < written
    assert found.head == AuditEvent.objects.get(pk=found.events).hash
    assert (verify().ok, verify().events) == (True, written)


def test_behind_a_head_that_was_put_back_the_chain_is_walked_all_the_same(chain):
    kept = AuditEvent.objects.get(sequence=8).hash
    AuditHead.objects.update(sequence=5, hash=AuditEvent.objects.get(sequence=5).hash)
    AuditEvent.objects.filter(sequence=7).update(actor_key="user:2")
    found = verify(kept_head=kept)
    assert {problem.sequence for problem in found.problems} == {6, 7}
    assert found.attested == 8


def test_an_empty_chain_is_walked_as_well(db):
    tasks.check_audit_chain()
    assert (ChainCheck.objects.get().ok, ChainCheck.objects.get().events) == (True, 0)
