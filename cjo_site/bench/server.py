"""The site, with one view more: it inserts the signals that are sent to it, and does nothing else."""

import json
import os
from datetime import UTC, datetime

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import transaction
from django.http import JsonResponse
from django.urls import include, path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cjo_site.settings")
application = get_wsgi_application()
settings.ROOT_URLCONF = __name__

from journeys.models import Signal  # noqa: E402 - the apps are loaded by the line above


def bare(request):
    """As somebody would write it who wants nothing but the rows."""
    now = datetime.now(UTC)
    rows = [
        Signal(**item | {"detected_at": datetime.fromisoformat(item["detected_at"])}, received_at=now)
        for item in json.loads(request.body)["items"]
    ]
    with transaction.atomic():
        Signal.objects.bulk_create(rows)
    return JsonResponse({"accepted": len(rows)})


bare.csrf_exempt = True
urlpatterns = [path("bare", bare), path("", include("cjo_site.urls"))]
