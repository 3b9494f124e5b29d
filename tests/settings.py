"""The settings that tests run under: those of the site, with nothing taken from this machine.

Only DATABASE_URL is heeded, so that the same tests run on PostgreSQL. Everything that is written goes to a
folder of this very run, so that several runs do not meet; the database is a file there, because threads and
processes share it.
"""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

_folder = Path(tempfile.mkdtemp(prefix="cjo-tests-"))
atexit.register(shutil.rmtree, _folder, ignore_errors=True)

for _name in [name for name in os.environ if name.startswith(("EMAIL_", "WEBHOOK_"))]:
    del os.environ[_name]
os.environ |= {
    "ENV_FILE": "",
    "SECRET_KEY": "only-for-tests-" + "0123456789" * 4,
    "DEBUG": "0",
    "HTTPS": "0",
    "ALLOWED_HOSTS": "testserver,localhost,127.0.0.1",
    "CSRF_TRUSTED_ORIGINS": "",
    "SITE_URL": "http://testserver",
    "DEFAULT_FROM_EMAIL": "",
    "REPLY_TO_EMAIL": "",
    "LOG_LEVEL": "WARNING",
    # All tests call from one address.
    "API_UNKNOWN_REQUESTS_PER_MINUTE": "1000000",
    "VAR_DIR": str(_folder),
}

from cjo_site.settings import *  # noqa: E402, F403 - the environment comes first
from cjo_site.settings import DATABASES  # noqa: E402 - the same

if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["TEST"] = {"NAME": str(_folder / "test.sqlite3")}

# Users are made in most tests; a hash that is slow on purpose would take most of their time.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
