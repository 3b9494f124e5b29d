"""Verifying the audit's chain, and keeping what was found for whoever opens the front page."""

import logging

from django.db import DatabaseError, transaction
from django.utils import timezone

from approvals import chain
from approvals.chain import Verification
from approvals.models import ChainCheck

log = logging.getLogger(__name__)


def check_chain(*, start: int = 1, kept_head: str = "") -> Verification:
    """`chain.verify`, with its result kept. What a kept head once attested stays on record beside later
    walks that were made without one."""
    found = chain.verify(start=start, kept_head=kept_head)
    now = timezone.now()
    kept = {
        "checked_at": now,
        "first": start,
        "events": found.events,
        "head": found.head,
        "problems": [list(problem) for problem in found.problems],
    }
    if found.ok and found.attested is not None:
        kept |= {"attested": found.attested, "attested_at": now}
    try:
        with transaction.atomic():
            ChainCheck.objects.update_or_create(pk=1, defaults=kept)
    except DatabaseError:
        # An auditor may well verify a copy that cannot be written.
        log.warning("What was found about the audit's chain could not be kept.", exc_info=True)
    return found
