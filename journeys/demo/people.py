"""The demo's people, and the file that keeps how they log in."""

import json
import os
import secrets
from pathlib import Path
from typing import NamedTuple

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser, Group
from django.core.management import call_command
from django.db import transaction

from approvals.rules import Refusal


class Person(NamedTuple):
    username: str
    name: str
    group: str
    may: str


PEOPLE = (
    Person("operator", "Ines Okafor", "Operators", "runs the pipeline, proposes by hand; decides nothing"),
    Person("approver", "Jonas Weir", "Approvers", "approves and rejects up to 100,000, proposes by hand"),
    Person("approver2", "Priya Lund", "Approvers", "the same: nobody decides what they proposed themselves"),
    Person("manager", "Marta Quill", "Managers", "decides without limit, confirms what needs two people"),
    Person("manager2", "Tom Adeyemi", "Managers", "the same: from 100,000 up it takes two"),
    Person("auditor", "Noor Falk", "Auditors", "reads everything, the trail too; changes nothing"),
)
APPROVERS = ("approver", "approver2")
MANAGERS = ("manager", "manager2")


class NoLogins(Refusal):
    code = "no_logins"


class NameTaken(Refusal):
    code = "name_taken"


def check_names_are_free() -> None:
    """Raise NameTaken where an account has the name of one of the demo's people: it belongs to somebody."""
    names = [person.username for person in PEOPLE]
    taken = get_user_model().objects.filter(username__in=names).values_list("username", flat=True)
    if taken := sorted(taken):
        raise NameTaken(f"There are accounts with the names of the demo's people: {', '.join(taken)}.")


@transaction.atomic
def make() -> dict[str, AbstractUser]:
    """The accounts, by name, each in its group and with its password in the file."""
    if Group.objects.filter(name__in={person.group for person in PEOPLE}).count() < 4:
        # Not where they are: loading them again would undo what was changed about who may do what.
        call_command("loaddata", "people", verbosity=0)
    passwords = _passwords()
    users = {}
    for person in PEOPLE:
        first, last = person.name.split(" ", 1)
        user = get_user_model().objects.create_user(
            person.username,
            password=passwords[person.username],
            first_name=first,
            last_name=last,
            is_staff=True,
        )
        user.groups.add(Group.objects.get(name=person.group))
        users[person.username] = user
    return users


def file() -> Path:
    return settings.VAR_DIR / "demo_logins.json"


def logins() -> dict[str, str]:
    """Password by user name. Raises NoLogins where there is no such file, or it is not one of ours."""
    try:
        kept = json.loads(file().read_text(encoding="utf-8"))
        return {person.username: kept[person.username] for person in PEOPLE}
    except FileNotFoundError:
        raise NoLogins("There are no demo logins here; `manage.py seed_demo` makes them.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NoLogins(f"The demo's logins cannot be read from {file()}: {error!r}.") from None


def _passwords() -> dict[str, str]:
    """Those in the file, so that it stays right for a database that is made anew, or new ones put there."""
    try:
        return logins()
    except NoLogins:
        passwords = {person.username: secrets.token_urlsafe(12) for person in PEOPLE}
    new = file().with_suffix(".new")
    new.unlink(missing_ok=True)
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        json.dump(passwords, out, indent=1)
    new.replace(file())
    return passwords
