"""manage.py rotate_token: a new secret, while the one before stays good for a while."""

from datetime import timedelta

from django.core.management.base import BaseCommand, CommandError

from approvals.rules import Refusal
from approvals.services import tokens


class Command(BaseCommand):
    help = "Give an API token a new secret and print it, this once."

    def add_arguments(self, parser):
        parser.add_argument("prefix", help="the part of the token between the two underscores")
        parser.add_argument("--days", type=int, default=365, help="how long the new one is good for (365)")
        parser.add_argument("--overlap", type=int, default=24, help="hours that the old one stays good (24)")

    def handle(self, *args, **options):
        try:
            token, text = tokens.rotate(
                token_id=tokens.by_prefix(options["prefix"]).pk,
                overlap=timedelta(hours=options["overlap"]),
                days=options["days"],
                door="command",
            )
        except Refusal as refusal:
            raise CommandError(str(refusal)) from None
        self.stderr.write(
            f"New secret of {token}, until {token.expires_at:%d %b %Y}; the one before is good until "
            f"{token.previous_until:%d %b %Y %H:%M} UTC. It is not shown again:"
        )
        self.stdout.write(text)
