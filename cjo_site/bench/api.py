"""The measurement itself, in the environment that the command has made for it."""

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import quantiles

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.management import call_command
from django.db import transaction

from approvals.models import ApprovalRequest
from approvals.rows import insert, insert_all
from approvals.services import tokens
from journeys.models import Customer, Heartbeat, JourneyState, Mark, Signal

BATCH = 1_000
SINGLY = 300
# Arriving signals: so many a second, for so many seconds.
RATE, SECONDS = 50, 10
_COLUMNS = (
    "signal_id", "customer", "signal_type", "signal_strength", "detected_at", "journey_stage", "source",
    "received_at",
)  # fmt: skip


def measure(batches: int) -> dict[str, float]:
    """Signals a second: `database_per_second` (rows in batches by the driver), `bare_view_per_second`,
    `batch_per_second`, `single_per_second`; `ratio` of batches to the bare view; and milliseconds from the
    answer to a POST until the request stands in the queue, at 50 signals a second (`queue_p50_ms`,
    `queue_p95_ms`)."""
    call_command("migrate", verbosity=0)
    token = _prepare()
    with _served() as port:
        rates = _rates(batches, port, token)
        with _worker():
            waits = _waits(port, token)
    cuts = quantiles(waits, n=20)
    return {
        **{name: round(rate, 1) for name, rate in rates.items()},
        "ratio": round(rates["batch_per_second"] / rates["bare_view_per_second"], 3),
        "queue_p50_ms": round(cuts[9], 1),
        "queue_p95_ms": round(cuts[18], 1),
    }


def _rates(batches: int, port: int, token: str) -> dict[str, float]:
    """In turn, so that whatever else the machine does meets all of them."""
    client = _Client(port, token)
    client.post("/api/v1/signals", _item("warm-0"))
    client.post("/bare", {"items": [_item("warm-1")]})
    took = dict.fromkeys(("database", "bare_view", "batch"), 0.0)
    ways: dict[str, Callable[[list[dict]], None]] = {
        "database": _insert,
        "bare_view": lambda items: client.post("/bare", {"items": items}),
        "batch": lambda items: client.post("/api/v1/signals/batch", {"items": items}),
    }
    for number in range(batches):
        for name, send in ways.items():
            items = [_item(f"{name}-{number}-{place}") for place in range(BATCH)]
            took[name] += _seconds(lambda send=send, items=items: send(items))
    singly = [_item(f"single-{number}") for number in range(SINGLY)]
    one_by_one = _seconds(lambda: [client.post("/api/v1/signals", item) for item in singly])
    rates = {f"{name}_per_second": batches * BATCH / spent for name, spent in took.items()}
    return rates | {"single_per_second": SINGLY / one_by_one}


def _waits(port: int, token: str) -> list[float]:
    """Milliseconds between the answer and the request's being there to see, for every signal sent. Each is of
    a customer of its own, for whom it calls for something."""
    _forget_marks()
    customers = [f"Q{number:04d}" for number in range(RATE * SECONDS)]
    answered: dict[str, float] = {}
    seen: dict[str, float] = {}
    sender = threading.Thread(target=_stream, args=(port, token, customers, answered))
    sender.start()
    until = time.perf_counter() + 2 * SECONDS + 30
    while len(seen) < len(customers) and time.perf_counter() < until:
        there = set(
            ApprovalRequest.objects.filter(concerning__startswith="Q").values_list("concerning", flat=True)
        )
        now = time.perf_counter()
        for customer_id in there - seen.keys():
            seen[customer_id] = now
        time.sleep(0.02)
    sender.join()
    if missing := len(customers) - len(seen):
        raise RuntimeError(f"{missing} of {len(customers)} signals have not reached the queue.")
    return [max(0.0, (seen[key] - answered[key]) * 1000) for key in customers]


def _stream(port: int, token: str, customers: list[str], answered: dict[str, float]) -> None:
    client = _Client(port, token)
    began = time.perf_counter()
    for number, customer_id in enumerate(customers):
        time.sleep(max(0.0, began + number / RATE - time.perf_counter()))
        client.post("/api/v1/signals", _item(f"queue-{number}", customer_id))
        answered[customer_id] = time.perf_counter()


class _Client:
    def __init__(self, port: int, token: str):
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def post(self, path: str, body: dict) -> None:
        self._connection.request("POST", path, json.dumps(body), self._headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{path} answered {answer.status}: {text[:300]!r}")


def _item(signal_id: str, customer_id: str = "B0001") -> dict:
    return {
        "signal_id": signal_id,
        "customer_id": customer_id,
        "signal_type": "usage_drop",
        "signal_strength": 0.95,
        "detected_at": datetime.now(UTC).isoformat(),
    }


def _insert(items: list[dict]) -> None:
    now = datetime.now(UTC)
    rows = [
        (item["signal_id"], item["customer_id"], item["signal_type"], item["signal_strength"], now, "",
         "automated", now)
        for item in items
    ]  # fmt: skip
    with transaction.atomic():
        insert(Signal, _COLUMNS, rows)


def _prepare() -> str:
    """Customers who stay too long in their stage, and a program's token."""
    today = datetime.now(UTC).date()
    keys = ["B0001", *(f"Q{number:04d}" for number in range(RATE * SECONDS))]
    with transaction.atomic():
        insert_all(Customer, [Customer(customer_id=key, segment="SMB", account_value=80_000) for key in keys])
        stage = {"journey_stage": "engagement", "state_entered_at": today - timedelta(days=80)}
        insert_all(JourneyState, [JourneyState(customer_id=key, **stage) for key in keys])
    account = get_user_model().objects.create_user("bench")
    account.user_permissions.add(Permission.objects.get(codename="add_signal"))
    _, text = tokens.make_for_service(
        owner=account, name="bench", scopes_wanted=("signals:write",), days=1, door="command"
    )
    return text


def _forget_marks() -> None:
    """What the rates left is no part of what is waited for."""
    Mark.objects.all().delete()


@contextmanager
def _served() -> Iterator[int]:
    """gunicorn as the README has it; yields its port."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{port}", "--workers", "2",
               "--threads", "4", "--log-level", "warning", "cjo_site.bench.server"]  # fmt: skip
    with _running(command):
        _wait_until(lambda: _answers(port))
        yield port


@contextmanager
def _worker() -> Iterator[None]:
    with _running([sys.executable, "manage.py", "qcluster"]):
        _wait_until(Heartbeat.objects.exists)
        yield


@contextmanager
def _running(command: list[str]) -> Iterator[None]:
    root = Path(__file__).resolve().parent.parent.parent
    process = subprocess.Popen(command, cwd=root, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not holds():
        if time.monotonic() > until:
            raise RuntimeError("What is measured did not start within two minutes.")
        time.sleep(0.1)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
