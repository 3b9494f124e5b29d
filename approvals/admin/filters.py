"""Filters whose values are known beforehand: a look at the column for what it holds would read it all."""

from collections.abc import Callable, Iterable

from django.contrib import admin
from django.db import connection
from django.db.models import Q
from django.http import HttpRequest

BIGGEST_ID = 2**63 - 1
_LAST_CHARACTER = "\U0010ffff"


def begins_with(name: str, term: str) -> Q:
    """Case counts. On SQLite, whose own way to ask for a beginning takes no notice of case, by bounds: else
    it would read every row."""
    if connection.vendor == "sqlite":
        return Q(**{f"{name}__gte": term, f"{name}__lt": term + _LAST_CHARACTER})
    return Q(**{f"{name}__startswith": term})


def known_values(
    name: str,
    heading: str,
    values: Callable[[], Iterable[tuple[str, str]]],
    *,
    default: str | Callable[[HttpRequest], str] = "",
    replaces: tuple[str, ...] = (),
    holds: Callable[[str, HttpRequest], Q] | None = None,
):
    """A filter on the field `name`, in the URL under that name. With a default, "all" has to be asked for.
    Choosing a value takes the parameters it `replaces` out of the URL. `holds` says for a value which rows
    have it, where it is not asked of the field."""

    class KnownValues(admin.SimpleListFilter):
        title = heading
        parameter_name = name

        def __init__(self, request, *arguments):
            self.default = default(request) if callable(default) else default
            super().__init__(request, *arguments)

        def lookups(self, request, model_admin):
            return list(values())

        def has_output(self):
            return bool(self.lookup_choices)

        def chosen(self) -> str:
            return self.value() or self.default or "all"

        def choices(self, changelist):
            for value, label in [("all", "All"), *self.lookup_choices]:
                chosen = {name: value} if self.default or value != "all" else {}
                yield {
                    "selected": self.chosen() == value,
                    "query_string": changelist.get_query_string(
                        chosen, [*replaces, *([] if chosen else [name])]
                    ),
                    "display": label,
                }

        def queryset(self, request, queryset):
            value = self.chosen()
            return (
                queryset
                if value == "all"
                else queryset.filter(holds(value, request) if holds else Q(**{name: value}))
            )

    return KnownValues


class Given(admin.SimpleListFilter):
    """A filter by whatever the URL names; it offers no list of values."""

    numeric = False

    def lookups(self, request, model_admin):
        # The admin passes over a filter that has no choices.
        value = request.GET.get(self.parameter_name)
        return [(value, value)] if value else []

    def has_output(self):
        return bool(self.lookup_choices)

    def queryset(self, request, queryset):
        value = self.value()
        if self.numeric and not (value.isdecimal() and int(value) <= BIGGEST_ID):
            return queryset.none()
        return queryset.filter(**{self.parameter_name: value})
