"""The contract of the API, for programs and for people. It tells nothing of an installation, so anybody may
read it."""

from drf_spectacular.views import SpectacularJSONAPIView, SpectacularSwaggerSplitView
from rest_framework.permissions import AllowAny


class SchemaView(SpectacularJSONAPIView):
    """GET /api/v1/schema: OpenAPI 3.1."""

    authentication_classes = ()
    permission_classes = (AllowAny,)


class SchemaPage(SpectacularSwaggerSplitView):
    """GET /api/v1/docs: the same, to be read and tried out."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    url_name = "schema"
    template_name = "cjo/api_docs.html"
