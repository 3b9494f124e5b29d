"""What an action says: the text of its template, filled in with the facts of one customer."""

from __future__ import annotations

from collections.abc import Mapping
from string import Template
from typing import TYPE_CHECKING, NamedTuple

from .texts import PLACEHOLDERS
from .vocabulary import Channel

if TYPE_CHECKING:
    from .policy import PolicyDocument
    from .policy_sections import Text

# What is written where a fact is missing: to the customer, and to the account's owner.
_MISSING_TO_CUSTOMER: dict[str, str] = {
    "customer_id": "your account",
    "customer_name": "your company",
    "owner_name": "Your customer success team",
    "stage": "your current stage",
    "days_in_state": "several",
}
_MISSING_TO_OWNER: dict[str, str] = {
    "customer_id": "not known",
    "customer_name": "the customer",
    "owner_name": "the account's owner",
    "stage": "not known",
    "days_in_state": "not known",
}


class Content(NamedTuple):
    """A rendered text. `subject` is one line: an e-mail's subject, or the title of a task."""

    subject: str
    body: str
    template_version: int


def render(*, action: str, channel: str, facts: Mapping[str, object], policy: PolicyDocument) -> Content:
    """Fill in the template of `action` for `channel`. `facts` holds values for names in PLACEHOLDERS.

    A task (and the record of an action that sends nothing) is worded for the account's owner; an e-mail for
    the customer; a webhook like an e-mail where the action has such a text, else like a task. A missing or
    empty fact gets a neutral word. Raises KeyError for an action the policy does not know, and ValueError for
    an e-mail of an action that has no text for customers.
    """
    text = template_for(action, channel, policy)
    missing = _MISSING_TO_CUSTOMER if _is_to_customer(action, channel, policy) else _MISSING_TO_OWNER
    values = {name: _one_line(facts.get(name)) or missing[name] for name in PLACEHOLDERS}
    return Content(
        subject=Template(text.subject).substitute(values),
        body=Template(text.body).substitute(values),
        template_version=policy.actions[action].template.version,
    )


def template_for(action: str, channel: str, policy: PolicyDocument) -> Text:
    """The text of `action` for `channel` as it is before it is filled in; raises what `render` raises."""
    template = policy.actions[action].template
    if _is_to_customer(action, channel, policy):
        return template.to_customer
    if channel == Channel.EMAIL:
        raise ValueError(f"{action} has no text for customers, so it cannot be sent as an e-mail")
    return template.to_owner


def _is_to_customer(action: str, channel: str, policy: PolicyDocument) -> bool:
    has_text = policy.actions[action].template.to_customer is not None
    return channel in (Channel.EMAIL, Channel.WEBHOOK) and has_text


def _one_line(value: object) -> str:
    """The value as one printable line, so that no fact can forge a mail header or a paragraph of its own."""
    if value is None:
        return ""
    text = str(value)
    if not text.isprintable():
        text = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(text.split())
