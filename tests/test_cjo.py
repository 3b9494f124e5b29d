"""cjo.py, as far as it can be tried without installing anything."""

import os
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

import cjo

ROOT = Path(cjo.__file__).parent


@pytest.fixture
def project(tmp_path):
    return cjo.Project(tmp_path)


@pytest.fixture
def listener():
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((cjo.HOST, 0))
        server.listen()
        yield server


def free_port():
    with socket.socket() as probe:
        probe.bind((cjo.HOST, 0))
        return probe.getsockname()[1]


def run(*arguments):
    command = [sys.executable, "cjo.py", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)


def test_the_env_file_is_for_its_owner_only_and_holds_a_long_random_key(project):
    project.write_env_file()
    assert stat.S_IMODE(project.env_file.stat().st_mode) == 0o600
    lines = project.env_file.read_text().splitlines()
    values = dict(line.split("=", 1) for line in lines if not line.startswith("#"))
    assert values.keys() == {"SECRET_KEY", "DEBUG"}
    assert values["DEBUG"] == "1"
    assert len(values["SECRET_KEY"]) >= 50


def test_two_env_files_have_two_keys(tmp_path):
    texts = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        project = cjo.Project(tmp_path / name)
        project.write_env_file()
        texts.add(project.env_file.read_text())
    assert len(texts) == 2


def test_an_env_file_that_exists_is_left_as_it_is(project):
    project.env_file.write_text("SECRET_KEY=mine\n")
    project.write_env_file()
    assert project.env_file.read_text() == "SECRET_KEY=mine\n"


def test_nothing_is_installed_while_the_lock_is_the_one_installed_last(project):
    lock = project.folder / "requirements.txt"
    lock.write_text("one==1\n")
    project.python.parent.mkdir(parents=True)
    project.python.touch()
    (project.venv / ".requirements.txt.sha256").write_text(cjo.hashlib.sha256(lock.read_bytes()).hexdigest())
    project.install("requirements.txt")  # would fail: that python cannot be run


def test_a_lock_that_changed_is_installed_and_only_success_is_remembered(project):
    (project.folder / "requirements.txt").write_text("one==2\n")
    project.python.parent.mkdir(parents=True)
    project.python.write_text("#!/bin/sh\nexit 1\n")
    project.python.chmod(0o755)
    stamp = project.venv / ".requirements.txt.sha256"
    stamp.write_text("another lock's")
    (project.venv / "lib/python3/site-packages/pip").mkdir(parents=True)
    with pytest.raises(cjo.Trouble, match="pip could not install requirements.txt"):
        project.install("requirements.txt")
    assert stamp.read_text() == "another lock's"
    project.python.write_text("#!/bin/sh\nexit 0\n")
    project.install("requirements.txt")
    assert stamp.read_text() == cjo.hashlib.sha256(b"one==2\n").hexdigest()


def test_a_python_without_venv_is_told_what_to_install(project, monkeypatch):
    (project.folder / "requirements.txt").write_text("")
    monkeypatch.setattr(cjo.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(cjo.Trouble, match="python3-venv"):
        project.install("requirements.txt")


def test_a_port_in_use_is_said_before_anything_is_started(listener):
    port = listener.getsockname()[1]
    done = run("demo", "--port", str(port))
    assert done.returncode == 1
    assert done.stdout == ""
    assert f"Port {port} on 127.0.0.1 cannot be used" in done.stderr
    assert f"--port {port + 1}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments", [["demo", "--port", "0"], ["demo", "--port", "x"], ["demo", "--pot"], []]
)
def test_wrong_usage_ends_with_2(arguments):
    done = run(*arguments)
    assert done.returncode == 2
    assert "usage: cjo.py" in done.stderr


def test_what_follows_test_goes_to_pytest():
    known, rest = cjo.parse(["test", "-k", "some words", "--lf", "tests/test_cjo.py"])
    assert known.command == "test"
    assert rest == ["-k", "some words", "--lf", "tests/test_cjo.py"]


def test_manage_says_which_command_failed(project):
    project.python.parent.mkdir(parents=True)
    project.python.write_text("#!/bin/sh\nexit 7\n")
    project.python.chmod(0o755)
    with pytest.raises(cjo.Trouble, match="manage.py migrate ended with exit code 7"):
        project.manage("migrate", environment={})
    assert project.manage("migrate", environment={}, accept=(0, 7)) == 7


# Two services, each with a child of its own, as a web server and a worker have; the first listens.
SERVING = textwrap.dedent("""
    import os, sys
    from pathlib import Path
    import cjo

    port, folder, how = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    child = "import time; time.sleep(60)"
    parent = (
        "import os, pathlib, signal, socket, subprocess, sys, time\\n"
        "name, port, how = sys.argv[1:]\\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}])\\n"
        "if how == 'stubborn': signal.signal(signal.SIGTERM, signal.SIG_IGN)\\n"
        "if port != '0':\\n"
        "    server = socket.create_server(('127.0.0.1', int(port)))\\n"
        "pathlib.Path(name).write_text(f'{os.getpid()} {child.pid}')\\n"
        "if how == 'dies' and port == '0': time.sleep(1); sys.exit(5)\\n"
        "time.sleep(60)\\n"
    )
    cjo.GRACE_SECONDS = 2
    command = [sys.executable, "-c", parent]
    commands = {"web": [*command, "web", str(port), how], "worker": [*command, "worker", "0", how]}
    environment = dict(os.environ)
    sys.exit(cjo.serve(commands, folder=folder, environment=environment, port=port, ready="It is ready."))
""")


def start_serving(folder, how):
    port = free_port()
    command = [sys.executable, "-c", SERVING, str(port), str(folder), how]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def wait_until_ready(process, folder):
    assert process.stdout.readline() == "It is ready.\n"
    deadline = time.monotonic() + 20
    while not all((folder / name).is_file() and (folder / name).read_text() for name in ("web", "worker")):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def still_running(folder):
    pids = [int(pid) for name in ("web", "worker") for pid in (folder / name).read_text().split()]
    assert len(pids) == 4
    alive = []
    for pid in pids:
        try:
            # An ended process that nobody has waited for yet is no longer running either.
            if Path(f"/proc/{pid}/stat").exists():
                if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                    alive.append(pid)
            else:
                os.kill(pid, 0)
                alive.append(pid)
        except (ProcessLookupError, FileNotFoundError):
            pass
    return alive


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_web_and_worker_and_all_they_started(tmp_path, signum):
    process = start_serving(tmp_path, "willing")
    wait_until_ready(process, tmp_path)
    assert len(still_running(tmp_path)) == 4
    process.send_signal(signum)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert output.endswith("Ended.\n")
    assert "killed" not in output
    assert still_running(tmp_path) == []


def test_what_does_not_end_in_time_is_killed_and_impatience_leaves_nothing_behind(tmp_path):
    process = start_serving(tmp_path, "stubborn")
    wait_until_ready(process, tmp_path)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "The worker did not end within 2 s and is killed." in output
    assert still_running(tmp_path) == []


def test_when_one_dies_it_is_said_and_the_other_is_ended(tmp_path):
    process = start_serving(tmp_path, "dies")
    wait_until_ready(process, tmp_path)
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 1
    assert "The worker ended by itself (exit code 5)." in output
    assert still_running(tmp_path) == []
