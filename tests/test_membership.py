"""Groups carry authority: who is in one changes when a second person confirms it."""

import pytest

from approvals import rules, services
from approvals.models import ApprovalRequest
from approvals.rules import Verdict
from approvals.services.membership import propose_membership
from tests.desk import client_of, decide_at, page_of

pytestmark = pytest.mark.django_db


def ask(people, user_name="operator", group="Managers", *, by="operator", member=True) -> ApprovalRequest:
    return propose_membership(
        user_name=user_name, group=group, member=member, user=people[by], reason="She leads now.", door="test"
    )


def decide(request, user):
    return services.decide(
        request_id=request.pk,
        verdict=Verdict.APPROVED,
        fingerprint=request.fingerprint,
        user=user,
        door="test",
    )


def groups(user) -> set[str]:
    return set(user.groups.values_list("name", flat=True))


def test_nothing_changes_before_a_second_person_confirms(people):
    request = ask(people)
    assert groups(people["operator"]) == {"Operators"}
    decide(request, people["manager"])
    assert groups(people["operator"]) == {"Operators", "Managers"}


def test_nobody_confirms_what_gives_themselves_authority(people):
    request = ask(people, "manager", "Approvers")
    with pytest.raises(rules.NotAuthorised, match="yourself"):
        decide(request, people["manager"])
    assert groups(people["manager"]) == {"Managers"}


def test_those_who_ask_do_not_confirm(people):
    request = ask(people, "approver", "Managers", by="manager")
    with pytest.raises(rules.OwnRequest):
        decide(request, people["manager"])


@pytest.mark.parametrize(
    ("wish", "named"),
    [
        ({"user_name": "nobody"}, "nobody"),
        ({"group": "Kings"}, "Kings"),
        ({"group": "Operators"}, "in Operators already"),
        ({"group": "Auditors", "member": False}, "not in Auditors already"),
    ],
)
def test_what_cannot_be_is_named(people, wish, named):
    with pytest.raises(rules.Refusal, match=named):
        ask(people, **wish)


def test_without_permission_nobody_asks(people):
    with pytest.raises(rules.NotAuthorised):
        ask(people, by="auditor")


def test_it_can_be_asked_for_and_confirmed_in_the_admin(people):
    data = {"user_name": "approver", "group": "Managers", "member": "1", "reason": "She leads now."}
    client_of(people["operator"]).post("/admin/approvals/authoritylimit/propose-membership/", data)
    request = ApprovalRequest.objects.get(kind="group_membership")
    assert "comes into" in client_of(people["manager"]).get(page_of(request)).content.decode()
    form = {"verdict": "approved", "reason": "", "fingerprint": request.fingerprint}
    client_of(people["manager"]).post(decide_at(request), form)
    assert "Managers" in groups(people["approver"])


def test_the_form_of_an_account_gives_no_authority(people, django_user_model):
    root = django_user_model.objects.create_superuser("root", password="a-long-password")
    client = client_of(root)
    address = f"/admin/auth/user/{people['operator'].pk}/change/"
    html = client.get(address).content.decode()
    assert 'name="groups"' not in html
    assert 'name="is_superuser"' not in html
    form = {"username": "operator", "is_active": "on", "is_staff": "on", "groups": "1", "is_superuser": "on"}
    client.post(address, form)
    people["operator"].refresh_from_db()
    assert groups(people["operator"]) == {"Operators"}
    assert not people["operator"].is_superuser
    assert client.get("/admin/auth/group/add/").status_code == 403
