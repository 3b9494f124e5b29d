"""For whoever looks over it: the trail, the chain it makes, what must always hold, changes of the rules."""

from django.conf import settings

from approvals import queue
from approvals.addresses import request_url
from approvals.chain import head
from approvals.invariants import sentences
from approvals.models import ApprovalRequest, AuditEvent
from cjo_site.front_page.viewer import Viewer

EVENTS, CHANGES, BREACHES = 8, 5, 5


def trail(viewer: Viewer) -> dict:
    """The last events, and how many came today: the chain has no gaps, so that their numbers tell it without
    counting."""
    events = AuditEvent.objects.select_related("detail")
    midnight = queue.midnight_before(viewer.now)
    before = AuditEvent.objects.filter(at__lt=midnight).values_list("sequence", flat=True).first()
    return {"today": head()[0] - (before or 0), "events": list(events[:EVENTS])}


def changes_waiting(viewer: Viewer) -> dict:
    """What one person asked for and a second one has to confirm: policies, authority, execution."""
    waiting = ApprovalRequest.objects.pending().filter(needs_limit=False)
    rows = list(waiting.order_by("requested_at")[: CHANGES + 1])
    return {"changes": [(row, request_url(row.pk)) for row in rows[:CHANGES]], "more": len(rows) > CHANGES}


def chain(viewer: Viewer) -> dict:
    number, last_hash = head()
    return {
        "check": viewer.chain_check,
        "number": number,
        "hash": last_hash,
        "delivered": bool(settings.AUDIT_HEAD_EMAIL),
    }


def broken_chain(viewer: Viewer) -> dict | None:
    check = viewer.chain_check
    return None if check is None or check.ok else {"check": check}


def invariants(viewer: Viewer) -> dict:
    return {"check": viewer.invariant_check, "number": len(sentences())}


def broken_invariants(viewer: Viewer) -> dict | None:
    """`breaches`: (what should hold, which row breaks it)."""
    check = viewer.invariant_check
    if check is None or check.ok:
        return None
    told = sentences()
    return {
        "check": check,
        "breaches": [(told.get(name, name), row) for name, row in check.breaches[:BREACHES]],
        "more": max(len(check.breaches) - BREACHES, 0),
    }
