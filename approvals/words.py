"""The words of the audit: each has its sentence, and a word that is not registered is refused."""

_SENTENCES: dict[str, str] = {}


def register(sentences: dict[str, str]) -> None:
    """Add words, each with the sentence that the trail reads: `{actor}`, `{subject}`, `{before}` and
    `{after}` are filled in. Raises ValueError on a word that already has another sentence."""
    for word, sentence in sentences.items():
        if _SENTENCES.setdefault(word, sentence) != sentence:
            raise ValueError(f"The audit word {word!r} already has another sentence.")


def sentence(word: str, **facts: str) -> str:
    return _SENTENCES[word].format(**facts)


def is_registered(word: str) -> bool:
    return word in _SENTENCES


register(
    {
        "request.opened": "{actor} asked for {subject}",
        "request.approved": "{actor} approved {subject}",
        "request.rejected": "{actor} rejected {subject}",
        "request.expired": "{subject} expired: nobody decided or acted in time",
        "request.lapsed": "The approval of {subject} lapsed",
        "request.revoked": "{actor} revoked the approval of {subject}",
        "request.superseded": "{subject} was replaced by another proposal",
        "authority.changed": "{actor} changed the authority of {subject}",
    }
)
