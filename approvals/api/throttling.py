"""So many requests a minute for each token, or for each account that is logged in."""

import math
import time

from django.conf import settings
from django.core.cache import cache
from rest_framework.throttling import BaseThrottle

from approvals.models import ApiToken

WINDOW = 60  # seconds


class PerCaller(BaseThrottle):
    """Counted in the cache, which all processes share, in fixed minutes. What is left is told in each answer
    (RateLimit-Limit, -Remaining, -Reset in seconds; RateLimit-Policy), as the IETF draft has it."""

    def allow_request(self, request, view):
        now = time.time()
        limit = settings.API_REQUESTS_PER_MINUTE
        left = WINDOW - now % WINDOW
        self.reset = math.ceil(left)
        key = f"api:{_caller(request)}"
        cache.add(key, 0, timeout=left)
        try:
            count = cache.incr(key)
        except ValueError:  # it ended in between
            count = 1
        request.rate_limit = {
            "RateLimit-Limit": str(limit),
            "RateLimit-Remaining": str(max(0, limit - count)),
            "RateLimit-Reset": str(self.reset),
            "RateLimit-Policy": f"{limit};w={WINDOW}",
        }
        return count <= limit

    def wait(self):
        return self.reset


def _caller(request) -> str:
    if isinstance(request.auth, ApiToken):
        return f"token:{request.auth.prefix}"
    if request.user.is_authenticated:
        return f"user:{request.user.pk}"
    return f"address:{request.META.get('REMOTE_ADDR', '')}"
