"""The admin site that every app's pages register with."""

from django.contrib.admin import AdminSite


class DeskAdminSite(AdminSite):
    site_title = "Journey Orchestrator"
    site_header = "Journey Orchestrator"
    index_title = "Desk"
