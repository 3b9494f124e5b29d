"""What the tests of the API share: a caller with a token, and what holds for every answer."""

import json

from django.test import Client

from approvals.models import ApiToken
from approvals.services import tokens
from tests.acting import PASSWORD

ROOT = "/api/v1/"


def token_of(owner, *scopes: str, personal: bool = False, days: int = 30) -> tuple[ApiToken, str]:
    """A token made for the test; a personal one takes the permission to make one."""
    arguments = {"owner": owner, "name": "test", "scopes_wanted": scopes, "days": days, "door": "test"}
    if personal:
        return tokens.make_personal(password=PASSWORD, **arguments)
    return tokens.make_for_service(**arguments)


class Caller:
    """Calls the API with a token (or with a session, where it is given a user). Paths are below /api/v1/."""

    def __init__(self, text: str = "", user=None, **headers):
        self.client = Client(raise_request_exception=False)
        if user is not None:
            self.client.force_login(user)
        self.headers = ({"Authorization": f"Bearer {text}"} if text else {}) | headers

    def get(self, path: str, **headers):
        return self.client.get(_full(path), headers=self.headers | headers)

    def post(self, path: str, body: object = None, *, raw: bytes | None = None, **headers):
        content = json.dumps({} if body is None else body).encode() if raw is None else raw
        return self.client.post(
            _full(path), content, content_type="application/json", headers=self.headers | headers
        )


def _full(path: str) -> str:
    return path if path.startswith("/") else ROOT + path


def problem(answer, status: int, kind: str) -> dict:
    """The problem document of an answer, which must be of this status and kind."""
    assert answer["Content-Type"] == "application/problem+json", answer.content[:300]
    told = json.loads(answer.content)
    assert (answer.status_code, told["type"]) == (status, f"urn:cjo:problem:{kind}"), told
    assert told["status"] == status
    assert told["title"]
    assert told["detail"]
    assert told["request_id"] == answer["X-Request-ID"]
    assert b"Traceback" not in answer.content
    return told
