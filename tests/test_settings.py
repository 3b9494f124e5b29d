"""The settings: where they come from, what they refuse, and what holds when nothing is said."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from cjo_site import settings as site

KEY = "a-key-that-is-long-enough-for-the-checks-0123456789-abcdefgh"
READ = """
import json, sys
from cjo_site import settings
print(json.dumps({name: getattr(settings, name) for name in sys.argv[1:]}, default=str))
"""


def environment(tmp_path, file="", **values):
    """The environment of a fresh process: no settings but those given, and those in `file`."""
    env_file = tmp_path / "settings.env"
    env_file.write_text(file)
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**kept, "ENV_FILE": str(env_file), "VAR_DIR": str(tmp_path / "var"), **values}


def read(names, env):
    """The named settings, as a fresh process has them."""
    command = [sys.executable, "-c", READ, *names.split()]
    done = subprocess.run(command, cwd=site.BASE_DIR, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def complaint(env):
    """What manage.py says instead of starting."""
    command = [sys.executable, "manage.py", "check"]
    done = subprocess.run(command, cwd=site.BASE_DIR, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


# --- where they come from


def test_a_missing_secret_key_says_what_to_do(tmp_path):
    said = complaint(environment(tmp_path))
    assert said.startswith("SECRET_KEY is not set.")
    assert "settings.env" in said
    assert "secrets.token_urlsafe(50)" in said
    assert "cjo.py demo" in said


def test_the_environment_overrides_the_file(tmp_path):
    env = environment(tmp_path, f"SECRET_KEY={KEY}\nDEBUG=1\nLOG_LEVEL=ERROR\n", DEBUG="0")
    assert read("SECRET_KEY DEBUG LOG_LEVEL", env) == {
        "SECRET_KEY": KEY,
        "DEBUG": False,
        "LOG_LEVEL": "ERROR",
    }


def test_the_file_may_hold_comments_quotes_and_values_with_special_characters(tmp_path):
    file = f"# ours\n\nexport SECRET_KEY='{KEY}'\nEMAIL_HOST_PASSWORD=a=b#c d\n  DEBUG = \"1\"\n"
    values = read("SECRET_KEY EMAIL_HOST_PASSWORD DEBUG", environment(tmp_path, file))
    assert values == {"SECRET_KEY": KEY, "EMAIL_HOST_PASSWORD": "a=b#c d", "DEBUG": True}


def test_a_malformed_line_is_named_by_file_and_number_and_not_repeated(tmp_path):
    said = complaint(environment(tmp_path, "DEBUG=1\nhunter2\n"))
    assert "settings.env, line 2: expected NAME=value." in said
    assert "hunter2" not in said


def test_a_file_of_settings_that_is_named_but_not_there_is_an_error(tmp_path):
    env = environment(tmp_path, SECRET_KEY=KEY) | {"ENV_FILE": str(tmp_path / "gone")}
    assert "ENV_FILE: there is no file" in complaint(env)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEBUG", "maybe"),
        ("HTTPS", "2"),
        ("EMAIL_PORT", "smtp"),
        ("EMAIL_PORT", "70000"),
        ("EMAIL_TIMEOUT", "0"),
        ("WEBHOOK_TIMEOUT", "-1"),
        ("LOG_LEVEL", "LOUD"),
        ("SITE_URL", "journeys.example"),
        ("WEBHOOK_URL", "ftp://hooks.example"),
        ("WEBHOOK_URL", "https://hooks.example:port/"),
        ("WEBHOOK_SECRET", "not base64!"),
        ("WEBHOOK_SECRET", "whsec_c2hvcnQ="),
        ("WEBHOOK_ENDPOINTS_INSIDE", "crm.example"),
        ("WEBHOOK_ENDPOINTS_INSIDE", "10.20.0.1/16"),
        ("WEBHOOK_ENDPOINTS_KEEP_DAYS", "1"),
        ("DATABASE_URL", "mysql://user@host/db"),
        ("VAR_DIR", "/dev/null/var"),
    ],
)
def test_a_malformed_value_names_its_variable(tmp_path, name, value):
    said = complaint(environment(tmp_path, SECRET_KEY=KEY) | {name: value})
    assert said.startswith(name)


def test_a_secret_with_a_fault_is_not_repeated(tmp_path):
    for name, value in [("WEBHOOK_SECRET", "hunter2!"), ("DATABASE_URL", "postgres://u:hunter2#x@h/d")]:
        assert "hunter2" not in complaint(environment(tmp_path, SECRET_KEY=KEY) | {name: value})


def test_a_webhook_without_a_secret_is_refused_since_what_goes_out_is_signed(tmp_path):
    env = environment(tmp_path, SECRET_KEY=KEY, WEBHOOK_URL="https://hooks.example/journeys")
    assert complaint(env).startswith("WEBHOOK_URL is set but WEBHOOK_SECRET is not")


def test_every_variable_that_is_read_is_known_by_name():
    assert {"ENV_FILE", "SECRET_KEY", "DEBUG", "DATABASE_URL", "VAR_DIR", "WEBHOOK_TIMEOUT"} <= set(
        site.env.names
    )
    assert len(site.env.names) == len(set(site.env.names))


# --- what holds when nothing is said

TRANSPORT = (
    "DEBUG HTTPS SECURE_SSL_REDIRECT SECURE_HSTS_SECONDS SESSION_COOKIE_SECURE CSRF_COOKIE_SECURE "
    "ALLOWED_HOSTS"
)


def test_production_defaults_hold_where_nothing_is_said(tmp_path):
    values = read(TRANSPORT, environment(tmp_path, SECRET_KEY=KEY))
    assert values.pop("SECURE_HSTS_SECONDS") >= 31_536_000
    assert values.pop("ALLOWED_HOSTS") == []
    assert values.pop("DEBUG") is False
    assert set(values.values()) == {True}


def test_debug_serves_this_machine_without_tls(tmp_path):
    values = read(TRANSPORT, environment(tmp_path, SECRET_KEY=KEY, DEBUG="1"))
    assert values.pop("ALLOWED_HOSTS") == ["127.0.0.1", "localhost", "[::1]"]
    assert values.pop("DEBUG") is True
    assert not any(values.values())


def test_the_host_of_the_site_is_allowed_unless_others_are_named(tmp_path):
    env = environment(tmp_path, SECRET_KEY=KEY, SITE_URL="https://journeys.example/")
    assert read("ALLOWED_HOSTS SITE_URL", env) == {
        "ALLOWED_HOSTS": ["journeys.example"],
        "SITE_URL": "https://journeys.example",
    }
    assert read("ALLOWED_HOSTS", env | {"ALLOWED_HOSTS": "a.example, b.example"}) == {
        "ALLOWED_HOSTS": ["a.example", "b.example"]
    }


def test_the_deployment_check_has_nothing_to_say(tmp_path):
    env = environment(tmp_path, SECRET_KEY=KEY, SITE_URL="https://journeys.example")
    command = [sys.executable, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    done = subprocess.run(command, cwd=site.BASE_DIR, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("said", "backend", "host"),
    [
        ({}, "smtp", "localhost"),
        ({"DEBUG": "1"}, "console", ""),
        ({"DEBUG": "1", "EMAIL_HOST": "mail.example"}, "smtp", "mail.example"),
        ({"EMAIL_HOST": "mail.example", "EMAIL_FILE_DIR": "mail"}, "filebased", "mail.example"),
    ],
)
def test_where_mail_goes(tmp_path, said, backend, host):
    values = read("EMAIL_BACKEND EMAIL_HOST", environment(tmp_path, SECRET_KEY=KEY, **said))
    assert values == {
        "EMAIL_BACKEND": f"django.core.mail.backends.{backend}.EmailBackend",
        "EMAIL_HOST": host,
    }


def test_a_relative_folder_for_mail_lies_below_the_folder_of_data(tmp_path):
    env = environment(tmp_path, SECRET_KEY=KEY, EMAIL_FILE_DIR="mail")
    assert read("EMAIL_FILE_PATH", env) == {"EMAIL_FILE_PATH": str(tmp_path / "var" / "mail")}


def test_the_default_database_is_a_file_in_the_folder_of_data(tmp_path):
    folder = tmp_path / "data 100%#?"
    env = environment(tmp_path, SECRET_KEY=KEY, VAR_DIR=str(folder))
    assert read("DATABASES", env)["DATABASES"]["default"]["NAME"] == str(folder / "cjo.sqlite3")
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_task_that_takes_its_whole_time_is_not_delivered_again_meanwhile():
    cluster = site.Q_CLUSTER
    rounds = 1 + math.ceil((cluster["queue_limit"] + 1) / cluster["workers"])
    assert cluster["retry"] > cluster["timeout"] * rounds
    assert max(site.EMAIL_TIMEOUT, site.WEBHOOK_TIMEOUT) < cluster["timeout"]


# --- DATABASE_URL


def test_a_relative_sqlite_address_is_a_file_below_the_project():
    assert site.database("sqlite:///tests/x.sqlite3", name="X")["NAME"] == str(
        site.BASE_DIR / "tests" / "x.sqlite3"
    )


def test_an_absolute_sqlite_address_is_that_file(tmp_path):
    (tmp_path / "a b#?").mkdir()
    config = site.database(f"sqlite:///{tmp_path}/a%20b%23%3F/x.sqlite3", name="X")
    assert config["NAME"] == str(tmp_path / "a b#?" / "x.sqlite3")
    assert config["ENGINE"] == "django.db.backends.sqlite3"


def test_sqlite_waits_for_locks_and_takes_them_at_once_and_the_query_goes_before(tmp_path):
    options = site.database(f"sqlite:///{tmp_path}/x", name="X")["OPTIONS"]
    assert options["timeout"] == 20
    assert options["transaction_mode"] == "IMMEDIATE"
    assert options["init_command"] == "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=4000"
    assert site.database(f"sqlite:///{tmp_path}/x?timeout=5", name="X")["OPTIONS"] == options | {"timeout": 5}


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_a_postgresql_address_is_decoded_part_by_part(scheme):
    config = site.database(
        f"{scheme}://jo%40x:p%2Fw%23%3A%25@db.example:6432/my%20db?sslmode=verify-full&application_name=cjo",
        name="X",
    )
    assert config["ENGINE"] == "django.db.backends.postgresql"
    assert [config[part] for part in ("USER", "PASSWORD", "HOST", "PORT", "NAME")] == [
        "jo@x",
        "p/w#:%",
        "db.example",
        6432,
        "my db",
    ]
    assert config["OPTIONS"] == {"sslmode": "verify-full", "application_name": "cjo", "connect_timeout": 10}
    assert config["CONN_MAX_AGE"] == 600
    assert config["CONN_HEALTH_CHECKS"] is True


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("postgresql://u@%2FVar%2FRun/db", "/Var/Run", ""),
        ("postgresql://u@%2FVar%2FRun:5433/db", "/Var/Run", 5433),
        ("postgresql://u@[::1]:5433/db", "::1", 5433),
        ("postgresql:///db?host=/Var/Run", "", ""),
    ],
)
def test_a_server_may_be_reached_by_a_socket_or_by_an_ipv6_address(url, host, port):
    config = site.database(url, name="X")
    assert (config["HOST"], config["PORT"]) == (host, port)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://relative.sqlite3",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:////nowhere/at/all/x.sqlite3",
        "postgres://host",
        "postgres://u:p?ss@host/db",
        "postgres://u:p#ss@host/db",
        "postgres://u:p/ss@host/db",
        "mysql://host/db",
        "host/db",
    ],
)
def test_an_address_that_cannot_be_meant_is_refused_by_the_variables_name(url):
    with pytest.raises(ImproperlyConfigured, match="^DATABASE_URL"):
        site.database(url, name="DATABASE_URL")


def test_the_tests_write_nothing_into_the_project(settings):
    assert not Path(settings.VAR_DIR).is_relative_to(site.BASE_DIR)
