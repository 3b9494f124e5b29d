"""What a report says has moved since last time."""

import json

import pytest

from journeys import reports
from journeys.models import Assessment, Customer
from tests.by_hand import a_customer, an_assessment, run_row

pytestmark = pytest.mark.django_db


def test_what_moved_is_told_against_each_customers_own_assessment_before():
    first, between, last = run_row(), run_row(scope="marked"), run_row()
    risen, calmed, same, jumped = (
        a_customer(name=name, account_value=value)
        for name, value in (("Risen", 10), ("Calmed", 20), ("Same", 30), ("Jumped", 40))
    )
    an_assessment(first, customer=risen, tier="low")
    an_assessment(first, customer=calmed, tier="high")
    an_assessment(first, customer=same, tier="medium")
    an_assessment(first, customer=jumped, tier="high", journey_stage="retention")
    # What was looked at in between has moved since: it counts against that.
    an_assessment(between, customer=jumped, tier="low", journey_stage="retention")
    an_assessment(last, customer=risen, tier="medium", score=0.4)
    an_assessment(last, customer=calmed, tier="low", score=0.1)
    an_assessment(last, customer=jumped, tier="high", score=0.8, journey_stage="support")
    newcomer = an_assessment(last, tier="medium").customer
    moved = reports.build(last)["movement"]
    assert (moved["compared"], moved["first"], moved["worse"], moved["better"]) == (3, 1, 2, 1)
    assert moved["tiers"] == [
        {"before": "low", "after": "medium", "count": 1},
        {"before": "low", "after": "high", "count": 1},
        {"before": "high", "after": "low", "count": 1},
    ]
    assert moved["stages"] == [{"before": "retention", "after": "support", "count": 1}]
    # The largest first, and an unknown value last.
    named = [row["customer_id"] for row in moved["new_at_risk"]["rows"]]
    assert named == [jumped.pk, risen.pk, newcomer.pk]
    assert moved["new_at_risk"]["total"] == 3
    assert [row["name"] for row in moved["no_longer_at_risk"]["rows"]] == ["Calmed"]


def test_movement_is_the_same_whether_or_not_a_run_writes_down_who_has_not_moved():
    def moved(*, sparse: bool) -> dict:
        Assessment.objects.all().delete()
        before, now = run_row(), run_row()
        for number, (old, new) in enumerate([("low", "high"), ("medium", "medium"), ("high", "low")]):
            customer, _ = Customer.objects.get_or_create(customer_id=f"Z{number}")
            an_assessment(before, customer=customer, tier=old)
            if old != new or not sparse:
                an_assessment(now, customer=customer, tier=new)
        return reports.build(now)["movement"]

    dense, sparse = moved(sparse=False), moved(sparse=True)
    assert dense.pop("compared") == sparse.pop("compared") + 1
    assert dense == sparse


def test_what_moved_stands_in_every_form_of_the_report():
    first, last = run_row(), run_row()
    for number in range(12):
        customer = a_customer(name=f"Kestrel {number}", account_value=number)
        an_assessment(first, customer=customer, tier="low")
        an_assessment(last, customer=customer, tier="high", score=0.9)
    report = reports.build(last)
    for text in (reports.render_markdown(report), str(reports.render_html(report))):
        assert "What moved since last time" in text
        assert "New at risk: 12 customers" in text
        assert "and 2 more customers" in text
        assert "No longer at risk: nobody" in text
    assert json.loads(reports.render_json(report))["movement"]["new_at_risk"]["total"] == 12


def test_of_the_first_run_nothing_is_said_to_have_moved(sample_run):
    assert sample_run.report["movement"]["new_at_risk"] == {"total": 0, "rows": [], "more": 0}
    assert "had been assessed before" in reports.render_markdown(sample_run.report)
