"""What every view of the API does, in this order: who calls, how often, with what permission, with which
parameters; then the answer, with its ETag."""

import hashlib
import re

from django.http import HttpRequest
from django.utils.cache import patch_vary_headers
from django.utils.http import parse_etags
from rest_framework import mixins
from rest_framework.exceptions import NotFound
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from approvals.api.auth import Need
from approvals.api.filters import Filters
from approvals.api.idempotency import once
from approvals.api.paging import KeysetPagination, Order
from approvals.api.problems import BadQuery, Problem
from approvals.api.schema import Schema
from approvals.api.serializers import fields_wanted

_NOT_IN_A_PATH = re.compile("[\x00-\x1f\x7f\ufffd]")


class ApiView(GenericViewSet):
    """`needs` says for each action what it takes; an action without one is a fault."""

    needs: dict[str, Need] = {}
    http_method_names = ("get", "head", "post")
    # How one of the rows is called in a sentence and in operation ids: "approval request".
    noun = "row"
    schema = Schema()

    @property
    def need(self) -> Need | None:
        # For OPTIONS the framework names an action of its own.
        return self.needs[self.action] if self.action and self.action != "metadata" else None

    def initial(self, request, *args, **kwargs):
        self.format_kwarg = None
        request.accepted_renderer, request.accepted_media_type = self.perform_content_negotiation(request)
        try:
            self.perform_authentication(request)
        finally:  # whoever shows a token that is none counts too, by their address
            self.check_throttles(request)
        self.check_permissions(request)
        if any(_NOT_IN_A_PATH.search(str(value)) for value in kwargs.values()):
            raise NotFound(f"There is no such {self.noun}.")
        _check_query(request, self.parameters())
        if request.method == "POST" and self.action:
            if request.META.get("HTTP_TRANSFER_ENCODING"):
                raise Problem(
                    "length-required",
                    "Say by Content-Length how long the body is: chunks are not read.",
                )
            self.post = once(request, self.post)

    def parameters(self) -> set[str]:
        """The names that may stand in the query."""
        return set()

    def etag_of(self, response: Response) -> str:
        return hashlib.sha256(response.content).hexdigest()[:32]

    def finalize_response(self, request, response, *args, **kwargs):
        response = super().finalize_response(request, response, *args, **kwargs)
        patch_vary_headers(response, ("Accept", "Authorization", "Cookie"))
        if response.status_code >= 400:
            return response
        response["Cache-Control"] = "private, no-cache"
        if request.method in ("GET", "HEAD"):
            response.render()
            response["ETag"] = etag = f'"{self.etag_of(response)}"'
            known = parse_etags(request.headers.get("If-None-Match", ""))
            if known == ["*"] or etag in [tag.removeprefix("W/") for tag in known]:
                response.status_code, response.content = 304, b""
                del response["Content-Type"]
        return response


class Rows(mixins.ListModelMixin, mixins.RetrieveModelMixin, ApiView):
    """Rows for reading: page by page, and one by one."""

    orders: tuple[Order, ...] = ()
    filter_backends = (Filters,)
    filterset_class = None
    pagination_class = KeysetPagination
    lookup_value_regex = "[^/]+"
    lookup_is_number = False
    # What a page shows of each row, where that is less than the row's own page.
    list_serializer_class = None

    def get_serializer_class(self):
        if self.action == "list" and self.list_serializer_class:
            return self.list_serializer_class
        return self.serializer_class

    def get_serializer_context(self):
        context = super().get_serializer_context()
        if self.action in ("list", "retrieve") and self.request and hasattr(self.request, "query_params"):
            context["fields"] = fields_wanted(self.request, self.get_serializer_class())
        return context

    def parameters(self):
        if self.action == "list":
            filters = self.filterset_class.base_filters if self.filterset_class else ()
            return {"fields", "cursor", "limit", "ordering", *filters}
        return {"fields"} if self.action == "retrieve" else set()

    def get_object(self):
        key = self.kwargs[self.lookup_field]
        row = self.get_queryset().filter(**{self.lookup_field: key}).first()
        if row is None:
            raise NotFound(f"There is no {self.noun} {key}.")
        return row


class NumberedRows(Rows):
    """Rows whose key is a number."""

    lookup_value_regex = "[0-9]{1,18}"
    lookup_is_number = True


def _check_query(request: HttpRequest, known: set[str]) -> None:
    """A filter that is misspelt, empty or there twice would give other rows than were meant."""
    for name, values in request.query_params.lists():
        if name not in known:
            told = f"there is only {', '.join(sorted(known))}" if known else "there is none here"
            raise BadQuery(name, f"there is no such parameter; {told}")
        if len(values) > 1 and name != "fields":
            raise BadQuery(name, "this stands there twice")
        if not all(values) or _NOT_IN_A_PATH.search("".join(values)):
            raise BadQuery(name, "this is empty, or no text")
