"""Every address of the site, as the URLconf has it."""

from typing import NamedTuple

from django.urls import URLPattern, URLResolver, get_resolver


class Address(NamedTuple):
    """`name` with its namespace (`admin:login`); the path where it has none. `route` is the whole pattern."""

    name: str
    route: str
    parameters: tuple[str, ...]


def addresses() -> list[Address]:
    return list(_walk(get_resolver().url_patterns, "", ""))


def _walk(patterns, route: str, namespace: str):
    for entry in patterns:
        path = route + str(entry.pattern)
        if isinstance(entry, URLResolver):
            inner = f"{namespace}{entry.namespace}:" if entry.namespace else namespace
            yield from _walk(entry.url_patterns, path, inner)
        elif isinstance(entry, URLPattern):
            name = f"{namespace}{entry.name}" if entry.name else f"/{path}"
            yield Address(name, path, tuple(entry.pattern.converters or entry.pattern.regex.groupindex))
