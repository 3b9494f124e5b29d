"""The page of a run: the plan as it goes, what became of everybody, and lists that stay short."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from approvals.services import actor_of
from journeys import pipeline
from journeys.models import Assessment, Customer, Heartbeat, JourneyState, PipelineRun, Signal
from journeys.pipeline import alone
from journeys.pipeline import steps as pipeline_steps
from tests.desk import check_html, client_of
from tests.runs import SAMPLE_DAY, planned_run, run_pipeline

pytestmark = pytest.mark.django_db


def page(run: PipelineRun) -> str:
    return f"/admin/journeys/pipelinerun/{run.pk}/change/"


def html_of(user, run: PipelineRun) -> str:
    html = client_of(user).get(page(run)).content.decode()
    check_html(html)
    return html


def text(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def portfolio(number: int, prefix: str = "N") -> None:
    """So many customers: of three one is well, one in trouble, and one in trouble and not to be contacted."""
    ids = [f"{prefix}{n:05}" for n in range(number)]
    Customer.objects.bulk_create(
        Customer(customer_id=key, segment="SMB", account_value=100, do_not_contact=n % 3 == 1)
        for n, key in enumerate(ids)
    )
    JourneyState.objects.bulk_create(
        JourneyState(
            customer_id=key, journey_stage="support", state_entered_at=SAMPLE_DAY - timedelta(days=90)
        )
        for key in ids
    )
    Signal.objects.bulk_create(
        Signal(
            signal_id=f"{kind}-{key}",
            customer_id=key,
            signal_type=kind,
            signal_strength=0.9,
            detected_at=f"{SAMPLE_DAY}T00:00Z",
        )
        for n, key in enumerate(ids)
        for kind in ("repeat_support_tickets", "negative_sentiment")
        if n % 3
    )


@pytest.fixture
def small_ranges(settings, monkeypatch):
    """Ranges of four customers, as if each took its second: the sample is three of them."""
    settings.RANGE_SIZE = 4
    monkeypatch.setattr(alone, "TELL_EVERY", timedelta(0))


# -- while it goes on


def test_a_run_leaves_every_second_how_far_it_is(sample, small_ranges):
    seen = []

    def look(customers: int) -> None:
        row = PipelineRun.objects.get()
        status = {step["name"]: step["status"] for step in row.steps}
        done = next(step["in"] for step in row.steps if step["name"] == "data_loading")
        seen.append((done, row.counts["expected"], status["data_loading"], status["human_escalation"]))

    pipeline.run(planned_run(), on_progress=look)
    assert seen == [
        (4, 10, "running", "running"),
        (8, 10, "running", "running"),
        (10, 10, "running", "running"),
    ]


def test_the_steps_over_the_whole_run_are_seen_running_one_after_the_other(sample, monkeypatch):
    seen = {}
    build = pipeline_steps.reports.build

    def watched(run):
        seen.update({step["name"]: step["status"] for step in PipelineRun.objects.get().steps})
        return build(run)

    monkeypatch.setattr(pipeline_steps.reports, "build", watched)
    run_pipeline()
    assert seen["human_escalation"] == "done"
    assert seen["summary_generation"] == "done"
    assert seen["report_generation"] == "running"


def test_a_run_under_way_shows_how_far_it_is_and_looks_again_by_itself(sample, people, small_ranges):
    pages = []

    def look(customers: int) -> None:
        pages.append(html_of(people["operator"], PipelineRun.objects.get()))

    pipeline.run(planned_run(), on_progress=look)
    first, second, *_ = pages
    assert "4 of 10 customers" in text(first)
    assert "8 of 10 customers" in text(second)
    assert '<progress max="10" value="4"' in first
    assert "data-live" in first
    assert "cjo/run.js" in first
    assert "Look again" in first
    assert "What became of" not in first
    over = html_of(people["operator"], PipelineRun.objects.get())
    assert "data-live" not in over
    assert "<progress" not in over
    assert "What became of the 10 customers" in over


def test_a_queued_run_says_what_it_waits_for(sample, people):
    run = pipeline.queue(planned_run())
    html = html_of(people["operator"], run)
    assert "data-live" in html
    assert "No worker has shown itself" in html
    Heartbeat.objects.create(name="worker", beat_at=timezone.now())
    html = html_of(people["operator"], run)
    assert "No worker has shown itself" not in html
    assert "A worker takes it in a moment" in html


def test_a_run_that_gives_no_sign_of_life_is_told_as_such(sample, people):
    run = planned_run()
    run.status, run.started_at = "running", timezone.now() - timedelta(hours=1)
    run.heartbeat_at = timezone.now() - timedelta(minutes=6)
    run.save()
    assert "no sign of life" in html_of(people["operator"], run)


def test_a_run_that_broke_says_where_how_far_and_what_stays(sample, people, small_ranges, monkeypatch):
    score_risk = pipeline.steps.cases.score_risk

    def breaks_later(case, rules):
        if case.customer.customer_id >= "C005":
            raise ValueError("A hole in the floor.")
        score_risk(case, rules)

    monkeypatch.setattr(pipeline.steps.cases, "score_risk", breaks_later)
    with pytest.raises(pipeline.RunFailed):
        run_pipeline()
    html = html_of(people["operator"], PipelineRun.objects.get())
    told = text(html)
    assert "risk_scoring: A hole in the floor." in told
    assert "It had written 4 of 10 customers; that stays" in told
    assert "data-live" not in html
    assert "What became of 4 customers" in told


@pytest.mark.parametrize("who", ["approver", "auditor"])
def test_who_may_not_run_the_pipeline_cancels_nothing(sample, people, who):
    run = pipeline.queue(planned_run())
    client = client_of(people[who])
    assert 'id="cancel"' not in client.get(page(run)).content.decode()
    assert client.post(page(run).replace("/change/", "/cancel/")).status_code == 403
    assert PipelineRun.objects.get().status == "queued"


def test_a_queued_run_is_cancelled_on_its_page(sample, people):
    run = pipeline.queue(planned_run())
    client = client_of(people["operator"])
    assert 'id="cancel"' in client.get(page(run)).content.decode()
    html = client.post(page(run).replace("/change/", "/cancel/"), follow=True).content.decode()
    assert "Cancelled by operator" in text(html)
    assert 'id="cancel"' not in html
    assert client.get("/admin/journeys/pipelinerun/").status_code == 200
    done = run_pipeline()
    refused = client.post(page(done).replace("/change/", "/cancel/")).content.decode()
    assert "there is nothing to cancel" in refused
    assert PipelineRun.objects.get(pk=done.pk).status == "succeeded"


def test_a_run_that_is_cancelled_under_way_says_what_was_done(sample, people, small_ranges):
    pages = []

    def stop(customers: int) -> None:
        pipeline.cancel(PipelineRun.objects.get().pk, actor=actor_of(people["operator"], door="test"))
        pages.append(html_of(people["operator"], PipelineRun.objects.get()))

    pipeline.run(planned_run(), on_progress=stop)
    assert "It ends after the range that it is at" in pages[0]
    assert "data-live" in pages[0]
    over = html_of(people["operator"], PipelineRun.objects.get())
    assert "Cancelled by operator" in text(over)
    assert "It had written 4 of 10 customers" in text(over)
    assert "What became of 4 customers" in text(over)


# -- what became of everybody


def test_the_figures_of_a_run_add_up(sample):
    portfolio(40)
    JourneyState.objects.filter(customer_id__in=["N00003", "N00004"]).delete()
    counts = run_pipeline().counts
    assert counts["not_assessed"] == 2
    assert sum(counts["suppressed_by"].values()) == counts["suppressed"] > 0
    assert (
        counts["customers"]
        == 50
        == (counts["proposed"] + counts["suppressed"] + counts["below_confidence"] + counts["not_assessed"])
    )


def test_each_reason_leads_to_exactly_those_it_counts(sample_run, people):
    run = run_pipeline()
    portfolio(30)
    run = run_pipeline()
    client = client_of(people["operator"])
    rows = client.get(page(run)).context["became"]
    assert sum(row.number for row in rows if not row.part) == run.counts["customers"]
    listed = [row for row in rows if row.url and row.label != "Not assessed"]
    assert len(listed) >= 4
    for row in listed:
        found = client.get(row.url).context["cl"].result_count
        assert found == row.number, row.label


def test_who_was_not_assessed_is_found_among_the_findings(sample, people):
    JourneyState.objects.filter(customer_id="C003").delete()
    run = run_pipeline()
    client = client_of(people["operator"])
    row = next(row for row in client.get(page(run)).context["became"] if row.label == "Not assessed")
    assert row.number == 1
    listed = client.get(row.url).context["cl"].result_list
    assert [finding.subject for finding in listed] == ["C003"]


def test_of_long_lists_the_page_shows_the_first_and_leads_to_all(sample, people):
    portfolio(400)
    run = run_pipeline()
    client = client_of(people["operator"])
    response = client.get(page(run))
    assert len(response.context["proposed"]) == len(response.context["suppressed"]) == 25
    html = response.content.decode()
    assert len(html) < 60_000
    for name in ("proposed", "suppressed"):
        listed = client.get(response.context["all"][name]).context["cl"]
        assert listed.result_count == run.counts[name] > 25


def test_the_page_costs_and_weighs_the_same_whatever_the_size(sample, people):
    client = client_of(people["operator"])

    def cost(run) -> tuple[int, int]:
        with CaptureQueriesContext(connection) as queries:
            answer = client.get(page(run))
        return len(queries), len(answer.content)

    portfolio(150)
    first = run_pipeline()
    cost(first)
    few = cost(first)
    portfolio(300, "M")
    many = cost(run_pipeline())
    assert many[0] <= few[0] <= 30
    assert many[1] < few[1] * 1.2


def test_the_assessments_are_narrowed_down_by_run_and_reason(sample_run, people):
    second = run_pipeline()
    client = client_of(people["operator"])
    address = "/admin/journeys/assessment/"

    def listed(**query) -> set[tuple]:
        rows = client.get(address, query).context["cl"].result_list
        return {(row.run_id, row.suppression_reason) for row in rows}

    assert listed(run=second.pk, suppression_reason="already_pending") == {(second.pk, "already_pending")}
    assert {run for run, _ in listed(run=sample_run.pk)} == {sample_run.pk}
    assert listed(run="x") == set()
    assert listed(run="9" * 30) == set()


def test_the_page_says_who_asked_for_it_through_which_door_and_under_which_policy(sample, people):
    client = client_of(people["operator"])
    response = client.post("/admin/journeys/pipelinerun/run-now/")
    run = PipelineRun.objects.get()
    assert response.url == page(run)
    html = html_of(people["operator"], run)
    assert "asked by operator (admin)" in text(html)
    assert f"/admin/journeys/policy/{run.policy_id}/change/" in html


def test_findings_are_shown_with_the_way_to_mend_them(sample_run, people):
    html = html_of(people["operator"], sample_run)
    assert "Link it to a customer" in html
    assert "Link it to a customer" not in html_of(people["approver"], sample_run)
    assert f"/admin/journeys/finding/?run={sample_run.pk}" in html


def test_without_its_own_figures_a_run_is_counted_from_its_rows(sample_run, people):
    PipelineRun.objects.filter(pk=sample_run.pk).update(counts={})
    rows = client_of(people["operator"]).get(page(sample_run)).context["became"]
    assert sum(row.number for row in rows if not row.part) == Assessment.objects.count()
