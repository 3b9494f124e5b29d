"""Reading what was done: the trail, the decisions, the limits of authority. None of it is changed here."""

from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import Q
from django.urls import NoReverseMatch, reverse
from django.utils.html import format_html

from approvals.admin.filters import known_values
from approvals.desk import DeskAdmin
from approvals.models import AuditEvent, AuthorityLimit, Decision, user_key
from approvals.rules import Authority, Verdict
from approvals.templatetags.desk import ago, chip


def trail_url(*, actor: str = "", concerning: str = "", request_id: int | None = None) -> str:
    """The page with the trail of one actor, of whom it concerned, or of one request."""
    asked = {"actor_key": actor, "concerning": concerning, "request_id": request_id}
    query = urlencode({name: value for name, value in asked.items() if value})
    return f"{reverse('admin:approvals_auditevent_changelist')}?{query}"


class _Given(admin.SimpleListFilter):
    """A filter by whatever the URL names; it offers no list of values."""

    def lookups(self, request, model_admin):
        # A filter without lookups would leave its parameter to the admin, which refuses it.
        value = request.GET.get(self.parameter_name)
        return [(value, value)] if value else []

    def has_output(self):
        return bool(self.lookup_choices)

    def queryset(self, request, queryset):
        value = self.value()
        if value is None or (self.numeric and not value.isdecimal()):
            return queryset.none() if value else queryset
        return queryset.filter(**{self.parameter_name: value})

    numeric = False


class ByActor(_Given):
    title, parameter_name = "who", "actor_key"


class ByCustomer(_Given):
    title, parameter_name = "about", "concerning"


class ByRequest(_Given):
    title, parameter_name, numeric = "request", "request_id", True


@admin.register(AuditEvent)
class AuditEventAdmin(DeskAdmin):
    """The trail, newest first. Every way to narrow it down goes by an index."""

    change_list_template = "admin/approvals/auditevent/change_list.html"
    page_template = "admin/approvals/auditevent/page.html"
    list_display = ("told", "reason_told", "when", "by", "door")
    list_display_links = None
    list_select_related = ("detail",)
    list_filter = (ByActor, ByCustomer, ByRequest)
    search_fields = ("concerning",)
    search_help_text = "Customer, account (user:5) or request (#12)"
    empty_state = "Nothing on record that fits."

    def get_search_results(self, request, queryset, search_term):
        term = search_term.strip()
        if not term:
            return queryset, False
        if term.startswith("#") and term[1:].isdecimal():
            return queryset.filter(request_id=int(term[1:])), False
        return queryset.filter(Q(concerning=term) | Q(actor_key=term)), False

    def list_page(self, request, refused=None, **extra):
        actor = request.GET.get("actor_key", "")
        own = actor == user_key(request.user)
        newest = AuditEvent.objects.filter(actor_key=actor).select_related("detail").first() if actor else None
        name = newest.told("actor_name") or actor if newest else actor
        heading = "Your trail" if own else f"The trail of {name}" if actor else "Trail"
        return super().list_page(request, refused, heading=heading, **extra)

    @admin.display(description="What happened")
    def told(self, row):
        return format_html('<a href="{}">{}</a>', self.row_url(row), row.sentence)

    @admin.display(description="Reason")
    def reason_told(self, row):
        return row.reason or "–"

    @admin.display(description="When")
    def when(self, row):
        return ago(row.at)

    @admin.display(description="Who")
    def by(self, row):
        name = row.told("actor_name") or row.actor_key
        return format_html('<a href="{}">{}</a>', trail_url(actor=row.actor_key), name)

    def page_context(self, request, row):
        return {
            "title": row.sentence,
            "actor": row.told("actor_name") or row.actor_key,
            "actor_trail": trail_url(actor=row.actor_key),
            "customer_trail": trail_url(concerning=row.concerning) if row.concerning else "",
            "request_url": _request_url(row.request_id),
        }


def _request_url(request_id: int | None) -> str:
    try:
        return reverse("admin:approvals_approvalrequest_change", args=[request_id]) if request_id else ""
    except NoReverseMatch:
        return ""


@admin.register(Decision)
class DecisionAdmin(DeskAdmin):
    list_display = ("what", "verdict_shown", "by", "authority_shown", "reason_told", "when")
    list_display_links = None
    list_select_related = ("request", "event__detail")
    ordering = ("-id",)
    list_filter = (
        known_values("verdict", "decision", lambda: [(word.value, word.capitalize()) for word in Verdict]),
        known_values(
            "authority",
            "authority",
            lambda: [(word.value, word.replace("_", " ").capitalize()) for word in Authority],
        ),
    )
    empty_state = "Nobody has decided anything yet."

    @admin.display(description="Request")
    def what(self, row):
        return format_html('<a href="{}">{}</a>', _request_url(row.request_id), row.request.title)

    @admin.display(description="Decision")
    def verdict_shown(self, row):
        return chip(row.get_verdict_display(), "low" if row.verdict == Verdict.APPROVED else "medium")

    @admin.display(description="By")
    def by(self, row):
        return format_html('<a href="{}">{}</a>', trail_url(actor=row.actor_key), row.actor_name)

    @admin.display(description="Authority")
    def authority_shown(self, row):
        loud = row.authority == Authority.AUTO_APPROVAL_FOR_TESTING
        return chip(row.get_authority_display(), "high" if loud else "")

    @admin.display(description="Reason")
    def reason_told(self, row):
        return row.reason or "–"

    @admin.display(description="When")
    def when(self, row):
        return ago(row.decided_at)


@admin.register(AuthorityLimit)
class AuthorityLimitAdmin(DeskAdmin):
    list_display = ("group", "limit")
    list_display_links = None
    list_select_related = ("group",)
    empty_state = "No group has authority: nobody can decide anything that has a value."

    @admin.display(description="Up to, inclusive")
    def limit(self, row):
        return "Without limit" if row.max_value is None else f"{row.max_value:,.0f}"
