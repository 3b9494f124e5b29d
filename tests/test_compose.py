"""compose.yaml, the image and the proxy fit the product and each other. No container is started here."""

import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from django.conf import settings
from django.core.management import get_commands
from django.urls import resolve

from cjo_site.settings import env

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "compose.yaml").read_text()
EXAMPLE = (ROOT / "compose.env.example").read_text()
# Read by compose itself, by gunicorn and by PostgreSQL.
OTHERS = {"SITE_HOST", "POSTGRES_PASSWORD", "WEB_CONCURRENCY"}
VALUE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")
OURS = ("web", "worker", "migrate")
GIVEN = {
    "SITE_HOST": "journeys.example",
    "POSTGRES_PASSWORD": "only-for-tests",
    "SECRET_KEY": "only-for-tests-0123456789" * 3,
}


def filled(given: dict[str, str]) -> dict:
    """compose.yaml with its values filled in, as compose does it."""

    def value(found: re.Match) -> str:
        name, kind, otherwise = found.groups()
        if kind != "-" and name not in given:
            raise KeyError(name)
        return given.get(name, otherwise or "")

    return yaml.safe_load(VALUE.sub(value, TEXT))


@pytest.fixture
def services() -> dict[str, dict]:
    return filled(GIVEN)["services"]


def names_in_the_example() -> set[str]:
    return set(re.findall(r"^#?([A-Z][A-Z_]+)=", EXAMPLE, re.MULTILINE))


def run(command: list[str], service: dict, folder: Path) -> subprocess.CompletedProcess:
    """A command of a service in its environment, but that it writes below `folder`."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    its_own = {name: str(value) for name, value in service["environment"].items()}
    surroundings = (
        kept | its_own | {"SECRET_KEY": GIVEN["SECRET_KEY"], "ENV_FILE": "", "VAR_DIR": str(folder / "var")}
    )
    command = [sys.executable, *command[1:]]
    return subprocess.run(command, cwd=ROOT, env=surroundings, capture_output=True, text=True, timeout=60)


def test_every_setting_that_is_named_is_one(services):
    named = {name for service in OURS for name in services[service]["environment"]}
    assert named | names_in_the_example() <= set(env.names) | OTHERS
    assert {name for name, _, _ in VALUE.findall(TEXT)} <= names_in_the_example()


def test_a_secret_that_is_missing_stops_it_and_none_has_a_default():
    for name in ("SITE_HOST", "POSTGRES_PASSWORD"):
        with pytest.raises(KeyError, match=name):
            filled({key: value for key, value in GIVEN.items() if key != name})
    assert re.findall(r"^(SECRET_KEY|POSTGRES_PASSWORD)=(.+)$", EXAMPLE, re.MULTILINE) == []
    assert "compose.env" in (ROOT / ".gitignore").read_text().splitlines()


def test_every_command_of_manage_py_that_is_started_is_there(services):
    started = [
        service["command"] for service in services.values() if "manage.py" in service.get("command", "")
    ]
    assert [command[:2] for command in started] == [["python", "manage.py"]] * len(started)
    assert {command[2] for command in started} == {"qcluster", "migrate"}
    assert {command[2] for command in started} <= set(get_commands())


def test_gunicorn_takes_its_command_and_the_settings_as_they_stand(services, tmp_path):
    web = services["web"]
    program = web["command"][:3]
    done = run([*program, "--check-config", *web["command"][3:]], web, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_deployment_check_has_nothing_to_say_about_the_settings(services, tmp_path):
    done = run(
        ["python", "manage.py", "check", "--deploy", "--fail-level", "WARNING"], services["web"], tmp_path
    )
    assert done.returncode == 0, done.stderr


def test_the_check_of_health_asks_the_products_own_address_under_a_host_that_is_answered_to(services):
    web = services["web"]
    asked = urlsplit(re.search(r"http://[^']+", web["healthcheck"]["test"][-1]).group())
    assert resolve(asked.path).url_name == "healthz"
    assert asked.hostname in web["environment"]["ALLOWED_HOSTS"].split(",")
    assert f"--bind=0.0.0.0:{asked.port}" in web["command"]


def test_the_proxy_passes_on_to_where_gunicorn_listens_and_says_for_whom(services):
    proxy = (ROOT / "deploy" / "Caddyfile").read_text()
    port = re.search(r"reverse_proxy web:(\d+)", proxy).group(1)
    assert f"--bind=0.0.0.0:{port}" in services["web"]["command"]
    assert ("proxy_protocol" in proxy) == ("--proxy-protocol" in services["web"]["command"])
    # gunicorn hears it once on a connection: a second request on it would seem to come from the proxy.
    assert "keepalive off" in proxy


def test_only_the_proxy_is_reached_from_outside_and_the_database_by_nobody_else(services):
    assert [name for name, service in services.items() if "ports" in service] == ["proxy"]
    assert filled(GIVEN)["networks"]["data"]["internal"] is True
    assert services["db"]["networks"] == ["data"]
    assert "data" not in services["proxy"]["networks"]


def test_nothing_is_written_but_to_volumes_and_nobody_gains_a_right(services):
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
    for name in OURS:
        assert services[name]["cap_drop"] == ["ALL"], name
    image = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^USER (?!root)\w+$", image, re.MULTILINE)
    folder = re.search(r"VAR_DIR=(\S+)", image).group(1)
    assert services["web"]["volumes"] == services["worker"]["volumes"] == [f"var:{folder}"]


def test_the_image_holds_all_of_the_product_and_no_settings_and_no_data():
    image = (ROOT / "Dockerfile").read_text()
    copied = {name.rstrip("/") for name in re.findall(r"^COPY (\S+)", image, re.MULTILINE)}
    let_in = set(re.findall(r"^!(\S+)", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    assert copied == let_in
    ours = {app.split(".")[0] for app in settings.INSTALLED_APPS if (ROOT / app.split(".")[0]).is_dir()}
    assert ours | {"manage.py", "fixtures", "requirements.txt"} == copied
    assert "--require-hashes" in image
