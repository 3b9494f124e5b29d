"""The contract: what each operation takes, needs and may answer, as OpenAPI 3.1."""

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import get_lib_doc_excludes
from drf_spectacular.utils import OpenApiParameter

from approvals import scopes
from approvals.api import problems
from approvals.api.examples import EXAMPLES
from approvals.api.serializers import Cut, Shown, Taken

EVERY_ANSWER = {
    "X-Request-ID": ("string", "The id under which this request stands in the log."),
    "RateLimit-Limit": ("integer", "Requests that are answered a minute."),
    "RateLimit-Remaining": ("integer", "How many of them are left."),
    "RateLimit-Reset": ("integer", "Seconds until they are counted anew."),
    "RateLimit-Policy": ("string", "The limit with its window in seconds."),
}
IDEMPOTENCY_KEY, IDEMPOTENCY_REPLAYED = "Idempotency-Key", "Idempotency-Replayed"
# What may be answered instead of what was asked for. With the kind of problem that stands as the example.
ERRORS_OF_ALL = {
    400: "bad-query",
    401: "token-not-valid",
    403: "scope-missing",
    406: "not-acceptable",
    429: "throttled",
    500: "internal-error",
    503: "unavailable",
}
ERRORS_OF_ONE = {404: "not-found"}
ERRORS_OF_POST = {
    411: "length-required",
    413: "too-large",
    415: "unsupported-media-type",
    422: "validation-failed",
}


class Schema(AutoSchema):
    """Names operations by what they do, and adds what all of them share."""

    def get_operation_id(self):
        noun = self.view.noun.replace(" ", "_")
        plural = noun if noun == "suppressed" else f"{noun}s"
        if self.view.action == "list":
            return f"list_{plural}"
        if self.view.action == "retrieve":
            return f"get_{noun}"
        one = self.view.action == "create" or "{" in self.path
        return f"{self.view.action}_{noun if one else plural}"

    def get_serializer_name(self, serializer, direction):
        return super().get_serializer_name(serializer, direction).removesuffix("Out")

    def get_override_parameters(self):
        parameters = []
        if "fields" in self.view.parameters():
            names = list(self.view.get_serializer_class()().fields)
            parameters.append(
                OpenApiParameter(
                    "fields",
                    {"type": "array", "items": {"type": "string", "enum": names}, "minItems": 1},
                    explode=False,
                    description="Only these fields of each row, with commas between them.",
                )
            )
        if "{" in self.path and self.view.lookup_is_number:
            name = "id" if self.view.lookup_field == "pk" else self.view.lookup_field
            number = {"type": "integer", "minimum": 1, "maximum": 10**18 - 1}
            parameters.append(OpenApiParameter(name, number, OpenApiParameter.PATH))
        headers = getattr(getattr(self.view, self.view.action), "headers", {})
        if self.method == "GET":
            headers = {"If-None-Match": "The ETag of an earlier answer: 304 where it is still the same."}
        if self.method == "POST":
            headers = headers | {IDEMPOTENCY_KEY: "Of one's own making: the same is done once in 24 hours."}
        for name, told in headers.items():
            parameters.append(OpenApiParameter(name, str, OpenApiParameter.HEADER, description=told))
        return parameters

    def errors(self) -> dict[int, str]:
        """The problems that may be told: the status, with the kind that is its example."""
        errors = dict(ERRORS_OF_ALL)
        if "{" in self.path:
            errors |= ERRORS_OF_ONE
        if self.method == "POST":
            errors |= ERRORS_OF_POST | {400: "malformed", 409: "conflict"}
        return errors | getattr(getattr(self.view, self.view.action), "errors", {})

    def get_operation(self, *args, **kwargs):
        operation = super().get_operation(*args, **kwargs)
        if operation is None or not hasattr(self.view, "needs"):
            return operation
        responses = operation["responses"]
        for status, answer in responses.items():
            answer.setdefault("headers", {}).update(_headers())
            answer["description"] = answer["description"] or "As asked."
            if self.method == "GET" and status == "200":
                answer["headers"]["ETag"] = {"schema": {"type": "string"}, "description": "Of this answer."}
            if self.method == "POST":
                told = "Whether this answers a key that was sent before."
                answer["headers"][IDEMPOTENCY_REPLAYED] = {"schema": {"const": "true"}, "description": told}
        if self.method == "GET":
            responses["304"] = {"description": "Still the same as with the ETag sent.", "headers": _headers()}
        for status, kind in sorted(self.errors().items()):
            responses.setdefault(str(status), {"$ref": f"#/components/responses/{kind}"})
        need = self.view.need
        told = [operation.get("description", ""), f"Takes the scope `{need.scope}`"]
        if need.permissions:
            told[1] += f" and the permission {', '.join(f'`{name}`' for name in need.permissions)}"
        told[1] += "; a person's own token or session." if need.person else "."
        operation["description"] = "\n\n".join(part for part in told if part)
        operation["x-required-scope"] = need.scope
        return operation


def _headers() -> dict:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in EVERY_ANSWER}


def _problem(kind: str) -> dict:
    """What is told of this kind; the operations refer to it."""
    status, title = problems.KINDS[kind]
    example = {
        "type": problems.TYPE_PREFIX + kind,
        "title": title,
        "status": status,
        "detail": f"{title}.",
        "instance": "/api/v1/customers",
        "request_id": "0b9c6a3c3f0e4f0f9d0a4f5f3a7d2b11",
    }
    headers = _headers()
    if status in (429, 503):
        headers["Retry-After"] = {"schema": {"type": "integer"}, "description": "Seconds."}
    return {
        "description": f"{title}.",
        "headers": headers,
        "content": {
            problems.MEDIA_TYPE: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "examples": {kind: {"value": example}},
            }
        },
    }


PROBLEM = {
    "type": "object",
    "description": "An error, by RFC 9457. Further members tell more, by the type.",
    "required": ["type", "title", "status", "detail", "instance", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri", "description": "Stable: programs go by it."},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "What happened, for a person."},
        "instance": {"type": "string", "description": "The path that was asked for."},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "description": "What was wrong, part by part.",
            "items": {
                "type": "object",
                "required": ["detail"],
                "properties": {
                    "pointer": {"type": "string", "description": "Into the body, by RFC 6901."},
                    "parameter": {"type": "string", "description": "Of the query."},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}


# The largest numbers of the databases' columns. They differ between databases, and promise nothing.
_LIMITS = (32_767, 2_147_483_647, 9_223_372_036_854_775_807)


def _forget_limits(part: object) -> None:
    if isinstance(part, list):
        for inner in part:
            _forget_limits(inner)
    elif isinstance(part, dict):
        if part.get("maximum") in _LIMITS:
            del part["maximum"]
            part.pop("format", None)
        for inner in part.values():
            _forget_limits(inner)


def finish(result, generator, request, public):
    """What all operations refer to, and the examples."""
    components = result.setdefault("components", {})
    for path in result["paths"].values():
        for operation in path.values():
            for part in (operation.get("requestBody", {}), *operation["responses"].values()):
                for body in part.get("content", {}).values():
                    _add_example(body)
            if any(parameter["name"] == "fields" for parameter in operation.get("parameters", ())):
                _may_be_cut(components["schemas"], operation["responses"]["200"])
    components.setdefault("schemas", {})["Problem"] = PROBLEM
    components["responses"] = {kind: _problem(kind) for kind in sorted(_told_kinds(result))}
    components["headers"] = {
        name: {"schema": {"type": kind}, "description": told} for name, (kind, told) in EVERY_ANSWER.items()
    }
    _forget_limits(result)
    return result


def _add_example(body: dict) -> None:
    name = body["schema"].get("$ref", "").rpartition("/")[2]
    of_page = name.removeprefix("Paginated").removesuffix("List")
    if name in EXAMPLES:
        body["examples"] = {name: {"value": EXAMPLES[name]}}
    elif of_page != name and of_page in EXAMPLES:
        body["examples"] = {name: {"value": {"next": None, "results": [EXAMPLES[of_page]]}}}


def _may_be_cut(schemas: dict, answer: dict) -> None:
    """With `fields`, any field of the row may be missing."""
    name = answer["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    if "results" in schemas[name]["properties"]:
        name = schemas[name]["properties"]["results"]["items"]["$ref"].rpartition("/")[2]
    schemas[name].pop("required", None)


def _told_kinds(result: dict) -> set[str]:
    return {
        answer["$ref"].rpartition("/")[2]
        for path in result["paths"].values()
        for operation in path.values()
        for answer in operation["responses"].values()
        if "$ref" in answer
    }


def not_for_readers() -> list[type]:
    """Whose docstrings are about the code, not about what goes over the line."""
    return [*get_lib_doc_excludes(), Cut, Shown, Taken]


class TokenScheme(OpenApiAuthenticationExtension):
    target_class = "approvals.api.auth.TokenAuthentication"
    name = "token"

    def get_security_requirement(self, auto_schema):
        return {self.name: [auto_schema.view.need.scope]}

    def get_security_definition(self, auto_schema):
        told = "\n".join(f"- `{scope}`: {what}" for scope, what in scopes.known().items())
        return {
            "type": "http",
            "scheme": "bearer",
            "description": f"A token, made on the pages or by `create_token`. Its scopes:\n\n{told}",
        }


class SessionScheme(OpenApiAuthenticationExtension):
    target_class = "approvals.api.auth.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema):
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": "sessionid",
            "description": "Whoever is logged in on the pages. A POST needs the header X-CSRFToken too.",
        }
