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
        "request.approved_by_one": "{actor} approved {subject}; it takes somebody else too",
        "request.changed": "{actor} changed {subject}",
        "request.returned": "{actor} asked for changes of {subject}",
        "request.refreshed": "{subject} was brought up to date",
        "request.viewed": "{actor} opened the evidence of {subject}",
        "request.claimed": "{actor} is reviewing {subject}",
        "request.released": "{actor} stopped reviewing {subject}",
        "request.handed_on": "{actor} handed {subject} on to {after}",
        "request.taken_over": "{actor} took {subject} over from {before}",
        "request.reminded": "{subject} waits for a decision",
        "request.escalated": "{subject} is late and was escalated to {after}",
        "request.unroutable": "Nobody can decide {subject}",
        "authority.changed": "{subject} came into force",
        "delegation.given": "{actor} lets somebody stand in: {subject}",
        "delegation.ended": "{actor} ended: {subject}",
        "webhook.added": "{actor} added {subject}",
        "webhook.changed": "{actor} changed {subject}: {after}",
        "password.set": "{actor} set the password of {subject}",
        "token.made": "{actor} made the API token {subject}",
        "token.rotated": "{actor} gave the API token {subject} a new secret",
        "token.revoked": "{actor} revoked the API token {subject}",
        "account.changed": "{actor} changed the account {subject}: {after}",
    }
)
