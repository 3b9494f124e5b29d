"""So many requests a minute for each token, or for each account that is logged in; and for each address from
which nobody says who they are."""

import math
import time
import zlib

from django.conf import settings
from django.core.cache import cache
from rest_framework.throttling import BaseThrottle

from approvals.models import ApiToken

WINDOW = 60  # seconds
# Addresses are counted in so many groups, so that whoever has millions of them does not fill the cache. Those
# who share a group with somebody else are told a little sooner that they get nothing here.
_GROUPS = 256


class PerCaller(BaseThrottle):
    """Counted in the cache, which all processes share, in fixed minutes. What is left is told in each answer
    (RateLimit-Limit, -Remaining, -Reset in seconds; RateLimit-Policy), as the IETF draft has it; the
    middleware writes it."""

    def allow_request(self, request, view):
        now = time.time()
        caller, limit = _caller(request)
        left = WINDOW - now % WINDOW
        self.reset = math.ceil(left)
        key = f"api:{caller}"
        cache.add(key, 0, timeout=left)
        try:
            count = cache.incr(key)
        except ValueError:  # it ended in between
            count = 1
        request._request.rate_limit = {
            "RateLimit-Limit": str(limit),
            "RateLimit-Remaining": str(max(0, limit - count)),
            "RateLimit-Reset": str(self.reset),
            "RateLimit-Policy": f"{limit};w={WINDOW}",
        }
        return count <= limit

    def wait(self):
        return self.reset


def _caller(request) -> tuple[str, int]:
    """Who it is, and how many requests a minute they have."""
    if isinstance(request.auth, ApiToken):
        return f"token:{request.auth.prefix}", settings.API_REQUESTS_PER_MINUTE
    if request.user.is_authenticated:
        return f"user:{request.user.pk}", settings.API_REQUESTS_PER_MINUTE
    address = request.META.get("REMOTE_ADDR", "")
    return f"address:{zlib.crc32(address.encode()) % _GROUPS}", settings.API_UNKNOWN_REQUESTS_PER_MINUTE
