"""Links and chips that the lists share."""

from django.contrib.admin.utils import quote
from django.db.models import Model
from django.urls import reverse
from django.utils.html import format_html

from approvals import shown
from approvals.templatetags.desk import chip


def page_of(model: str, key: object) -> str:
    """The address of a row's page; `model` is its name in lower case."""
    return reverse(f"admin:journeys_{model}_change", args=[quote(key)])


def link(row: Model, text: object = None) -> str:
    return format_html('<a href="{}">{}</a>', page_of(row._meta.model_name, row.pk), text or row)


def customer_link(customer_id: str, name: object = None) -> str:
    return format_html('<a href="{}">{}</a>', page_of("customer", customer_id), name or customer_id)


def risk_chip(tier: str | None, score: float | None) -> str:
    return chip(f"{tier} {shown.score(score)}", tier) if tier else "–"


def number(text: object) -> str:
    return format_html('<span class="n">{}</span>', text)
