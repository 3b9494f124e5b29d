"""Who calls, and whether they may.

A token is shown as `Authorization: Bearer cjo_…`. Whoever is logged in on the pages may use the API with
their session too; then each POST needs the CSRF token, as every form does.
"""

from dataclasses import dataclass, field

from rest_framework import authentication, exceptions
from rest_framework.permissions import BasePermission

from approvals import audit
from approvals.api.problems import Problem
from approvals.models import ApiToken
from approvals.rules import NotAuthorised
from approvals.services import tokens

DOOR = "api"


class TokenAuthentication(authentication.BaseAuthentication):
    def authenticate(self, request):
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if not scheme:
            return None
        if scheme.lower() != "bearer":
            raise exceptions.AuthenticationFailed("Show a token, as `Authorization: Bearer cjo_…`.")
        try:
            token = tokens.find(text.strip())
        except NotAuthorised as refusal:
            raise exceptions.AuthenticationFailed(str(refusal)) from None
        tokens.note_used(token)
        audit.through_token.set(str(token))
        return token.owner, token

    def authenticate_header(self, request):
        return 'Bearer realm="api"'


class SessionAuthentication(authentication.SessionAuthentication):
    """As the framework's own; a missing CSRF token is told as what it is."""

    def enforce_csrf(self, request):
        try:
            super().enforce_csrf(request)
        except exceptions.PermissionDenied:
            raise Problem(
                "forbidden", "With a session, a POST needs the CSRF token in the header X-CSRFToken."
            ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What an operation takes: of a token the scope, of its owner (or of whoever is logged in) the
    permissions. `person`: a service's token cannot do it, whatever its scopes."""

    scope: str
    permissions: tuple[str, ...] = field(default=())
    person: bool = False


class MayUse(BasePermission):
    """By the view's `need` for what is asked of it. Authority is another thing: the services look at that."""

    def has_permission(self, request, view):
        if not request.user.is_authenticated:
            return False
        need: Need | None = view.need
        if need is None:  # nothing is done by this method: the answer is 405
            return True
        token = request.auth
        if isinstance(token, ApiToken):
            if need.person and not token.is_personal:
                raise Problem(
                    "person-needed", "A service's token decides nothing; a person decides with their own."
                )
            if need.scope not in token.scopes:
                raise Problem("scope-missing", f"It takes the scope {need.scope}.", scope=need.scope)
        for permission in need.permissions:
            if not request.user.has_perm(permission):
                raise Problem(
                    "permission-missing",
                    f"{request.user.get_username()} has no permission {permission}.",
                    permission=permission,
                )
        return True


def who(request) -> dict:
    """The arguments by which every service knows who acts, and through which door."""
    return {"user": request.user, "door": DOOR, "address": request.META.get("REMOTE_ADDR", "")}
