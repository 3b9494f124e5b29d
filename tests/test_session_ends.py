"""A session that ends while somebody types: they come back to the page, and nothing is recorded meanwhile.
That the text is there again is the browser's doing: tests/browser/test_request_page.py."""

import pytest
from django.test import Client

from tests.acting import PASSWORD
from tests.desk import QUEUE, check_html, client_of, decide_at, on_record, page_of

pytestmark = pytest.mark.django_db


def decision(request) -> dict:
    return {"verdict": "rejected", "category": "other", "reason": "So.", "fingerprint": request.fingerprint}


def test_who_is_logged_out_by_now_logs_in_and_is_back_on_the_page(waits, people):
    client, before = Client(), on_record()
    response = client.post(decide_at(waits), decision(waits))
    assert response.url == f"/admin/login/?next={page_of(waits)}"
    html = client.get(response.url).content.decode()
    assert "Your session had ended, so nothing was recorded." in html
    assert "What you had typed is kept in this tab" in html
    check_html(html)
    back = client.post(response.url, {"username": "approver", "password": PASSWORD, "next": page_of(waits)})
    assert back.url == page_of(waits)
    assert on_record() == before
    assert client.get(back.url).status_code == 200


def test_an_act_of_a_list_leads_back_to_the_list(waits, people):
    response = Client().post(f"{QUEUE}decide-several/", {"verdict": "rejected"})
    assert response.url == f"/admin/login/?next={QUEUE}"


def test_an_id_with_a_slash_leads_back_to_its_own_page(people):
    response = Client().post("/admin/journeys/customer/a_2Fb/wish/", {})
    assert response.url == "/admin/login/?next=/admin/journeys/customer/a_2Fb/change/"


@pytest.mark.parametrize("method", ["get", "head", "post"])
def test_an_act_is_never_where_somebody_is_led_after_the_login(waits, people, method):
    response = getattr(Client(), method)(decide_at(waits))
    assert response.url == f"/admin/login/?next={page_of(waits)}"


def test_who_is_logged_in_and_no_staff_is_not_told_that_a_session_ended(waits, people):
    people["approver"].is_staff = False
    people["approver"].save()
    client, before = client_of(people["approver"]), on_record()
    html = client.post(decide_at(waits), decision(waits), follow=True).content.decode()
    assert "not authorized to" in html
    assert "Your session had ended" not in html
    assert on_record() == before


def test_a_form_from_before_the_login_leads_back_to_its_page(waits, people):
    """Whoever logs in anew, perhaps in another tab, has another token."""
    client = Client(enforce_csrf_checks=True)
    client.force_login(people["approver"])
    client.get(page_of(waits))
    before = on_record()
    response = client.post(decide_at(waits), decision(waits) | {"csrfmiddlewaretoken": "x" * 64})
    html = response.content.decode()
    assert response.status_code == 403
    assert "This page was out of date" in html
    assert f'href="{page_of(waits)}"' in html
    assert "Content-Security-Policy" in response.headers
    check_html(html)
    assert on_record() == before


def test_a_login_from_an_old_page_leads_back_to_the_login(people):
    address = "/admin/login/?next=/admin/approvals/approvalrequest/"
    html = Client(enforce_csrf_checks=True).post(address, {"username": "approver"}).content.decode()
    assert 'href="/admin/login/?next=/admin/approvals/approvalrequest/"' in html


def test_an_address_that_nobody_has_is_no_way_back_to_elsewhere(people):
    response = Client(enforce_csrf_checks=True).post("//elsewhere.example/", {"a": "b"})
    assert 'href="//' not in response.content.decode()
