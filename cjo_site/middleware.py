"""What every answer carries."""

import logging
import re
import uuid
from collections.abc import Callable
from contextvars import ContextVar

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from approvals import zones

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
REQUEST_ID = "X-Request-ID"
_GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
_current: ContextVar[str] = ContextVar("request_id", default="")


class ContentSecurityPolicyMiddleware:
    """The browser runs and loads nothing but this site's own files: no inline script or style, no frame."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        return response


class TimeZoneMiddleware:
    """Stands behind authentication. On people's pages times are told, and read from forms, in the zone of
    whoever looks; everywhere else they are UTC."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not (request.path.startswith(reverse("admin:index")) and request.user.is_authenticated):
            return self.get_response(request)
        with timezone.override(zones.zone_for(request.user, request.COOKIES.get(zones.COOKIE, ""))):
            return self.get_response(request)


class RequestIdMiddleware:
    """An id for each request: the caller's own where it sent a plain one, so that both logs can be laid side
    by side. It stands in the answer's header and in each line of the log."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = request.headers.get(REQUEST_ID, "")
        request.request_id = given if _GIVEN_ID.fullmatch(given) else uuid.uuid4().hex
        token = _current.set(request.request_id)
        try:
            response = self.get_response(request)
        finally:
            _current.reset(token)
        response.headers[REQUEST_ID] = request.request_id
        return response


class WithRequestId(logging.Filter):
    """Gives each line of the log ` [id of the request]`, nothing outside of one."""

    def filter(self, record: logging.LogRecord) -> bool:
        # Django logs an answer after the last middleware: the id is on the request then.
        number = _current.get() or getattr(getattr(record, "request", None), "request_id", "")
        record.request_id = f" [{number}]" if number else ""
        return True
