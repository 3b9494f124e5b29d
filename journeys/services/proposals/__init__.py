"""Proposing interventions, by the pipeline in bulk or by a person by hand, and moving them along with the
request by which they are decided."""

from journeys.services.proposals.by_hand import Suppressed, UnknownCustomer, propose
from journeys.services.proposals.changes import change, changeable, on_change
from journeys.services.proposals.ends import REACHES_CUSTOMER, on_requests_end, status_after
from journeys.services.proposals.machine import (
    Drafts,
    Proposal,
    draft,
    hold_requests,
    open_proposals,
    prepare_proposals,
    status_in_run,
)
from journeys.services.proposals.refreshing import Moved, find_moved, refresh_moved
from journeys.services.proposals.requests import AGENT, KIND, PIPELINE
from journeys.services.proposals.testing import testing_refusal

__all__ = [
    "AGENT",
    "KIND",
    "PIPELINE",
    "REACHES_CUSTOMER",
    "Drafts",
    "Moved",
    "Proposal",
    "Suppressed",
    "UnknownCustomer",
    "change",
    "changeable",
    "draft",
    "find_moved",
    "hold_requests",
    "on_change",
    "on_requests_end",
    "open_proposals",
    "prepare_proposals",
    "propose",
    "refresh_moved",
    "status_after",
    "status_in_run",
    "testing_refusal",
]
