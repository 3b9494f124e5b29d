"""The gate's pages: the queue and a request, the trail, decisions, limits of authority."""

from approvals.admin.requests import ApprovalRequestAdmin
from approvals.admin.trail import AuditEventAdmin, AuthorityLimitAdmin, DecisionAdmin

__all__ = ["ApprovalRequestAdmin", "AuditEventAdmin", "AuthorityLimitAdmin", "DecisionAdmin"]
