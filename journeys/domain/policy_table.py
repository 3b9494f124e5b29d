"""The fields of the policy as rows, from which its documentation is made and checked."""

import json
from collections.abc import Iterator

from pydantic import BaseModel

from .policy import PUBLISHED, PolicyDocument


def field_rows(section: type[BaseModel] = PolicyDocument, prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """(path, published value as JSON, description) of every field that holds a value, for the documentation.

    The fields of the rows of a table stand once, under `*`, and without a value: the table itself shows them.
    """
    for name, field in section.model_fields.items():
        path = f"{prefix}{name}"
        nested = _sections_in(field.annotation)
        if nested and field.annotation is nested[0]:
            yield from field_rows(nested[0], f"{path}.")
            continue
        yield path, _published_value(path), field.description or ""
        for row_type in nested:
            yield from field_rows(row_type, f"{path}.*.")


def _sections_in(annotation: object) -> list[type[BaseModel]]:
    """The sections named in a field's type: itself, or the rows of a dict or tuple."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in getattr(annotation, "__args__", ()) for found in _sections_in(part)]


def _published_value(path: str) -> str:
    if "*" in path:
        return ""
    value = PUBLISHED.model_dump(mode="json")
    for part in path.split("."):
        value = value[part]
    return json.dumps(value, ensure_ascii=False)
