"""Customers: the list, and what can be done from a customer's page."""

from django import forms
from django.contrib import admin
from django.db.models import OuterRef, Q, Subquery

from approvals import shown
from approvals.addresses import request_url
from approvals.admin.filters import begins_with, known_values
from approvals.desk import Act, DeskAdmin, DeskForm, column, who
from approvals.models import ApprovalRequest
from approvals.templatetags.desk import chip, day
from journeys.admin import customer_page
from journeys.admin.links import link, number, risk_chip
from journeys.days import today
from journeys.domain.vocabulary import Action, Segment, Tier, choices, label
from journeys.models import Assessment, Customer, JourneyState
from journeys.services.proposals import propose
from journeys.services.wishes import PERMISSION as WISH_PERMISSION
from journeys.services.wishes import set_wish


class ProposalForm(DeskForm):
    action = forms.ChoiceField(choices=[("", "Choose an action"), *choices(Action)])
    reason = forms.CharField(label="Why", max_length=400, widget=forms.Textarea(attrs={"rows": 3}))
    subject = forms.CharField(
        required=False, max_length=150, help_text="Empty: as the policy's template has it."
    )
    body = forms.CharField(
        label="Text",
        required=False,
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text="Empty: the template's text. Exactly what stands here is shown, approved and sent.",
    )


class WishForm(DeskForm):
    do_not_contact = forms.BooleanField(label="Do not contact at all", required=False)
    hold_until = forms.DateField(
        label="Leave alone until, that day included",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    reason = forms.CharField(label="Why", max_length=200, widget=forms.Textarea(attrs={"rows": 2}))
    field_order = ["hold_until", "do_not_contact", "reason"]


class EndWishForm(DeskForm):
    reason = forms.CharField(label="Why", max_length=200, widget=forms.Textarea(attrs={"rows": 2}))


def _propose(request, row: Customer, data: dict) -> str:
    proposed = propose(customer_id=row.pk, **data, **who(request))
    return f"Proposed: {proposed}. Somebody else decides it."


def _newest_request(request, row: Customer) -> str:
    return request_url(
        ApprovalRequest.objects.filter(concerning=row.pk).order_by("-pk").values_list("pk", flat=True).first()
    )


def _set_wish(request, row: Customer, data: dict) -> str:
    set_wish(customer_id=row.pk, **data, **who(request))
    return f"Noted for {row}; it holds for what is approved already, too."


def _end_wish(request, row: Customer, data: dict) -> str:
    set_wish(customer_id=row.pk, do_not_contact=False, hold_until=None, **data, **who(request))
    return f"{row} may be contacted again."


def _wish_in_force(row: Customer) -> bool:
    return row.do_not_contact or _held(row)


def _held(row: Customer) -> bool:
    return row.hold_until is not None and row.hold_until >= today()


def _wish_as_it_stands(request, row: Customer) -> dict:
    until = row.hold_until if _held(row) else None
    return {"do_not_contact": row.do_not_contact, "hold_until": until}


class LatestRisk(admin.SimpleListFilter):
    """The tier that holds now."""

    title, parameter_name = "risk", "tier"

    def lookups(self, request, model_admin):
        return choices(Tier)

    def queryset(self, request, queryset):
        if self.value() is None:
            return queryset
        # Not "exists": that would be asked of each customer, until enough of a rare tier are found.
        rated = Assessment.objects.current().filter(risk_tier=self.value())
        return queryset.filter(pk__in=rated.values("customer"))


@admin.register(Customer)
class CustomerAdmin(DeskAdmin):
    page_template = "admin/journeys/customer.html"
    list_display = (
        column("Customer", lambda row: link(row)),
        column("Id", lambda row: row.pk),
        column("Segment", lambda row: row.segment or "not known"),
        column("Value a year", lambda row: number(shown.money(row.account_value, row.currency))),
        column("Stage", lambda row: label(row.stage) if row.stage else "none is open"),
        column("Risk", lambda row: risk_chip(row.tier, row.risk)),
        column("Owner", lambda row: row.owner or "–"),
        column("Contact", lambda row: _contact(row)),
    )
    list_display_links = None
    list_filter = (LatestRisk, known_values("segment", "segment", lambda: choices(Segment)), "do_not_contact")
    search_fields = ("customer_id",)
    search_help_text = "Customer id or name, from its beginning"
    ordering = ("customer_id",)
    empty_state = "No customers yet. Load the sample with “manage.py loaddata sample”, or import a portfolio."
    acts = (
        Act(
            name="propose",
            title="Propose an intervention",
            button="Propose",
            form=ProposalForm,
            perform=_propose,
            offered=lambda request, row: request.user.has_perm("journeys.propose_intervention"),
            explanation="Somebody else decides it, whatever your role.",
            afterwards=_newest_request,
            folded=True,
        ),
        Act(
            name="wish",
            title="Leave alone until…",
            button="Save",
            form=WishForm,
            perform=_set_wish,
            offered=lambda request, row: request.user.has_perm(WISH_PERMISSION),
            explanation="It holds for what is approved already, too.",
            initial=_wish_as_it_stands,
            folded=True,
        ),
        Act(
            name="end-wish",
            title="Let them be contacted again",
            button="End it",
            form=EndWishForm,
            perform=_end_wish,
            offered=lambda request, row: _wish_in_force(row) and request.user.has_perm(WISH_PERMISSION),
            folded=True,
        ),
    )

    def get_queryset(self, request):
        """With the assessment that holds and the open stage: one look at an index for each row."""
        latest = Assessment.objects.current().filter(customer=OuterRef("pk"))
        stage = JourneyState.objects.filter(customer=OuterRef("pk"), left_on__isnull=True)
        return (
            super()
            .get_queryset(request)
            .annotate(
                risk=Subquery(latest.values("overall_risk_score")[:1]),
                tier=Subquery(latest.values("risk_tier")[:1]),
                stage=Subquery(stage.values("journey_stage")[:1]),
            )
        )

    def get_search_results(self, request, queryset, search_term):
        term = search_term.strip()
        if not term:
            return queryset, False
        found = Q()
        for form in {term, term.upper(), term.title()}:
            found |= begins_with("pk", form) | begins_with("name", form)
        return queryset.filter(found), False

    def page_context(self, request, row):
        return customer_page.context(row)


def _contact(row: Customer) -> str:
    if row.do_not_contact:
        return chip("do not contact", "high")
    return chip(f"on hold until {day(row.hold_until)}", "medium") if _held(row) else "–"
