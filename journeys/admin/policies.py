"""Policies: read, and asked to be put in force."""

import json

from django.contrib import admin

from approvals.desk import Act, DeskAdmin, NoteForm, column, who
from approvals.rules import NotAuthorised
from approvals.templatetags.desk import ago, chip
from journeys.admin.links import link
from journeys.models import Policy
from journeys.policy_diff import changes
from journeys.reports import holdouts
from journeys.services.policies import in_force, propose_activation


def _may_ask(user) -> bool:
    return user.has_perm("journeys.add_policy") or user.has_perm("journeys.activate_policy")


def _ask(request, row: Policy, data: dict) -> str:
    if not _may_ask(request.user):
        raise NotAuthorised("You have no permission to ask for another policy.")
    propose_activation(policy=row, reason=data["note"], **who(request))
    return f"Asked to put {row} in force. A second person has to confirm it in the queue."


@admin.register(Policy)
class PolicyAdmin(DeskAdmin):
    page_template = "admin/journeys/policy.html"
    list_display = (
        column("Policy", lambda row: link(row)),
        column("In force", lambda row: chip("in force", "low") if row.active else "–"),
        column("Made by", lambda row: row.created_by),
        column("Made", lambda row: ago(row.created_at)),
    )
    list_display_links = None
    ordering = ("-active", "-created_at")
    acts = (
        Act(
            name="activate",
            title="Put it in force",
            button="Ask to put it in force",
            form=NoteForm,
            perform=_ask,
            offered=lambda request, row: not row.active and _may_ask(request.user),
            explanation="It takes effect once a second person has confirmed it. Say why.",
        ),
    )

    def page_context(self, request, row):
        current = in_force()
        return {
            "current": current,
            "changes": [] if row.active else changes(current.document, row.document),
            "plan": holdouts.plan(row.rules),
            "document": json.dumps(row.document, indent=2, ensure_ascii=False),
        }
