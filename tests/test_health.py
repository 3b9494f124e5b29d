"""/healthz and what every answer of the site carries."""

import json
import os
import subprocess
import sys
from datetime import timedelta

import pytest
from django.contrib import admin
from django.utils import timezone
from django_q.models import Failure, OrmQ, Schedule, Success

from cjo_site.settings import BASE_DIR
from journeys.models import Heartbeat
from journeys.tasks import SCHEDULES

pytestmark = pytest.mark.django_db


@pytest.fixture
def alive():
    """A worker that has just beaten, and every schedule due in a minute."""
    now = timezone.now()
    Heartbeat.objects.update_or_create(name="worker", defaults={"beat_at": now})
    Schedule.objects.filter(name__in=SCHEDULES).delete()
    for name in SCHEDULES:
        Schedule.objects.create(name=name, func="builtins.print", next_run=now + timedelta(minutes=1))


def beat(age):
    Heartbeat.objects.update_or_create(name="worker", defaults={"beat_at": timezone.now() - age})


def ask(client):
    answer = client.get("/healthz")
    return answer.status_code, answer.json()["checks"]


def test_it_is_well_while_worker_and_schedule_are_fresh(client, alive):
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "checks": {"database": "ok", "worker": "ok", "schedule": "ok"}}
    assert "no-store" in answer.headers["Cache-Control"]


def test_without_a_heartbeat_it_is_not_well(client, alive):
    Heartbeat.objects.all().delete()
    status, checks = ask(client)
    assert (status, checks["worker"], checks["schedule"]) == (503, "no heartbeat yet", "ok")


def test_a_heartbeat_goes_stale_after_three_minutes(client, alive):
    beat(timedelta(seconds=175))
    assert ask(client)[0] == 200
    beat(timedelta(seconds=185))
    status, checks = ask(client)
    assert status == 503
    assert checks["worker"].startswith("last heartbeat 18")


def test_a_schedule_that_is_missing_is_named(client, alive):
    name = next(iter(SCHEDULES))
    Schedule.objects.filter(name=name).delete()
    status, checks = ask(client)
    assert (status, checks["schedule"], checks["worker"]) == (503, f"{name} is missing", "ok")


def test_a_schedule_more_than_five_minutes_late_is_named(client, alive):
    name = next(iter(SCHEDULES))
    Schedule.objects.filter(name=name).update(next_run=timezone.now() - timedelta(seconds=290))
    assert ask(client)[0] == 200
    Schedule.objects.filter(name=name).update(next_run=timezone.now() - timedelta(seconds=310))
    status, checks = ask(client)
    assert status == 503
    assert checks["schedule"].startswith(f"{name} is 31")


def test_a_database_that_does_not_answer_is_said_and_nothing_else(tmp_path):
    """In a process of its own, whose database is a port where nobody listens."""
    ask = (
        "import django; django.setup(); from django.test import Client; "
        "answer = Client().get('/healthz', headers={'host': 'localhost'}); "
        "print(answer.status_code, answer.content.decode())"
    )
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "cjo_site.settings",
        "DATABASE_URL": "postgresql://cjo:hunter2@127.0.0.1:9/cjo",
        "VAR_DIR": str(tmp_path),
    }
    command = [sys.executable, "-c", ask]
    done = subprocess.run(command, cwd=BASE_DIR, env=environment, capture_output=True, text=True, timeout=60)
    status, _, body = done.stdout.partition(" ")
    assert status == "503", done.stderr
    checks = {"database": "no answer", "worker": "not known", "schedule": "not known"}
    assert json.loads(body) == {"status": "stale", "checks": checks}


def test_it_is_answered_without_tls_and_without_logging_in(client, alive, settings):
    settings.SECURE_SSL_REDIRECT = True
    assert client.get("/healthz").status_code == 200
    assert client.get("/admin/login/").status_code == 301
    assert client.post("/healthz").status_code == 405


@pytest.mark.parametrize("path", ["/", "/healthz", "/admin/login/", "/nowhere", "/static/admin/css/base.css"])
def test_every_answer_forbids_what_is_not_the_sites_own(client, path):
    policy = client.get(path).headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


def test_the_root_leads_to_the_desk(client):
    assert client.get("/").headers["Location"] == "/admin/"
    assert "Journey Orchestrator" in client.get("/admin/login/").content.decode()


def test_the_queues_own_pages_which_run_any_function_are_not_there(admin_client):
    assert not any(admin.site.is_registered(model) for model in (Failure, OrmQ, Schedule, Success))
    assert admin_client.get("/admin/django_q/schedule/").status_code == 404
    assert admin_client.get("/admin/axes/accessattempt/").status_code == 200


def test_a_lock_out_follows_ten_wrong_passwords_for_this_name_only(client, admin_user):
    wrong = {"username": admin_user.username, "password": "wrong"}
    answers = [client.post("/admin/login/", wrong).status_code for _ in range(11)]
    assert answers[:9] == [200] * 9
    assert answers[-1] == 429
    assert client.post("/admin/login/", wrong | {"username": "somebody"}).status_code == 200
