#!/usr/bin/env python3
"""From an empty clone to a running product, with nothing but Python 3.11 or later.

    python3 cjo.py demo [--port 8000] [--no-serve]    set up, fill with sample data, run the pipeline, serve
    python3 cjo.py test [arguments for pytest ...]    set up, run the tests that need no server, on SQLite

Both make .venv with the hash-locked requirements and a .env with a random key; what is there is kept.
Standard library only, and readable to older Pythons down to the line that refuses them.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - this line is what tells an older Python's user so
    sys.exit(
        f"This needs Python 3.11 or later; this is Python {sys.version_info[0]}.{sys.version_info[1]} "
        f"({sys.executable}). Try: python3.11 cjo.py ..."
    )

import argparse
import contextlib
import hashlib
import importlib.util
import os
import secrets
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

HOST = "127.0.0.1"
GRACE_SECONDS = 20
"""How long web and worker may take to end what they have begun, before they are killed."""
RUN_UNDER_WAY = 3
"""Exit code of run_pipeline while another run of the whole portfolio is under way."""


class Trouble(Exception):
    """Something the person at the terminal has to know or mend; `code` becomes the exit code."""

    def __init__(self, message: str, *, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


class Ended(Exception):
    """A signal asked this process to end while it was setting up."""

    def __init__(self, signum: int) -> None:
        self.signum = signum


def say(text: str) -> None:
    print(text, flush=True)


# --- setting up


class Project:
    """The project's folder, and the environment that is made in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.venv = folder / ".venv"
        self.python = self.venv / "bin" / "python"
        self.env_file = folder / ".env"

    def install(self, lock: str) -> None:
        """Make .venv where it is missing and install `lock` (a file name) into it, unless that very lock was
        the last one installed.
        """
        digest = hashlib.sha256((self.folder / lock).read_bytes()).hexdigest()
        stamp = self.venv / f".{lock}.sha256"
        if self.python.exists() and stamp.is_file() and stamp.read_text() == digest:
            return
        pip = self._make_venv()
        say(f"Installing {lock} into .venv ...")
        command = [*pip, "install", "--quiet", "--disable-pip-version-check"]
        command += ["--require-hashes", "--requirement", lock]
        if subprocess.run(command, cwd=self.folder).returncode != 0:
            raise Trouble(
                f"pip could not install {lock} (its message stands above). It needs to reach a package "
                "index; after a broken attempt, remove .venv and try again."
            )
        # Last, so that an attempt that was broken off is made again.
        stamp.write_text(digest)

    def _make_venv(self) -> list[str]:
        """The command that runs pip for .venv. Some systems ship Python without the part that puts pip into
        a new environment; a pip of this Python does instead.
        """
        inside = [str(self.python), "-m", "pip"]
        outside = [sys.executable, "-m", "pip", "--python", str(self.python)]
        has = {name: importlib.util.find_spec(name) is not None for name in ("venv", "ensurepip", "pip")}
        if self.python.exists():
            with_pip = any(self.venv.glob("lib*/python*/site-packages/pip"))
            return inside if with_pip or not has["pip"] else outside
        if not has["venv"] or not (has["ensurepip"] or has["pip"]):
            raise Trouble(
                "This Python cannot make an environment: its modules venv and ensurepip are missing. "
                "On Debian and Ubuntu: apt-get install python3-venv"
            )
        say("Making .venv ...")
        command = [sys.executable, "-m", "venv", "--clear", str(self.venv)]
        if not has["ensurepip"]:
            command.insert(-1, "--without-pip")
        if subprocess.run(command).returncode != 0:
            raise Trouble("The environment .venv could not be made (the message stands above).")
        return inside if has["ensurepip"] else outside

    def write_env_file(self) -> None:
        """A .env for one's own machine, readable by its owner only. One that exists is left as it is."""
        try:
            handle = os.open(self.env_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return
        with os.fdopen(handle, "w") as file:
            file.write(
                "# Settings of this machine; the environment overrides them. Made by cjo.py for a trial:\n"
                "# for production set DEBUG=0 or take the line out.\n"
                f"SECRET_KEY={secrets.token_urlsafe(50)}\n"
                "DEBUG=1\n"
            )
        say("Wrote .env with a random SECRET_KEY and DEBUG=1.")

    def manage(self, *arguments: str, environment: dict[str, str], accept: tuple[int, ...] = (0,)) -> int:
        """Run manage.py; an exit code outside `accept` is Trouble."""
        command = [str(self.python), "manage.py", *arguments]
        code = subprocess.run(command, cwd=self.folder, env=environment).returncode
        if code not in accept:
            raise Trouble(f"manage.py {shlex.join(arguments)} ended with exit code {code}.")
        return code


# --- serving


def require_free_port(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise Trouble(
                f"Port {port} on {HOST} cannot be used ({error.strerror}). Nothing was started. "
                f"Choose another: python3 cjo.py demo --port {port + 1 if port < 65535 else 8000}"
            ) from None


class Service:
    """A process and all that it starts, in a process group of its own."""

    def __init__(self, name: str, command: list[str], *, folder: Path, environment: dict[str, str]) -> None:
        self.name = name
        self.process = subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True)

    def ask_to_end(self) -> None:
        # Only the leader: it lets its children finish what they have begun, and then ends them.
        if self.process.poll() is None:
            self.process.terminate()

    def end(self, deadline: float) -> None:
        """Wait for the leader until `deadline` (time.monotonic), then kill what is left of the group."""
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            say(f"The {self.name} did not end within {GRACE_SECONDS} s and is killed.")
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextlib.contextmanager
def on_signals(handler: Callable[[int, object], None], *signums: int) -> Iterator[None]:
    # One that is ignored, as a hang-up is under nohup, stays so; but a shell that starts this in the
    # background ignores Ctrl-C on its own account.
    wanted = [s for s in signums if s == signal.SIGINT or signal.getsignal(s) != signal.SIG_IGN]
    before = {signum: signal.signal(signum, handler) for signum in wanted}
    try:
        yield
    finally:
        for signum, previous in before.items():
            signal.signal(signum, previous)


def accepts_connections(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


def serve(
    commands: dict[str, list[str]], *, folder: Path, environment: dict[str, str], port: int, ready: str
) -> int:
    """Run all commands (name -> command) until a signal, which is a clean end (0), or until one of them ends
    by itself, which ends the others (1). Either way none of them, nor what they started, is left behind.
    `ready` is said once something listens on `port`.
    """
    services: list[Service] = []
    asked: list[int] = []
    # The handler only takes note: raising while a process is being started could lose sight of it.
    with on_signals(lambda signum, frame: asked.append(signum), signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        try:
            for name, command in commands.items():
                services.append(Service(name, command, folder=folder, environment=environment))
            waiting = True
            while not asked and all(service.process.poll() is None for service in services):
                if waiting and accepts_connections(port):
                    waiting = False
                    say(ready)
                time.sleep(0.2)
            for service in services:
                if not asked and service.process.poll() is not None:
                    say(f"The {service.name} ended by itself (exit code {service.process.returncode}).")
            say("Ending ...")
        finally:
            for service in services:
                service.ask_to_end()
            deadline = time.monotonic() + GRACE_SECONDS
            for service in services:
                service.end(deadline)
    say("Ended.")
    return 0 if asked else 1


# --- the commands

SPREAD = ("--numprocesses=auto", "--maxprocesses=8", "--dist=loadfile")
"""For pytest: on all cores, a file at a time. The same stands in .ci/run."""

NO_PEOPLE_YET = (
    "import sys; from django.contrib.auth.models import Group; sys.exit(0 if Group.objects.exists() else 4)"
)


def demo(project: Project, *, port: int, with_server: bool) -> int:
    if with_server:
        require_free_port(port)
    project.install("requirements.txt")
    project.write_env_file()
    environment = {
        "SITE_URL": f"http://{HOST}:{port}",
        **os.environ,
        # Mail goes to files below VAR_DIR, whatever else is set: a demo writes to nobody.
        "EMAIL_FILE_DIR": "mail",
    }
    project.manage("migrate", "--verbosity", "0", environment=environment)
    # Only once: loading the groups again would undo what was changed since about who may decide what.
    question = ("shell", "--verbosity", "0", "--no-imports", "--command", NO_PEOPLE_YET)
    if project.manage(*question, environment=environment, accept=(0, 4)) == 4:
        project.manage("loaddata", "people", environment=environment)
    project.manage("seed_demo", environment=environment)
    if project.manage("run_pipeline", environment=environment, accept=(0, RUN_UNDER_WAY)) == RUN_UNDER_WAY:
        say("Another run is under way; its results will be there when it ends.")
    if not with_server:
        return 0
    logins = [str(project.python), "manage.py", "demo_logins"]
    ready = subprocess.run(logins, cwd=project.folder, env=environment, capture_output=True, text=True)
    if ready.returncode != 0:
        raise Trouble(f"manage.py demo_logins failed:\n{ready.stderr.strip()}")
    python = str(project.python)
    web = [python, "-m", "gunicorn", "--bind", f"{HOST}:{port}", "--workers", "1", "--threads", "4"]
    web += ["--no-control-socket", "--log-level", "warning", "cjo_site.wsgi"]
    worker = [python, "manage.py", "qcluster"]
    return serve(
        {"web server": web, "worker": worker},
        folder=project.folder,
        environment=environment,
        port=port,
        ready=f"\n{ready.stdout.rstrip()}\n\nLog in at http://{HOST}:{port}/admin/ - Ctrl-C ends it.\n",
    )


def test(project: Project, arguments: list[str]) -> NoReturn:
    project.install("requirements-dev.txt")
    environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    command = [
        str(project.python),
        "-m",
        "pytest",
        "-m",
        "not postgres and not browser and not trial",
        *SPREAD,
        *arguments,
    ]
    os.chdir(project.folder)
    sys.stdout.flush()
    # In its place, not below it: pytest then gets Ctrl-C itself, and says what it had done so far.
    os.execve(command[0], command, environment)


def port_number(text: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a port (1 to 65535)")


def parse(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="cjo.py", description="Set up and try out, or test, the Customer Journey Orchestrator."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="demo | test")
    demo_parser = commands.add_parser("demo", help="set up, fill with sample data, run the pipeline, serve")
    demo_parser.add_argument("--port", type=port_number, default=8000, help="where to serve (default: 8000)")
    demo_parser.add_argument("--no-serve", action="store_true", help="stop after the pipeline's summary")
    commands.add_parser("test", help="run the tests; whatever follows goes to pytest", add_help=False)
    known, rest = parser.parse_known_args(arguments)
    if rest and known.command != "test":
        parser.error(f"unrecognized arguments: {shlex.join(rest)}")
    return known, rest


def main(arguments: list[str]) -> int:
    known, rest = parse(arguments)
    if os.name != "posix":
        raise Trouble("This runs on Linux and macOS; on Windows, use it within WSL.")
    project = Project(Path(__file__).resolve().parent)

    def end(signum: int, frame: object) -> None:
        raise Ended(signum)

    with on_signals(end, signal.SIGTERM, signal.SIGHUP):
        if known.command == "test":
            test(project, rest)
        return demo(project, port=known.port, with_server=not known.no_serve)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Ended as ended:
        sys.exit(128 + ended.signum)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except Trouble as trouble:
        print(f"cjo.py: {trouble}", file=sys.stderr)
        sys.exit(trouble.code)
