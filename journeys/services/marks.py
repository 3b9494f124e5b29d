"""Marking customers about whom something was received, and handing them to whoever looks at them again."""

import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone
from django_q.tasks import async_task

from journeys.cases import Span
from journeys.models import Assessment, Bell, MadeDue, Mark

BELL = "marks"
# Whoever claimed marks and has not taken them off by then has died.
CLAIM = timedelta(minutes=2)
# What waits longer than that was announced by no bell, or by one that got lost, or was left by
# whoever died.
UNHEARD = timedelta(seconds=30)


def mark(customer_ids: Iterable[str]) -> None:
    """Mark the customers, and ring after the caller's commit for somebody to look at them. Unknown ones may
    be among them: nothing is found for these."""
    token, now = secrets.token_hex(8), timezone.now()
    # In the order of keys: two at once wait for each other instead of blocking each other.
    rows = [Mark(customer_id=key, token=token, marked_at=now) for key in sorted(set(customer_ids))]
    if not rows:
        return
    Mark.objects.bulk_create(
        rows,
        batch_size=500,
        update_conflicts=True,
        update_fields=["token", "marked_at", "claimed_until"],
        unique_fields=["customer_id"],
    )
    transaction.on_commit(ring)


def claim(most: int) -> dict[str, str]:
    """The tokens of at most so many marked customers that nobody else looks at, oldest first."""
    Bell.objects.filter(pk=BELL).update(rung=False)  # what is marked from here on rings anew
    now = timezone.now()
    free = _free(now)
    with transaction.atomic():
        waiting = Mark.objects.filter(free).order_by("marked_at", "customer_id")
        keys = list(waiting.select_for_update(skip_locked=True).values_list("pk", flat=True)[:most])
        # select_for_update says nothing on SQLite; there the condition decides, within a transaction that
        # lets nobody else write.
        Mark.objects.filter(free, pk__in=keys).update(claimed_until=now + CLAIM)
        return dict(Mark.objects.filter(pk__in=keys).values_list("pk", "token"))


def _free(now: datetime) -> Q:
    return Q(claimed_until__isnull=True) | Q(claimed_until__lt=now)


def tokens(span: Span) -> dict[str, str]:
    """Those of a span of customers, whoever looks at them."""
    return dict(span.of(Mark.objects.all()).values_list("pk", "token"))


def make_due(customer_ids: Iterable[str]) -> None:
    """Have the next run look at these customers, also one that looks only at what changed or is due: for
    what the rules see of them and is not received.

    Called in the transaction of what happened to them, it writes whom, and locks nothing that others wait
    for: a run that writes its range holds their assessments while it waits for the audit's head. These are
    moved after the commit, or by the sweep, where whoever committed died before."""
    ids = sorted(set(customer_ids))
    if ids:
        row = MadeDue.objects.create(customer_ids=ids)
        # What was done stands, and is not told as failed, where only this fails.
        transaction.on_commit(lambda: _move_due(row), robust=True)


def move_due_left() -> None:
    """For the sweep: where whoever made them due died before their assessments said so."""
    for row in MadeDue.objects.filter(made_at__lt=timezone.now() - UNHEARD).order_by("pk").iterator():
        _move_due(row)


def _move_due(row: MadeDue) -> None:
    """Doing it twice does no harm: they are looked at once more."""
    ids = row.customer_ids
    for start in range(0, len(ids), 500):
        mine = Assessment.objects.current().filter(customer__in=ids[start : start + 500])
        mine.update(due_on=F("as_of"))
    row.delete()


def take_off(tokens: Mapping[str, str]) -> None:
    """Called in the transaction that writes what was concluded. A mark that was renewed meanwhile stays,
    free for the next look."""
    for token in set(tokens.values()):
        keys = [key for key, of in tokens.items() if of == token]
        Mark.objects.filter(pk__in=keys, token=token).delete()


def ring_for_unheard() -> None:
    """For the sweep: where a bell, or whoever heard it, got lost."""
    now = timezone.now()
    if Mark.objects.filter(_free(now), marked_at__lt=now - UNHEARD).exists():
        Bell.objects.filter(pk=BELL).update(rung=False)
        ring()


def ring() -> None:
    """One bell for all who wait: a burst is looked at once."""
    Bell.objects.get_or_create(pk=BELL)
    if Bell.objects.filter(pk=BELL, rung=False).update(rung=True):
        async_task("journeys.tasks.look_at_marked")
