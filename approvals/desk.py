"""What the desk's admin pages share: a list, a page per row, and acts, each a form on its own address.

Nothing is edited in place. An act is a POST that calls one service; what the service refuses is shown on the
page, with what was typed kept. GET and HEAD do nothing anywhere.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import quote, unquote
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import AutoField, Field, Model
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.functional import cached_property, lazy

from approvals import shown
from approvals.rules import NotAuthorised, OwnRequest, Refusal

DOOR = "admin"
_SESSION_ENDED = "Your session had ended, so nothing was recorded. Log in, and you are back on your page."


class DeskForm(forms.Form):
    """Labels without a colon; which fields are needed is said in words."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, label_suffix="", **kwargs)


# Asked for when the page is made: only then is it known whose time zone it is.
_in_your_zone = lazy(lambda hint: f"{hint} Your time zone: {shown.zone_name()}.".strip(), str)


class MomentField(forms.DateTimeField):
    """A time to the minute, in the time zone of whoever fills in the form, which is named beside it."""

    def __init__(self, *, help_text: str = "", **arguments):
        widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
        super().__init__(widget=widget, help_text=_in_your_zone(help_text), **arguments)
        self.error_messages["invalid"] = "This is no time: write it like 2025-01-31 09:00."

    def clean(self, value):
        try:
            return super().clean(value)
        except forms.ValidationError as error:
            if error.code == "ambiguous_timezone":
                raise forms.ValidationError(
                    "The clocks change on that day: this hour comes twice, or not at all. Choose another."
                ) from error
            raise


class NoteForm(DeskForm):
    note = forms.CharField(max_length=300, widget=forms.Textarea(attrs={"rows": 2}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Something that can be done from a page.

    `name` is its address below the row's. `perform(request, row, cleaned data)` calls the service and returns
    the sentence that tells of the success, or the answer itself where it is shown once only; it raises
    Refusal. `offered(request, row)` says whether the form
    is shown; the service itself decides whether it may be done. `initial(request, row)` fills in the form,
    and `afterwards(request, row)` is the address that follows (default: the page again). `fields(request,
    row)` are added to those of the form, where they depend on the row.
    """

    name: str
    title: str
    button: str
    form: Callable[..., forms.Form]
    perform: Callable[[HttpRequest, Model, dict], str | HttpResponse]
    offered: Callable[[HttpRequest, Model], bool] = lambda request, row: True
    explanation: str = ""
    initial: Callable[[HttpRequest, Model], dict] = lambda request, row: {}
    afterwards: Callable[[HttpRequest, Model], str] | None = None
    folded: bool = False
    fields: Callable[[HttpRequest, Model], dict[str, forms.Field]] = lambda request, row: {}

    def blank(self, request: HttpRequest, row: Model | None) -> forms.Form:
        return self._made(request, row, initial=self.initial(request, row))

    def filled(self, request: HttpRequest, row: Model | None) -> forms.Form:
        return self._made(request, row, data=request.POST)

    def _made(self, request: HttpRequest, row: Model | None, **arguments) -> forms.Form:
        form = self.form(auto_id=f"{self.name}-%s", **arguments)
        form.fields |= self.fields(request, row)
        form.order_fields(form.field_order)
        return form


@dataclass(frozen=True, slots=True)
class OfferedAct:
    """An act as a page shows it: with its form, bound where it was refused, and its address. `forbidden`: the
    person may not do this at all, and was not offered it."""

    act: Act
    form: forms.Form
    url: str
    forbidden: bool = False


def who(request: HttpRequest) -> dict:
    """The arguments by which every service knows who acts, and through which door."""
    return {"user": request.user, "door": DOOR, "address": request.META.get("REMOTE_ADDR", "")}


def column(heading: str, cell: Callable[[Model], object]) -> Callable[[Model], object]:
    """A column of a list, for `list_display`."""

    def shown(row):
        return cell(row)

    shown.__name__ = heading.lower().replace(" ", "_").replace(",", "")
    shown.short_description = heading
    return shown


# A list counts, and leads through, at most so many rows: a count of a whole table would read all of it.
MOST_LISTED = 10_000


class DeskPaginator(Paginator):
    @cached_property
    def count(self) -> int:
        return self.object_list.order_by().values("pk")[:MOST_LISTED].count()


class DeskAdmin(admin.ModelAdmin):
    """A read-only list and page. `acts` belong to a row, `list_acts` to the list."""

    page_template = "admin/desk/page.html"
    acts: tuple[Act, ...] = ()
    list_acts: tuple[Act, ...] = ()
    empty_state = "Nothing is on record here yet."
    actions = None
    list_per_page = 50
    paginator = DeskPaginator
    show_full_result_count = False
    sortable_by = ()
    media = forms.Media()

    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False

    def has_view_permission(self, request, obj=None):
        return request.user.has_perm(f"{self.opts.app_label}.view_{self.opts.model_name}")

    def has_module_permission(self, request):
        return self.has_view_permission(request)

    def get_urls(self):
        """Only what there is to see and to do: no add, no delete, no history of edits."""
        prefix = f"{self.opts.app_label}_{self.opts.model_name}"

        def address(pattern: str, view: Callable, name: str):
            return path(pattern, self.admin_site.admin_view(view), name=f"{prefix}_{name}")

        def act_address(pattern: str, view: Callable, act: Act):
            return path(pattern, self._guarded(partial(view, act)), name=f"{prefix}_{act.name}")

        return [
            address("", self.changelist_view, "changelist"),
            *(act_address(f"{act.name}/", self._act_on_list, act) for act in self.list_acts),
            *self.own_urls(address),
            *(act_address(f"<path:object_id>/{act.name}/", self._act_on_row, act) for act in self.acts),
            address("<path:object_id>/change/", self.change_view, "change"),
        ]

    def own_urls(self, address: Callable) -> list:
        return []

    def _guarded(self, view: Callable) -> Callable:
        """An act's view. Who is not logged in any more comes back to the page; the act itself is none."""
        for_people = self.admin_site.admin_view(view)

        def guarded(request, *args, **kwargs):
            if self.admin_site.has_permission(request):
                return for_people(request, *args, **kwargs)
            if request.method == "POST" and not request.user.is_authenticated:
                messages.warning(request, _SESSION_ENDED)
            return redirect_to_login(page_behind(request), reverse(f"{self.admin_site.name}:login"))

        guarded.is_act = True
        return guarded

    # -- pages

    def changelist_view(self, request, extra_context=None):
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        return self.list_page(request, **(extra_context or {}))

    def list_page(self, request, refused: OfferedAct | None = None, **extra) -> HttpResponse:
        acts = self._offered(request, None, self.list_acts, refused)
        context = {"acts": acts, "empty_state": self.empty_state, "here": self.list_url(), **extra}
        return super().changelist_view(request, context)

    def change_view(self, request, object_id, form_url="", extra_context=None):
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(["GET", "HEAD"])
        row = self.row_or_none(request, object_id)
        if row is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        return self.page(request, row)

    def row_or_none(self, request, object_id: str) -> Model | None:
        """The row, None where there is none such. Raises PermissionDenied."""
        row = self.get_object(request, unquote(object_id))
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        return row

    def page(self, request, row, refused: OfferedAct | None = None) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": str(row),
            "opts": self.opts,
            "list_url": self.list_url(),
            "here": self.row_url(row),
            "row": row,
            "acts": self._offered(request, row, self.acts, refused),
            **self.page_context(request, row),
        }
        return TemplateResponse(request, self.page_template, context)

    def page_context(self, request, row) -> dict:
        """Every field, as people read it; a number that only the database counts by is no fact."""
        fields = [field for field in self.opts.fields if not isinstance(field, AutoField)]
        return {"facts": [(field.verbose_name, _as_read(row, field)) for field in fields]}

    def list_url(self) -> str:
        return reverse(f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_changelist")

    def row_url(self, row, name: str = "change") -> str:
        view = f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_{name}"
        return reverse(view, args=[quote(row.pk)])

    # -- acts

    def _offered(self, request, row, acts, refused: OfferedAct | None) -> dict[str, OfferedAct]:
        """The acts that are on offer, by name (with _ for -). One that was just refused keeps its form."""
        offered = {}
        for act in acts:
            name = act.name.replace("-", "_")
            if refused and refused.act is act:
                offered[name] = refused
                _take_up(refused.form, act.initial(request, row))
            elif act.offered(request, row):
                offered[name] = OfferedAct(act, act.blank(request, row), self._act_url(act, row))
        return offered

    def _act_url(self, act: Act, row) -> str:
        if row is not None:
            return self.row_url(row, act.name)
        return reverse(f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_{act.name}")

    def _act_on_list(self, act: Act, request) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.has_view_permission(request):
            raise PermissionDenied
        done = self._perform(request, None, act)
        if not isinstance(done, OfferedAct):
            return done
        response = self.list_page(request, done)
        response.status_code = _status(done)
        return response

    def _act_on_row(self, act: Act, request, object_id) -> HttpResponse:
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        row = self.row_or_none(request, object_id)
        if row is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        done = self._perform(request, row, act)
        if not isinstance(done, OfferedAct):
            return done
        response = self.page(request, self.get_object(request, unquote(object_id)), done)
        response.status_code = _status(done)
        return response

    def _perform(self, request, row, act: Act) -> HttpResponse | OfferedAct:
        """Where the act leads; or, where it was refused, its form with what was typed and what was said."""
        form = act.filled(request, row)
        forbidden = False
        if form.is_valid():
            try:
                told = act.perform(request, row, form.cleaned_data)
            except Refusal as refusal:
                form.add_error(None, str(refusal))
                forbidden = isinstance(refusal, NotAuthorised | OwnRequest)
            else:
                if isinstance(told, HttpResponse):
                    return told
                messages.success(request, told)
                page = self.list_url() if row is None else self.row_url(row)
                return HttpResponseRedirect(act.afterwards(request, row) if act.afterwards else page)
        return OfferedAct(act, form, self._act_url(act, row), forbidden)


def _as_read(row: Model, field: Field) -> object:
    value = getattr(row, field.name)
    if field.choices:
        return getattr(row, f"get_{field.name}_display")()
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value


def page_behind(request: HttpRequest) -> str:
    """The page from which this was sent: of an act, which is no page, the one that it stands on."""
    found = request.resolver_match
    if found is None or not getattr(found.func, "is_act", False):
        return request.get_full_path()
    model = f"{found.namespace}:{found.url_name.rpartition('_')[0]}"
    if "object_id" in found.kwargs:
        return reverse(f"{model}_change", args=[found.kwargs["object_id"]])
    return reverse(f"{model}_changelist")


def _status(refused: OfferedAct) -> int:
    """A form that comes back is a page like any other; 403 is for what was never on offer."""
    return 403 if refused.forbidden else 200


def _take_up(form: forms.Form, now: dict) -> None:
    """Let the hidden fields say what the page says that is shown now; what was typed stays."""
    form.data = form.data.copy()
    for field in form.hidden_fields():
        if field.name in now:
            form.data[field.html_name] = now[field.name]
