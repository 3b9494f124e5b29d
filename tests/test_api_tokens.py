"""Who calls: tokens, what they are good for and when they end."""

import json
import re
import time
from datetime import timedelta
from io import StringIO
from types import SimpleNamespace

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from approvals.models import ApiToken, AuditDetail, AuditEvent
from approvals.rules import NotAuthorised, PasswordNeeded, RecentReset
from approvals.services import tokens
from tests.acting import PASSWORD, together
from tests.api import Caller, problem, token_of
from tests.desk import check_html, client_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def made(people) -> tuple[ApiToken, str]:
    return token_of(people["operator"], "customers:read")


def reads(text: str):
    return Caller(text).get("customers")


def test_a_token_opens_what_its_scope_and_its_owner_may(made):
    assert reads(made[1]).status_code == 200


def test_nothing_of_the_secret_is_stored_or_recorded(made):
    token, text = made
    secret = text.split("_", 2)[2]
    row = json.dumps(ApiToken.objects.values().get(), default=str)
    trail = json.dumps([list(AuditEvent.objects.values()), list(AuditDetail.objects.values())], default=str)
    assert secret not in row + trail
    assert text.startswith(f"cjo_{token.prefix}_")


@pytest.mark.parametrize(
    "wrong",
    [
        "nonsense", "cjo_", "cjo__", "cjo_000000000000_x", "", "cjo_0000\u00000000000_x", "é" * 20,
        "x" * 5000,
    ],
)  # fmt: skip
def test_what_is_no_token_is_refused(db, wrong):
    answer = Caller().client.get("/api/v1/customers", HTTP_AUTHORIZATION=f"Bearer {wrong}")
    problem(answer, 401, "token-not-valid")


def test_another_secret_with_a_known_prefix_is_refused_like_an_unknown_token(made):
    token, text = made
    told = problem(reads(text[:-1] + ("a" if text[-1] != "a" else "b")), 401, "token-not-valid")
    assert told["detail"] == "There is no such token."


def test_a_password_is_no_way_in(people):
    answer = Caller().client.get("/api/v1/customers", headers={"Authorization": "Basic b3BlcmF0b3I6eA=="})
    problem(answer, 401, "token-not-valid")


def test_a_token_without_the_scope_is_told_which(people):
    told = problem(reads(token_of(people["operator"], "signals:read")[1]), 403, "scope-missing")
    assert told["scope"] == "customers:read"


def test_a_token_never_gives_more_than_its_owners_permissions(db):
    nobody = get_user_model().objects.create_user("crm")
    caller = Caller(token_of(nobody, "customers:read")[1])
    told = problem(caller.get("customers"), 403, "permission-missing")
    assert told["permission"] == "journeys.view_customer"
    nobody.user_permissions.add(Permission.objects.get(codename="view_customer"))
    assert caller.get("customers").status_code == 200
    nobody.user_permissions.clear()
    assert caller.get("customers").status_code == 403


def test_an_account_that_is_not_active_any_more_takes_its_tokens_along(made, people):
    get_user_model().objects.filter(pk=people["operator"].pk).update(is_active=False)
    problem(reads(made[1]), 401, "token-not-valid")


def test_a_token_ends(made):
    ApiToken.objects.update(expires_at=timezone.now())
    assert "ended" in problem(reads(made[1]), 401, "token-not-valid")["detail"]


def test_a_revoked_token_is_refused_at_once_with_both_of_its_secrets(made, people):
    token, old = made
    _, new = tokens.rotate(token_id=token.pk, overlap=timedelta(hours=1), days=30, door="test")
    tokens.revoke(token_id=token.pk, by=people["operator"], door="test")
    for text in (old, new):
        assert "revoked" in problem(reads(text), 401, "token-not-valid")["detail"]
    with pytest.raises(tokens.BadToken):
        tokens.rotate(token_id=token.pk, overlap=timedelta(hours=1), days=30, door="test")


def test_a_rotation_leaves_no_gap_and_then_the_old_secret_ends(made):
    token, old = made
    _, new = tokens.rotate(token_id=token.pk, overlap=timedelta(hours=24), days=30, door="test")
    assert reads(old).status_code == reads(new).status_code == 200
    ApiToken.objects.update(previous_until=timezone.now())
    problem(reads(old), 401, "token-not-valid")
    assert reads(new).status_code == 200


def test_a_rotation_does_not_put_off_the_end_of_the_old_secret(made):
    token, old = made
    ApiToken.objects.update(expires_at=timezone.now() + timedelta(minutes=1))
    rotated, _ = tokens.rotate(token_id=token.pk, overlap=timedelta(days=7), days=30, door="test")
    assert rotated.previous_until < timezone.now() + timedelta(minutes=2)
    assert rotated.expires_at > timezone.now() + timedelta(days=29)


def test_a_second_rotation_ends_the_oldest_secret(made):
    token, first = made
    for _ in range(2):
        _, last = tokens.rotate(token_id=token.pk, overlap=timedelta(hours=24), days=30, door="test")
    problem(reads(first), 401, "token-not-valid")
    assert reads(last).status_code == 200


def test_the_last_use_is_noted_at_most_once_a_minute(made, django_assert_num_queries):
    token, text = made
    reads(text)
    first = ApiToken.objects.get().last_used_at
    assert first is not None
    reads(text)
    assert ApiToken.objects.get().last_used_at == first
    ApiToken.objects.update(last_used_at=first - timedelta(seconds=61))
    reads(text)
    assert ApiToken.objects.get().last_used_at > first


def test_a_personal_token_takes_the_owners_password(people):
    with pytest.raises(PasswordNeeded):
        tokens.make_personal(
            owner=people["approver"],
            name="mine",
            scopes_wanted=["approvals:decide"],
            days=30,
            password="wrong",
            door="test",
        )
    assert not ApiToken.objects.exists()


def test_whoevers_password_was_just_set_by_somebody_else_makes_no_personal_token(people):
    approver = people["approver"]
    approver.set_password(PASSWORD)
    approver.save()
    with pytest.raises(RecentReset):
        token_of(approver, "approvals:decide", personal=True)


def test_a_services_token_cannot_be_made_to_decide(people):
    with pytest.raises(tokens.BadToken):
        token_of(people["approver"], "approvals:decide")


@pytest.mark.parametrize(
    "wrong",
    [{"name": " "}, {"scopes_wanted": []}, {"scopes_wanted": ["all"]}, {"days": 0}, {"days": 731}],
)
def test_a_token_that_cannot_be_meant_is_not_made(people, wrong):
    arguments = {"name": "CRM", "scopes_wanted": ["customers:read"], "days": 30} | wrong
    with pytest.raises(tokens.BadToken):
        tokens.make_for_service(owner=people["operator"], door="test", **arguments)


def test_whoever_makes_a_token_for_an_account_must_have_its_permissions(people):
    issuer = people["auditor"]
    issuer.user_permissions.add(Permission.objects.get(codename="manage_apitoken"))
    issuer = get_user_model().objects.get(pk=issuer.pk)
    superuser = get_user_model().objects.create_superuser("root")
    for owner in (people["operator"], superuser):
        with pytest.raises(NotAuthorised):
            tokens.make_for_service(
                owner=owner, name="CRM", scopes_wanted=["runs:write"], days=1, by=issuer, door="test"
            )
    with pytest.raises(NotAuthorised):
        tokens.make_for_service(
            owner=people["manager"],
            name="CRM",
            scopes_wanted=["runs:write"],
            days=1,
            by=people["manager"],
            door="test",
        )


def test_nobody_rotates_or_revokes_somebody_elses_token(made, people):
    token, text = made
    with pytest.raises(NotAuthorised):
        tokens.revoke(token_id=token.pk, by=people["manager"], door="test")
    with pytest.raises(NotAuthorised):
        tokens.rotate(token_id=token.pk, overlap=timedelta(0), days=1, by=people["manager"], door="test")
    assert reads(text).status_code == 200


def test_making_rotating_and_revoking_stand_in_the_trail(made, people):
    token, _ = made
    tokens.rotate(token_id=token.pk, overlap=timedelta(0), days=1, by=people["operator"], door="test")
    tokens.revoke(token_id=token.pk, reason="Lost.", by=people["operator"], door="test")
    events = AuditEvent.objects.filter(kind="api_token").order_by("sequence")
    assert [event.word for event in events] == ["token.made", "token.rotated", "token.revoked"]
    assert events[2].sentence == f"operator revoked the API token test ({token.prefix}) of operator"
    assert events[2].reason == "Lost."


def test_the_commands_make_rotate_and_revoke(people):
    out, err = StringIO(), StringIO()
    call_command("create_token", "CRM", owner="operator", scopes=["customers:read"], stdout=out, stderr=err)
    text = out.getvalue().strip()
    assert reads(text).status_code == 200
    assert text not in err.getvalue()
    prefix, out = text.split("_")[1], StringIO()
    call_command("rotate_token", prefix, overlap=0, stdout=out, stderr=err)
    assert reads(out.getvalue().strip()).status_code == 200
    problem(reads(text), 401, "token-not-valid")
    call_command("revoke_token", prefix, stdout=StringIO())
    problem(reads(out.getvalue().strip()), 401, "token-not-valid")


def test_the_command_makes_a_personal_token_by_the_password(people, monkeypatch):
    def make(password: str) -> str:
        out = StringIO()
        monkeypatch.setattr("sys.stdin", StringIO(password + "\n"))
        arguments = {"owner": "approver", "scopes": ["approvals:decide"], "personal": True}
        call_command("create_token", "mine", stdout=out, stderr=StringIO(), **arguments)
        return out.getvalue().strip()

    with pytest.raises(CommandError):
        make("wrong")
    assert make(PASSWORD)
    assert ApiToken.objects.get().is_personal


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("create_token", {"owner": "nobody", "scopes": ["customers:read"]}),
        ("create_token", {"owner": "operator", "scopes": ["nonsense"]}),
    ],
)
def test_a_command_that_is_refused_says_why(people, name, arguments):
    with pytest.raises(CommandError):
        call_command(name, "CRM", **arguments)


@pytest.fixture
def within_a_minute(monkeypatch):
    """The minute in which requests are counted does not end in the middle of a test."""
    monkeypatch.setattr("approvals.api.throttling.time", SimpleNamespace(time=lambda: 1_800_000_000.0))


@pytest.mark.usefixtures("within_a_minute")
def test_so_many_requests_a_minute_and_then_429(made, settings):
    settings.API_REQUESTS_PER_MINUTE = 3
    answers = [reads(made[1]) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert [answer["RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0"]
    problem(answers[3], 429, "throttled")
    assert 0 < int(answers[3]["Retry-After"]) <= 60
    assert answers[3]["RateLimit-Limit"] == "3"
    assert answers[0]["RateLimit-Policy"] == "3;w=60"


def test_counts_made_at_the_same_moment_are_all_kept():
    cache.add("counted", 0, timeout=60)
    together(*(lambda: [cache.incr("counted") for _ in range(50)] for _ in range(8)))
    assert cache.get("counted") == 400


def test_counting_does_not_put_off_the_end_of_a_count():
    cache.set("counted", 1, timeout=0.2)
    cache.incr("counted")
    time.sleep(0.25)
    with pytest.raises(ValueError, match="not found"):
        cache.incr("counted")


@pytest.mark.usefixtures("within_a_minute")
def test_each_token_has_requests_of_its_own(made, people, settings):
    settings.API_REQUESTS_PER_MINUTE = 1
    assert reads(made[1]).status_code == 200
    assert reads(made[1]).status_code == 429
    assert reads(token_of(people["operator"], "customers:read")[1]).status_code == 200


@pytest.mark.usefixtures("within_a_minute")
def test_what_is_refused_counts_too(people, settings):
    settings.API_REQUESTS_PER_MINUTE = 1
    caller = Caller(token_of(people["operator"], "signals:read")[1])
    assert [caller.get("customers").status_code for _ in range(2)] == [403, 429]


@pytest.mark.usefixtures("within_a_minute")
def test_whoever_does_not_say_who_they_are_is_counted_by_their_address(made, settings):
    settings.API_UNKNOWN_REQUESTS_PER_MINUTE = 3
    there = {"REMOTE_ADDR": "192.0.2.7"}
    client = Client(**there)
    wrong = {"headers": {"Authorization": f"Bearer {made[1]}x"}}
    paths = (("customers", {}), ("customers", wrong), ("schema", {}), ("docs", {}), ("customers", wrong))
    answers = [client.get(f"/api/v1/{path}", **more) for path, more in paths]
    assert [answer.status_code for answer in answers] == [401, 401, 200, 429, 429]
    assert [answer["RateLimit-Remaining"] for answer in answers] == ["2", "1", "0", "0", "0"]
    assert answers[0]["RateLimit-Policy"] == "3;w=60"
    for answer in answers[3:]:
        problem(answer, 429, "throttled")
        assert 0 < int(answer["Retry-After"]) <= 60
    # From the same address a token that is valid has its own.
    assert client.get("/api/v1/customers", headers={"Authorization": f"Bearer {made[1]}"}).status_code == 200
    assert Client(REMOTE_ADDR="192.0.2.8").get("/api/v1/customers").status_code == 401


@pytest.mark.usefixtures("within_a_minute")
def test_no_header_makes_an_address_another(settings):
    settings.API_UNKNOWN_REQUESTS_PER_MINUTE = 1
    client = Client(REMOTE_ADDR="192.0.2.9")
    answers = [client.get("/api/v1/docs", headers={"X-Forwarded-For": f"198.51.100.{n}"}) for n in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]


def test_addresses_without_number_do_not_fill_the_cache(settings):
    there = len(list(settings.CACHES["default"]["LOCATION"].glob("*")))
    for number in range(600):
        Client(REMOTE_ADDR=f"2001:db8::{number:x}").get("/api/v1/customers")
    assert 0 < len(list(settings.CACHES["default"]["LOCATION"].glob("*"))) - there <= 256


# ---- on the pages


TOKENS = "/admin/approvals/apitoken/"


def test_a_person_makes_their_own_token_on_the_pages_and_sees_it_once(people):
    client = client_of(people["approver"])
    form = {"name": "Mine", "scopes": ["approvals:read", "approvals:decide"], "days": "30"}
    refused = client.post(f"{TOKENS}make-own/", form | {"password": "wrong"})
    assert "missing or wrong" in refused.content.decode()
    assert not ApiToken.objects.exists()
    answer = client.post(f"{TOKENS}make-own/", form | {"password": PASSWORD})
    text = re.search(r"cjo_\w{12}_[\w-]{43}", answer.content.decode()).group()
    assert "no-store" in answer["Cache-Control"]
    check_html(answer.content.decode())
    assert Caller(text).get("approval-requests").status_code == 200
    token = ApiToken.objects.get()
    assert (token.is_personal, token.owner) == (True, people["approver"])
    for page in (TOKENS, f"{TOKENS}{token.pk}/change/"):
        shown = client.get(page).content.decode()
        assert token.prefix in shown
        assert text not in shown
        check_html(shown)


def test_a_superuser_makes_a_services_token_and_rotates_and_revokes_it_on_the_pages(people):
    client = client_of(get_user_model().objects.create_superuser("root"))
    form = {"name": "CRM", "owner": "operator", "scopes": ["customers:read"], "days": "30"}
    answer = client.post(f"{TOKENS}make-for-service/", form)
    text = re.search(r"cjo_\w{12}_[\w-]{43}", answer.content.decode()).group()
    token = ApiToken.objects.get()
    assert not token.is_personal
    answer = client.post(f"{TOKENS}{token.pk}/rotate/", {"days": "30", "overlap": "24"})
    assert re.search(r"cjo_\w{12}_[\w-]{43}", answer.content.decode()).group() != text
    assert reads(text).status_code == 200
    client.post(f"{TOKENS}{token.pk}/revoke/", {"reason": "Lost."})
    problem(reads(text), 401, "token-not-valid")


def test_nobody_sees_somebody_elses_tokens_without_the_permission(made, people):
    token, _ = made
    assert token.prefix not in client_of(people["approver"]).get(TOKENS).content.decode()
    assert token.prefix in client_of(people["auditor"]).get(TOKENS).content.decode()
