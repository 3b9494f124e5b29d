"""A real worker cluster on the test's own database, and how it dies; a mail server and a receiver of webhooks
that can be held."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from email import message_from_bytes
from pathlib import Path
from urllib.parse import quote

from django.db import connection

from tests.servers import BadMailServer, Receiver

ROOT = Path(__file__).resolve().parent.parent.parent
SIGNS_OF_LIFE = 60
"""Seconds after which a cluster that does nothing is taken for broken."""


def database_url() -> str:
    """The test's database, as a process of its own finds it."""
    where = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{quote(str(where['NAME']))}"
    user, password, host = (quote(str(where[key]), safe="") for key in ("USER", "PASSWORD", "HOST"))
    secret = f":{password}" if password else ""
    return f"postgresql://{user}{secret}@{host}:{where['PORT'] or 5432}/{where['NAME']}"


class Group:
    """A command on the test's database, in a process group of its own, as a supervisor would keep it."""

    def __init__(self, command: list[str], *, log: Path, **settings: str) -> None:
        self._name = f"trial-{random.getrandbits(32):x}"
        environment = {
            **os.environ,
            "DATABASE_URL": database_url(),
            "DJANGO_SETTINGS_MODULE": "cjo_site.settings",
            "PGAPPNAME": self._name,
            **settings,
        }
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env=environment,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self) -> None:
        """kill -9, once or more, parent and children alike, and wait until the database has noticed."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if connection.vendor == "postgresql":
            wait_until(lambda: _backends_of(self._name) == 0)


class Cluster(Group):
    def __init__(self, *, mail_port: int, log: Path, **settings: str) -> None:
        mail = {"EMAIL_HOST": "127.0.0.1", "EMAIL_PORT": str(mail_port), "EMAIL_TIMEOUT": "10"}
        super().__init__(["manage.py", "qcluster"], log=log, **mail, **settings)


class Web(Group):
    """gunicorn as the README has it, on a free port of its own."""

    def __init__(self, *, log: Path) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]
        served = ["-m", "gunicorn", "--bind", f"127.0.0.1:{self.port}", "--workers", "2", "--threads", "4"]
        super().__init__([*served, "cjo_site.wsgi"], log=log, HTTPS="0", ALLOWED_HOSTS="127.0.0.1")


def _backends_of(name: str) -> int:
    """A commit that was on its way when its client died still arrives."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND backend_type = 'client backend' AND application_name = %s",
            [name],
        )
        return cursor.fetchone()[0]


def wait_until(holds: Callable[[], bool], seconds: float = SIGNS_OF_LIFE) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "It did not happen in time."
        time.sleep(0.01)


class Held:
    """A server that falls silent at a step, and says when it has come there."""

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self.reached = threading.Event()
        self._step = ""
        self._go_on = threading.Event()

    def hold(self, step: str) -> None:
        self.reached.clear()
        self._go_on.clear()
        self._step = step

    def let_go(self) -> None:
        self._step = ""
        self._go_on.set()


class HeldMailServer(Held, BadMailServer):
    """Accepts everything. `hold(STEP)` makes it fall silent at a step of the next conversation (a command, or
    MESSAGE: the mail is taken, and that is not said yet); `reached` is set when it comes there."""

    def __init__(self) -> None:
        super().__init__({})

    def receipts(self) -> Counter:
        """How often each mail was taken, by its Message-ID without the domain: the intervention's id."""
        ids = [message_from_bytes(message)["Message-ID"] for message in list(self.messages)]
        return Counter(key.strip("<>").partition("@")[0] for key in ids)

    def _answer(self, command: str, out) -> None:
        if command == self._step:
            self.reached.set()
            self._go_on.wait(30)
        time.sleep(random.uniform(0, 0.005))
        super()._answer(command, out)
        if command == self._step.removeprefix("after "):
            self.reached.set()


class HeldReceiver(Held, Receiver):
    """Takes everything. `hold(STEP)` makes it fall silent once it has TAKEN a request, before its answer;
    `reached` is set when it comes there, or has ANSWERED one."""

    def receipts(self) -> Counter:
        """How often each message was taken, by its id."""
        return Counter(headers["webhook-id"] for _, headers, _ in list(self.requests))

    def pause(self, step: str) -> None:
        if step == self._step:
            self.reached.set()
            if step == "TAKEN":
                self._go_on.wait(30)
