"""Reading what was done: the trail, the decisions, the limits of authority. None of it is changed here."""

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import StreamingHttpResponse
from django.urls import reverse
from django.utils.html import format_html

from approvals import chain
from approvals.addresses import request_url, trail_url
from approvals.admin.filters import Given, known_values
from approvals.desk import DeskAdmin, column
from approvals.models import AuditEvent, Decision, user_key
from approvals.rules import Authority, Verdict
from approvals.templatetags.desk import ago, chip, moment

TRAIL_PERMISSION = "approvals.view_auditevent"


class ByActor(Given):
    title, parameter_name = "who", "actor_key"


class ByCustomer(Given):
    title, parameter_name = "about", "concerning"


class ByRequest(Given):
    title, parameter_name, numeric = "request", "request_id", True


@admin.register(AuditEvent)
class AuditEventAdmin(DeskAdmin):
    """The trail, newest first; without the permission for all of it, one's own. Every way to narrow it down
    goes by an index."""

    change_list_template = "admin/approvals/auditevent/change_list.html"
    page_template = "admin/approvals/auditevent/page.html"
    list_display = (
        column("What happened", lambda row: _link(_event_url(row), row.sentence)),
        column("Reason", lambda row: row.reason or "–"),
        column("When", lambda row: moment(row.at)),
        column("Who", lambda row: _link(trail_url(actor=row.actor_key), _name_of(row))),
        column("Door", lambda row: row.door),
    )
    list_display_links = None
    list_select_related = ("detail",)
    list_filter = (ByActor, ByCustomer, ByRequest)
    search_fields = ("concerning",)
    search_help_text = "Customer id, user name, or request (#12)"
    empty_state = "Nothing that fits is on record."

    def has_view_permission(self, request, obj=None):
        return request.user.is_active and request.user.is_staff

    def has_module_permission(self, request):
        return request.user.has_perm(TRAIL_PERMISSION)

    def get_queryset(self, request):
        events = super().get_queryset(request)
        if request.user.has_perm(TRAIL_PERMISSION):
            return events
        return events.filter(actor_key=user_key(request.user))

    def get_search_results(self, request, queryset, search_term):
        term = search_term.strip()
        if not term:
            return queryset, False
        if term.startswith("#") and term[1:].isdecimal():
            return queryset.filter(request_id=int(term[1:])), False
        keys = {term}
        account = get_user_model().objects.filter(username=term).first()
        if account:
            keys.add(user_key(account))
        return queryset.filter(Q(concerning__in=keys) | Q(actor_key__in=keys)), False

    def own_urls(self, address):
        return [address("export/", self.export_view, "export")]

    def export_view(self, request):
        """The trail, narrowed down as the list is, as JSON Lines; streamed."""
        if not request.user.has_perm(TRAIL_PERMISSION):
            raise PermissionDenied
        events = self.get_queryset(request)
        for name in ("actor_key", "concerning", "request_id"):
            if value := request.GET.get(name):
                if name == "request_id" and not value.isdecimal():
                    events = events.none()
                else:
                    events = events.filter(**{name: value})
        answer = StreamingHttpResponse(chain.lines(events), content_type="application/jsonl")
        answer["Content-Disposition"] = 'attachment; filename="audit.jsonl"'
        return answer

    def list_page(self, request, refused=None, **extra):
        actor = request.GET.get("actor_key", "")
        newest = self.get_queryset(request).filter(actor_key=actor).select_related("detail").first()
        if actor == user_key(request.user) or not request.user.has_perm(TRAIL_PERMISSION):
            heading = "Your trail"
        else:
            heading = f"The trail of {_name_of(newest)}" if newest else "Trail"
        return super().list_page(request, refused, heading=heading, **extra)

    def page_context(self, request, row):
        return {
            "title": row.sentence,
            "actor": _name_of(row),
            "actor_trail": trail_url(actor=row.actor_key),
            "customer_trail": trail_url(concerning=row.concerning) if row.concerning else "",
            "request_url": request_url(row.request_id),
        }


def _name_of(event: AuditEvent) -> str:
    return event.told("actor_name") or event.actor_key


def _link(url: str, text: str) -> str:
    return format_html('<a href="{}">{}</a>', url, text) if url else text


def _event_url(event: AuditEvent) -> str:
    return reverse("admin:approvals_auditevent_change", args=[event.pk])


BY = column("By", lambda row: row.actor_name)
BY_LINKED = column("By", lambda row: _link(trail_url(actor=row.actor_key), row.actor_name))


@admin.register(Decision)
class DecisionAdmin(DeskAdmin):
    list_display = (
        column("Request", lambda row: _link(request_url(row.request_id), row.request.title)),
        column(
            "Decision",
            lambda row: chip(
                row.get_verdict_display(), "low" if row.verdict == Verdict.APPROVED else "medium"
            ),
        ),
        BY,
        column(
            "Authority",
            lambda row: chip(
                row.get_authority_display(),
                "high" if row.authority == Authority.AUTO_APPROVAL_FOR_TESTING else "",
            ),
        ),
        column("Reason", lambda row: row.reason or "–"),
        column("When", lambda row: ago(row.decided_at)),
    )
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
    empty_state = "Nobody has decided anything yet. What waits for a decision is in the queue."

    def get_list_display(self, request):
        """The name leads to its trail for those who may see it."""
        if not request.user.has_perm(TRAIL_PERMISSION):
            return self.list_display
        return tuple(BY_LINKED if shown is BY else shown for shown in self.list_display)

    def page_context(self, request, row):
        by = row.actor_name
        if request.user.has_perm(TRAIL_PERMISSION):
            by = _link(trail_url(actor=row.actor_key), by)
        return {
            "title": f"{row.get_verdict_display()}: {row.request.title}",
            "facts": [
                ("request", _link(request_url(row.request_id), row.request.title)),
                ("decision", row.get_verdict_display()),
                ("what was wrong", row.get_category_display()),
                ("by", by),
                ("authority", row.get_authority_display()),
                ("reason", row.reason),
                ("when", moment(row.decided_at)),
                ("ended the request", "yes" if row.ends else "no, it took somebody else too"),
                ("fingerprint of what was seen", row.fingerprint),
            ],
        }
