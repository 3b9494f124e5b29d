"""Filters whose values are known beforehand: a look at the column for what it holds would read it all."""

from collections.abc import Callable, Iterable

from django.contrib import admin


def known_values(name: str, heading: str, values: Callable[[], Iterable[tuple[str, str]]], *, default=""):
    """A filter on the field `name`, in the URL under that name. With a default, "all" has to be asked for."""

    class KnownValues(admin.SimpleListFilter):
        title = heading
        parameter_name = name

        def lookups(self, request, model_admin):
            return list(values())

        def has_output(self):
            return bool(self.lookup_choices)

        def chosen(self) -> str:
            return self.value() or default or "all"

        def choices(self, changelist):
            for value, label in [("all", "All"), *self.lookup_choices]:
                chosen = {name: value} if default or value != "all" else {}
                yield {
                    "selected": self.chosen() == value,
                    "query_string": changelist.get_query_string(chosen, [] if chosen else [name]),
                    "display": label,
                }

        def queryset(self, request, queryset):
            return queryset if self.chosen() == "all" else queryset.filter(**{name: self.chosen()})

    return KnownValues
