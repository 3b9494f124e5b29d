from django.core.management.base import BaseCommand, CommandError

from journeys.demo import people


class Command(BaseCommand):
    help = "Print as whom to log in to the demo. Exits with 2 where there are no such logins."

    def handle(self, **options):
        try:
            logins = people.logins()
        except people.NoLogins as missing:
            raise CommandError(str(missing), returncode=2) from missing
        rows = [("user", "password", "may")]
        rows += [(person.username, logins[person.username], person.may) for person in people.PEOPLE]
        widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
        for user, password, may in rows:
            self.stdout.write(f"{user:{widths[0]}}  {password:{widths[1]}}  {may}")
