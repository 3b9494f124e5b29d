"""Idempotency-Key: the same POST sent twice is done once, and answered twice alike.

After the IETF draft "The Idempotency-Key HTTP Header Field".
"""

import json
import re
from collections.abc import Callable
from functools import wraps

from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.utils.crypto import salted_hmac
from rest_framework.response import Response

from approvals.api.problems import Problem
from approvals.api.schema import IDEMPOTENCY_KEY, IDEMPOTENCY_REPLAYED
from approvals.models import user_key
from approvals.rules import canonical
from approvals.services import idempotency

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_KEPT_HEADERS = ("Location",)


class _NotDone(Exception):
    """Undoes the transaction of an answer that says that nothing was done."""

    def __init__(self, response: Response):
        self.response = response


def once(request, handler: Callable[..., Response]) -> Callable[..., Response]:
    """The handler, so that a key that was answered before is answered alike, and one that is not is kept with
    its answer, where that is no error. Without the header it is the handler itself."""
    key = request.headers.get(IDEMPOTENCY_KEY)
    if key is None:
        return handler
    if not _KEY.fullmatch(key):
        raise Problem("bad-request", f"{IDEMPOTENCY_KEY} must have 1 to 255 visible ASCII characters.")
    row = idempotency.begin(caller=user_key(request.user), key=key, digest=_digest(request))
    if row.answered_at is not None:
        return lambda *arguments, **named: Response(
            row.body, status=row.status, headers=row.headers | {IDEMPOTENCY_REPLAYED: "true"}
        )

    @wraps(handler)
    def kept(*arguments, **named):
        try:
            with transaction.atomic():
                response = handler(*arguments, **named)
                if response.status_code >= 400:
                    raise _NotDone(response)
                headers = {name: response[name] for name in _KEPT_HEADERS if name in response}
                body = json.loads(json.dumps(response.data, cls=DjangoJSONEncoder))
                idempotency.answer(row, status=response.status_code, headers=headers, body=body)
                return response
        except _NotDone as error:
            idempotency.release(row)
            return error.response
        except Exception:
            idempotency.release(row)
            raise

    return kept


def _digest(request) -> str:
    asked = [request.method, request.get_full_path(), request.headers.get("If-Match", ""), request.data]
    # Keyed: a body may hold a password, which a plain digest would let somebody find by trying.
    return salted_hmac("idempotency", canonical(asked), algorithm="sha256").hexdigest()
