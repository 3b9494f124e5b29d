"""What every answer below /api/ has in common, whoever made it."""

import logging
import time
from contextlib import suppress

from django.http.request import RawPostDataException

from approvals import audit
from approvals.api import problems

log = logging.getLogger(__name__)
# Bytes of a body that are read although nobody wants them.
MOST_UNWANTED = 20_000_000


class ApiMiddleware:
    """Errors that were made before or outside of the views (an unknown path, a host that is not answered to,
    a fault) become problem documents too, without anything of what went wrong inside. Each call is logged."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        if not problems.is_api(request):
            return self.get_response(request)
        began = time.perf_counter()
        # Set where the token is found, deep in the view.
        token = audit.through_token.set("")
        try:
            response = self.get_response(request)
            if response.status_code >= 400 and response.get("Content-Type") != problems.MEDIA_TYPE:
                answer = problems.of_status(request, response.status_code)
                for name in ("Allow", "Retry-After", "WWW-Authenticate"):
                    if name in response:
                        answer[name] = response[name]
                # It was logged where it was made.
                answer._has_been_logged = True
                response = answer
            if response.status_code >= 400:
                _read_on(request)
            for name, value in getattr(request, "rate_limit", {}).items():
                response[name] = value
            log.info(
                "%s %s %s in %.0f ms%s",
                request.method,
                request.path,
                response.status_code,
                (time.perf_counter() - began) * 1000,
                f" by {audit.through_token.get()}" if audit.through_token.get() else "",
            )
        finally:
            audit.through_token.reset(token)
        return response


def _read_on(request) -> None:
    """Read what is left of the body. Whoever is refused before its end would else find the connection broken
    while they still send, and never see the answer."""
    left = MOST_UNWANTED
    # Whoever breaks off, or whose body was read as a whole, sends no more.
    with suppress(OSError, RawPostDataException):
        while left > 0 and (part := request.read(65_536)):
            left -= len(part)
