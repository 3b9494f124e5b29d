"""The site as an app (templates, static files), and the admin with a site of our own."""

from django.apps import AppConfig
from django.contrib.admin.apps import AdminConfig


class SiteConfig(AppConfig):
    name = "cjo_site"


class DeskAdminConfig(AdminConfig):
    default_site = "cjo_site.admin.DeskAdminSite"

    def ready(self) -> None:
        super().ready()
        # Only after every app's pages are registered can some be taken away again. Anybody allowed to add a
        # schedule there runs any function of any module, and who may only look can put tasks back.
        from axes.models import AccessFailureLog, AccessLog
        from django.contrib import admin
        from django_q.models import Failure, OrmQ, Schedule, Success

        admin.site.unregister([Failure, OrmQ, Schedule, Success])
        for log in (AccessFailureLog, AccessLog):
            page = admin.site.get_model_admin(log)
            page.has_change_permission = page.has_delete_permission = _never


def _never(request, obj=None) -> bool:
    """Who logged in, and who tried, is for reading."""
    return False
