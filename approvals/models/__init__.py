"""The gate's rows, by subject."""

from approvals.models.audit import AuditDetail, AuditEvent, AuditHead, ChainCheck, Decision
from approvals.models.authority import AuthorityLimit, Delegation
from approvals.models.idempotency import IdempotencyKey
from approvals.models.notices import Notice
from approvals.models.preferences import Preferences
from approvals.models.requests import LATEST, MOST_PRESSING, ApprovalRequest, RequestRevision
from approvals.models.tokens import ApiToken
from approvals.models.webhooks import (
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookMessage,
    WebhookSecret,
)

__all__ = [
    "LATEST",
    "MOST_PRESSING",
    "ApiToken",
    "ApprovalRequest",
    "AuditDetail",
    "AuditEvent",
    "AuditHead",
    "AuthorityLimit",
    "ChainCheck",
    "Decision",
    "Delegation",
    "IdempotencyKey",
    "Notice",
    "Preferences",
    "RequestRevision",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookMessage",
    "WebhookSecret",
    "user_key",
]


def user_key(user) -> str:
    """How the audit names an account: its key outlives renaming, and the row itself."""
    return f"user:{user.pk}"
