"""Every setting, read once, from the environment and from a file of NAME=value lines.

The file is `.env` beside manage.py, or the one that ENV_FILE names (empty: none); the environment overrides
it, and an empty value counts as not set. What is malformed or missing is an ImproperlyConfigured that names
the variable. Production defaults hold unless DEBUG=1. Values of secrets are never repeated in an error.
"""

import base64
import binascii
import os
from datetime import timedelta
from urllib.parse import quote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from cjo_site.environment import BASE_DIR, Environment, database

_env_file = os.environ.get("ENV_FILE", ".env")
if _env_file != ".env" and _env_file and not (BASE_DIR / _env_file).is_file():
    raise ImproperlyConfigured(f"ENV_FILE: there is no file {BASE_DIR / _env_file}.")
env = Environment(file=BASE_DIR / _env_file if _env_file else None)
env.names.append("ENV_FILE")

# --- what must be known first

DEBUG = env.flag("DEBUG", False)
SECRET_KEY = env.text("SECRET_KEY")
if not SECRET_KEY:
    raise ImproperlyConfigured(
        f"SECRET_KEY is not set. Set it in the environment or in {env.file or 'the file ENV_FILE names'} to "
        "a long random text and keep it: a new one ends all sessions and loses queued tasks. To make one: "
        'python3 -c "import secrets; print(secrets.token_urlsafe(50))" '
        "(for a trial on one machine, python3 cjo.py demo does it for you)."
    )

VAR_DIR = env.folder("VAR_DIR", BASE_DIR / "var", within=BASE_DIR)
try:
    VAR_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
except OSError as error:
    raise ImproperlyConfigured(f"VAR_DIR: the folder {VAR_DIR} cannot be made: {error.strerror}.") from None

# --- addresses

SITE_URL = env.url("SITE_URL", "http://127.0.0.1:8000" if DEBUG else "")
ALLOWED_HOSTS = env.words(
    "ALLOWED_HOSTS",
    ["127.0.0.1", "localhost", "[::1]"] if DEBUG else [urlsplit(SITE_URL).hostname] if SITE_URL else [],
)
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS", [])
CSRF_FAILURE_VIEW = "cjo_site.out_of_date.csrf_failure"
ROOT_URLCONF = "cjo_site.urls"
WSGI_APPLICATION = "cjo_site.wsgi.application"

# --- transport: whoever ends TLS in front of gunicorn says so by X-Forwarded-Proto, which gunicorn believes
# from 127.0.0.1 and from the addresses in its --forwarded-allow-ips, and from nobody else.

HTTPS = env.flag("HTTPS", not DEBUG)
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = HTTPS
SECURE_HSTS_PRELOAD = HTTPS
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
X_FRAME_OPTIONS = "DENY"

# --- what it is made of

INSTALLED_APPS = [
    "cjo_site.apps.SiteConfig",  # first: its templates go before the admin's own
    "journeys",
    "approvals",
    "cjo_site.apps.DeskAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_q",
    "axes",
]
MIDDLEWARE = [
    "cjo_site.middleware.RequestIdMiddleware",  # first: what the others log carries it
    "cjo_site.middleware.ContentSecurityPolicyMiddleware",  # then: redirects and static files carry it too
    "approvals.api.middleware.ApiMiddleware",  # before all that can refuse a request
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.gzip.GZipMiddleware",  # before what it compresses: static files too
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "approvals.accounts.ActorMiddleware",
    "cjo_site.middleware.TimeZoneMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",  # last: it turns a refused login into an answer
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
STATIC_URL = "static/"
# Static files are served out of the installed packages: there is no collecting step to forget.
WHITENOISE_USE_FINDERS = True

LANGUAGE_CODE = "en"
FORMAT_MODULE_PATH = ["cjo_site.formats"]
TIME_ZONE = "UTC"
USE_TZ = True

# --- data

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": database(
        env.text("DATABASE_URL", f"sqlite:///{quote(str(VAR_DIR))}/cjo.sqlite3"), name="DATABASE_URL"
    )
}
FIXTURE_DIRS = [BASE_DIR / "fixtures"]
# In files, so that web and worker see the same: the worker tells its state here.
CACHES = {
    "default": {
        "BACKEND": "cjo_site.cache.FileCache",
        "LOCATION": VAR_DIR / "cache",
        # Beyond it a third is thrown away at random, counts of requests too.
        "OPTIONS": {"MAX_ENTRIES": 2000},
    }
}

# --- who comes in

AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "cjo_site.backends.AccountBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{validator}"}
    for validator in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_RESET_ON_SUCCESS = True
AXES_VERBOSE = False

# --- the API

API_REQUESTS_PER_MINUTE = env.number("API_REQUESTS_PER_MINUTE", 6000, least=1, most=1_000_000)
API_UNKNOWN_REQUESTS_PER_MINUTE = env.number("API_UNKNOWN_REQUESTS_PER_MINUTE", 300, least=1, most=1_000_000)
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "approvals.api.auth.TokenAuthentication",
        "approvals.api.auth.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["approvals.api.auth.MayUse"],
    "DEFAULT_THROTTLE_CLASSES": ["approvals.api.throttling.PerCaller"],
    "DEFAULT_PARSER_CLASSES": ["approvals.api.parsing.JSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_METADATA_CLASS": None,
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "approvals.api.problems.answer_to",
    "URL_FORMAT_OVERRIDE": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Customer Journey Orchestrator",
    "VERSION": "1",
    "OAS_VERSION": "3.1.1",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "approvals.api.schema.finish",
    ],
    "GET_LIB_DOC_EXCLUDES": "approvals.api.schema.not_for_readers",
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "ENUM_SUFFIX": "",
    "ENUM_NAME_OVERRIDES": {
        "Tier": "journeys.api.enums.TIER",
        "Channel": "journeys.api.enums.CHANNEL",
        "InterventionStatus": "journeys.api.enums.INTERVENTION_STATUS",
        "ExecutionStatus": "journeys.api.enums.EXECUTION_STATUS",
        "FindingKind": "journeys.api.enums.FINDING_KIND",
        "ExecutionMode": "journeys.api.enums.EXECUTION_MODE",
        "RunScope": "journeys.models.PipelineRun.Scope",
        "RunStatus": "journeys.models.PipelineRun.Status",
        "FindingStatus": "journeys.models.Finding.Status",
        "RequestStatus": "approvals.api.enums.REQUEST_STATUS",
        "RejectionCategory": "approvals.api.enums.REJECTION_CATEGORY",
    },
    # Swagger's own files, out of a package: nothing is fetched from elsewhere.
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "validatorUrl": None},
}

# --- the worker. Delivery is at least once, and a task's lock runs from when it is taken, not from when it
# starts: retry must exceed timeout x (1 + ceil((queue_limit + 1) / workers)), or tasks run twice. Seconds.

WORKERS = env.number("WORKERS", 2, least=1, most=64)
# So many tasks of a run over the portfolio work or wait at a time: at least as many as there are workers on
# all machines, or some have nothing to do; more only make others wait longer for their turn.
RUN_TASKS = env.number("RUN_TASKS", 2 * WORKERS, least=1, most=1000)
# So many customers a run reads and writes at once: on SQLite nobody else writes while it does. Elsewhere the
# twenty statements that each range takes, whatever its size, are what it costs to have many of them.
_ON_SQLITE = DATABASES["default"]["ENGINE"].endswith("sqlite3")
RANGE_SIZE = env.number("RANGE_SIZE", 2000 if _ON_SQLITE else 4000, least=1, most=20_000)
# Every so many days the daily run looks at everybody, not only at what changed or is due.
FULL_RUN_DAYS = env.number("FULL_RUN_DAYS", 7, least=1, most=365)

Q_CLUSTER = {
    "name": "cjo",
    "orm": "default",
    "workers": WORKERS,
    "queue_limit": 1,
    "bulk": 1,
    "timeout": 60,
    "retry": 300,
    "max_attempts": 3,
    "ack_failures": False,
    "catch_up": False,
    "save_limit": 100,
    "poll": 0.2,
}

# --- mail. Timeouts of mail and webhook stay below the worker's, which would kill a sending half-way.

EMAIL_HOST = env.text("EMAIL_HOST")
EMAIL_PORT = env.number("EMAIL_PORT", 25, least=1, most=65535)
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = env.text("EMAIL_HOST_PASSWORD")
EMAIL_USE_TLS = env.flag("EMAIL_USE_TLS", False)
EMAIL_USE_SSL = env.flag("EMAIL_USE_SSL", False)
EMAIL_TIMEOUT = env.number("EMAIL_TIMEOUT", 10, least=1, most=50)
EMAIL_FILE_PATH = env.folder("EMAIL_FILE_DIR", None, within=VAR_DIR)
DEFAULT_FROM_EMAIL = env.text("DEFAULT_FROM_EMAIL", "Customer Success <customer-success@localhost>")
REPLY_TO_EMAIL = env.text("REPLY_TO_EMAIL")
if EMAIL_USE_TLS and EMAIL_USE_SSL:
    raise ImproperlyConfigured("EMAIL_USE_TLS and EMAIL_USE_SSL exclude each other: set one of them.")
if EMAIL_FILE_PATH:
    EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
elif DEBUG and not EMAIL_HOST:
    EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"
else:
    EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    EMAIL_HOST = EMAIL_HOST or "localhost"

# --- webhook

WEBHOOK_URL = env.url("WEBHOOK_URL")
WEBHOOK_SECRET = env.text("WEBHOOK_SECRET")
WEBHOOK_TIMEOUT = env.number("WEBHOOK_TIMEOUT", 10, least=1, most=50)
try:
    if len(base64.b64decode(WEBHOOK_SECRET.removeprefix("whsec_"), validate=True)) < 24 and WEBHOOK_SECRET:
        raise ImproperlyConfigured("WEBHOOK_SECRET is too short: at least 24 random bytes, in base64.")
except binascii.Error:
    raise ImproperlyConfigured("WEBHOOK_SECRET must be base64, with or without whsec_ before it.") from None
if WEBHOOK_URL and not WEBHOOK_SECRET:
    raise ImproperlyConfigured(
        "WEBHOOK_URL is set but WEBHOOK_SECRET is not: what goes out is signed. One is made by: "
        "python3 -c \"import base64, secrets; print('whsec_' + base64.b64encode(secrets.token_bytes(32))"
        '.decode())"'
    )
# The networks of one's own that endpoints may be in; they are reached without TLS too.
WEBHOOK_ENDPOINTS_INSIDE = env.networks("WEBHOOK_ENDPOINTS_INSIDE")
WEBHOOK_ENDPOINTS_KEEP_DAYS = env.number("WEBHOOK_ENDPOINTS_KEEP_DAYS", 30, least=4, most=3650)

# --- what is for testing, and for whoever watches from outside

AUTO_APPROVE_FOR_TESTING = env.flag("AUTO_APPROVE_FOR_TESTING", False)
# Mail to the people who decide.
NOTICES = env.flag("NOTICES", True)
# Where the number and hash of the audit's last event are sent every day, to be kept out of reach.
AUDIT_HEAD_EMAIL = env.text("AUDIT_HEAD_EMAIL")

# --- log, on standard error

LOG_LEVEL = env.one_of("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s%(request_id)s: %(message)s"}},
    "filters": {"request_id": {"()": "cjo_site.middleware.WithRequestId"}},
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["request_id"]}
    },
    "root": {"handlers": ["stderr"], "level": LOG_LEVEL},
    # Django's own handlers would print each line a second time, and write mail.
    "loggers": {
        "django": {"handlers": [], "level": LOG_LEVEL, "propagate": True},
        # Every task, several times; shown where one asks for DEBUG.
        "django-q": {"level": "INFO" if LOG_LEVEL == "DEBUG" else "WARNING"},
    },
}
