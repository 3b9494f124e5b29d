"""Whom a text names: so that words meant for one customer are not sent to another."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import accumulate

# A longer text is read up to here; a longer name is not found.
MOST_WORDS = 2_000
LONGEST_NAME = 6

_BEFORE = "\"'“”‘’«»„(<[{*_-–—"
_AFTER = _BEFORE + ">)]}.,;:!?…"
# No name goes on behind these; behind a full stop or a comma one may ("St. Gallen", "Acme, Inc").
_ENDS = ("!", "?", ";", ":")
_POSSESSIVES = ("'s", "’s")
_DIGIT = re.compile(r"\d")
_ARTICLES = frozenset({"the", "a", "der", "die", "das", "le", "la", "les", "el", "il"})

Span = tuple[int, int]


def could_be_names(text: str) -> dict[str, list[Span]]:
    """Each run of up to LONGEST_NAME words that could be a name or an id, with the places where it stands,
    as (first word, word after the last). A name has a capital or a digit; a number alone is an id from five
    digits on."""
    words = text.split()[:MOST_WORDS]
    found: dict[str, list[Span]] = {}
    for start in range(len(words)):
        for end, run in enumerate(_growing(words[start : start + LONGEST_NAME]), start=start + 1):
            for name in _readings(run):
                found.setdefault(name, []).append((start, end))
            if words[end - 1].endswith(_ENDS):
                break
    return found


def strangers(
    found: Mapping[str, Sequence[Span]], *, own: Collection[str], known: Mapping[str, str]
) -> tuple[str, ...]:
    """Who of `known` (name or id -> how they are told) is among what was `found` in a text, and is not meant
    by one of the `own` names: "Acme" within "Acme Holding" is nobody else where that is the own name."""
    mine = [span for name in own for span in found.get(" ".join(name.split()), ())]
    others = {
        told: None
        for name, told in known.items()
        if name not in own and any(not _within(span, mine) for span in found.get(name, ()))
    }
    return tuple(others)


def resembles(name: str, domain: str) -> bool:
    """Whether a domain looks like that of a firm of this name: the name's first word stands in it, or it is
    the first letters of the words. The words that follow (Foods, Group) are those of many."""
    label = _letters(domain.rpartition(".")[0])
    words = [letters for letters in map(_letters, name.split()) if letters and letters not in _ARTICLES]
    initials = "".join(word[0] for word in words)
    return bool(words) and (len(words[0]) > 2 and words[0] in label or label in (words[0], initials))


def _growing(words: list[str]) -> Iterable[str]:
    return accumulate(words, lambda run, word: f"{run} {word}")


def _readings(run: str) -> set[str]:
    """The run without the marks around it; with and without a full stop or a possessive at its end."""
    bare = run.lstrip(_BEFORE).rstrip(_AFTER)
    readings = {bare}
    if f"{bare}." in run:
        readings.add(f"{bare}.")
    readings |= {bare.removesuffix(ending) for ending in _POSSESSIVES}
    return {name for name in readings if _could_be(name)}


def _could_be(name: str) -> bool:
    if name.isdigit():
        return len(name) >= 5
    return len(name) > 2 and (name != name.lower() or _DIGIT.search(name) is not None)


def _within(span: Span, others: Iterable[Span]) -> bool:
    return any(first <= span[0] and span[1] <= last for first, last in others)


def _letters(text: str) -> str:
    return "".join(character for character in text.lower() if character.isalnum())
