from django.core.management.base import BaseCommand

from approvals.chain import head


class Command(BaseCommand):
    help = "Print number and hash of the audit's last event, to be kept elsewhere for verify_audit --head."

    def handle(self, **options):
        sequence, last_hash = head()
        self.stdout.write(f"{sequence} {last_hash}")
