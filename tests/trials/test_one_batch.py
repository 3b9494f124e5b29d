"""Many clients of a real web server send one batch at the same moment: what is in it is stored once."""

import http.client
import json
from collections import Counter

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.utils import timezone

from approvals.invariants import broken
from journeys.models import Finding, Signal
from tests.acting import together
from tests.api import token_of
from tests.trials.cluster import Web, wait_until
from tests.trials.rounds import rounds

pytestmark = [pytest.mark.trial, pytest.mark.slow, pytest.mark.django_db(transaction=True)]

SENDERS = 64
KNOWN, UNKNOWN = 40, 10


@pytest.fixture
def web(started):
    return started(Web)


def batch(number: int) -> dict:
    """Signals of a customer who is there, and of one who is not yet."""
    return {
        "items": [
            {
                "signal_id": f"S-{number}-{place}",
                "customer_id": "C001" if place < KNOWN else f"NOBODY-{number}",
                "signal_type": "usage_drop",
                "signal_strength": 0.5,
                "detected_at": timezone.now().isoformat(),
            }
            for place in range(KNOWN + UNKNOWN)
        ]
    }


def test_one_batch_that_sixty_four_send_at_once_is_stored_once(people, sample, web, tell):
    account = get_user_model().objects.create_user("crm")
    account.groups.add(Group.objects.get(name="Integrations"))
    headers = {
        "Authorization": f"Bearer {token_of(account, 'signals:write')[1]}",
        "Content-Type": "application/json",
    }

    def post(body: str) -> tuple[int, dict]:
        connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=60)
        connection.request("POST", "/api/v1/signals/batch", body, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())

    wait_until(lambda: _is_up(web.port))
    times, results = rounds(20), Counter()
    for number in range(times):
        before, findings = Signal.objects.count(), Finding.objects.count()
        body = json.dumps(batch(number))
        answers = together(*[lambda body=body: post(body)] * SENDERS)
        assert Counter(status for status, _ in answers) == {200: SENDERS}
        told = Counter()
        for _, answer in answers:
            told.update(row["result"] for row in answer["results"])
        # Taken by one of them, known to all others.
        assert told["accepted"] == KNOWN
        assert told["held"] == UNKNOWN
        assert told["duplicate"] == (SENDERS - 1) * (KNOWN + UNKNOWN)
        assert Signal.objects.count() - before == KNOWN + UNKNOWN
        assert Finding.objects.count() - findings == UNKNOWN
        results.update(told)
    assert list(broken()) == []
    tell(times, f"{times * SENDERS} answers, {results['accepted'] + results['held']} signals, each once")


def _is_up(port: int) -> bool:
    try:
        http.client.HTTPConnection("127.0.0.1", port, timeout=1).connect()
    except OSError:
        return False
    return True
