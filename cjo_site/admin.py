"""The admin site that every app's pages register with: its navigation, its front page, its warnings."""

from dataclasses import dataclass

from django.contrib.admin import AdminSite
from django.urls import reverse

from approvals.addresses import trail_url
from approvals.models import ApprovalRequest, user_key
from cjo_site.front_page import front_page
from journeys.domain.vocabulary import ExecutionMode, SwitchScope
from journeys.services import switches


@dataclass(frozen=True, slots=True)
class NavigationItem:
    label: str
    url: str
    current: bool
    count: int | None = None


@dataclass(frozen=True, slots=True)
class ModeBanner:
    headline: str
    sentence: str
    tone: str


_BANNERS = {
    ExecutionMode.OFF: ModeBanner(
        "Execution is off.", "Nothing is carried out, whatever is approved.", "high"
    ),
    ExecutionMode.RECORD_ONLY: ModeBanner(
        "Execution is record-only.", "What is approved is put on record; nothing is sent.", "medium"
    ),
    ExecutionMode.LIVE: ModeBanner("Execution is live.", "What is approved really goes out.", "low"),
}
# Label, view, permission to see it.
_NAVIGATION = (
    ("Queue", "approvals_approvalrequest_changelist", "approvals.view_approvalrequest"),
    ("Customers", "journeys_customer_changelist", "journeys.view_customer"),
    ("Portfolio", "journeys_assessment_portfolio", "journeys.view_assessment"),
    ("Runs", "journeys_pipelinerun_changelist", "journeys.view_pipelinerun"),
    ("Report", "journeys_pipelinerun_report_latest", "journeys.view_pipelinerun"),
    ("Results", "journeys_assignment_results", "journeys.view_pipelinerun"),
    ("Trail", "approvals_auditevent_changelist", "approvals.view_auditevent"),
    ("Execution", "journeys_executionswitch_changelist", "journeys.view_executionswitch"),
)


class DeskAdminSite(AdminSite):
    site_title = "Journey Orchestrator"
    site_header = "Journey Orchestrator"
    index_title = "Home"
    enable_nav_sidebar = False

    def each_context(self, request):
        context = super().each_context(request)
        if not self.has_permission(request):
            return context
        more = self._more(request, context.get("available_apps", ()))
        return context | {
            "desk_nav": self._navigation(request),
            "desk_more": more,
            "desk_more_current": any(item.current for item in more),
            "desk_mode": _BANNERS[switches.current(SwitchScope.ALL)],
            "desk_trail_url": trail_url(actor=user_key(request.user)),
        }

    def index(self, request, extra_context=None):
        return super().index(request, {"home": front_page(request.user), **(extra_context or {})})

    def _navigation(self, request) -> list[NavigationItem]:
        home = reverse(f"{self.name}:index")
        items = [NavigationItem("Home", home, request.path == home)]
        # The most specific address that the page lies below is the current one.
        seen = [
            (label, reverse(f"{self.name}:{view}"))
            for label, view, permission in _NAVIGATION
            if request.user.has_perm(permission)
        ]
        below = [url for _, url in seen if request.path.startswith(url)]
        current = max(below, key=len, default="")
        for label, url in seen:
            count = ApprovalRequest.objects.pending().count() if label == "Queue" else None
            items.append(NavigationItem(label, url, url == current, count))
        return items

    def _more(self, request, apps) -> list[NavigationItem]:
        """The pages that the navigation does not name, as far as this person may see them."""
        named = {reverse(f"{self.name}:{view}") for _, view, _ in _NAVIGATION}
        elsewhere = any(request.path.startswith(url) for url in named)
        pages = [(model["name"], model["admin_url"]) for app in apps for model in app["models"]]
        return [
            NavigationItem(str(name), url, request.path.startswith(url) and not elsewhere)
            for name, url in sorted(pages, key=lambda page: str(page[0]).lower())
            if url and url not in named
        ]
