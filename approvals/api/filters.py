"""Filters that take a value at its word: one that cannot be is an error, and never no filter at all."""

import django_filters
from django import forms
from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.utils import extend_schema_field

from approvals.api.problems import BadQuery, Problem


class Filters(DjangoFilterBackend):
    def filter_queryset(self, request, queryset, view):
        filterset = self.get_filterset(request, queryset, view)
        if filterset is None:
            return queryset
        if not filterset.is_valid():
            errors = [
                {"parameter": name, "detail": detail}
                for name, details in filterset.errors.items()
                for detail in details
            ]
            raise Problem("bad-query", f"{errors[0]['parameter']}: {errors[0]['detail']}", errors=errors)
        for name, other in getattr(filterset, "goes_with", {}).items():
            if name in request.query_params and other not in request.query_params:
                raise BadQuery(name, f"this goes only with the filter {other}")
        return filterset.qs


# What may stand in a query: one character at least, and none that cannot be shown.
TEXT = {"type": "string", "minLength": 1, "maxLength": 254, "pattern": "^[^\\x00-\\x1f\\x7f\\ufffd]+$"}


class _InTheContract:
    """What the contract says of a value. (Made of the filter or of its column, it would say other things.)"""

    schema: dict = {}

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        told = kwargs.get("help_text")
        extend_schema_field(self.schema | ({"description": told} if told else {}))(self)


class Is(_InTheContract, django_filters.CharFilter):
    """Exactly this text."""

    schema = TEXT

    class field_class(forms.CharField):
        def __init__(self, **kwargs):
            super().__init__(strip=False, max_length=TEXT["maxLength"], **kwargs)


class OneOf(django_filters.ChoiceFilter):
    """One of a few words."""


class YesNo(_InTheContract, django_filters.ChoiceFilter):
    """`true` or `false`. (The library's own takes anything else for no filter.)"""

    schema = {"type": "boolean"}

    def __init__(self, **kwargs):
        super().__init__(choices=[("true", "true"), ("false", "false")], **kwargs)

    def filter(self, queryset, value):
        return super().filter(queryset, {"true": True, "false": False}.get(value, value))


class Only(_InTheContract, django_filters.ChoiceFilter):
    """`true`, or no such filter."""

    schema = {"type": "boolean", "enum": [True]}

    def __init__(self, **kwargs):
        super().__init__(choices=[("true", "true")], **kwargs)


class Id(_InTheContract, django_filters.CharFilter):
    """A row's number."""

    schema = {"type": "integer", "minimum": 1, "maximum": 10**18 - 1}

    class field_class(forms.RegexField):
        def __init__(self, **kwargs):
            messages = {"invalid": "This is a whole number from 1 on."}
            super().__init__(r"^[1-9][0-9]{0,17}\Z", strip=False, error_messages=messages, **kwargs)
