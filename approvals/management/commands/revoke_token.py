"""manage.py revoke_token: end an API token at once."""

from django.core.management.base import BaseCommand, CommandError

from approvals.rules import Refusal
from approvals.services import tokens


class Command(BaseCommand):
    help = "End an API token at once."

    def add_arguments(self, parser):
        parser.add_argument("prefix", help="the part of the token between the two underscores")

    def handle(self, *args, **options):
        try:
            token = tokens.revoke(token_id=tokens.by_prefix(options["prefix"]).pk, door="command")
        except Refusal as refusal:
            raise CommandError(str(refusal)) from None
        self.stdout.write(f"Revoked: {token}.")
