"""Where events are sent, and what came of sending them."""

import json

from django import forms
from django.contrib import admin
from django.db.models import Count, OuterRef, Subquery
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import urlencode

from approvals import event_types
from approvals.addresses import request_url
from approvals.admin.filters import known_values
from approvals.desk import Act, DeskAdmin, DeskForm, column, who
from approvals.models import ApprovalRequest, WebhookDelivery, WebhookEndpoint
from approvals.services import webhooks
from approvals.templatetags.desk import ago, chip, moment

State = WebhookDelivery.State
LATEST = 10
_TONE = {State.DELIVERED: "low", State.FAILED: "high", State.SENDING: "medium", State.WAITING: "medium"}


class ReasonForm(DeskForm):
    reason = forms.CharField(max_length=400, widget=forms.Textarea(attrs={"rows": 2}))


class EventsForm(ReasonForm):
    """The kinds of events are known once all apps are there, so they are asked for with each form."""

    field_order = ("url", "description", "events", "reason")

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["events"] = forms.MultipleChoiceField(
            label="Tell it of",
            widget=forms.CheckboxSelectMultiple,
            choices=[(name, _told_as(name, label)) for name, label in event_types.labels().items()],
        )
        self.order_fields(self.field_order)


class NewEndpointForm(EventsForm):
    url = forms.CharField(
        label="Address",
        max_length=500,
        help_text="Like https://crm.example/hooks. It cannot be changed later.",
    )
    description = forms.CharField(required=False, max_length=200, help_text="Whose it is, and what for.")


class RotateForm(DeskForm):
    overlap_hours = forms.IntegerField(
        label="The old one goes on for, in hours",
        min_value=0,
        max_value=webhooks.MOST_OVERLAP,
        help_text="0 where others may know it.",
    )


class SinceForm(DeskForm):
    since = forms.DateTimeField(label="Happened since (UTC)", help_text="Like 2025-01-31 09:00.")


def _told_as(name: str, label: str) -> str:
    return format_html('<span><code>{}</code> <span class="why">{}</span></span>', name, label)


def _new_secret(secret: str) -> str:
    return format_html("Its secret is not shown again; give it to the receiver now: <code>{}</code>", secret)


def _add(request, row: None, data: dict) -> str:
    endpoint, secret, asked = webhooks.add_endpoint(**data, **who(request))
    return format_html(
        "Added. Nothing goes there before a second person has confirmed it (request {}). {}",
        asked.pk,
        _new_secret(secret),
    )


def _choose(request, row: WebhookEndpoint, data: dict) -> str:
    asked = webhooks.choose_events(endpoint_id=row.pk, **data, **who(request))
    if asked is None:
        return "It is told of these only, from now on."
    return f"Asked: a second person has to confirm it (request {asked.pk})."


def _disable(request, row: WebhookEndpoint, data: dict) -> str:
    webhooks.disable(endpoint_id=row.pk, **data, **who(request))
    return "It is off. Nothing more is sent to it."


def _rotate(request, row: WebhookEndpoint, data: dict) -> str:
    return _new_secret(webhooks.rotate_secret(endpoint_id=row.pk, **data, **who(request)))


def _test(request, row: WebhookEndpoint, data: dict) -> str:
    webhooks.send_test(endpoint_id=row.pk, **who(request))
    return "A test is on its way; what came of it stands below in a moment."


def _replay_failed(request, row: WebhookEndpoint, data: dict) -> str:
    number = webhooks.replay_failed(endpoint_id=row.pk, **data, **who(request))
    return f"{number} message{'s are' if number > 1 else ' is'} sent again."


def _replay(request, row: WebhookDelivery, data: dict) -> str:
    webhooks.replay(delivery_id=row.pk, **who(request))
    return "It is sent again, under the same id."


def _manages(request, row) -> bool:
    return request.user.has_perm(webhooks.MANAGE)


def _manages_one_that_is_on(request, row: WebhookEndpoint) -> bool:
    return row.enabled and _manages(request, row)


def _manages_what_has_ended(request, row: WebhookDelivery) -> bool:
    ended = row.state in (State.DELIVERED, State.FAILED)
    return ended and row.endpoint.enabled and _manages(request, row)


def _stands(row: WebhookEndpoint) -> str:
    slow = chip("answers slowly", "medium") if row.slow else ""
    return format_html("{} {}", chip("on", "low") if row.enabled else chip("off"), slow)


def _how_many(row: WebhookEndpoint) -> str:
    number, of = len(row.events), len(event_types.known())
    if number == of:
        return f"all {of} events"
    return f"{number} of {of} events" if number else "nothing yet"


def _log_url(endpoint: WebhookEndpoint, **narrowed) -> str:
    page = reverse("admin:approvals_webhookdelivery_changelist")
    return f"{page}?{urlencode({'endpoint': endpoint.pk, **narrowed})}"


def _number_of(state: str) -> Subquery:
    """By the index of each endpoint's deliveries."""
    found = WebhookDelivery.objects.filter(endpoint=OuterRef("pk"), state=state).order_by()
    return Subquery(found.values("endpoint").annotate(number=Count("pk")).values("number"))


def _linked_number(name: str, state: str):
    def cell(row: WebhookEndpoint) -> str:
        number = getattr(row, name)
        return format_html('<a href="{}">{}</a>', _log_url(row, state=state), number) if number else "–"

    return cell


def _latest(row: WebhookEndpoint) -> str:
    if not row.latest_state:
        return "–"
    return format_html("{} {}", _state(row.latest_state), ago(row.latest_at))


def _state(state: str) -> str:
    return chip(State(state).label, _TONE[state])


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(DeskAdmin):
    change_list_template = "admin/approvals/webhookendpoint/change_list.html"
    page_template = "admin/approvals/webhookendpoint/page.html"
    list_display = (
        column("Endpoint", lambda row: _endpoint_link(row)),
        column("Stands", _stands),
        column("Told of", _how_many),
        column("Waiting", _linked_number("waiting", State.WAITING)),
        column("Failed", _linked_number("failed", State.FAILED)),
        column("Latest", _latest),
    )
    list_display_links = None
    ordering = ("-enabled", "pk")
    empty_state = "No other system is told of anything. An endpoint is an address that is."
    list_acts = (
        Act(
            name="add",
            title="Add an endpoint",
            button="Ask for it",
            explanation="It is told of what you choose once a second person has confirmed it.",
            form=NewEndpointForm,
            perform=_add,
            offered=_manages,
            folded=True,
        ),
    )
    acts = (
        Act(
            name="choose",
            title="What it is told of",
            button="Set, or ask for it",
            explanation="Fewer events take effect at once; more, or switching it on, take a second person.",
            form=EventsForm,
            initial=lambda request, row: {"events": row.events},
            perform=_choose,
            offered=_manages,
            folded=True,
        ),
        Act(
            name="test",
            title="Try it",
            button="Send a test",
            explanation="A message of the type ping, signed like any other.",
            form=DeskForm,
            perform=_test,
            offered=_manages_one_that_is_on,
        ),
        Act(
            name="replay-failed",
            title="Send what failed again",
            button="Send again",
            explanation="Under the same ids: a receiver that keeps them passes over what it has had.",
            form=SinceForm,
            perform=_replay_failed,
            offered=_manages_one_that_is_on,
            folded=True,
        ),
        Act(
            name="rotate",
            title="Make a new secret",
            button="Make a new secret",
            explanation="For a while messages carry two signatures, so that the receiver can change over.",
            form=RotateForm,
            initial=lambda request, row: {"overlap_hours": 24},
            perform=_rotate,
            offered=_manages,
            folded=True,
        ),
        Act(
            name="disable",
            title="Switch it off",
            button="Switch it off now",
            explanation="At once. What waits for it has failed, and can be sent again later.",
            form=ReasonForm,
            perform=_disable,
            offered=_manages_one_that_is_on,
            folded=True,
        ),
    )

    def get_queryset(self, request):
        latest = WebhookDelivery.objects.filter(endpoint=OuterRef("pk")).order_by("-id")
        return (
            super()
            .get_queryset(request)
            .annotate(
                waiting=_number_of(State.WAITING),
                failed=_number_of(State.FAILED),
                latest_state=Subquery(latest.values("state")[:1]),
                latest_at=Subquery(latest.values("message__at")[:1]),
            )
        )

    def list_page(self, request, refused=None, **extra):
        waiting = ApprovalRequest.objects.pending().filter(kind=webhooks.KIND)
        extra["waiting"] = [(row, request_url(row.pk)) for row in waiting]
        return super().list_page(request, refused, **extra)

    def page_context(self, request, row):
        asked = webhooks.waiting_for(row)
        labels = event_types.labels()
        return {
            "stands": _stands(row),
            "waiting": (asked, request_url(asked.pk)) if asked else None,
            "events": [(name, labels.get(name, "")) for name in row.events],
            "secrets": row.secrets_at(timezone.now()),
            "latest": [
                (delivery, _state(delivery.state))
                for delivery in row.deliveries.select_related("message").order_by("-id")[:LATEST]
            ],
            "log_url": _log_url(row),
        }


def _endpoint_link(row: WebhookEndpoint) -> str:
    url = reverse("admin:approvals_webhookendpoint_change", args=[row.pk])
    also = row.host if row.description else ""
    return format_html('<a class="what" href="{}">{}</a><div class="why">{}</div>', url, row, also)


def _delivery_link(row: WebhookDelivery) -> str:
    url = reverse("admin:approvals_webhookdelivery_change", args=[row.pk])
    return format_html('<a href="{}">{}</a>', url, row.message.type)


def _type_names() -> list[tuple[str, str]]:
    return [(name, name) for name in (*event_types.labels(), webhooks.PING)]


class ByEndpoint(admin.SimpleListFilter):
    title, parameter_name = "endpoint", "endpoint"

    def lookups(self, request, model_admin):
        return [(str(row.pk), str(row)) for row in WebhookEndpoint.objects.order_by("pk")]

    def queryset(self, request, queryset):
        chosen = self.value() or ""
        if not chosen:
            return queryset
        return queryset.filter(endpoint=int(chosen)) if chosen.isdecimal() else queryset.none()


class ByType(admin.SimpleListFilter):
    title, parameter_name = "event", "type"

    def lookups(self, request, model_admin):
        return _type_names()

    def queryset(self, request, queryset):
        return queryset.filter(message__type=self.value()) if self.value() else queryset


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(DeskAdmin):
    page_template = "admin/approvals/webhookdelivery/page.html"
    list_display = (
        column("Event", _delivery_link),
        column("Happened", lambda row: ago(row.message.at)),
        column("To", lambda row: _endpoint_link(row.endpoint)),
        column("State", lambda row: _state(row.state)),
        column("Tries", lambda row: row.attempts),
        column("What happened", lambda row: row.last_error or "–"),
        column("Next try", lambda row: ago(row.next_try_at)),
    )
    list_display_links = None
    list_select_related = ("message", "endpoint")
    list_filter = (known_values("state", "state", lambda: State.choices), ByEndpoint, ByType)
    ordering = ("-id",)
    empty_state = "Nothing was sent yet: what endpoints are told of appears here as it happens."
    acts = (
        Act(
            name="replay",
            title="Send it again",
            button="Send it again",
            explanation="Under the same id: a receiver that keeps ids passes over what it has had.",
            form=DeskForm,
            perform=_replay,
            offered=_manages_what_has_ended,
        ),
    )

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("message", "endpoint")

    def page_context(self, request, row):
        return {
            "state": _state(row.state),
            "facts": [
                ("event", row.message.type),
                ("happened", moment(row.message.at)),
                ("to", _endpoint_link(row.endpoint)),
                ("message id", format_html("<code>{}</code>", row.message_id)),
                ("next try", moment(row.next_try_at)),
                ("ended", moment(row.finished_at)),
            ],
            "tries": list(row.tries.all()),
            "body": json.dumps(json.loads(row.message.body), indent=2, ensure_ascii=False),
        }
