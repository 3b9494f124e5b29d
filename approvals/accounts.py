"""Recording what happens to accounts: passwords set, groups and permissions given and taken.

Who does it is known within a request (`ActorMiddleware`); anything else was done by somebody with a shell.
"""

from contextvars import ContextVar
from functools import partial

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.db.models.signals import m2m_changed, pre_save

from approvals.audit import Event, record
from approvals.models import user_key
from approvals.rules import Actor
from approvals.services.people import RESET_WORD, SHELL, actor_of

_current: ContextVar[Actor | None] = ContextVar("actor", default=None)


class ActorMiddleware:
    """Stands behind authentication: what is done in a request, its user has done."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        user = getattr(request, "user", None)
        actor = None
        if user is not None and user.is_authenticated:
            actor = actor_of(user, door="web", address=request.META.get("REMOTE_ADDR", ""))
        token = _current.set(actor)
        try:
            return self.get_response(request)
        finally:
            _current.reset(token)


def watch() -> None:
    user = get_user_model()
    pre_save.connect(_account_saved, sender=user, dispatch_uid="approvals.account_saved")
    for through, what in (
        (user.groups.through, "groups"),
        (user.user_permissions.through, "permissions"),
        (Group.permissions.through, "permissions of the group"),
    ):
        m2m_changed.connect(
            partial(_membership_changed, what=what),
            sender=through,
            weak=False,
            dispatch_uid=f"approvals.{what}",
        )


def _account_saved(sender, instance, raw: bool, update_fields=None, **kwargs) -> None:
    """`_password` is set only where a password was set, not where a hash was brought up to date."""
    if instance.pk is None:
        return
    before = sender.objects.filter(pk=instance.pk).first()
    if before is None:
        return
    if getattr(instance, "_password", None) is not None and before.password != instance.password:
        record([_event(RESET_WORD, instance, "")])
    changed = [
        f"{name} {getattr(instance, name)}"
        for name in ("is_active", "is_staff", "is_superuser")
        if getattr(before, name) != getattr(instance, name)
        and (update_fields is None or name in update_fields)
    ]
    if changed:
        record([_event("account.changed", instance, ", ".join(changed))])


_VERBS = {"post_add": "added", "post_remove": "removed", "pre_clear": "cleared"}


def _membership_changed(
    sender, instance, action: str, reverse: bool, model, pk_set, what: str, **kwargs
) -> None:
    if action not in _VERBS or (action != "pre_clear" and not pk_set):
        return
    names = ", ".join(sorted(str(row) for row in model.objects.filter(pk__in=pk_set or ()).select_related()))
    record([_event("account.changed", instance, f"{what} {_VERBS[action]}", names)])


def _event(word: str, instance, after: str, reason: str = "") -> Event:
    is_user = isinstance(instance, get_user_model())
    key = user_key(instance) if is_user else f"group:{instance.pk}"
    return Event(
        word=word,
        actor=_current.get() or SHELL,
        kind="account",
        subject_key=key,
        subject_name=str(instance),
        concerning=key,
        after=after[:60],
        reason=reason,
    )
