"""Every word has something that people read."""

from enum import StrEnum

import pytest

from journeys.domain import vocabulary
from journeys.domain.policy import PUBLISHED
from journeys.domain.vocabulary import LABELS, Segment, choices, label, phrase

ENUMERATIONS = [
    thing
    for thing in vars(vocabulary).values()
    if isinstance(thing, type) and issubclass(thing, StrEnum) and thing is not StrEnum
]


@pytest.mark.parametrize("words", ENUMERATIONS, ids=lambda words: words.__name__)
def test_every_word_is_labelled(words):
    assert [word for word in words if word not in LABELS] == []


def test_every_kind_of_signal_of_the_published_policy_is_labelled():
    assert [kind for kind in PUBLISHED.signals.kinds if kind not in LABELS] == []


def test_a_word_without_a_label_is_shown_with_spaces():
    assert label("contract_dispute") == "contract dispute"
    assert label(None) == label("") == "Not known"


def test_a_label_fits_into_a_sentence():
    assert phrase("usage_review_checkin") == "usage review check-in"
    assert phrase("email") == "e-mail"
    assert phrase("SMB") == "SMB"


def test_choices_are_plain_words_with_labels():
    assert choices(Segment) == [("SMB", "SMB"), ("Mid-Market", "Mid-Market"), ("Enterprise", "Enterprise")]
