"""Every error as a problem document (RFC 9457).

`type` is stable: programs go by it. `errors` names each part of the body (`pointer`, RFC 6901) or each
parameter of the query that was wrong. `request_id` is in the log too.
"""

import json
import logging
from collections.abc import Iterator
from http import HTTPStatus
from typing import NamedTuple

from django.core.exceptions import PermissionDenied
from django.core.serializers.json import DjangoJSONEncoder
from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from rest_framework import exceptions
from rest_framework.settings import api_settings

from approvals import rules
from approvals.services import NothingChanged, TooMany
from approvals.services.idempotency import InFlight, OtherBody
from approvals.subjects import CannotChange

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:cjo:problem:"

log = logging.getLogger(__name__)


class Kind(NamedTuple):
    status: int
    title: str


# By what stands behind the prefix in `type`. What is here once stays.
KINDS: dict[str, Kind] = {
    "bad-request": Kind(400, "The request cannot be read"),
    "malformed": Kind(400, "The body is not the JSON that is expected"),
    "bad-query": Kind(400, "A parameter of the query is wrong"),
    "not-authenticated": Kind(401, "Nobody has said who they are"),
    "token-not-valid": Kind(401, "The token is not valid"),
    "forbidden": Kind(403, "That is not permitted"),
    "scope-missing": Kind(403, "The token was not made for that"),
    "permission-missing": Kind(403, "The account has no permission for that"),
    "person-needed": Kind(403, "Only a person decides"),
    "not-found": Kind(404, "There is no such thing"),
    "method-not-allowed": Kind(405, "That cannot be done here"),
    "not-acceptable": Kind(406, "The answer is JSON only"),
    "conflict": Kind(409, "That does not go with what is there"),
    "length-required": Kind(411, "Say how long the body is"),
    "precondition-failed": Kind(412, "What was seen is not there any more"),
    "too-large": Kind(413, "The body is too large"),
    "unsupported-media-type": Kind(415, "The body must be JSON"),
    "validation-failed": Kind(422, "The body is not valid"),
    "precondition-needed": Kind(428, "Say what was seen"),
    "throttled": Kind(429, "Too many requests"),
    "internal-error": Kind(500, "Something went wrong here"),
    "unavailable": Kind(503, "The database did not answer in time"),
}
_OF_STATUS = {
    400: "bad-request",
    401: "not-authenticated",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    406: "not-acceptable",
    409: "conflict",
    411: "length-required",
    412: "precondition-failed",
    413: "too-large",
    415: "unsupported-media-type",
    422: "validation-failed",
    429: "throttled",
    503: "unavailable",
}
_OF_EXCEPTION = (
    (Http404, "not-found"),
    (PermissionDenied, "forbidden"),
    (exceptions.ParseError, "malformed"),
    (exceptions.NotAuthenticated, "not-authenticated"),
    (exceptions.AuthenticationFailed, "token-not-valid"),
    (exceptions.PermissionDenied, "forbidden"),
    (exceptions.NotFound, "not-found"),
    (exceptions.MethodNotAllowed, "method-not-allowed"),
    (exceptions.NotAcceptable, "not-acceptable"),
    (exceptions.UnsupportedMediaType, "unsupported-media-type"),
    (exceptions.Throttled, "throttled"),
)


class Problem(exceptions.APIException):
    """`kind` is a key of KINDS, `errors` rows of {"pointer" or "parameter", "detail"}; whatever else is told
    becomes a member of the document."""

    def __init__(self, kind: str, detail: str, *, errors: list[dict] | None = None, **members):
        self.kind, self.errors, self.members = kind, errors or [], members
        self.status_code = KINDS[kind].status
        super().__init__(detail)


class BadQuery(Problem):
    def __init__(self, parameter: str, detail: str):
        super().__init__(
            "bad-query", f"{parameter}: {detail}", errors=[{"parameter": parameter, "detail": detail}]
        )


# -- what the services refuse

_OF_REFUSAL: dict[type[rules.Refusal], str] = {}


def register(kinds: dict[type[rules.Refusal], Kind]) -> None:
    """What a Refusal of this class (and of those below it) is told as; the type is the class's code."""
    for refusal, kind in kinds.items():
        name = refusal.code.replace("_", "-")
        if KINDS.setdefault(name, kind) != kind:
            raise ValueError(f"The problem {name!r} is another one already.")
        _OF_REFUSAL[refusal] = name


def kind_of(refusal: rules.Refusal) -> str:
    return next(_OF_REFUSAL[parent] for parent in type(refusal).__mro__ if parent in _OF_REFUSAL)


register(
    {
        rules.Refusal: Kind(409, "That was refused"),
        rules.NotFound: Kind(404, "There is no such thing"),
        rules.IllegalMove: Kind(409, "It cannot become that from what it is"),
        rules.AlreadyDecided: Kind(409, "It is decided already"),
        rules.TooLate: Kind(409, "It is too late"),
        rules.Stale: Kind(412, "It has changed since it was seen"),
        rules.OwnRequest: Kind(403, "Nobody decides what they proposed or changed"),
        rules.NotAuthorised: Kind(403, "The authority does not reach"),
        rules.AlreadyApproved: Kind(409, "Nobody approves twice"),
        rules.Returned: Kind(409, "It is with its proposer"),
        rules.ReasonNeeded: Kind(422, "A reason is needed"),
        rules.PasswordNeeded: Kind(403, "The password is needed"),
        rules.RecentReset: Kind(403, "The password was set by somebody else a short while ago"),
        rules.Claimed: Kind(409, "Somebody else is reviewing it"),
        rules.NoStandingApproval: Kind(409, "No approval stands"),
        CannotChange: Kind(422, "That cannot be changed so"),
        NothingChanged: Kind(422, "Nothing would be different"),
        TooMany: Kind(422, "Too many at once"),
        InFlight: Kind(409, "The first request with this key is being answered"),
        OtherBody: Kind(409, "This key was sent with another request"),
    }
)


# -- the document


def is_api(request: HttpRequest) -> bool:
    return request.path_info == "/api" or request.path_info.startswith("/api/")


def document(request: HttpRequest, kind: str, detail: str, *, errors=(), status=None, **members) -> dict:
    told = {
        "type": TYPE_PREFIX + kind,
        "title": KINDS[kind].title,
        "status": status or KINDS[kind].status,
        "detail": detail,
        "instance": request.path,
        "request_id": getattr(request, "request_id", ""),
    }
    return told | ({"errors": list(errors)} if errors else {}) | members


def response(
    request: HttpRequest, kind: str, detail: str, *, headers: dict | None = None, **told
) -> HttpResponse:
    body = document(request, kind, detail, **told)
    # What somebody sent may stand in it, halves of characters included.
    text = json.dumps(body, ensure_ascii=False, cls=DjangoJSONEncoder).encode("utf-8", "replace")
    answer = HttpResponse(text, status=body["status"], content_type=MEDIA_TYPE, headers=headers)
    answer["Cache-Control"] = "no-store"
    return answer


def of_status(request: HttpRequest, status: int) -> HttpResponse:
    """For an error that nobody has explained. Nothing of what went wrong inside is told."""
    kind = _OF_STATUS.get(status, "internal-error" if status >= 500 else "bad-request")
    details = {
        400: "The request cannot be answered as it was sent.",
        404: f"There is nothing at {request.path}.",
    }
    detail = details.get(status, f"{HTTPStatus(status).phrase}.")
    if status >= 500:
        detail = "It was logged under the id of this request; nothing more is known here."
    return response(request, kind, detail, status=status)


def answer_to(exception: Exception, context: dict) -> HttpResponse | None:
    """The exception handler of the framework; None for what was not foreseen, which becomes a 500."""
    request = context["request"]._request
    if isinstance(exception, rules.Refusal):
        return response(request, kind_of(exception), str(exception), **exception.facts)
    if isinstance(exception, Problem):
        return response(
            request,
            exception.kind,
            str(exception.detail),
            errors=exception.errors,
            headers=_headers(exception),
            **exception.members,
        )
    if isinstance(exception, exceptions.ValidationError):
        errors = [{"pointer": at, "detail": detail} for at, detail in flat(exception.detail)]
        return response(request, "validation-failed", _in_short(errors), errors=errors)
    if isinstance(exception, OperationalError):
        log.exception("The database did not answer.")
        return response(
            request, "unavailable", "Nothing was written. Try again.", headers={"Retry-After": "5"}
        )
    for known, kind in _OF_EXCEPTION:
        if isinstance(exception, known):
            detail = str(getattr(exception, "detail", exception)) or KINDS[kind].title
            return response(request, kind, detail, headers=_headers(exception))
    return None


def _headers(exception: Exception) -> dict[str, str]:
    headers = {}
    if auth := getattr(exception, "auth_header", None):
        headers["WWW-Authenticate"] = auth
    if wait := getattr(exception, "wait", None):
        headers["Retry-After"] = str(int(wait) or 1)
    return headers


def flat(detail, at: str = "") -> Iterator[tuple[str, str]]:
    """(JSON pointer, sentence) of each of a serializer's errors."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            own = name == api_settings.NON_FIELD_ERRORS_KEY
            yield from flat(inner, at if own else f"{at}/{escaped(name)}")
    elif isinstance(detail, list):
        for place, inner in enumerate(detail):
            # A list of sentences is about the value itself, one of dicts about its items.
            yield from flat(inner, f"{at}/{place}" if isinstance(inner, dict | list) else at)
    else:
        yield at, str(detail)


def escaped(name: object) -> str:
    return str(name).replace("~", "~0").replace("/", "~1")


def _in_short(errors: list[dict]) -> str:
    first = errors[0]
    told = f"{first['pointer']}: {first['detail']}" if first["pointer"] else first["detail"]
    return told if len(errors) == 1 else f"{told} (and {len(errors) - 1} more)"
