"""The gate's part of the API's addresses, without slashes at their ends."""

from rest_framework.routers import SimpleRouter

from approvals.api.requests import ApprovalRequests
from approvals.api.trail import AuditEvents, Decisions

router = SimpleRouter(trailing_slash=False, use_regex_path=True)
router.register("approval-requests", ApprovalRequests, "approval-request")
router.register("decisions", Decisions, "decision")
router.register("audit-events", AuditEvents, "audit-event")
urlpatterns = router.urls
