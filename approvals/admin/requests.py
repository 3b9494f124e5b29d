"""The queue, and the page on which a request is decided."""

from functools import partial

from django.contrib import admin
from django.db.models import Q
from django.utils import timezone
from django.utils.html import format_html

from approvals import queue, shown
from approvals.addresses import request_url, trail_url
from approvals.admin import figures
from approvals.admin.acts import ACTS, DECIDE_SEVERAL, checkbox, may_decide
from approvals.admin.deciding import DECIDE, refusal_for
from approvals.admin.filters import known_values
from approvals.admin.saved import SavedViewFilter, status_of_view
from approvals.desk import DeskAdmin, column, who
from approvals.models import LATEST, MOST_PRESSING, ApprovalRequest, AuditEvent
from approvals.rules import Limit, Status
from approvals.services import limits_of, note_viewed, others_who_may
from approvals.subjects import choices, labels, subject_of
from approvals.templatetags.desk import ago, chip, due

_BIGGEST_ID = 2**63 - 1


def _what(row: ApprovalRequest) -> str:
    page = request_url(row.pk)
    why = row.summary or "–"
    return format_html('<a class="what" href="{}">{}</a><div class="why">{}</div>', page, row.title, why)


def _risk(row: ApprovalRequest) -> str:
    return chip(f"{row.risk_tier} {shown.score(row.risk_score)}", row.risk_tier) if row.risk_tier else "–"


def _stake(row: ApprovalRequest) -> str:
    if row.value_at_stake is None and not row.needs_limit:
        return "–"
    return format_html('<span class="n">{}</span>', shown.money(row.value_at_stake, row.currency))


def _of_status(status: str, request) -> Q:
    return queue.WAITING if status == Status.PENDING else Q(status=status)


def _of_kind(kind: str, request) -> Q:
    return queue.waiting_of_kind(kind) if _status(request) == Status.PENDING else Q(kind=kind)


def _status(request) -> str:
    return request.GET.get("status") or status_of_view(request)


@admin.register(ApprovalRequest)
class ApprovalRequestAdmin(DeskAdmin):
    page_template = "admin/approvals/approvalrequest/page.html"
    list_acts = (DECIDE_SEVERAL,)
    list_display = (
        column("Select", checkbox),
        column("What, for whom, why", _what),
        column("Risk", _risk),
        column("At stake", _stake),
        column("Priority", lambda row: format_html('<span class="n">{}</span>', f"{row.priority_score:.1f}")),
        column(
            "Due",
            lambda row: due(row.decision_due_at) if row.status == Status.PENDING else ago(row.decided_at),
        ),
        column("Reviewed by", lambda row: row.claimed_by_name if row.is_claimed(timezone.now()) else "–"),
        column("Status", lambda row: chip(row.get_status_display())),
    )
    list_display_links = None
    search_fields = ("concerning",)
    search_help_text = "Customer or request id"
    list_filter = (
        SavedViewFilter,
        known_values(
            "status",
            "status",
            lambda: [(status.value, status.capitalize()) for status in Status],
            default=status_of_view,
            replaces=("view",),
            holds=_of_status,
        ),
        known_values("risk_tier", "risk", lambda: choices("risk_tier").items()),
        known_values("action", "action", lambda: choices("action").items()),
        known_values("segment", "segment", lambda: choices("segment").items()),
        known_values("kind", "kind", lambda: labels().items(), holds=_of_kind),
    )
    acts = (
        DECIDE,
        *ACTS,
    )

    def get_ordering(self, request):
        """What waits by how pressing it is; of all else the latest first, each as there is an index for."""
        status = _status(request)
        if status == Status.PENDING:
            return MOST_PRESSING
        of_all = {status, request.GET.get("kind") or "all"} == {"all"}
        return ("-id",) if of_all else LATEST

    def get_search_results(self, request, queryset, search_term):
        """Exact, or by the beginning of the customer's id: a search inside texts would read every row."""
        term = search_term.strip()
        if not term:
            return queryset, False
        found = Q(concerning__startswith=term)
        number = term.removeprefix("#")
        if number.isdecimal() and int(number) <= _BIGGEST_ID:
            found |= Q(pk=int(number))
        return queryset.filter(found), False

    def own_urls(self, address):
        return [address("figures/", partial(figures.page, self), "figures")]

    # -- the list

    def list_page(self, request, refused=None, **extra):
        response = super().list_page(request, refused, **extra)
        changelist = getattr(response, "context_data", {}).get("cl")
        if changelist is not None:
            response.context_data |= self._views(request, changelist)
        return response

    def _views(self, request, changelist) -> dict:
        """The saved views with their counts, and what the chosen one amounts to."""
        views = next(spec for spec in changelist.filter_specs if isinstance(spec, SavedViewFilter))
        changelist.filter_specs.remove(views)
        # To clear the filters is not to leave the view.
        others = [spec.parameter_name for spec in changelist.filter_specs]
        changelist.has_active_filters = any(spec.value() for spec in changelist.filter_specs)
        changelist.clear_all_filters_qs = changelist.get_query_string(remove=others)
        found, status = self.get_queryset(request), status_of_view(request)
        for spec in changelist.filter_specs:
            if spec.parameter_name != "status":
                found = spec.queryset(request, found)
        found, _ = self.get_search_results(request, found, changelist.query)
        standing = views.standing(found)
        decides = request.user.has_perm("approvals.decide_approvalrequest")
        context = {"views": views.links(changelist, standing.views, decides=decides)}
        if request.GET.get("status", status) == status:
            context["view"] = views.chosen
            if views.chosen.waiting and standing.requests:
                context["counts"] = queue.told(standing, views.now)
        return context

    # -- the page

    def page(self, request, row, refused=None):
        if refused is None and may_decide(request, row):
            note_viewed(row, **who(request))
        return super().page(request, row, refused)

    def page_context(self, request, row):
        subject = subject_of(row.kind)
        evidence = subject.describe(row, request.user)
        reasons = choices("person_reasons")
        pending = row.status == Status.PENDING
        events = list(AuditEvent.objects.filter(request_id=row.pk).select_related("detail"))
        following = queue.next_after(row, request.user)
        decision = row.decisions.select_related("event__detail").filter(ends=True).first()
        return {
            "title": row.title,
            "subject_template": subject.template,
            "subject_label": subject.label,
            "evidence": evidence,
            "refusal": refusal_for(row, request.user),
            "place": queue.place(row) if pending else None,
            "next_url": request_url(following.pk) if following else "",
            "person_reasons": evidence.get("person_reasons")
            or [_inside_a_sentence(reasons.get(word, word)) for word in row.person_reasons],
            "authority": _authority(request.user),
            "others": others_who_may(row, request.user) if pending else None,
            "decision": decision,
            "decision_trail": trail_url(actor=decision.actor_key) if decision else "",
            "proposer_trail": trail_url(actor=row.proposed_by_key),
            "events": [(event, _told_here(event, row)) for event in events],
            "standing_approvals": row.standing_approvals() if row.approvals_given else [],
            "claimed": row.is_claimed(timezone.now()),
            "revisions": list(row.revisions.all()),
            "trail": trail_url(request_id=row.pk),
        }


def _told_here(event: AuditEvent, row: ApprovalRequest) -> str:
    """The event's sentence on the page of the request itself, whose title need not be said again."""
    about_it = (event.kind, event.subject_key) == (row.kind, row.subject_key)
    return event.sentence_about("it" if about_it else None)


def _inside_a_sentence(text: str) -> str:
    return text[:1].lower() + text[1:]


def _authority(user) -> str:
    """The person's own limits, in words, as far as they reach."""
    limits = limits_of(user)
    if not limits:
        return "You have no limit of authority: you may decide nothing that has a value."
    return " ".join(dict.fromkeys(_told(limit) for limit in limits))


def _told(limit: Limit) -> str:
    words = sorted(limit.tiers) + sorted(limit.actions) + sorted(limit.segments)
    reach = "without limit" if limit.max_value is None else f"up to {limit.max_value:,.0f}, inclusive"
    only = f", only {', '.join(words)}" if words else ""
    return f"You may decide {reach}{only}."
