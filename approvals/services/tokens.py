"""API tokens: made, rotated, revoked, found by what a program shows.

A secret is 256 random bits, so a plain digest is enough: nobody finds it by trying. It is shown once.
"""

import hashlib
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta

from django.contrib.auth.models import AbstractBaseUser
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from approvals import scopes
from approvals.audit import Event, record
from approvals.models import ApiToken, user_key
from approvals.rules import Actor, NotAuthorised, NotFound, PasswordNeeded, Refusal
from approvals.services.people import SHELL, actor_of, check_not_reset

MARK = "cjo"
MOST_DAYS = 730
MOST_OVERLAP = timedelta(days=7)
# What was used is noted at most so often: reading must not cost a write each time.
NOTED_EVERY = timedelta(minutes=1)
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PREFIX_LENGTH = 12


class BadToken(Refusal):
    """What was asked of a token cannot be."""

    code = "bad_token"


def make_personal(
    *,
    owner,
    name: str,
    scopes_wanted: Collection[str],
    days: int,
    password: str,
    door: str,
    address: str = "",
) -> tuple[ApiToken, str]:
    """A token by which its owner acts, and may decide. Returns it with its text, which is shown once.

    Raises BadToken, NotAuthorised, RecentReset or PasswordNeeded: that it is the owner who makes it is proven
    by their password, whatever the door.
    """
    if not owner.has_perm("approvals.issue_apitoken"):
        raise NotAuthorised("This account has no permission to make API tokens.")
    if not (owner.is_active and owner.check_password(password)):
        raise PasswordNeeded("The password is missing or wrong.")
    check_not_reset(owner)
    actor = actor_of(owner, door=door, address=address)
    return _make(ApiToken.Kind.PERSONAL, owner, name, scopes_wanted, days, actor)


def make_for_service(
    *, owner, name: str, scopes_wanted: Collection[str], days: int, by=None, door: str, address: str = ""
) -> tuple[ApiToken, str]:
    """A token for a program, which acts in the name of `owner` and decides nothing. `by` makes it, with the
    permission and within their own permissions; None is somebody with a shell.

    Raises BadToken or NotAuthorised.
    """
    if by is not None:
        _check_manages(by, owner)
    if scopes.DECIDE in scopes_wanted:
        raise BadToken("A service's token decides nothing: a person decides with their own.")
    return _make(ApiToken.Kind.SERVICE, owner, name, scopes_wanted, days, _actor(by, door, address))


def rotate(
    *, token_id: int, overlap: timedelta, days: int, by=None, door: str, address: str = ""
) -> tuple[ApiToken, str]:
    """A new secret, good for `days` from now; the one before stays good for `overlap` (but not beyond its own
    expiry). Where a rotation is still under way, the oldest secret ends now.

    Raises NotFound, NotAuthorised or BadToken.
    """
    token = _get(token_id)
    _check_may_touch(token, by)
    now = timezone.now()
    if not token.stands(now):
        raise BadToken("This token is revoked or expired: make another one.")
    if not timedelta(0) <= overlap <= MOST_OVERLAP:
        raise BadToken(f"The secret before can stay good for at most {MOST_OVERLAP.days} days.")
    text, digest = _secret(token.prefix)
    with transaction.atomic():
        unmoved = ApiToken.objects.filter(pk=token.pk, digest=token.digest, revoked_at__isnull=True)
        if not unmoved.update(
            digest=digest,
            previous_digest=token.digest,
            previous_until=min(now + overlap, token.expires_at),
            expires_at=_until(now, days),
            rotated_at=now,
        ):
            raise BadToken("Somebody else has just rotated or revoked this token.")
        record([_event("token.rotated", token, _actor(by, door, address))])
    return _get(token_id), text


def revoke(*, token_id: int, reason: str = "", by=None, door: str, address: str = "") -> ApiToken:
    """Ends it at once, both of its secrets. Raises NotFound, NotAuthorised or BadToken."""
    token = _get(token_id)
    _check_may_touch(token, by)
    with transaction.atomic():
        if not ApiToken.objects.filter(pk=token.pk, revoked_at__isnull=True).update(
            revoked_at=timezone.now()
        ):
            raise BadToken("This token is revoked already.")
        record([_event("token.revoked", token, _actor(by, door, address), reason.strip())])
    return _get(token_id)


def by_prefix(prefix: str) -> ApiToken:
    """Raises NotFound."""
    token = ApiToken.objects.filter(prefix=prefix).first()
    if token is None:
        raise NotFound(f"There is no token {prefix}.")
    return token


def find(text: str) -> ApiToken:
    """The token of this text, with its owner. Raises NotAuthorised; why a token is not good any more is told
    only to whoever has its secret."""
    mark, _, rest = text.partition("_")
    prefix, _, secret = rest.partition("_")
    token = None
    if mark == MARK and secret and len(prefix) == _PREFIX_LENGTH and prefix.isalnum() and prefix.isascii():
        token = ApiToken.objects.select_related("owner").filter(prefix=prefix).first()
    given, now = _digest(text), timezone.now()
    # Compared even where there is no such token, so that the time it takes does not tell.
    is_it = constant_time_compare(given, token.digest if token else "0" * 64)
    was_it = constant_time_compare(given, (token and token.previous_digest) or "0" * 64)
    if token is None or not (is_it or was_it):
        raise NotAuthorised("There is no such token.")
    if token.revoked_at is not None:
        raise NotAuthorised(f"This token was revoked on {token.revoked_at:%d %b %Y at %H:%M} UTC.")
    ended = token.expires_at if is_it else min(token.previous_until, token.expires_at)
    if now >= ended:
        raise NotAuthorised(f"This token ended on {ended:%d %b %Y at %H:%M} UTC.")
    if not token.owner.is_active:
        raise NotAuthorised("The account of this token is not active.")
    return token


def note_used(token: ApiToken) -> None:
    now = timezone.now()
    if token.last_used_at is None or now - token.last_used_at >= NOTED_EVERY:
        ApiToken.objects.filter(pk=token.pk).update(last_used_at=now)


def may_touch(token: ApiToken, user) -> bool:
    return token.owner_id == user.pk or user.has_perm("approvals.manage_apitoken")


def _make(
    kind: str, owner: AbstractBaseUser, name: str, wanted: Collection[str], days: int, actor: Actor
) -> tuple[ApiToken, str]:
    if not name.strip():
        raise BadToken("Say what the token is for.")
    if not wanted:
        raise BadToken("Choose what the token is for: at least one scope.")
    if unknown := sorted(set(wanted) - scopes.known().keys()):
        raise BadToken(f"There is no scope {unknown[0]}; there are {', '.join(scopes.known())}.")
    prefix = "".join(secrets.choice(_ALPHABET) for _ in range(_PREFIX_LENGTH))
    text, digest = _secret(prefix)
    now = timezone.now()
    with transaction.atomic():
        token = ApiToken.objects.create(
            name=name.strip(),
            kind=kind,
            owner=owner,
            scopes=sorted(set(wanted)),
            prefix=prefix,
            digest=digest,
            created_at=now,
            expires_at=_until(now, days),
        )
        record([_event("token.made", token, actor, after=kind)])
    return token, text


def _secret(prefix: str) -> tuple[str, str]:
    text = f"{MARK}_{prefix}_{secrets.token_urlsafe(32)}"
    return text, _digest(text)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _until(now: datetime, days: int) -> datetime:
    if not 1 <= days <= MOST_DAYS:
        raise BadToken(f"A token is good for 1 to {MOST_DAYS} days.")
    return now + timedelta(days=days)


def _get(token_id: int) -> ApiToken:
    token = ApiToken.objects.select_related("owner").filter(pk=token_id).first()
    if token is None:
        raise NotFound(f"There is no token {token_id}.")
    return token


def _actor(by, door: str, address: str) -> Actor:
    return SHELL if by is None else actor_of(by, door=door, address=address)


def _check_may_touch(token: ApiToken, by) -> None:
    if by is not None and not may_touch(token, by):
        raise NotAuthorised("This token is somebody else's.")


def _check_manages(by, owner) -> None:
    """Whoever makes a token for an account can act as that account: never with more than they have."""
    if not by.has_perm("approvals.manage_apitoken"):
        raise NotAuthorised("You have no permission to make API tokens for services.")
    beyond = owner.get_all_permissions() - by.get_all_permissions()
    if beyond or (owner.is_superuser and not by.is_superuser):
        raise NotAuthorised(f"{owner.get_username()} may do what you may not: {', '.join(sorted(beyond))}.")


def _event(word: str, token: ApiToken, actor: Actor, reason: str = "", after: str = "") -> Event:
    return Event(
        word=word,
        actor=actor,
        kind="api_token",
        subject_key=str(token.pk),
        subject_name=f"{token.name} ({token.prefix}) of {token.owner.get_username()}",
        concerning=user_key(token.owner),
        after=after,
        reason=reason,
        details={"scopes": ", ".join(token.scopes)},
    )
