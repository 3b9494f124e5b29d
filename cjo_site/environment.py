"""Reading settings: typed, with errors that name the variable and never repeat a secret."""

import os
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import unquote, urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent


class Environment:
    """Typed readers over the environment and the file of settings.

    `names` lists every variable asked for, in order: what the documentation has to explain.
    """

    def __init__(self, *, file: Path | None) -> None:
        self.file = file
        self.names: list[str] = []
        self._values = {**(self._read(file) if file else {}), **os.environ}

    @staticmethod
    def _read(file: Path) -> dict[str, str]:
        """NAME=value lines; blank lines and lines that start with # are skipped, one pair of quotes is taken
        off. There are no comments behind a value: a password may well hold a #.
        """
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError) as error:
            raise ImproperlyConfigured(f"The file of settings {file} cannot be read: {error}") from None
        values = {}
        for number, line in enumerate(lines, start=1):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            name, equals, value = line.removeprefix("export ").partition("=")
            name, value = name.strip(), value.strip()
            if not equals or not name.isidentifier():
                raise ImproperlyConfigured(f"{file}, line {number}: expected NAME=value.")
            if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
                value = value[1:-1]
            values[name] = value
        return values

    def text(self, name: str, default: str = "") -> str:
        self.names.append(name)
        return self._values.get(name, "").strip() or default

    def flag(self, name: str, default: bool) -> bool:
        value = self.text(name).lower()
        if not value:
            return default
        if value in ("1", "true", "yes", "on"):
            return True
        if value in ("0", "false", "no", "off"):
            return False
        raise ImproperlyConfigured(f"{name} must be 1 or 0, not {value!r}.")

    def number(self, name: str, default: int, *, least: int, most: int) -> int:
        value = self.text(name) or str(default)
        if not (value.isascii() and value.isdigit() and least <= int(value) <= most):
            raise ImproperlyConfigured(
                f"{name} must be a whole number from {least} to {most}, not {value!r}."
            )
        return int(value)

    def one_of(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        value = self.text(name, default).upper()
        if value not in choices:
            raise ImproperlyConfigured(f"{name} must be one of {', '.join(choices)}, not {value!r}.")
        return value

    def words(self, name: str, default: list[str]) -> list[str]:
        """Comma-separated."""
        return [word.strip() for word in self.text(name).split(",") if word.strip()] or default

    def networks(self, name: str) -> tuple[IPv4Network | IPv6Network, ...]:
        """Comma-separated, like 10.20.0.0/16; a single address is a network of one."""
        try:
            return tuple(ip_network(word) for word in self.words(name, []))
        except ValueError as error:
            raise ImproperlyConfigured(f"{name} must be networks such as 10.20.0.0/16: {error}.") from None

    def url(self, name: str, default: str = "") -> str:
        """An http or https address without user, password or fragment; no slash at its end."""
        value = self.text(name, default)
        if not value:
            return value
        try:
            parts = urlsplit(value)
            good = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
        except ValueError:
            good = False
        if not good or "@" in parts.netloc or parts.fragment:
            raise ImproperlyConfigured(
                f"{name} must be an http or https address, without a password and without a fragment."
            )
        return value.rstrip("/")

    def folder(self, name: str, default: Path | None, *, within: Path) -> Path | None:
        value = self.text(name)
        return within / Path(value).expanduser() if value else default


def database(url: str, *, name: str) -> dict:
    """DATABASES["default"] out of an address; options in its query go to the driver.

    sqlite:///relative is a file below the project's folder, sqlite:////absolute one anywhere, and
    postgres:// or postgresql:// a server; every part may be percent-encoded.
    """
    scheme = url.partition("://")[0]
    if scheme not in ("sqlite", "postgres", "postgresql"):
        raise ImproperlyConfigured(f"{name} must begin with sqlite:///, postgres:// or postgresql://.")
    if "#" in url:
        # What follows would silently be dropped as a fragment, most often half a password.
        raise ImproperlyConfigured(f"{name}: a # must be written as %23.")
    try:
        config = dj_database_url.parse(url, conn_max_age=600, conn_health_checks=True)
    except ValueError:
        raise ImproperlyConfigured(
            f"{name} is not a valid address; special characters in its parts must be percent-encoded."
        ) from None
    options = config.setdefault("OPTIONS", {})
    if scheme == "sqlite":
        if config["HOST"] or not config["NAME"] or config["NAME"].startswith(":memory:"):
            # Web, worker and commands are several processes: a database in memory would be one for each.
            raise ImproperlyConfigured(
                f"{name} must name a file: sqlite:///relative/to/the/project or sqlite:////absolute/path."
            )
        config["NAME"] = str(BASE_DIR / config["NAME"])
        folder = Path(config["NAME"]).parent
        if not folder.is_dir():
            raise ImproperlyConfigured(f"{name}: the folder {folder} does not exist.")
        # IMMEDIATE: a transaction that reads and then writes would else fail at once with "database is
        # locked", whatever the timeout (seconds). synchronous stays FULL, SQLite's default: a claim that
        # a power cut forgets would send the same mail twice. What writes much, such as an intake, would carry
        # the log over into the file with each commit, if it did so at the usual 1,000 pages; the ranges of a
        # run are carried over beside it (journeys/pipeline/checkpoints.py).
        config["OPTIONS"] = {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=4000",
            **options,
        }
    else:
        if not config["NAME"]:
            raise ImproperlyConfigured(f"{name} must name a database: postgresql://user@host/database.")
        # The parser lower-cases the host, which a socket's folder does not survive.
        host = unquote(urlsplit(url).netloc.rpartition("@")[2].partition(":")[0])
        if host.startswith("/"):
            config["HOST"] = host
        # Seconds; without it a silent server holds every request for minutes.
        options.setdefault("connect_timeout", 10)
    return config
