import sys

from django.core.management.base import BaseCommand, CommandError

from approvals.models import ApprovalRequest
from approvals.rules import Refusal
from journeys.replay import replay
from journeys.services.proposals import KIND


class Command(BaseCommand):
    help = (
        "Derive the recommendation of a request again, from its frozen facts and the stored policy. "
        "Exits with 1 and what differs, where it is not identical."
    )

    def add_arguments(self, parser):
        parser.add_argument("request", metavar="ID", type=int, help="the number of the request")

    def handle(self, **options):
        request = ApprovalRequest.objects.filter(pk=options["request"], kind=KIND).first()
        if request is None:
            raise CommandError(f"There is no request {options['request']} for an intervention.", returncode=2)
        try:
            differences = replay(request)
        except Refusal as refusal:
            raise CommandError(str(refusal), returncode=2) from refusal
        for what, recorded, derived in differences:
            self.stdout.write(f"{what}: recorded {recorded!r}, derived {derived!r}")
        if differences:
            sys.exit(1)
        self.stdout.write(f"Request {request.pk}: identical, under policy {request.policy}.")
