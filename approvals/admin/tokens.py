"""API tokens: one's own, and those of services. A token is shown in the answer that makes it, and never
again."""

from datetime import timedelta

from django import forms
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.http import HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.debug import sensitive_variables

from approvals import scopes
from approvals.desk import Act, DeskAdmin, DeskForm, column, who
from approvals.models import ApiToken
from approvals.services import tokens
from approvals.templatetags.desk import ago, chip, moment

MANAGE = "approvals.manage_apitoken"


def _scope_field(names) -> forms.MultipleChoiceField:
    return forms.MultipleChoiceField(
        label="What for",
        choices=[(name, f"{name} – {told}") for name, told in scopes.known().items() if name in names],
        widget=forms.CheckboxSelectMultiple(attrs={"class": "scopes"}),
        error_messages={"required": "Choose at least one."},
    )


class TokenForm(DeskForm):
    name = forms.CharField(max_length=80, help_text="Which program it is for.")
    days = forms.IntegerField(label="Good for, days", min_value=1, max_value=tokens.MOST_DAYS, initial=365)
    field_order = ("name", "owner", "scopes", "days", "password")


class OwnTokenForm(TokenForm):
    password = forms.CharField(
        label="Your password, again",
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )


class RotateForm(DeskForm):
    days = forms.IntegerField(label="Good for, days", min_value=1, max_value=tokens.MOST_DAYS, initial=365)
    overlap = forms.IntegerField(
        label="The one before stays good for, hours",
        min_value=0,
        max_value=int(tokens.MOST_OVERLAP.total_seconds() // 3600),
        initial=24,
    )


class RevokeForm(DeskForm):
    reason = forms.CharField(max_length=400, required=False, widget=forms.Textarea(attrs={"rows": 2}))


def _by(request) -> dict:
    arguments = who(request)
    return arguments | {"by": arguments.pop("user")}


@sensitive_variables("text")
def _shown(request, token: ApiToken, text: str) -> HttpResponse:
    context = {
        **admin.site.each_context(request),
        "title": f"The token {token.name}",
        "row": token,
        "text": text,
        "url": reverse("admin:approvals_apitoken_change", args=[token.pk]),
    }
    # The admin's pages are kept by no cache, nor is this one.
    return TemplateResponse(request, "admin/approvals/apitoken/shown.html", context)


@sensitive_variables("data")
def _make_own(request, row: None, data: dict) -> HttpResponse:
    arguments = who(request)
    made = tokens.make_personal(
        owner=arguments.pop("user"),
        name=data["name"],
        scopes_wanted=data["scopes"],
        days=data["days"],
        password=data["password"],
        **arguments,
    )
    return _shown(request, *made)


def _service_fields(request, row) -> dict[str, forms.Field]:
    users = get_user_model().objects.filter(is_active=True).order_by("username")
    names = [(name, name) for name in users.values_list("username", flat=True)]
    return {
        "owner": forms.ChoiceField(label="In whose name", choices=[("", "–"), *names]),
        "scopes": _scope_field(scopes.known().keys() - {scopes.DECIDE}),
    }


def _make_for_service(request, row: None, data: dict) -> HttpResponse:
    made = tokens.make_for_service(
        owner=get_user_model().objects.get_by_natural_key(data["owner"]),
        name=data["name"],
        scopes_wanted=data["scopes"],
        days=data["days"],
        **_by(request),
    )
    return _shown(request, *made)


def _rotate(request, row: ApiToken, data: dict) -> HttpResponse:
    overlap = timedelta(hours=data["overlap"])
    return _shown(
        request, *tokens.rotate(token_id=row.pk, overlap=overlap, days=data["days"], **_by(request))
    )


def _revoke(request, row: ApiToken, data: dict) -> str:
    tokens.revoke(token_id=row.pk, reason=data["reason"], **_by(request))
    return f"Revoked: {row}."


def _touchable(request, row: ApiToken) -> bool:
    return row.stands(timezone.now()) and tokens.may_touch(row, request.user)


def _stands(row: ApiToken) -> str:
    if row.revoked_at:
        return chip("Revoked")
    return chip("Good", "low") if row.stands(timezone.now()) else chip("Expired")


@admin.register(ApiToken)
class ApiTokenAdmin(DeskAdmin):
    """One's own; with the permission, everybody's."""

    list_display = (
        column("Name", lambda row: row.name),
        column("Prefix", lambda row: row.prefix),
        column("Owner", lambda row: row.owner),
        column("Kind", lambda row: row.get_kind_display()),
        column("What for", lambda row: ", ".join(row.scopes)),
        column("Last used", lambda row: ago(row.last_used_at) if row.last_used_at else "never"),
        column("Until", lambda row: moment(row.expires_at)),
        column("Stands", _stands),
    )
    list_select_related = ("owner",)
    ordering = ("-id",)
    empty_state = "No token yet. A program that uses the API shows one."
    list_acts = (
        Act(
            name="make-own",
            title="Make a token of your own",
            button="Make it, and show it once",
            explanation="A program that shows it acts in your name, as far as you may, and may decide for "
            "you if you choose so.",
            form=OwnTokenForm,
            fields=lambda request, row: {"scopes": _scope_field(scopes.known())},
            perform=_make_own,
            offered=lambda request, row: request.user.has_perm("approvals.issue_apitoken"),
            folded=True,
        ),
        Act(
            name="make-for-service",
            title="Make a token for a service",
            button="Make it, and show it once",
            explanation="A program acts in the name of an account, best one of its own. It decides nothing.",
            form=TokenForm,
            fields=_service_fields,
            perform=_make_for_service,
            offered=lambda request, row: request.user.has_perm(MANAGE),
            folded=True,
        ),
    )
    acts = (
        Act(
            name="rotate",
            title="Give it a new secret",
            button="Rotate it, and show it once",
            explanation="The one before stays good for a while, so that the program can be changed over.",
            form=RotateForm,
            perform=_rotate,
            offered=_touchable,
            folded=True,
        ),
        Act(
            name="revoke",
            title="Revoke it",
            button="Revoke it now",
            form=RevokeForm,
            perform=_revoke,
            offered=_touchable,
        ),
    )

    def has_view_permission(self, request, obj=None):
        return any(
            request.user.has_perm(f"approvals.{what}_apitoken") for what in ("issue", "manage", "view")
        )

    def get_queryset(self, request):
        rows = super().get_queryset(request)
        if request.user.has_perm("approvals.view_apitoken") or request.user.has_perm(MANAGE):
            return rows
        return rows.filter(owner=request.user)

    def page_context(self, request, row):
        facts = [
            ("owner", row.owner),
            ("kind", row.get_kind_display()),
            ("prefix", row.prefix),
            ("what for", ", ".join(row.scopes)),
            ("made", moment(row.created_at)),
            ("until", moment(row.expires_at)),
            ("last used", moment(row.last_used_at) if row.last_used_at else "never"),
        ]
        if row.rotated_at:
            facts += [("rotated", moment(row.rotated_at))]
            if row.previous_until and row.previous_until > timezone.now():
                facts += [("the secret before is good until", moment(row.previous_until))]
        if row.revoked_at:
            facts += [("revoked", moment(row.revoked_at))]
        return {"facts": facts}
