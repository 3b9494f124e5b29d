"""What the pages say: words that a person reads and can act on, and none that only a developer knows."""

import re
from html import unescape

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.test import Client
from django.utils import timezone

from approvals import services
from approvals.models import AuditEvent, Decision, Delegation
from journeys.models import Execution, Outcome
from journeys.services import execution, switches
from tests.acting import approve
from tests.desk import check_html, client_of
from tests.forms import acts
from tests.urls import addresses

pytestmark = pytest.mark.django_db

# What the page is not written in: code, data as it was received, lists to choose from, and hidden fields.
NOT_WORDS = re.compile(r"<(script|style|code|pre|option|textarea)\b.*?</\1>|<!--.*?-->", re.S)
OF_DEVELOPERS = re.compile(r"\b(None|True|False|NULL|NaN|pk|queryset|[a-z]+_[a-z_]+)\b")
# Commands and settings are named as they are typed; the pipeline has the name that was published.
TYPED = re.compile(r"manage\.py \w+|[A-Z]+_[A-Z_]+|journey_orchestrator")


def words_of(html: str) -> str:
    html = NOT_WORDS.sub(" ", html)
    return " ".join(TYPED.sub(" ", unescape(re.sub(r"<[^>]+>", " ", html))).split())


@pytest.fixture
def mighty(people):
    user = get_user_model().objects.create_superuser("mighty", password="a-long-password")
    user.groups.set(Group.objects.all())
    return user


@pytest.fixture
def all_sorts(people, sample_run, live):
    execution.execute(intervention_id=approve("C005", people["approver"]).pk)
    call_command("loaddata", "sample_history", verbosity=0)
    switches.set_mode(
        scope="all", mode="record_only", user=people["operator"], reason="For now.", door="test"
    )
    now = timezone.now()
    Delegation.objects.create(
        delegator=people["manager"],
        delegate=people["approver"],
        starts_at=now,
        ends_at=now.replace(year=2099),
    )


def our_paths() -> list[str]:
    """Every page of ours, with up to three rows each; Django's own pages speak for themselves."""
    found = []
    for address in addresses():
        model = address.model()
        if address.name in acts() or not address.route.startswith(("admin/approvals/", "admin/journeys/")):
            continue
        keys = model.objects.order_by("pk").values_list("pk", flat=True)[:3] if model else []
        found += [address.at(key) for key in keys] if address.parameters else [address.at("")]
    return found


def test_no_page_speaks_as_developers_do(all_sorts, mighty):
    client = client_of(mighty)
    found = {}
    for path in ["/admin/", *our_paths()]:
        page = client.get(path)
        if page.streaming or page.status_code != 200:
            continue
        main = page.content.decode().split("<main", 1)[-1]
        if spoken := sorted({match[0] for match in OF_DEVELOPERS.finditer(words_of(main))}):
            found[path] = spoken
    assert found == {}


def test_every_list_says_something_where_it_is_empty(people):
    reader = client_of(people["auditor"])
    for address in addresses():
        if not address.name.endswith("_changelist") or "/auth/" in address.route:
            continue
        html = reader.get(address.at("")).content.decode()
        if '<div class="card empty">' in html:
            text = words_of(html.split('<div class="card empty">')[1].split("</div>")[0])
            assert len(text) > 20, address.name
            assert "Nothing here yet" not in text


def facts(user, model: str, key) -> str:
    app = "approvals" if model in ("decision", "delegation", "authoritylimit") else "journeys"
    page = client_of(user).get(f"/admin/{app}/{model}/{key}/change/")
    assert page.status_code == 200
    check_html(page.content.decode())
    return words_of(page.content.decode().split("<main", 1)[1])


def test_a_decision_is_told_with_what_who_and_why(all_sorts, people):
    row = Decision.objects.filter(authority="person").first()
    text = facts(people["auditor"], "decision", row.pk)
    assert f"Approved: {row.request.title}" in text
    assert "By approver" in text
    assert "Ended the request yes" in text


def test_an_execution_is_told_in_words_and_times_with_their_zone(all_sorts, people):
    text = facts(people["operator"], "execution", Execution.objects.get().pk)
    assert "How far Live Status With the owner" in text
    assert re.search(r"Begun just now \w{3} \d+ \w{3} \d{4}, \d\d:\d\d UTC", text)


def test_what_an_outcome_saved_is_in_the_accounts_currency(all_sorts, people):
    row = Outcome.objects.filter(estimated_revenue_saved__isnull=False).first()
    row.intervention.customer.currency = "EUR"
    row.intervention.customer.save(update_fields=["currency"])
    text = facts(people["operator"], "outcome", row.pk)
    assert f"Saved €{row.estimated_revenue_saved:,.0f}" in text


def test_a_limit_names_what_it_is_for_as_people_call_it(people):
    limit = people["approver"].groups.get().authority_limits.get()
    limit.actions, limit.tiers = ["usage_review_checkin"], ["high"]
    limit.save()
    assert "Of what High; Usage review check-in" in facts(people["manager"], "authoritylimit", limit.pk)


def test_the_trail_is_found_by_the_name_of_an_account(people):
    services.choose_time_zone(user=people["operator"], name="UTC")
    switches.stop(scope="all", user=people["operator"], reason="Smoke.", door="test")
    listed = client_of(people["auditor"]).get("/admin/approvals/auditevent/", {"q": "operator"})
    rows = listed.context["cl"].result_list
    assert "switch.changed" in [row.word for row in rows]
    mine = f"user:{people['operator'].pk}"
    assert all(mine in (row.actor_key, row.concerning) for row in rows)


def test_whoever_a_review_was_handed_to_is_told_by_name(waits, people):
    services.claim(request_id=waits.pk, user=people["approver"], door="test")
    services.hand_on(request_id=waits.pk, user=people["approver"], to=people["manager"], door="test")
    event = AuditEvent.objects.get(word="request.handed_on")
    assert event.sentence == f"approver handed {waits.title} on to manager"
    assert (event.before, event.after) == (f"user:{people['approver'].pk}", f"user:{people['manager'].pk}")
    html = client_of(people["auditor"]).get(f"/admin/approvals/auditevent/{event.pk}/change/")
    assert "approver → manager" in html.content.decode()


# ---- where there is no page


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/admin/journeys/customer/", 403, "Nothing was done. If you need it for your work, ask"),
        ("/no-such-page/", 404, "There is no such page"),
    ],
)
def test_a_page_that_cannot_be_shown_says_what_to_do(path, status, said):
    nobody = get_user_model().objects.create_user("nobody", password="a-long-password", is_staff=True)
    page = client_of(nobody).get(path)
    assert page.status_code == status
    html = page.content.decode()
    check_html(html)
    assert said in html
    assert 'href="/admin/"' in html


def test_an_error_says_what_to_do_and_nothing_of_what_it_was(people, monkeypatch):
    def breaks(*arguments):
        raise RuntimeError("a secret of the innards")

    monkeypatch.setattr("cjo_site.admin.front_page", breaks)
    client = Client(raise_request_exception=False)
    client.force_login(people["operator"])
    page = client.get("/admin/")
    assert page.status_code == 500
    html = page.content.decode()
    check_html(html)
    assert "Look at the page again before you repeat it" in html
    assert "secret" not in html
