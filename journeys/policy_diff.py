"""What putting another policy in force would change. Pure."""

from typing import NamedTuple


class Change(NamedTuple):
    """A field of the policy by its path; empty where the field is not there on that side."""

    path: str
    before: str
    after: str


def changes(before: dict, after: dict) -> list[Change]:
    """The fields that differ, in the order of their paths."""
    old, new = dict(_leaves(before)), dict(_leaves(after))
    return [
        Change(path, old.get(path, ""), new.get(path, ""))
        for path in sorted(old.keys() | new.keys())
        if old.get(path) != new.get(path)
    ]


def _leaves(document: object, path: str = ""):
    if isinstance(document, dict):
        for name, value in document.items():
            yield from _leaves(value, f"{path}.{name}" if path else name)
    elif isinstance(document, list) and any(isinstance(value, dict) for value in document):
        for place, value in enumerate(document):
            yield from _leaves(value, f"{path}.{place}")
    elif isinstance(document, list):
        yield path, ", ".join(str(value) for value in document)
    else:
        yield path, str(document)
