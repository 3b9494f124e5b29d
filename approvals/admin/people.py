"""Who may decide what, and who stands in for whom. Limits change when a second person confirms."""

from decimal import Decimal

from django import forms
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db.models import Q
from django.utils import timezone
from django.utils.html import format_html

from approvals import services, shown
from approvals.addresses import request_url
from approvals.desk import Act, DeskAdmin, DeskForm, MomentField, column, who
from approvals.models import ApprovalRequest, AuthorityLimit, Delegation
from approvals.services import authority, membership
from approvals.subjects import choices
from approvals.templatetags.desk import chip, moment


class DelegationForm(DeskForm):
    starts_at = MomentField(label="From")
    ends_at = MomentField(label="Until")
    reason = forms.CharField(required=False, max_length=200)
    field_order = ("to", "starts_at", "ends_at", "reason")


def _substitutes(request, row) -> dict[str, forms.Field]:
    users = (
        get_user_model()
        .objects.filter(is_active=True, is_staff=True)
        .exclude(pk=request.user.pk)
        .order_by("pk")
    )
    names = [
        (user.get_username(), user.get_full_name() or user.get_username()) for user in users.order_by("pk")
    ]
    return {"to": forms.ChoiceField(label="Who stands in for you", choices=[("", "–"), *names])}


def _delegate(request, row: None, data: dict) -> str:
    to = get_user_model().objects.get_by_natural_key(data["to"])
    arguments = who(request)
    services.delegate(
        delegator=arguments.pop("user"),
        to=to,
        starts_at=data["starts_at"],
        ends_at=data["ends_at"],
        reason=data["reason"],
        **arguments,
    )
    return f"{data['to']} stands in for you until {shown.absolute(data['ends_at'])}."


def _end(request, row: Delegation, data: dict) -> str:
    services.end_delegation(delegation_id=row.pk, **who(request))
    return "Ended."


def _concerns(request, row: Delegation) -> bool:
    stands = row.revoked_at is None and row.ends_at > timezone.now()
    return stands and request.user.pk in (row.delegator_id, row.delegate_id)


def _stands(row: Delegation) -> str:
    now = timezone.now()
    if row.revoked_at:
        return chip("Ended")
    if row.ends_at <= now:
        return chip("Over")
    return chip("Now", "low") if row.starts_at <= now else chip("Later")


@admin.register(Delegation)
class DelegationAdmin(DeskAdmin):
    """One's own, or with the permission everybody's."""

    list_display = (
        column("Who", lambda row: row.delegate),
        column("On behalf of", lambda row: row.delegator),
        column("From", lambda row: moment(row.starts_at)),
        column("Until", lambda row: moment(row.ends_at)),
        column("Stands", _stands),
        column("Reason", lambda row: row.reason or "–"),
    )
    list_select_related = ("delegator", "delegate")
    ordering = ("-id",)
    empty_state = "Nobody stands in for you, nor you for anybody. Before you are away, let somebody stand in."
    list_acts = (
        Act(
            name="delegate",
            title="Let somebody stand in for you",
            button="Delegate",
            explanation="They decide on your behalf, never beyond your authority, and never what either of "
            "you proposed.",
            form=DelegationForm,
            fields=_substitutes,
            perform=_delegate,
            folded=True,
        ),
    )
    acts = (
        Act(name="end", title="End it", button="End it now", form=DeskForm, perform=_end, offered=_concerns),
    )

    def page_context(self, request, row):
        return {
            "title": f"{row.delegate} on behalf of {row.delegator}",
            "facts": [
                ("who", row.delegate),
                ("on behalf of", row.delegator),
                ("from", moment(row.starts_at)),
                ("until", moment(row.ends_at)),
                ("stands", _stands(row)),
                ("reason", row.reason),
            ],
        }

    def get_queryset(self, request):
        rows = super().get_queryset(request)
        if request.user.has_perm("auth.view_user"):
            return rows
        return rows.filter(Q(delegator=request.user) | Q(delegate=request.user))


class LimitForm(DeskForm):
    max_value = forms.DecimalField(
        label="Up to, inclusive",
        required=False,
        min_value=Decimal(0),
        help_text="A year, in the account's own currency. Empty: without limit.",
    )
    reason = forms.CharField(max_length=400, widget=forms.Textarea(attrs={"rows": 2}))


class NewLimitForm(LimitForm):
    name = forms.CharField(max_length=80)
    field_order = ("name", "group", "max_value", "tiers", "actions", "segments", "escalates_to", "reason")


class RemoveForm(DeskForm):
    reason = forms.CharField(max_length=400, widget=forms.Textarea(attrs={"rows": 2}))


class MembershipForm(DeskForm):
    member = forms.ChoiceField(
        label="What", choices=[("1", "Put into the group"), ("", "Take out of the group")], required=False
    )
    reason = forms.CharField(max_length=400, widget=forms.Textarea(attrs={"rows": 2}))


def _membership_fields(request, row) -> dict[str, forms.Field]:
    users = get_user_model().objects.filter(is_active=True).order_by("username")
    names = [(name, name) for name in users.values_list("username", flat=True)]
    groups = [(name, name) for name in Group.objects.order_by("name").values_list("name", flat=True)]
    return {
        "user_name": forms.ChoiceField(label="Whom", choices=[("", "–"), *names]),
        "group": forms.ChoiceField(choices=[("", "–"), *groups]),
    }


def _propose_membership(request, row: None, data: dict) -> str:
    asked = membership.propose_membership(
        user_name=data["user_name"],
        group=data["group"],
        member=bool(data["member"]),
        reason=data["reason"],
        **who(request),
    )
    return f"Asked: somebody else confirms it (request {asked.pk})."


_FACETS = {"tiers": "risk_tier", "actions": "action", "segments": "segment"}


def _limit_fields(request, row: AuthorityLimit | None) -> dict[str, forms.Field]:
    groups = [(name, name) for name in Group.objects.order_by("name").values_list("name", flat=True)]
    fields = {
        "group": forms.ChoiceField(choices=[("", "–"), *groups]),
        "escalates_to": forms.ChoiceField(label="Escalates to", required=False, choices=[("", "–"), *groups]),
    }
    for name, facet in _FACETS.items():
        fields[name] = forms.MultipleChoiceField(
            label=f"Only these {name}",
            required=False,
            choices=list(choices(facet).items()),
            help_text="Nothing chosen: all of them.",
        )
    return fields


def _initial(request, row: AuthorityLimit) -> dict:
    return {
        "group": row.group.name,
        "max_value": row.max_value,
        "escalates_to": row.escalates_to.name if row.escalates_to else "",
        **{name: getattr(row, name) for name in _FACETS},
    }


def _propose(request, row: AuthorityLimit | None, data: dict) -> str:
    asked = authority.propose_limit(
        name=row.name if row else data["name"],
        group=data["group"],
        max_value=data["max_value"],
        escalates_to=data["escalates_to"],
        **{name: tuple(data[name]) for name in _FACETS},
        reason=data["reason"],
        **who(request),
    )
    return f"Asked: somebody else confirms it (request {asked.pk})."


def _remove(request, row: AuthorityLimit, data: dict) -> str:
    asked = authority.propose_limit(
        name=row.name, group="", max_value=None, remove=True, reason=data["reason"], **who(request)
    )
    return f"Asked: somebody else confirms it (request {asked.pk})."


def _waiting(pending: ApprovalRequest | None) -> str:
    return format_html('<a href="{}">{}</a>', request_url(pending.pk), pending.title) if pending else "–"


def _may_propose(request, row) -> bool:
    return request.user.has_perm(authority.PROPOSE)


def _only(row: AuthorityLimit) -> str:
    parts = []
    for name, facet in _FACETS.items():
        known = choices(facet)
        parts.append(", ".join(known.get(value, value) for value in getattr(row, name)))
    return "; ".join(filter(None, parts)) or "everything"


@admin.register(AuthorityLimit)
class AuthorityLimitAdmin(DeskAdmin):
    list_display = (
        column("Group", lambda row: row.group),
        column(
            "May decide",
            lambda row: (
                "without limit" if row.max_value is None else f"up to {row.max_value:,.0f}, inclusive"
            ),
        ),
        column("Of what", _only),
        column("Escalates to", lambda row: row.escalates_to or "–"),
    )
    list_select_related = ("group", "escalates_to")
    ordering = ("name",)
    empty_state = "No group has a limit: nobody may decide anything that has a value."
    list_acts = (
        Act(
            name="propose",
            title="Add a limit",
            button="Ask for it",
            explanation="It takes effect when a second person confirms it.",
            form=NewLimitForm,
            fields=_limit_fields,
            perform=_propose,
            offered=_may_propose,
            folded=True,
        ),
        Act(
            name="propose-membership",
            title="Change who is in a group",
            button="Ask for it",
            explanation="It takes effect when a second person confirms it.",
            form=MembershipForm,
            fields=_membership_fields,
            perform=_propose_membership,
            offered=_may_propose,
            folded=True,
        ),
    )
    acts = (
        Act(
            name="propose-change",
            title="Change it",
            button="Ask for the change",
            explanation="It takes effect when a second person confirms it.",
            form=LimitForm,
            fields=_limit_fields,
            initial=_initial,
            perform=_propose,
            offered=_may_propose,
        ),
        Act(
            name="propose-removal",
            title="Remove it",
            button="Ask for the removal",
            form=RemoveForm,
            perform=_remove,
            offered=_may_propose,
            folded=True,
        ),
    )

    def page_context(self, request, row):
        pending = ApprovalRequest.objects.pending().filter(kind=authority.KIND, subject_key=row.name).first()
        return {
            "facts": [
                ("group", row.group),
                ("up to, inclusive", "without limit" if row.max_value is None else f"{row.max_value:,.2f}"),
                ("of what", _only(row)),
                ("escalates to", row.escalates_to or "–"),
                ("waits for confirmation", _waiting(pending)),
            ]
        }
