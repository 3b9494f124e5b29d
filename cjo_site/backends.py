"""Who somebody is, once they have logged in."""

from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend


class AccountBackend(ModelBackend):
    """Django's own, but the account comes with its preferences: every page needs both, in one query."""

    def get_user(self, user_id):
        user = get_user_model().objects.select_related("preferences").filter(pk=user_id).first()
        return user if user and self.user_can_authenticate(user) else None
