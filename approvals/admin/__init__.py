"""The gate's pages in the admin, by subject."""

from approvals.admin.accounts import AccountAdmin, ReadOnlyGroupAdmin
from approvals.admin.people import AuthorityLimitAdmin, DelegationAdmin
from approvals.admin.preferences import PreferencesAdmin
from approvals.admin.requests import ApprovalRequestAdmin
from approvals.admin.tokens import ApiTokenAdmin
from approvals.admin.trail import AuditEventAdmin, DecisionAdmin
from approvals.admin.webhooks import WebhookDeliveryAdmin, WebhookEndpointAdmin

__all__ = [
    "AccountAdmin",
    "ApiTokenAdmin",
    "ApprovalRequestAdmin",
    "AuditEventAdmin",
    "AuthorityLimitAdmin",
    "DecisionAdmin",
    "DelegationAdmin",
    "PreferencesAdmin",
    "ReadOnlyGroupAdmin",
    "WebhookDeliveryAdmin",
    "WebhookEndpointAdmin",
]
