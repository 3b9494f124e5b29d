"""The addresses of the site."""

from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

from cjo_site.api_docs import SchemaPage, SchemaView
from cjo_site.health import healthz

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("api/v1/", include("approvals.api.urls")),
    path("api/v1/", include("journeys.api.urls")),
    path("api/v1/schema", SchemaView.as_view(), name="schema"),
    path("api/v1/docs", SchemaPage.as_view(), name="api-docs"),
    # Browsers ask for it by this name on every page that names no other.
    path("favicon.ico", RedirectView.as_view(url=static("cjo_site/favicon.svg"))),
    path("healthz", healthz, name="healthz"),
]
