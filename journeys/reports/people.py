"""The names of the people whom the figures know by the keys of the audit. Reads only."""

from collections.abc import Iterable

from django.contrib.auth import get_user_model

from approvals.models import user_key


def names_of(keys: Iterable[str]) -> dict[str, str]:
    """By the accounts that are there; who has none any more stays the key that the audit keeps."""
    keys = list(keys)
    numbers = [key.removeprefix("user:") for key in keys]
    users = get_user_model().objects.filter(pk__in=[number for number in numbers if number.isdecimal()])
    known = {user_key(user): user.get_full_name() or user.get_username() for user in users}
    return {key: known.get(key, key) for key in keys}


def names_in(report: dict) -> dict[str, str]:
    """Of those who decided something that the report counts."""
    return names_of(row["person"] for row in report["decided"].get("by_person", ()))
