"""Doing what was sent twice once: a key with its answer, kept for a day."""

from datetime import timedelta

from django.db import IntegrityError, transaction
from django.utils import timezone

from approvals.models import IdempotencyKey
from approvals.rules import Refusal

KEPT = timedelta(hours=24)
# Whoever has not answered by then has died before the commit: what was begun is undone.
IN_FLIGHT = timedelta(minutes=5)


class InFlight(Refusal):
    code = "in_flight"


class OtherBody(Refusal):
    """The key was used for something else."""

    code = "key_reused"


def begin(*, caller: str, key: str, digest: str) -> IdempotencyKey:
    """The key's row: answered already (`answered_at`), or in flight from now on, and seen by others at once.

    Raises InFlight, or OtherBody where the same key came with something else.
    """
    now = timezone.now()
    try:
        with transaction.atomic():
            return IdempotencyKey.objects.create(caller=caller, key=key, digest=digest, begun_at=now)
    except IntegrityError:
        pass
    mine = IdempotencyKey.objects.filter(caller=caller, key=key)
    there = mine.first()
    if there is None:
        raise InFlight("The first request with this key has just failed: send it again.")
    limit = IN_FLIGHT if there.answered_at is None else KEPT
    if there.begun_at < now - limit:
        taken = mine.filter(begun_at=there.begun_at, answered_at=there.answered_at)
        if taken.update(digest=digest, begun_at=now, answered_at=None, status=None, headers={}, body=None):
            return mine.get()
        raise InFlight("Another request with this key has just begun.")
    if there.digest != digest:
        raise OtherBody("This key was sent before with another request; take a new one.")
    if there.answered_at is None:
        raise InFlight("The first request with this key is still being answered.")
    return there


def answer(row: IdempotencyKey, *, status: int, headers: dict, body: object) -> None:
    """Keep the answer, in the transaction of what was done: the one is not there without the other. Raises
    InFlight where it took so long that somebody else has begun anew, and undoes it so."""
    unmoved = IdempotencyKey.objects.filter(pk=row.pk, begun_at=row.begun_at, answered_at__isnull=True)
    if not unmoved.update(answered_at=timezone.now(), status=status, headers=headers, body=body):
        raise InFlight("Another request with this key has begun meanwhile.")


def release(row: IdempotencyKey) -> None:
    """Nothing was done: the key is free again."""
    IdempotencyKey.objects.filter(pk=row.pk, begun_at=row.begun_at, answered_at__isnull=True).delete()


def forget_old() -> None:
    IdempotencyKey.objects.filter(begun_at__lt=timezone.now() - KEPT).delete()
