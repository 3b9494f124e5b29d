from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    name = "approvals"
    verbose_name = "Approvals"

    def ready(self):
        from approvals import accounts, subjects
        from approvals.services import authority, membership, webhooks

        accounts.watch()
        subjects.register(
            subjects.Subject(
                kind=authority.KIND,
                label="Authority",
                template="admin/approvals/evidence/authority_limit.html",
                describe=authority.describe,
                on_end=subjects.one_by_one(authority.on_limit_end),
            )
        )
        subjects.register(
            subjects.Subject(
                kind=membership.KIND,
                label="Group membership",
                template="admin/approvals/evidence/group_membership.html",
                describe=membership.describe,
                on_end=subjects.one_by_one(membership.on_membership_end),
            )
        )
        subjects.register(
            subjects.Subject(
                kind=webhooks.KIND,
                label="Where events are sent",
                template="admin/approvals/evidence/webhook_endpoint.html",
                describe=webhooks.describe,
                on_end=subjects.one_by_one(webhooks.on_endpoint_end),
            )
        )
