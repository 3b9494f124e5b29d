"""What browsers do: a form sent twice, a page that has grown stale, addresses that are only looked at. None
of it decides anything."""

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from django_q.models import OrmQ

from approvals import services
from approvals.models import ApprovalRequest, AuditDetail, AuditEvent, AuditHead
from approvals.rules import Status, Verdict
from journeys.services import execution, switches
from tests.acting import approve
from tests.forms import acts, form
from tests.trials.portfolio import OF_TWO, PASSWORD, waiting, without_grace
from tests.urls import addresses

pytestmark = pytest.mark.django_db

# Looking at the evidence is on record, and changes nothing else.
LOOKING = "request.viewed"


def everything() -> dict[str, list]:
    """All rows of ours, of the accounts and of the queue; when somebody last logged in is left out."""
    ours = (apps.get_app_config(app) for app in ("approvals", "journeys", "auth"))
    models = [OrmQ, *(model for app in ours for model in app.get_models())]
    rows = {}
    for model in models:
        if model not in (AuditEvent, AuditDetail, AuditHead):
            names = [field.name for field in model._meta.fields if field.name != "last_login"]
            rows[model._meta.label] = list(model.objects.order_by("pk").values_list(*names))
    events = AuditEvent.objects.exclude(word=LOOKING).order_by("pk")
    return rows | {"events": list(events.values_list("pk", flat=True))}


def window(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


def send(client: Client, request: ApprovalRequest, fields: dict):
    return client.post(reverse("admin:approvals_approvalrequest_decide", args=[request.pk]), fields)


@pytest.fixture
def of_two(people) -> ApprovalRequest:
    without_grace()
    [request] = waiting(1, value=OF_TWO)
    assert request.people_needed == 2
    return request


def test_a_form_sent_twice_on_a_request_for_two_counts_once(people, of_two):
    first, second = window(people["manager"]), window(people["manager"])
    fields = form(of_two)
    assert send(first, of_two, fields).status_code == 302
    before = everything()
    for again in (first, second):
        assert "approved this already" in send(again, of_two, fields).content.decode()
    assert everything() == before
    of_two.refresh_from_db()
    assert (of_two.status, of_two.approvals_given) == (Status.PENDING, 1)
    assert send(window(people["manager2"]), of_two, fields).status_code == 302
    of_two.refresh_from_db()
    assert (of_two.status, of_two.approvals_given) == (Status.APPROVED, 2)


def test_a_form_sent_twice_on_a_request_for_one_counts_once(people, sample_run):
    request = ApprovalRequest.objects.get(concerning="C004")
    first, second = window(people["approver"]), window(people["approver"])
    assert send(first, request, form(request)).status_code == 302
    before = everything()
    for again in (first, second):
        assert send(again, request, form(request)).status_code == 200
        assert send(again, request, form(request, Verdict.REJECTED)).status_code == 200
    assert everything() == before


@pytest.mark.parametrize("verdict", list(Verdict))
def test_a_page_from_before_a_change_decides_nothing(people, sample_run, verdict):
    request = ApprovalRequest.objects.get(concerning="C004")
    seen = form(request, verdict)
    services.change(
        request_id=request.pk,
        fingerprint=request.fingerprint,
        changes={"body": "Other words."},
        user=people["manager"],
        door="test",
    )
    before = everything()
    page = send(window(people["approver"]), request, seen)
    assert page.status_code == 200
    assert "has changed since you opened it" in page.content.decode()
    assert everything() == before


# ---- looking


@pytest.fixture
def mighty(people):
    """In every group, and superuser: whatever an address can do, it does for them."""
    user = get_user_model().objects.create_superuser("mighty", password=PASSWORD)
    user.groups.set(Group.objects.all())
    return user


@pytest.fixture
def all_sorts(people, sample_run, live):
    """A row of every kind, in every state in which something can be done with it."""
    execution.execute(intervention_id=approve("C005", people["approver"]).pk)
    call_command("loaddata", "sample_history", verbosity=0)
    switches.set_mode(
        scope="all", mode="record_only", user=people["operator"], reason="For now.", door="test"
    )
    switches.set_mode(scope="all", mode="live", user=people["manager"], reason="Again.", door="test")
    return everything()


def every_path() -> list[tuple[str, str]]:
    """The name and the path of each address, with each row that there is for it, up to six."""
    found = []
    for address in addresses():
        model = address.model()
        keys = list(model.objects.order_by("pk").values_list("pk", flat=True)[:6]) if model else []
        if not address.parameters:
            found.append((address.name, address.at("")))
        else:
            found += [(address.name, address.at(key)) for key in keys or ["1"]]
    return found


@pytest.mark.parametrize("method", ["get", "head"])
def test_looking_at_any_address_moves_nothing(all_sorts, mighty, method):
    client = window(mighty)
    before = everything()
    paths = every_path()
    for name, path in paths:
        if name == "admin:logout":
            continue
        page = getattr(client, method)(path)
        if page.streaming:
            assert b"".join(page.streaming_content) or method == "head"
        assert page.status_code != 500, path
        assert (page.status_code == 405) == (name in acts()), path
    assert everything() == before
    assert acts() <= {name for name, _ in paths}


def test_logging_out_takes_a_form_too(mighty):
    client = window(mighty)
    assert client.get(reverse("admin:logout")).status_code == 405
    assert client.get(reverse("admin:index")).status_code == 200
