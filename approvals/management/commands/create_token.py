"""manage.py create_token: make an API token, shown once."""

import sys
from getpass import getpass

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from approvals import scopes
from approvals.rules import Refusal
from approvals.services import tokens


class Command(BaseCommand):
    help = (
        "Make an API token and print it, this once. Without --personal it is for a program, and decides "
        "nothing; with it, it is the owner's own, and asks for their password (where there is no terminal, "
        "as a line of standard input)."
    )

    def add_arguments(self, parser):
        parser.add_argument("name", help="what it is for, such as CRM")
        parser.add_argument("--owner", required=True, help="the account in whose name it acts")
        parser.add_argument(
            "--scope", action="append", required=True, dest="scopes", help=", ".join(scopes.known())
        )
        parser.add_argument("--days", type=int, default=365, help="how long it is good for (365)")
        parser.add_argument("--personal", action="store_true", help="the owner's own, by their password")

    def handle(self, *args, **options):
        try:
            owner = get_user_model().objects.get_by_natural_key(options["owner"])
        except get_user_model().DoesNotExist:
            raise CommandError(f"There is no account {options['owner']}.") from None
        arguments = {
            "owner": owner,
            "name": options["name"],
            "scopes_wanted": options["scopes"],
            "days": options["days"],
            "door": "command",
        }
        try:
            if options["personal"]:
                token, text = tokens.make_personal(password=_password(owner), **arguments)
            else:
                token, text = tokens.make_for_service(**arguments)
        except Refusal as refusal:
            raise CommandError(str(refusal)) from None
        self.stderr.write(
            f"{token.get_kind_display()} token {token} of {owner.get_username()}, "
            f"until {token.expires_at:%d %b %Y}. It is not shown again:"
        )
        self.stdout.write(text)


def _password(owner) -> str:
    if sys.stdin.isatty():
        return getpass(f"Password of {owner.get_username()}: ")
    return sys.stdin.readline().rstrip("\n")
