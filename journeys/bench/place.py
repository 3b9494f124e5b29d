"""Where a measurement happens: databases of its own beside the one in use, and processes whose environment
names one of them. Nothing of either is left when it ends.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import psycopg
from django.conf import settings

# What a process of the measurement is to do, as JSON. Only where it is set does a command do so.
INSIDE = "CJO_BENCH_INSIDE"
# Nothing of the caller's that could send something, or change what is measured.
_UNSET = (
    "WEBHOOK_URL",
    "EMAIL_HOST",
    "AUDIT_HEAD_EMAIL",
    "AUTO_APPROVE_FOR_TESTING",
    "DJANGO_SETTINGS_MODULE",
)
# Seconds that a process may take to stop what it has started.
_TO_STOP = 60


class Broken(Exception):
    """A process of the measurement ended badly; what it said stands on standard error."""


class Place:
    """Databases by name, each empty at first or a copy of another, on SQLite or a PostgreSQL server."""

    def __init__(self, url: str, folder: Path):
        self._url, self._folder = url, folder
        self._mark = f"cjo_bench_{secrets.token_hex(4)}"
        self._made: set[str] = set()

    @property
    def vendor(self) -> str:
        return "sqlite" if self._url.startswith("sqlite") else "postgresql"

    def make(self, name: str, *, like: str = "") -> None:
        self._made.add(name)
        if self.vendor == "sqlite":
            if like:
                shutil.copyfile(self._file(like), self._file(name))
            return
        template = f' TEMPLATE "{self._mark}_{like}" STRATEGY FILE_COPY' if like else ""
        self._on_server(f'CREATE DATABASE "{self._mark}_{name}"{template}')

    def drop(self, name: str) -> None:
        self._made.discard(name)
        if self.vendor == "sqlite":
            for end in ("", "-wal", "-shm"):
                Path(f"{self._file(name)}{end}").unlink(missing_ok=True)
            return
        self._on_server(f'DROP DATABASE IF EXISTS "{self._mark}_{name}" WITH (FORCE)')

    @contextmanager
    def copy(self, of: str) -> Iterator[str]:
        """The name of a copy of a database that nobody has open."""
        name = f"{of}_{secrets.token_hex(2)}"
        self.make(name, like=of)
        try:
            yield name
        finally:
            self.drop(name)

    def drop_all(self) -> None:
        for name in list(self._made):
            self.drop(name)

    def size(self, name: str) -> int:
        """In bytes, with its indexes."""
        if self.vendor == "sqlite":
            files = (Path(f"{self._file(name)}{end}") for end in ("", "-wal"))
            return sum(file.stat().st_size for file in files if file.exists())
        with psycopg.connect(self._url) as server:
            return server.execute("SELECT pg_database_size(%s)", [f"{self._mark}_{name}"]).fetchone()[0]

    def do(self, name: str, part: str, **arguments: Any) -> dict:
        """Carry out a part of `journeys.bench.inside` in a process of its own, on that database.

        Raises Broken."""
        with self.start(name, part, **arguments) as process:
            return self.answer(process)

    @contextmanager
    def start(self, name: str, part: str, **arguments: Any) -> Iterator[subprocess.Popen]:
        """The process that does so; when the block ends it has ended, and so has what it started."""
        process = subprocess.Popen(
            [sys.executable, str(settings.BASE_DIR / "manage.py"), "bench"],
            env=self.environment(name) | {INSIDE: json.dumps({"part": part} | arguments)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
            try:
                process.wait(_TO_STOP)
            finally:
                process.kill()
                process.wait()

    @staticmethod
    def answer(process: subprocess.Popen) -> dict:
        said, _ = process.communicate()
        if process.returncode:
            raise Broken("The measurement broke off; what it said stands above.")
        return json.loads(said)

    def environment(self, name: str) -> dict[str, str]:
        """Of a process that is to work on that database, and to reach nobody."""
        return {key: value for key, value in os.environ.items() if key not in _UNSET} | {
            "ENV_FILE": "",
            "SECRET_KEY": secrets.token_urlsafe(50),
            "VAR_DIR": str(self._folder),
            "DEBUG": "0",
            "HTTPS": "0",
            "NOTICES": "0",
            "EMAIL_FILE_DIR": "mail",
            "ALLOWED_HOSTS": "127.0.0.1",
            "LOG_LEVEL": "WARNING",
            "DATABASE_URL": self._address(name),
        }

    def _address(self, name: str) -> str:
        if self.vendor == "sqlite":
            return f"sqlite:///{quote(str(self._file(name)))}"
        return urlsplit(self._url)._replace(path=f"/{self._mark}_{name}").geturl()

    def _file(self, name: str) -> Path:
        return self._folder / f"{name}.sqlite3"

    def _on_server(self, statement: str) -> None:
        with psycopg.connect(self._url, autocommit=True) as server:
            server.execute(statement)


@contextmanager
def place(url: str = "") -> Iterator[Place]:
    """On the server of `url`, else on the kind of database in use. SQLite's files lie in a temporary
    folder."""
    with tempfile.TemporaryDirectory(prefix="cjo-bench-") as folder:
        found = Place(url or _in_use(), Path(folder))
        try:
            yield found
        finally:
            found.drop_all()


def _in_use() -> str:
    where = settings.DATABASES["default"]
    if where["ENGINE"].endswith("sqlite3"):
        return "sqlite:"
    user, password, host, name = (
        quote(str(where[key]), safe="") for key in ("USER", "PASSWORD", "HOST", "NAME")
    )
    secret = f":{password}" if password else ""
    options = {key: value for key, value in where.get("OPTIONS", {}).items() if isinstance(value, str | int)}
    query = f"?{urlencode(options)}" if options else ""
    return f"postgresql://{user}{secret}@{host}:{where['PORT'] or 5432}/{name}{query}"
