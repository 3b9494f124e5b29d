from datetime import UTC, date, datetime, time
from pathlib import Path

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from approvals.chain import export
from approvals.models import AuditEvent, user_key


class Command(BaseCommand):
    help = "Write audit events as JSON Lines, with all that is needed to verify them without this program."

    def add_arguments(self, parser):
        parser.add_argument("--user", metavar="U", help="only what this user did (user name)")
        parser.add_argument(
            "--since", metavar="D", type=date.fromisoformat, help="only from this day on, UTC"
        )
        parser.add_argument("--request", metavar="ID", type=int, help="only what belongs to this request")
        parser.add_argument("--out", metavar="FILE", required=True, type=Path, help="the file to write, or -")

    def handle(self, **options):
        events = AuditEvent.objects.all()
        if options["user"]:
            user = get_user_model().objects.filter(username=options["user"]).first()
            if user is None:
                raise CommandError(f"There is no user {options['user']!r}.", returncode=2)
            events = events.filter(actor_key=user_key(user))
        if options["since"]:
            events = events.filter(at__gte=datetime.combine(options["since"], time(0, tzinfo=UTC)))
        if options["request"] is not None:
            events = events.filter(request_id=options["request"])
        if str(options["out"]) == "-":
            self.stdout.ending = ""
            export(events, self.stdout)
            return
        try:
            with options["out"].open("w", encoding="utf-8") as out:
                written = export(events, out)
        except OSError as error:
            raise CommandError(
                f"{options['out']} cannot be written: {error.strerror}", returncode=2
            ) from error
        self.stdout.write(f"{written} events written to {options['out']}.")
