"""Every address of the site, as the URLconf has it."""

import re
from typing import NamedTuple

from django.apps import apps
from django.contrib.admin.utils import quote
from django.urls import URLPattern, URLResolver, get_resolver

PARAMETER = re.compile(r"<(?:\w+:)?\w+>")
# Of patterns that match no single address, by what stands in them: one that they match.
EXAMPLES = {"(?P<app_label>": "admin/approvals/", "(?P<url>": "admin/no-such-page/"}


class Address(NamedTuple):
    """`name` with its namespace (`admin:login`), or the path where it has none."""

    name: str
    route: str

    @property
    def example(self) -> str:
        return next((path for part, path in EXAMPLES.items() if part in self.route), "")

    @property
    def parameters(self) -> list[str]:
        return [] if self.example else PARAMETER.findall(self.route)

    def at(self, key: object) -> str:
        """The path; every parameter is this key."""
        return "/" + (self.example or PARAMETER.sub(quote(str(key)), self.route))

    def model(self):
        """The model whose rows it shows or changes, by the admin's way of naming, or None."""
        parts = self.route.split("/")
        if parts[0] == "admin" and len(parts) > 3:
            try:
                return apps.get_model(parts[1], parts[2])
            except LookupError:
                return None
        return None


def addresses() -> list[Address]:
    return list(_walk(get_resolver().url_patterns, "", ""))


def _walk(patterns, route: str, namespace: str):
    for entry in patterns:
        path = route + str(entry.pattern)
        if isinstance(entry, URLResolver):
            inner = f"{namespace}{entry.namespace}:" if entry.namespace else namespace
            yield from _walk(entry.url_patterns, path, inner)
        elif isinstance(entry, URLPattern):
            found = Address("", path)
            yield found._replace(name=f"{namespace}{entry.name}" if entry.name else found.at("…"))
