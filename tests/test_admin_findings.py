"""The pages of the findings: how many of which kind, how each is mended, and linking an orphan."""

import pytest

from journeys.admin.findings import HOW_TO_MEND
from journeys.domain.vocabulary import FindingKind
from journeys.models import Finding, Signal
from journeys.services.findings import NewFinding, note
from tests.desk import check_html, client_of

pytestmark = pytest.mark.django_db

LIST = "/admin/journeys/finding/"


def finding() -> Finding:
    return Finding.objects.get(kind="orphan_signal")


def link_of(row) -> str:
    return f"/admin/journeys/{row._meta.model_name}/{row.pk}/link/"


def page_of(row) -> str:
    return f"/admin/journeys/{row._meta.model_name}/{row.pk}/change/"


FORM = {"customer_id": "C003", "note": "Their old id."}


@pytest.mark.parametrize("who", ["approver", "manager", "auditor"])
def test_who_may_not_link_is_not_offered_it_and_is_refused(sample_run, people, who):
    client = client_of(people[who])
    for row in (finding(), Signal.objects.get(pk="S009")):
        assert 'id="link"' not in client.get(page_of(row)).content.decode()
        assert client.post(link_of(row), FORM).status_code == 403
    assert Signal.objects.get(pk="S009").customer_id == "C999"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"customer_id": "C777"}, "There is no customer C777"),
        ({"customer_id": ""}, "This field is required"),
        ({"note": ""}, "This field is required"),
    ],
)
def test_what_is_refused_is_said_and_what_was_typed_is_kept(sample_run, people, change, said):
    response = client_of(people["operator"]).post(link_of(finding()), FORM | change)
    html = response.content.decode()
    assert response.status_code == 200
    assert said in html
    assert (FORM | change)["note"] in html
    check_html(html)


def test_a_finding_of_another_kind_links_nothing(sample_run, people):
    note([NewFinding(FindingKind.MISSING_STATE, "C003", "No open journey state.")])
    other = Finding.objects.get(kind="missing_state")
    client = client_of(people["operator"])
    assert 'id="link"' not in client.get(page_of(other)).content.decode()
    assert "There is no signal C003" in client.post(link_of(other), FORM).content.decode()


def test_an_orphan_is_linked_on_the_page_of_its_finding(sample_run, people):
    client = client_of(people["operator"])
    assert 'id="link"' in client.get(page_of(finding())).content.decode()
    html = client.post(link_of(finding()), FORM, follow=True).content.decode()
    assert "S009 counts for" in html
    assert "Linked to C003: Their old id." in html
    assert 'id="link"' not in html
    again = client.post(link_of(finding()), FORM | {"customer_id": "C004"}).content.decode()
    assert "S009 belongs to" in again


def test_an_orphan_is_linked_on_its_own_page_which_says_whom_it_came_for(sample_run, people):
    signal = Signal.objects.get(pk="S009")
    client = client_of(people["operator"])
    assert 'id="link"' in client.get(page_of(signal)).content.decode()
    html = client.post(link_of(signal), FORM, follow=True).content.decode()
    assert "Received for" in html
    assert "C999" in html
    assert 'id="link"' not in html


@pytest.mark.parametrize("kind", list(FindingKind))
def test_every_kind_of_finding_says_how_it_is_mended(sample_run, people, kind):
    note([NewFinding(kind, "about", "detail")])
    html = client_of(people["auditor"]).get(page_of(Finding.objects.get(subject="about"))).content.decode()
    assert "How to mend it" in html
    assert HOW_TO_MEND[kind][:20] in html


def test_the_list_begins_with_how_many_there_are_of_each_kind_each_a_link(sample_run, people):
    note([NewFinding(FindingKind.MISSING_STATE, f"X{n}", "No stage.") for n in range(3)])
    client = client_of(people["operator"])
    page = client.get(LIST)
    kinds = {link.label: link.count for link in page.context["kinds"]}
    assert kinds["No open journey state"] == 3
    assert kinds["Signal of an unknown customer"] == 1
    assert kinds["All kinds"] == sum(kinds.values()) / 2
    assert "Bad record" not in kinds
    link = next(link for link in page.context["kinds"] if link.label == "No open journey state")
    listed = client.get(LIST + link.query_string).context
    assert {row.kind for row in listed["cl"].result_list} == {"missing_state"}
    assert [link.label for link in listed["kinds"] if link.current] == ["No open journey state"]
    check_html(page.content.decode())


def test_the_kinds_are_counted_among_what_the_other_filters_leave(sample_run, people):
    client = client_of(people["operator"])
    assert client.get(LIST, {"run": sample_run.pk}).context["kinds"]
    elsewhere = client.get(LIST, {"run": sample_run.pk + 1})
    assert elsewhere.context["kinds"] == []
    assert client.get(LIST, {"run": "x"}).status_code == 200
    dismissed = client.get(LIST, {"status": "dismissed"})
    assert dismissed.context["kinds"] == []
