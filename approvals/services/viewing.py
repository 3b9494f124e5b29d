"""That somebody who may decide has seen the evidence. It decides nothing."""

from django.db import transaction

from approvals.audit import record
from approvals.models import ApprovalRequest, AuditEvent, user_key
from approvals.services.moves import event_of
from approvals.services.people import actor_of

VIEWED = "request.viewed"


def note_viewed(request: ApprovalRequest, *, user, door: str, address: str = "") -> None:
    """Record once per person, and again once the request has changed."""
    seen = AuditEvent.objects.filter(
        request_id=request.pk, word=VIEWED, actor_key=user_key(user), fingerprint=request.fingerprint
    )
    if not seen.exists():
        with transaction.atomic():
            record([event_of(VIEWED, request, actor_of(user, door=door, address=address))])
