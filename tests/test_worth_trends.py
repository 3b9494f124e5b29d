"""How the figures moved, and the churn score beside what happened: drawn only where it is known."""

import json

import pytest

from journeys import reports
from journeys.reports.worth.charts import spark
from tests.by_hand import AS_OF, a_customer, days, run_row
from tests.worth import kpi, results_of

pytestmark = pytest.mark.django_db


def test_a_figure_says_how_it_stood_in_the_last_run_and_a_month_before():
    def stored(value, as_of, **more):
        kept = {"kpis": [{"name": "proactive_share", "currency": "", "value": value}]}
        return run_row(as_of=as_of, results=kept, **more)

    stored(0.1, AS_OF - days(45))
    stored(0.2, AS_OF - days(31))
    stored(0.3, AS_OF - days(29))
    stored(0.4, AS_OF - days(1))
    stored(0.5, AS_OF - days(1), status="failed")
    stored(0.6, AS_OF - days(1), scope="customer", customer=a_customer())
    row = kpi(results_of(run_row()), "proactive_share")
    assert (row["last_run"], row["month_ago"]) == (0.4, 0.2)
    assert [value for _, value in row["past"]] == [0.3, 0.4, row["value"]]
    assert [day for day, _ in row["past"]] == [(AS_OF - days(back)).isoformat() for back in (29, 1, 0)]


def test_a_trend_is_drawn_where_two_days_are_known_and_broken_where_one_is_not():
    def drawn(*values):
        return spark([(AS_OF + days(number), value) for number, value in enumerate(values)])

    assert drawn() == drawn(0.5) == drawn(None, 0.5) == ()
    assert drawn(1.0, 3.0) == ("1,18.0 99,2.0",)
    assert drawn(2.0, 2.0) == ("1,10.0 99,10.0",)
    assert len(drawn(1.0, 2.0, None, 2.0, 1.0)) == 2


def test_the_report_draws_trends_and_calibration_only_of_what_is_known(lived):
    page = reports.render_html(lived.report)
    trends = [row for row in lived.results["kpis"] if len([v for _, v in row["past"] if v is not None]) > 1]
    assert page.count('class="spark"') == len(trends)
    bands = lived.results["learning"]["calibration"]["bands"]
    enough = any(band["off"] is not None for band in bands)
    assert ("report-chart-calibration" in page) == enough
    for band in bands:
        assert f'<td>{band["band"]}<td class="n">{band["count"]} of {band["of"]}' in page
    unknown = json.loads(json.dumps(lived.report))
    unknown["worth"]["learning"]["calibration"]["bands"] = []
    assert "Whether the churn score says what happens is not known" in reports.render_html(unknown)


def test_a_calibrated_band_has_a_column_and_one_with_too_few_has_none(lived):
    report = json.loads(json.dumps(lived.report))
    report["worth"]["learning"]["calibration"] = {
        "of": "2025-01-01",
        "days": 30,
        "bands": [
            {"band": ".2–.3", "count": 12, "of": 48, "value": 0.25, "expected": 0.25, "off": False},
            {"band": ".6–.7", "count": 1, "of": 3, "value": 1 / 3, "expected": 0.65, "off": None},
        ],
    }
    page = reports.render_html(report)
    chart = page[page.index('id="report-chart-calibration-title"') :].split("</svg>")[0]
    assert ".2–.3" in chart
    assert ".6–.7" not in chart
    assert "12 of 48<td>as it says" in page
    assert "1 of 3<td>too few to say" in page
