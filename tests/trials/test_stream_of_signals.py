"""Web and worker are killed again and again under a stream of signals: whatever was answered for is there,
once, and has been looked at."""

import json
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.utils import timezone
from django_q.models import OrmQ
from django_q.tasks import async_task

from approvals.invariants import broken
from journeys import cases
from journeys.models import Assessment, Customer, JourneyState, Mark, Signal
from journeys.services.policies import in_force
from tests.api import token_of
from tests.trials.cluster import Cluster, Web, wait_until
from tests.trials.rounds import rounds

pytestmark = [pytest.mark.trial, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

CUSTOMERS = 20
A_SECOND = 20


class Sender(threading.Thread):
    """Sends signals until it is stopped, each again under its own id until somebody answers for it."""

    def __init__(self, token: str) -> None:
        super().__init__(daemon=True)
        self.port = 0
        self.answered: list[str] = []
        self.doubts = self.refusals = 0
        self._token = token
        self._stopped = threading.Event()

    def run(self) -> None:
        number = 0
        while not self._stopped.is_set():
            number += 1
            body = {
                "signal_id": f"S{number}",
                "customer_id": f"C{number % CUSTOMERS}",
                "signal_type": "usage_drop",
                "signal_strength": 0.9,
                "detected_at": datetime.now(UTC).isoformat(),
            }
            while not self._sent(body):
                self.doubts += 1
                time.sleep(0.1)
            self.answered.append(body["signal_id"])
            time.sleep(1 / A_SECOND)

    def stop(self) -> None:
        self._stopped.set()
        self.join(60)
        assert not self.is_alive(), "A signal was never answered for."

    def _sent(self, body: dict) -> bool:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/v1/signals",
            json.dumps(body).encode(),
            {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status in (200, 201)
        except urllib.error.HTTPError as error:
            self.refusals += error.code < 500
            return False
        except OSError:
            return False  # nobody is there, or it died half way: whether it was taken is not known


def test_what_was_answered_for_is_stored_once_and_looked_at_whoever_is_killed(started, tell):
    day = timezone.now().date() - timedelta(days=60)
    for number in range(CUSTOMERS):
        Customer.objects.create(customer_id=f"C{number}", segment="SMB", account_value=20_000)
        JourneyState.objects.create(
            customer_id=f"C{number}", journey_stage="engagement", state_entered_at=day
        )
    account = get_user_model().objects.create_user("stream")
    account.user_permissions.add(Permission.objects.get(codename="add_signal"))
    sender = Sender(token_of(account, "signals:write")[1])
    times = rounds(30)
    web, worker = started(Web), started(Cluster, mail_port=1)
    sender.port = web.port
    sender.start()
    for number in range(times):
        before = len(sender.answered)
        wait_until(lambda before=before: len(sender.answered) > before + 5)
        time.sleep(0.05 * (number % 7))
        if number % 3 != 1:
            web.kill()
            web = started(Web)
            sender.port = web.port
        if number % 3 != 0:
            worker.kill()
            worker = started(Cluster, mail_port=1)
    sender.stop()
    # A dead worker's claims grow old, and the sweep is due.
    past = timezone.now() - timedelta(minutes=5)
    Mark.objects.update(claimed_until=past, marked_at=past)
    OrmQ.objects.update(lock=timezone.now() - timedelta(seconds=1))
    async_task("journeys.tasks.sweep")
    wait_until(lambda: not Mark.objects.exists())
    stored = Counter(Signal.objects.values_list("signal_id", flat=True))
    assert sender.refusals == 0
    assert set(sender.answered) <= set(stored)
    assert set(stored.values()) == {1}
    rules = in_force().rules
    for customer in Customer.objects.all():
        latest = Assessment.objects.filter(customer=customer).latest("pk")
        now = cases.assess(customer.pk, as_of=latest.as_of, rules=rules)
        assert latest.overall_risk_score == now.risk.overall
    assert list(broken()) == []
    tell(times, f"{len(sender.answered)} signals answered for, {sender.doubts} sent again")
