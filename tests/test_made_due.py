"""Whom something happened to is due at the next run, also where whoever did it died right afterwards."""

import os
from datetime import timedelta
from functools import partial

import pytest
from django.db import connections, transaction
from django.utils import timezone

from journeys.models import Assessment, Customer, MadeDue, Mark
from journeys.services import marks
from tests.test_changed_only import (
    import_a_value,
    import_history,
    look,
    propose_by_hand,
    reject_for_bad_timing,
    set_a_wish,
)

pytestmark = pytest.mark.django_db(transaction=True)
KILLED = 9


def die_after_the_commit_of(act) -> None:
    """In a process of its own, which ends before anything else is done that waits for the commit."""
    connections.close_all()  # each process opens its own
    child = os.fork()
    if child == 0:
        try:
            with transaction.atomic():
                transaction.on_commit(partial(os._exit, KILLED))
                act()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == KILLED


@pytest.mark.parametrize(
    ("happens", "whom"),
    [
        (set_a_wish, "C003"),
        (reject_for_bad_timing, "C005"),
        (import_history, "C003"),
        (import_a_value, "C003"),
    ],
)
def test_who_dies_between_the_commit_and_the_mark_leaves_it_to_the_sweep(settled, people, happens, whom):
    before = Assessment.objects.current().get(customer=whom).due_on
    die_after_the_commit_of(partial(happens, people))
    assert Assessment.objects.current().get(customer=whom).due_on == before
    marks.move_due_left()
    assert {tuple(row.customer_ids) for row in MadeDue.objects.all()} == {
        (whom,)
    }  # whoever wrote it may be about to move it
    MadeDue.objects.update(made_at=timezone.now() - timedelta(minutes=5))
    marks.move_due_left()
    assert not MadeDue.objects.exists()
    assert look() == {whom}


def test_who_is_proposed_something_by_hand_is_looked_at_at_once(settled, people):
    """Before it can be carried out: what comes of it is measured against how it stood then."""
    die_after_the_commit_of(partial(propose_by_hand, people))
    assert [mark.customer_id for mark in Mark.objects.all()] == ["C003"]


def test_of_what_was_taken_back_nobody_is_due(settled, people):
    with transaction.atomic():
        set_a_wish(people)
        assert MadeDue.objects.get().customer_ids == ["C003"]
        transaction.set_rollback(True)
    assert not Customer.objects.get(pk="C003").do_not_contact
    assert not MadeDue.objects.exists()
    assert look() == set()


def test_once_the_assessments_say_so_nothing_is_left_to_do(settled, people):
    set_a_wish(people)
    assert not MadeDue.objects.exists()
    assert look() == {"C003"}


def test_an_act_that_stands_is_not_told_as_failed_where_the_mark_is_late(settled, people, monkeypatch):
    def locked(row) -> None:
        raise OSError("database is locked")

    with monkeypatch.context() as patch:
        patch.setattr(marks, "_move_due", locked)
        set_a_wish(people)
    assert Customer.objects.get(pk="C003").do_not_contact
    MadeDue.objects.update(made_at=timezone.now() - timedelta(minutes=5))
    marks.move_due_left()
    assert look() == {"C003"}
