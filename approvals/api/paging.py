"""Lists page by page, each found by an index from where the one before ended: nothing is counted, and the
thousandth page costs what the first does."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.db.models import Model, Q
from django.utils.dateparse import parse_datetime
from rest_framework.pagination import BasePagination
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from approvals.api.problems import BadQuery

USUAL, MOST = 50, 200


@dataclass(frozen=True, slots=True)
class Order:
    """`name` is what `?ordering=` says; `fields` are the columns, `-` for downwards, never null, the last of
    them unique. An order that an index makes cheap only for some rows goes only with one of the filters
    `given`: `name`, or `name=value`."""

    name: str
    fields: tuple[str, ...]
    given: tuple[str, ...] = ()

    def goes_with(self, query: Mapping[str, str]) -> bool:
        return not self.given or any(_is_given(condition, query) for condition in self.given)

    def columns(self) -> list[tuple[str, bool]]:
        return [(field.lstrip("-"), field.startswith("-")) for field in self.fields]


class KeysetPagination(BasePagination):
    """A page is `{"next": address or null, "results": [...]}`. The cursor holds the last row's columns."""

    def paginate_queryset(self, queryset, request, view=None):
        self.request = request
        order = _order(view.orders, request.query_params)
        limit = _limit(request.query_params.get("limit"))
        if cursor := request.query_params.get("cursor"):
            queryset = queryset.filter(_beyond(order, _read(cursor, order, queryset.model)))
        rows = list(queryset.order_by(*order.fields)[: limit + 1])
        self.next = self.after(order, rows[limit - 1]) if len(rows) > limit else None
        return rows[:limit]

    @staticmethod
    def after(order: Order, row: Model) -> str:
        """The cursor of the page that begins after this row."""
        values = [getattr(row, name) for name, _ in order.columns()]
        plain = [value.isoformat() if hasattr(value, "isoformat") else value for value in values]
        text = json.dumps([order.name, *plain], separators=(",", ":"))
        return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    def get_paginated_response(self, data):
        url = None
        if self.next:
            url = replace_query_param(self.request.build_absolute_uri(), "cursor", self.next)
        return Response({"next": url, "results": data})

    def get_paginated_response_schema(self, schema):
        return {
            "type": "object",
            "required": ["next", "results"],
            "properties": {
                "next": {
                    "type": ["string", "null"],
                    "format": "uri",
                    "description": "The address of the next page; null at the end.",
                },
                "results": schema,
            },
        }

    def get_schema_operation_parameters(self, view):
        return [
            {
                "name": "cursor",
                "in": "query",
                "description": "Where the page begins; it stands in `next` of the page before.",
                "schema": {"type": "string", "minLength": 1},
            },
            {
                "name": "limit",
                "in": "query",
                "description": f"Rows a page, at most {MOST}.",
                "schema": {"type": "integer", "minimum": 1, "maximum": MOST, "default": USUAL},
            },
            {
                "name": "ordering",
                "in": "query",
                "description": _told(view.orders),
                "schema": {"type": "string", "enum": [order.name for order in view.orders]},
            },
        ]


def _order(orders: tuple[Order, ...], query) -> Order:
    """What was asked for; else the first that goes with the filters."""
    name = query.get("ordering")
    if name is None:
        return next(order for order in orders if order.goes_with(query))
    order = next((order for order in orders if order.name == name), None)
    if order is None:
        raise BadQuery("ordering", f"there is only {', '.join(order.name for order in orders)}")
    if not order.goes_with(query):
        raise BadQuery("ordering", f"{name} goes only with the filter {' or '.join(order.given)}")
    return order


def _is_given(condition: str, query: Mapping[str, str]) -> bool:
    name, _, value = condition.partition("=")
    return name in query and value in ("", query[name])


def _told(orders: tuple[Order, ...]) -> str:
    only = [
        f"`{order.name}` goes only with the filter {' or '.join(f'`{given}`' for given in order.given)}"
        for order in orders
        if order.given
    ]
    return ". ".join(["The order of the rows, `-` for downwards", *only]) + "."


def _limit(given: str | None) -> int:
    if given is None:
        return USUAL
    if not (given.isascii() and given.isdecimal() and len(given) < 5 and 1 <= int(given) <= MOST):
        raise BadQuery("limit", f"this is a whole number from 1 to {MOST}")
    return int(given)


def _beyond(order: Order, values: list) -> Q:
    """Rows after these values. The first column is bounded by itself too, so that an index begins there."""
    (first, down), *_ = columns = order.columns()
    rows = None
    for (name, downwards), value in reversed(list(zip(columns, values, strict=True))):
        further = Q(**{f"{name}__{'lt' if downwards else 'gt'}": value})
        rows = further if rows is None else further | (Q(**{name: value}) & rows)
    if len(columns) == 1:
        return rows
    return Q(**{f"{first}__{'lte' if down else 'gte'}": values[0]}) & rows


def _read(cursor: str, order: Order, model: type[Model]) -> list:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        name, *values = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        columns = order.columns()
        if name != order.name or len(values) != len(columns):
            raise ValueError("of another order")
        return [_typed(model, column, value) for (column, _), value in zip(columns, values, strict=True)]
    except (ValueError, TypeError, RecursionError, binascii.Error, ValidationError):
        raise BadQuery("cursor", "this is not one that came with a page in this order") from None


def _typed(model: type[Model], column: str, value: object) -> object:
    if value is None or isinstance(value, bool | dict | list):
        raise ValueError("no column is that")
    field = next(field for field in model._meta.concrete_fields if column in (field.name, field.attname))
    kind = field.target_field if field.is_relation else field
    if kind.get_internal_type() == "DateTimeField":
        moment = parse_datetime(value)
        if moment is None or moment.tzinfo is None:
            raise ValueError("no moment")
        return moment
    if isinstance(value, str) and not value.isprintable():
        raise ValueError("no text of ours")
    typed = kind.to_python(value)
    if isinstance(typed, int) and not -(2**63) <= typed < 2**63:
        raise ValueError("no number of ours")
    return typed
