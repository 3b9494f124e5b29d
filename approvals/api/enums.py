"""What the contract calls the gate's sets of words, each where another of the same name is about."""

from approvals.models.choices import choices
from approvals.rules import RejectionCategory, Status

REQUEST_STATUS = choices(Status)
REJECTION_CATEGORY = choices(RejectionCategory)
