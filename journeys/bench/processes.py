"""What processes cost, as Linux tells it, and None elsewhere; and a cluster that ends when it is left."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings

_TICKS = os.sysconf("SC_CLK_TCK")
# How long a group of workers may take to end what it has begun.
_TO_STOP = 30


def peak_mib(process: int | str = "self") -> float | None:
    """The most that it has had in memory."""
    for line in _read(process, "status").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return None


def resident_mib() -> float | None:
    """What this process has in memory now."""
    pages = _read("self", "statm").split()
    return int(pages[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20 if pages else None


def cpu_seconds(process: int | str = "self") -> float | None:
    """None, too, where the process is on another machine."""
    fields = _fields(process)
    return (int(fields[11]) + int(fields[12])) / _TICKS if fields else None


def members(group: int) -> list[int]:
    """Of a process group: the ids of those that live."""
    ids = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
    return [process for process in ids if (_fields(process) or ["", "", ""])[2] == str(group)]


def _fields(process: int | str) -> list[str]:
    """Of its status, from the third field on: the second, its name, may hold anything."""
    return _read(process, "stat").rpartition(")")[2].split()


def _read(process: int | str, name: str) -> str:
    try:
        return Path(f"/proc/{process}/{name}").read_text()
    except OSError:
        return ""


@dataclass(slots=True)
class Watched:
    """What the processes of a group have cost so far, by process id."""

    group: int
    peak_mib: dict[int, float] = field(default_factory=dict)
    cpu_seconds: dict[int, float] = field(default_factory=dict)

    def look(self) -> None:
        for process in members(self.group):
            if (peak := peak_mib(process)) is not None:
                self.peak_mib[process] = peak
            if (cpu := cpu_seconds(process)) is not None:
                self.cpu_seconds[process] = cpu


@contextmanager
def ended_tidily() -> Iterator[None]:
    """Within it, whoever ends this process by SIGTERM lets it clear away what it has made."""

    def leave(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def cluster(workers: int) -> Iterator[subprocess.Popen]:
    """`manage.py qcluster` with so many workers on the database of this process, in a process group of its
    own, of which nothing is left in the end."""
    process = subprocess.Popen(
        [sys.executable, str(settings.BASE_DIR / "manage.py"), "qcluster"],
        env=os.environ | {"WORKERS": str(workers)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_TO_STOP)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_until(
    holds: Callable[[], bool],
    *,
    seconds: float,
    alive: subprocess.Popen | None = None,
    meanwhile: Callable[[], None] = lambda: None,
) -> None:
    """`meanwhile` is done every second. Raises TimeoutError, and RuntimeError where the process that has to
    bring it about has ended."""
    looked = time.monotonic()
    deadline = looked + seconds
    while not holds():
        if time.monotonic() - looked >= 1:
            meanwhile()
            looked = time.monotonic()
        if alive is not None and alive.poll() is not None:
            raise RuntimeError("The workers have ended.")
        if time.monotonic() > deadline:
            raise TimeoutError("It did not happen in time.")
        time.sleep(0.05)
