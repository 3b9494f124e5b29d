"""The forms of the desk, as a browser sends them."""

from django.contrib import admin

from approvals.desk import DeskAdmin
from approvals.models import ApprovalRequest
from approvals.rules import Verdict
from tests.trials.portfolio import PASSWORD


def form(request: ApprovalRequest, verdict: Verdict = Verdict.APPROVED) -> dict:
    """The decision on what the page shows now."""
    return {
        "verdict": verdict.value,
        "reason": "It is so.",
        "category": "other" if verdict == Verdict.REJECTED else "",
        "password": PASSWORD,
        "fingerprint": request.fingerprint,
    }


def acts() -> set[str]:
    """The names of the addresses that do something."""
    return {
        f"admin:{desk.opts.app_label}_{desk.opts.model_name}_{act.name}"
        for desk in admin.site._registry.values()
        if isinstance(desk, DeskAdmin)
        for act in (*desk.acts, *desk.list_acts)
    }
