"""Sending: one thing, or up to 1,000 of a kind, each of them answered for."""

from collections import Counter
from collections.abc import Callable

from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.response import Response

from approvals.api.auth import Need
from approvals.api.problems import Kind, Problem, escaped, register
from journeys import records
from journeys.records import CustomerRecord, OutcomeRecord, Record, SignalRecord, StateRecord
from journeys.services.receiving import MADE, MOST, WENT_IN, Receipt, Result, TooManyItems, receive

register({TooManyItems: Kind(422, "Too many items at once")})

_STATUS = {Result.ACCEPTED: 201, Result.DUPLICATE: 200, Result.HELD: 202}


class ItemAnswer(serializers.Serializer):
    """What became of one item. `ids` are what it is known by; an id that it came without was made."""

    index = serializers.IntegerField(min_value=0)
    result = serializers.ChoiceField([result.value for result in Result])
    ids = serializers.DictField(child=serializers.CharField())
    field = serializers.CharField(required=False, help_text="Which field was wrong.")
    detail = serializers.CharField(required=False)


class BatchAnswer(serializers.Serializer):
    accepted = serializers.IntegerField(min_value=0)
    duplicate = serializers.IntegerField(min_value=0)
    held = serializers.IntegerField(min_value=0)
    conflict = serializers.IntegerField(min_value=0)
    rejected = serializers.IntegerField(min_value=0)
    results = ItemAnswer(many=True, help_text="In the order of the items.")


def receives(kind: type[Record], example: dict) -> Callable[[type], type]:
    """Makes a view of rows take them too: one by POST to the list, many by POST to `batch` below it."""

    def made(view: type) -> type:
        @extend_schema(
            request={"application/json": _schema_of(kind)},
            responses={
                201: OpenApiResponse(ItemAnswer, "It was taken."),
                200: OpenApiResponse(ItemAnswer, "It was known already, or changes what was."),
                202: OpenApiResponse(ItemAnswer, "It is held until its customer arrives."),
            },
            examples=[OpenApiExample(kind.FILE, example, request_only=True)],
            description=f"Send one {view.noun}.",
        )
        def create(self, request):
            [receipt] = receive(kind, [request.data])
            if receipt.result not in WENT_IN:
                raise _refused(receipt)
            changed = receipt.result == Result.ACCEPTED and not receipt.is_new
            return Response(_told(0, receipt), status=200 if changed else _STATUS[receipt.result])

        @extend_schema(
            request={"application/json": _batch_schema_of(kind)},
            responses={
                200: OpenApiResponse(BatchAnswer, "All went in."),
                207: OpenApiResponse(BatchAnswer, "Some went in: see which did not."),
            },
            examples=[OpenApiExample(f"{kind.FILE} batch", {"items": [example]}, request_only=True)],
            description=f"Send up to {MOST:,} of them. Each is answered for, in order; what is known "
            "already, and what is held until its customer arrives, counts as gone in.",
        )
        @action(detail=False, methods=["post"], url_path="batch")
        def batch(self, request):
            return _answer(receive(kind, _items(request.data)))

        create.errors = {409: "conflict"}
        view.create, view.batch = create, batch
        return view

    return made


def _items(data: dict) -> list:
    items = data.get("items")
    wrong = [
        {"pointer": f"/{escaped(name)}", "detail": "There is no such field here."}
        for name in data
        if name != "items"
    ]
    if not isinstance(items, list) or not items:
        wrong.append({"pointer": "/items", "detail": f"This must be a list of 1 to {MOST:,} objects."})
    if wrong:
        raise Problem("validation-failed", wrong[0]["detail"], errors=wrong)
    return items


def _answer(receipts: list[Receipt]) -> Response:
    went_in = sum(receipt.result in WENT_IN for receipt in receipts)
    counts = Counter(receipt.result for receipt in receipts)
    body = {result.value: counts[result] for result in Result}
    body["results"] = [_told(place, receipt) for place, receipt in enumerate(receipts)]
    if not went_in:
        errors = [_error(f"/items/{place}", receipt) for place, receipt in enumerate(receipts)]
        raise Problem("validation-failed", "None of the items went in.", errors=errors, **body)
    return Response(body, status=200 if went_in == len(receipts) else 207)


def _refused(receipt: Receipt) -> Problem:
    kind = "conflict" if receipt.result == Result.CONFLICT else "validation-failed"
    return Problem(kind, f"{receipt.field}: {receipt.detail}", errors=[_error("", receipt)], ids=receipt.ids)


def _error(pointer: str, receipt: Receipt) -> dict:
    return {
        "pointer": f"{pointer}/{escaped(receipt.field)}" if receipt.field else pointer,
        "detail": receipt.detail,
    }


def _told(place: int, receipt: Receipt) -> dict:
    told = {"index": place, "result": receipt.result.value, "ids": receipt.ids}
    if receipt.field:
        told["field"] = receipt.field
    if receipt.detail:
        told["detail"] = receipt.detail
    return told


# -- the contract

_FORMATS = {
    "a string": {"type": "string"},
    "true or false": {"type": "boolean"},
    "a whole number": {"type": "integer", "minimum": 0},
    "a number": {"type": "number"},
    "a number, or a string with one": {"type": ["number", "string"]},
}


def sends(need: Need) -> dict[str, Need]:
    """What both of the acts take, for a view's `needs`."""
    return {"create": need, "batch": need}


def _schema_of(kind: type[Record]) -> dict:
    properties, required = {}, []
    made, _ = MADE.get(kind, ("", ""))
    for column in records.columns(kind):
        types, told = records.json_types(kind)[column.name]
        schema = dict(_FORMATS[told])
        if type(None) in types:
            wanted = schema["type"]
            schema["type"] = [*(wanted if isinstance(wanted, list) else [wanted]), "null"]
        if column.name == made:
            schema["description"] = "Made, and told, where it is missing."
        elif column.required:
            required.append(column.name)
        properties[column.name] = schema
    return {"type": "object", "required": required, "properties": properties, "additionalProperties": False}


def _batch_schema_of(kind: type[Record]) -> dict:
    items = {"type": "array", "minItems": 1, "maxItems": MOST, "items": {"type": "object"}}
    items["description"] = "Each as for a single one; what is wrong with one does not stop the others."
    return {
        "type": "object",
        "required": ["items"],
        "properties": {"items": items},
        "additionalProperties": False,
    }


RECEIVED = {
    CustomerRecord: {"customer_id": "C100", "segment": "SMB", "account_value": "12000.00", "name": "Acme"},
    StateRecord: {"customer_id": "C100", "journey_stage": "onboarding", "state_entered_at": "2026-11-02"},
    SignalRecord: {
        "signal_id": "S100",
        "customer_id": "C100",
        "signal_type": "usage_drop",
        "signal_strength": 0.7,
        "detected_at": "2026-11-20T08:30:00Z",
    },
    OutcomeRecord: {
        "outcome_id": "O100",
        "intervention_id": "I100",
        "outcome": "resolved",
        "measured_at": "2026-11-21",
    },
}
