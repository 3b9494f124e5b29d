"""What journeys asks the gate for: the evidence of each kind of request, and what its end does."""

from approvals.models import ApprovalRequest
from approvals.subjects import Subject
from journeys.models import Intervention
from journeys.services import policies, proposals


def _describe_intervention(request: ApprovalRequest, user) -> dict:
    return {"intervention": Intervention.objects.select_related("customer").get(pk=request.subject_key)}


def _describe_change(request: ApprovalRequest, user) -> dict:
    return {}


SUBJECTS = (
    Subject(
        kind=proposals.KIND,
        label="Intervention",
        template="admin/approvals/evidence/intervention.html",
        describe=_describe_intervention,
        on_end=proposals.on_request_end,
    ),
    Subject(
        kind=policies.KIND,
        label="Policy in force",
        template="admin/approvals/evidence/change.html",
        describe=_describe_change,
        on_end=policies.on_activation_end,
    ),
)
