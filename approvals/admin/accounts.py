"""Accounts and groups. What gives authority is asked for elsewhere, and a second person confirms it."""

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User

admin.site.unregister([User, Group])


@admin.register(User)
class AccountAdmin(UserAdmin):
    """Groups change by a request (see the limits of authority); nobody is made superuser from here."""

    readonly_fields = ("is_superuser", "groups", "user_permissions", "last_login", "date_joined")

    def has_delete_permission(self, request, obj=None):
        """The trail names accounts by their key: whoever leaves is made inactive."""
        return False


@admin.register(Group)
class ReadOnlyGroupAdmin(GroupAdmin):
    def has_add_permission(self, request):
        return False

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False
