"""The walk of docs/api.md, as it stands there: with curl, and with a client made of the contract."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.utils import timezone

from approvals.models import ApprovalRequest
from journeys import pipeline
from tests import pages
from tests.api import Caller, token_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", pages.API_PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture
def environment(live_server, people) -> dict[str, str]:
    program = get_user_model().objects.create_user("program")
    program.groups.add(Group.objects.get(name="Integrations"))
    sender = token_of(program, "customers:write", "signals:write")[1]
    mine = token_of(people["approver"], "approvals:read", "approvals:decide", personal=True)[1]
    return {"SITE": live_server.url, "TOKEN": sender, "MINE": mine, "PATH": os.environ["PATH"]}


def run(command: list[str], environment: dict, folder) -> str:
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl")
def test_the_walk_with_curl_ends_with_an_approval(environment, tmp_path):
    sending, deciding = blocks("sh")
    told = run(["bash", "-euo", "pipefail", "-c", sending], environment, tmp_path)
    assert '"accepted":2' in told
    pipeline.look_at_marked()
    told = run(["bash", "-euo", "pipefail", "-c", deciding], environment, tmp_path)
    assert '"status":"approved"' in told
    assert ApprovalRequest.objects.get(concerning="K1").status == "approved"


def test_a_client_made_of_the_contract_reads_and_decides(environment, tmp_path):
    sender = Caller(environment["TOKEN"])
    sender.post(
        "customers", {"customer_id": "K2", "account_value": "48000.00", "email": "k2@kestrel.example"}
    )
    state = {"customer_id": "K2", "journey_stage": "engagement", "state_entered_at": "2025-10-01"}
    sender.post("journey-states", state)
    signal = {"customer_id": "K2", "signal_type": "usage_drop", "signal_strength": 0.8}
    sender.post("signals", signal | {"detected_at": timezone.now().isoformat()})
    pipeline.look_at_marked()

    (tmp_path / "config.yaml").write_text("post_hooks: []\n")
    generator = os.path.join(os.path.dirname(sys.executable), "openapi-python-client")
    arguments = [
        "--path",
        str(pages.OPENAPI),
        "--config",
        "config.yaml",
        "--meta",
        "none",
        "--fail-on-warning",
    ]
    run([generator, "generate", *arguments, "--output-path", "cjo_client"], environment, tmp_path)
    [code] = blocks("python")
    told = run([sys.executable, "-c", code], environment, tmp_path)
    assert told.splitlines()[-1] == "approved"
    assert ApprovalRequest.objects.get(concerning="K2").status == "approved"
