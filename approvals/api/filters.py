"""Filters that take a value at its word: one that cannot be is an error, and never no filter at all."""

import django_filters
from django import forms
from django_filters.rest_framework import DjangoFilterBackend

from approvals.api.problems import Problem


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
        return filterset.qs


class _Exact(forms.CharField):
    def __init__(self, **kwargs):
        super().__init__(strip=False, max_length=254, **kwargs)


class Is(django_filters.CharFilter):
    """Exactly this text."""

    field_class = _Exact


class OneOf(django_filters.ChoiceFilter):
    """One of a few words."""


class YesNo(django_filters.ChoiceFilter):
    """`true` or `false`. (The library's own takes anything else for no filter.)"""

    def __init__(self, **kwargs):
        super().__init__(choices=[("true", "true"), ("false", "false")], **kwargs)

    def filter(self, queryset, value):
        return super().filter(queryset, {"true": True, "false": False}.get(value, value))


class Id(django_filters.NumberFilter):
    """A row's number."""

    class field_class(forms.IntegerField):
        def __init__(self, *, decimal_places=None, max_digits=None, **kwargs):
            super().__init__(min_value=1, max_value=2**63 - 1, **kwargs)
