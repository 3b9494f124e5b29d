"""Reading a body: JSON, and nothing that JSON does not have."""

import json
import math

from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

from approvals.api.problems import Problem

MOST_BYTES = 5_000_000
MOST_LEVELS = 20
_MOST_DIGITS = 300


class JSONParser(BaseParser):
    """An object in UTF-8, of at most 5 MB and 20 levels. NaN, Infinity, numbers too large to be one, a name
    that stands twice in an object, and text that is no text (U+0000, half a surrogate pair) are refused."""

    media_type = "application/json"

    def parse(self, stream, media_type=None, parser_context=None):
        length = stream.META.get("CONTENT_LENGTH", "") if hasattr(stream, "META") else ""
        if length.isdecimal() and int(length) > MOST_BYTES:
            raise too_large()
        body = stream.read(MOST_BYTES + 1)
        if len(body) > MOST_BYTES:
            raise too_large()
        try:
            document = json.loads(
                body.decode("utf-8"),
                parse_constant=_no_constant,
                parse_float=_finite,
                parse_int=_whole,
                object_pairs_hook=_once_each,
            )
        except UnicodeDecodeError:
            raise ParseError("The body is not UTF-8.") from None
        except RecursionError:
            raise _too_deep() from None
        except ValueError as error:  # JSONDecodeError is one
            raise ParseError(f"The body is not JSON: {error}") from None
        if not isinstance(document, dict):
            raise ParseError("The body must be a JSON object.")
        _check_depth(document)
        return document


def too_large() -> Problem:
    return Problem("too-large", f"A body has at most {MOST_BYTES:,} bytes.")


def _too_deep() -> ParseError:
    return ParseError(f"The body is nested deeper than {MOST_LEVELS} levels.")


def _no_constant(name: str):
    raise ValueError(f"{name} is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:20]} is too large for a number")
    return number


def _whole(text: str) -> int:
    if len(text) > _MOST_DIGITS:
        raise ValueError(f"{text[:20]} is too large for a number")
    return int(text)


def _once_each(pairs: list[tuple[str, object]]) -> dict:
    document = dict(pairs)
    if len(document) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twice[:60]!r} stands twice in one object")
    return document


def _check_depth(document: dict) -> None:
    level, at = [document], 0
    while level:
        at += 1
        if at > MOST_LEVELS:
            raise _too_deep()
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
