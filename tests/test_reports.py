"""The report of a run: what it counts, what it says it does not know, and how it looks to a program."""

import itertools
import json
import re
from collections import Counter
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from approvals.models import ApprovalRequest, AuthorityLimit, Decision, user_key
from approvals.rules import Actor, Verdict
from approvals.services import decide
from journeys import pipeline, reports
from journeys.models import (
    Assessment,
    Finding,
    Intervention,
    Outcome,
    PipelineRun,
    Signal,
)
from journeys.reports.outcomes import ExactSum
from journeys.services.policies import in_force
from tests.by_hand import AS_OF, a_customer, an_assessment, an_execution, an_intervention, an_outcome, run_row

pytestmark = pytest.mark.django_db

OPERATOR = Actor(key="user:1", name="olga", door="test")
NASTY = "[x](javascript:alert(1)) | <b>bold</b>\n# *Ltd* & `co`"


@pytest.fixture
def sample_run():
    """The sample with its history, run on the day for which the figures were published."""
    call_command("loaddata", "sample", "sample_history", verbosity=0)
    return run_pipeline(AS_OF)


@pytest.fixture
def fresh_run(settings):
    """The sample alone, run on its own day: three proposals, one of them for the policy to decide."""
    settings.DEBUG = True
    call_command("loaddata", "sample", verbosity=0)
    return run_pipeline(date(2025, 1, 15))


def run_pipeline(as_of, **options) -> PipelineRun:
    return pipeline.run(pipeline.plan_run(policy=in_force(), actor=OPERATOR, as_of=as_of, **options))


def an_approver(name="anna") -> User:
    group = Group.objects.create(name=f"Group of {name}")
    group.permissions.add(Permission.objects.get(codename="decide_approvalrequest"))
    AuthorityLimit.objects.create(name=name, group=group, max_value=None)
    user = User.objects.create_user(name)
    user.groups.add(group)
    return user


def a_decision(customer_id, verdict, user) -> None:
    request = ApprovalRequest.objects.get(concerning=customer_id, status="pending")
    decide(
        request_id=request.pk,
        verdict=Verdict(verdict),
        fingerprint=request.fingerprint,
        user=user,
        door="test",
        reason="As agreed.",
        category="wrong_action",
    )


def parts(figure) -> tuple:
    return figure["value"], figure["numerator"], figure["denominator"]


# What it counts


def test_the_sample_with_its_history_gives_the_published_figures(sample_run):
    outcomes = sample_run.report["outcomes"]
    assert (outcomes["interventions"], outcomes["with_outcome"], outcomes["open"]) == (8, 6, 2)
    assert parts(outcomes["resolved"]) == (2 / 6, 2, 6)
    assert parts(outcomes["days_to_resolve"]) == (4.25, 17, 4)
    assert parts(outcomes["csat_change"]) == (4 / 6, 4, 6)
    assert parts(outcomes["churn_risk_change"]) == (-0.8 / 6, -0.8, 6)
    (saved,) = outcomes["revenue_saved"]
    assert (Decimal(saved["value"]), saved["denominator"]) == (4800, 6)
    assert parts(outcomes["overridden"]) == (1 / 6, 1, 6)


def test_the_published_figures_stand_in_both_renderings(sample_run):
    markdown = reports.render_markdown(sample_run.report)
    html = reports.render_html(sample_run.report)
    for text in ("2 of 6", "4.25", "17 ÷ 4", "+0.67", "4 ÷ 6", "−0.80 ÷ 6", "4,800 USD", "1 of 6"):
        assert text in markdown
        assert text in html


def test_every_outcome_figure_is_that_of_an_independent_count(sample_run):
    outcomes = sample_run.report["outcomes"]
    latest = {}
    for row in sorted(Outcome.objects.all(), key=lambda row: (row.measured_at, row.recorded_at)):
        if row.measured_at <= AS_OF:
            latest[row.intervention_id] = row
    rows = list(latest.values())
    for name, field in (
        ("days_to_resolve", "resolution_time_days"),
        ("csat_change", "csat_delta"),
        ("churn_risk_change", "churn_risk_delta"),
    ):
        measured = [getattr(row, field) for row in rows if getattr(row, field) is not None]
        assert outcomes[name]["numerator"] == pytest.approx(sum(measured))
        assert outcomes[name]["denominator"] == len(measured)
    assert outcomes["resolved"]["numerator"] == sum(row.outcome == "resolved" for row in rows)
    assert outcomes["overridden"]["numerator"] == sum(bool(row.human_override) for row in rows)
    assert {row["outcome"]: row["count"] for row in outcomes["by_outcome"]} == Counter(
        row.outcome for row in rows
    )
    assert Decimal(outcomes["revenue_saved"][0]["value"]) == sum(row.estimated_revenue_saved for row in rows)


def test_the_portfolio_is_counted_by_stage_and_tier(fresh_run):
    portfolio = fresh_run.report["portfolio"]
    rows = list(fresh_run.assessments.all())
    expected = Counter((row.journey_stage, row.risk_tier) for row in rows)
    counted = {
        (row["journey_stage"], tier): row[tier]
        for row in portfolio["by_stage"]
        for tier in ("high", "medium", "low")
    }
    assert Counter(counted) - Counter() == expected
    assert portfolio["assessed"] == len(rows) == sum(portfolio["by_tier"].values()) == 10
    assert portfolio["signals"] == {"received": 12, "matched": 11, "orphaned": 1}


def test_those_at_risk_stand_by_risk_with_the_first_reasons(fresh_run):
    at_risk = fresh_run.report["at_risk"]
    assert (at_risk["total"], at_risk["more"]) == (4, 0)
    assert [row["customer_id"] for row in at_risk["rows"]] == ["C004", "C005", "C010", "C001"]
    first = at_risk["rows"][0]
    assert (first["overall_risk_score"], first["risk_tier"], first["churn_risk_score"]) == (
        0.502,
        "medium",
        0.685,
    )
    assert first["reasons"] == fresh_run.assessments.get(customer="C004").risk_factors[:3]


def test_of_two_equal_risks_the_larger_account_comes_first_and_an_unknown_value_last():
    run = run_row()
    for name, value in (("small", 1000), ("unknown", None), ("large", 9000)):
        an_assessment(run, customer=a_customer(name=name, account_value=value))
    assert [row["name"] for row in reports.build(run)["at_risk"]["rows"]] == ["large", "small", "unknown"]


def test_a_long_list_says_how_many_more_there_are():
    run = run_row()
    for number in range(23):
        an_assessment(run, score=number / 100)
    report = reports.build(run)
    assert (len(report["at_risk"]["rows"]), report["at_risk"]["more"]) == (12, 11)
    assert "… and 11 more customers." in reports.render_markdown(report)


def test_what_a_run_proposed_says_who_decides(fresh_run):
    proposed = fresh_run.report["proposed"]
    assert (proposed["total"], proposed["by_person"], proposed["by_policy"]) == (3, 2, 1)
    deciders = {row["customer_id"]: row["authority"] for row in proposed["rows"]}
    assert deciders == {"C001": "policy", "C004": None, "C005": None}


def test_what_was_held_back_is_counted_by_reason(sample_run):
    suppressed = sample_run.report["suppressed"]
    rows = sample_run.assessments.filter(disposition="suppressed")
    assert suppressed["total"] == rows.count() > 0
    assert {row["reason"]: row["count"] for row in suppressed["by_reason"]} == Counter(
        rows.values_list("suppression_reason", flat=True)
    )


def test_what_waits_is_counted_with_its_value_and_its_oldest(fresh_run):
    pending = fresh_run.report["pending"]
    rows = list(ApprovalRequest.objects.filter(status="pending"))
    assert pending["total"] == len(rows) == 2
    assert pending["value_at_stake"] == [{"currency": "USD", "amount": "80000.00", "count": 2}]
    oldest = min(row.requested_at for row in rows)
    assert datetime.fromisoformat(pending["oldest_requested_at"]) == oldest.replace(microsecond=0)
    assert [row["customer_id"] for row in pending["rows"]] == ["C004", "C005"]


def test_what_is_late_to_be_decided_is_counted_and_shown(fresh_run):
    ApprovalRequest.objects.filter(concerning="C005").update(
        decision_due_at=timezone.now() - timedelta(hours=1), value_at_stake=None
    )
    report = reports.build(fresh_run)
    assert (report["pending"]["overdue"], report["pending"]["value_unknown"]) == (1, 1)
    assert "42,000 USD, 1 account of unknown value" in reports.render_markdown(report)


def test_decisions_are_counted_by_whose_they_were(fresh_run):
    approver = an_approver()
    a_decision("C004", "approved", approver)
    a_decision("C005", "rejected", approver)
    decided = reports.build(fresh_run)["decided"]
    assert decided["approved"] == {"person": 1, "policy": 1, "auto_approval_for_testing": 0}
    assert decided["rejected"] == 1
    ended = sum(decided["approved"].values()) + decided["rejected"]
    ended += decided["expired_undecided"] + decided["superseded"]
    assert decided["total"] == ended == ApprovalRequest.objects.exclude(status="pending").count()


def test_an_approval_that_took_two_people_counts_once(fresh_run):
    ApprovalRequest.objects.filter(concerning="C004").update(people_needed=2)
    a_decision("C004", "approved", an_approver())
    a_decision("C004", "approved", an_approver("bert"))
    decided = reports.build(fresh_run)["decided"]
    assert decided["approved"]["person"] == 1
    assert decided["total"] == ApprovalRequest.objects.exclude(status="pending").count()


def test_what_people_said_of_the_policys_own_decisions_is_counted(fresh_run):
    assert reports.build(fresh_run)["reviewed"] == {"agreed": 0, "disagreed": 0, "waiting": 0}
    ApprovalRequest.objects.filter(concerning="C005").update(
        kind="policy_review", status="rejected", decided_at=timezone.now()
    )
    report = reports.build(fresh_run)
    assert report["reviewed"] == {"agreed": 0, "disagreed": 1, "waiting": 0}
    assert "0 agreed with, 1 not" in reports.render_markdown(report)


def test_an_approval_that_expired_is_told_from_a_request_that_nobody_decided(fresh_run):
    a_decision("C004", "approved", an_approver())
    ApprovalRequest.objects.filter(concerning__in=["C004", "C005"]).update(
        status="expired", decided_at=timezone.now()
    )
    decided = reports.build(fresh_run)["decided"]
    assert decided["approved_then"] == {"expired": 1, "lapsed": 0, "revoked": 0}
    assert decided["expired_undecided"] == 1


def test_executions_are_counted_where_they_stand_and_record_only_is_not_called_sent():
    run = run_row()
    an_execution(an_intervention(status="executed"))
    an_execution(an_intervention(status="executed"), mode="record_only")
    an_execution(an_intervention(status="failed"), status="failed")
    an_execution(an_intervention(status="unknown"), status="unknown")
    an_execution(an_intervention(status="approved"), status="retrying")
    an_intervention(status="approved")
    an_intervention(status="recorded")
    late, soon = timezone.now() - timedelta(days=1), timezone.now() + timedelta(days=1)
    an_execution(an_intervention(status="executing"), status="with_owner", due_at=late)
    an_execution(an_intervention(status="executing"), status="with_owner", due_at=soon)
    an_execution(an_intervention(status="executing"), status="claimed")
    report = reports.build(run)
    assert report["executed"] == {
        "live": 1,
        "record_only": 1,
        "without_execution": 0,
        "recorded": 1,
        "waiting": 1,
        "retrying": 1,
        "under_way": 1,
        "with_owner": 2,
        "overdue": 1,
        "failed": 1,
        "unknown": 1,
        "imported": 0,
    }
    assert sum(report["executed"].values()) - 1 == Intervention.objects.count()
    text = reports.render_markdown(report)
    assert "| Carried out on record only: nothing was sent | 1 |" in text
    assert "1 result is unknown, 1 execution has failed, 1 task is overdue" in text


def test_findings_are_counted_by_kind_with_examples(fresh_run):
    found = fresh_run.report["findings"]
    rows = Finding.objects.filter(status="open")
    assert {row["kind"]: row["count"] for row in found["by_kind"]} == Counter(
        rows.values_list("kind", flat=True)
    )
    examples = {row["kind"]: [one["subject"] for one in row["examples"]] for row in found["by_kind"]}
    assert examples["orphan_signal"] == ["S009"]
    assert examples["illegal_move"] == ["C009"]
    assert examples["days_mismatch"] == sorted(examples["days_mismatch"])


# Which outcomes count


def test_the_latest_outcome_of_an_intervention_counts_and_none_measured_later():
    intervention = an_intervention()
    now = timezone.now()
    an_outcome(intervention, outcome="no_response", measured_at=AS_OF - timedelta(days=3))
    an_outcome(intervention, outcome="no_action_needed", recorded_at=now - timedelta(hours=1))
    an_outcome(intervention, outcome="resolved", recorded_at=now)
    an_outcome(intervention, outcome="monitor_only", measured_at=AS_OF + timedelta(days=1))
    outcomes = reports.build(run_row())["outcomes"]
    assert outcomes["by_outcome"] == [{"outcome": "resolved", "count": 1}]


def test_only_what_was_done_by_the_day_of_the_run_counts():
    an_outcome(an_intervention(as_of=AS_OF + timedelta(days=1)))
    for status in ("failed", "rejected", "pending"):
        an_outcome(an_intervention(status=status))
    for status in ("executed", "recorded", "imported"):
        an_outcome(an_intervention(status=status))
    outcomes = reports.build(run_row())["outcomes"]
    assert (outcomes["interventions"], outcomes["with_outcome"]) == (3, 3)


def test_revenue_is_never_added_across_currencies():
    for currency, saved in (("EUR", "10.10"), ("USD", "20.20"), ("EUR", "0.05")):
        an_outcome(
            an_intervention(customer=a_customer(currency=currency)), estimated_revenue_saved=Decimal(saved)
        )
    saved = reports.build(run_row())["outcomes"]["revenue_saved"]
    assert [(row["currency"], row["value"], row["denominator"]) for row in saved] == [
        ("EUR", "10.15", 2),
        ("USD", "20.20", 1),
    ]


def test_sums_are_exact_whatever_the_order():
    recorded = [1e16, 0.1, -1e16, 0.2, 1e-9]
    totals = set()
    for order in itertools.permutations(recorded):
        total = ExactSum()
        for amount in order:
            total.add(amount)
        totals.add(total.total)
    assert totals == {Decimal("0.300000001")}


# What it does not know


def figures_of(outcomes) -> list[dict]:
    names = ("resolved", "days_to_resolve", "csat_change", "churn_risk_change", "overridden")
    return [*(outcomes[name] for name in names), *outcomes["revenue_saved"]]


def test_an_empty_portfolio_is_reported_as_not_known():
    report = reports.build(run_row())
    assert {parts(figure) for figure in figures_of(report["outcomes"])} == {(None, None, 0)}
    assert report["takeaways"][0] == "No customer was assessed, so nothing is known about the risk."
    assert "not known" in reports.render_markdown(report)
    assert "Nobody was assessed." in reports.render_html(report)


def test_without_an_outcome_nothing_is_zero():
    an_intervention()
    report = reports.build(run_row())
    assert report["outcomes"]["open"] == 1
    assert {figure["value"] for figure in figures_of(report["outcomes"])} == {None}
    text = reports.render_markdown(report)
    for title in ("Resolved", "Days to resolve, mean", "Revenue saved, as reported"):
        assert f"- {title}: **not known**" in text
    assert "What came of 1 intervention is not known yet: none has an outcome on record." in text
    assert any("days to resolve" in gap for gap in report["not_known"])


def test_an_outcome_that_does_not_state_a_figure_does_not_count_as_zero():
    an_outcome(an_intervention(), csat_delta=3.0)
    an_outcome(an_intervention())
    outcomes = reports.build(run_row())["outcomes"]
    assert parts(outcomes["csat_change"]) == (3.0, 3.0, 1)
    assert parts(outcomes["resolved"]) == (1.0, 2, 2)
    assert outcomes["overridden"]["value"] is None


def test_a_portfolio_of_one_customer_without_a_value():
    run = run_row(counts={"customers": 1})
    an_assessment(run, customer=a_customer(customer_id="ONE", name="", account_value=None))
    report = reports.build(run)
    text = reports.render_markdown(report)
    assert report["takeaways"][0].startswith("1 of 1 customer assessed is at medium or high risk")
    assert "| ONE (value not known) |" in text
    assert "The account value of 1 assessed customer." in report["not_known"]


def test_effect_and_return_are_named_as_not_measured(sample_run):
    gaps = " ".join(sample_run.report["not_known"])
    assert "nobody was held out" in gaps
    assert "return on investment" in gaps


def test_customers_without_a_stage_are_named_as_not_known():
    run = run_row(counts={"customers": 3})
    an_assessment(run)
    assert "The risk of 2 customers without an open journey state." in reports.build(run)["not_known"]


# About one customer


def test_a_run_on_one_customer_is_about_that_customer_alone(sample_run):
    report = run_pipeline(AS_OF, customer_id="C003").report
    assert [row["customer_id"] for row in report["at_risk"]["rows"]] == ["C003"]
    assert report["at_risk"]["total"] == 0
    assert report["outcomes"]["interventions"] == 0
    of_c001 = run_pipeline(AS_OF, customer_id="C001").report
    assert of_c001["outcomes"]["interventions"] == of_c001["outcomes"]["resolved"]["numerator"] == 1
    assert {one["subject"] for row in of_c001["findings"]["by_kind"] for one in row["examples"]} <= {
        "C001",
        *Signal.objects.filter(customer_id="C001").values_list("pk", flat=True),
    }
    assert "Report on customer C001" in reports.render_markdown(of_c001)


# What is said first


def test_automatic_approval_for_testing_is_said_before_anything_else(settings):
    settings.DEBUG = True
    call_command("loaddata", "sample", verbosity=0)
    run = run_pipeline(date(2025, 1, 15), auto_approve_for_testing=True)
    approved = Decision.objects.filter(authority="auto_approval_for_testing").count()
    assert run.report["auto_approval"] == {"on": True, "approved_in_run": approved, "standing": approved}
    assert approved > 0
    assert reports.render_markdown(run.report).startswith("**AUTOMATIC APPROVAL FOR TESTING WAS ON")
    html = reports.render_html(run.report)
    assert html.index("AUTOMATIC APPROVAL FOR TESTING WAS ON") < html.index("<h1>")


def test_an_automatic_approval_that_still_stands_is_said_first_in_later_reports(settings):
    settings.DEBUG = True
    call_command("loaddata", "sample", verbosity=0)
    run_pipeline(date(2025, 1, 15), auto_approve_for_testing=True)
    later = run_pipeline(date(2025, 1, 16))
    assert later.report["auto_approval"]["on"] is False
    assert reports.render_markdown(later.report).startswith("**AUTOMATIC APPROVAL FOR TESTING decided")
    ApprovalRequest.objects.update(status="lapsed", decided_at=timezone.now())
    assert "AUTOMATIC APPROVAL" not in reports.render_markdown(reports.build(later)).splitlines()[0]


# What others wrote


def cells(line: str) -> int:
    return len(re.findall(r"(?<!\\)\|", line))


def test_markup_in_what_others_wrote_is_harmless_in_markdown():
    run = run_row(requested_by_name=NASTY)
    an_assessment(run, customer=a_customer(name=NASTY), risk_factors=[NASTY], journey_stage=NASTY[:40])
    Finding.objects.create(kind="bad_record", subject=NASTY, detail="# <script>alert(1)</script>", digest="1")
    text = reports.render_markdown(reports.build(run))
    tables = [line for line in text.splitlines() if line.startswith("|")]
    widths = [{cells(line) for line in table} for table in _consecutive(text)]
    assert tables
    assert all(len(width) == 1 for width in widths)
    assert "\\[x\\](javascript:alert(1)) \\| \\<b>bold\\</b> # \\*Ltd\\* & \\`co\\`" in text
    assert not re.search(r"(?<!\\)[\[<`]", text)


def _consecutive(text) -> list[list[str]]:
    groups = itertools.groupby(text.splitlines(), key=lambda line: line.startswith("|"))
    return [list(lines) for is_table, lines in groups if is_table]


def test_markup_in_what_others_wrote_is_harmless_in_html():
    run = run_row(requested_by_name=NASTY)
    an_assessment(run, customer=a_customer(name=NASTY), risk_factors=["<script>alert(1)</script>"])
    html = reports.render_html(reports.build(run))
    assert "<script" not in html
    assert "<b>" not in html
    assert "&lt;b&gt;bold&lt;/b&gt;" in html


@pytest.mark.parametrize("name", ["1. first", "- item", "+ item", "# title", "> quote", "=== rule"])
def test_a_name_does_not_open_a_list_or_a_heading(name):
    run = run_row()
    top = an_assessment(run, customer=a_customer(name=name))
    report = reports.build(run) | {"takeaways": [f"{top.customer.name} comes first."], "not_known": [name]}
    text = reports.render_markdown(report)
    mark = next(sign for sign in name if not sign.isdigit())
    assert f"- {name.replace(mark, chr(92) + mark, 1)}" in text


def test_marks_that_turn_the_direction_of_text_are_taken_out():
    run = run_row()
    an_assessment(run, customer=a_customer(name="\u202egpj.exe\u2028two\x1b[31m"))
    report = reports.build(run)
    for text in (reports.render_markdown(report), reports.render_html(report)):
        assert not {"\u202e", "\u2028", "\x1b"} & set(text)


# How it is kept and shown


def test_a_report_is_plain_json_and_is_kept_with_its_run(fresh_run):
    stored = PipelineRun.objects.get(pk=fresh_run.pk).report
    assert stored == fresh_run.report == json.loads(json.dumps(stored, allow_nan=False))
    assert len(stored["takeaways"]) == 3


def test_the_part_for_other_pages_carries_no_style_of_its_own(fresh_run):
    body = reports.render_html(fresh_run.report, standalone=False)
    assert body.startswith('<article class="report">')
    assert "<style" not in body
    assert "style=" not in body
    page = reports.render_html(fresh_run.report)
    assert page.startswith("<!doctype html>")
    assert "@media print" in page
    assert body.strip() in page


def test_the_number_of_queries_does_not_depend_on_the_number_of_customers():
    def queries(customers: int) -> int:
        run = run_row()
        for _ in range(customers):
            customer = an_assessment(run).customer
            an_outcome(an_intervention(customer=customer))
        with CaptureQueriesContext(
            connection,
        ) as captured:
            reports.build(run)
        return len(captured)

    assert queries(1) == queries(40) < 30


def test_the_portfolio_is_counted_by_segment_too(fresh_run):
    rows = {row["segment"]: row for row in fresh_run.report["portfolio"]["by_segment"]}
    found = Counter(
        (row.customer.segment, row.risk_tier)
        for row in Assessment.objects.filter(run=fresh_run).select_related("customer")
    )
    assert {
        (of, tier): number
        for of, row in rows.items()
        for tier, number in row.items()
        if tier != "segment" and number
    } == dict(found)
    assert "Mid-Market" in reports.render_markdown(fresh_run.report)


def test_how_many_people_decided_and_how_long_it_took_is_told(fresh_run):
    a_decision("C004", "approved", an_approver())
    a_decision("C005", "rejected", an_approver("bert"))
    decided = reports.build(fresh_run)["decided"]
    ends = Decision.objects.filter(authority="person").select_related("request")
    waited = [(end.decided_at - end.request.requested_at).total_seconds() / 3600 for end in ends]
    assert decided["people"] == 2
    assert decided["hours_to_decide"]["denominator"] == 2
    assert decided["hours_to_decide"]["value"] == pytest.approx(sum(waited) / 2)


def test_who_decided_what_and_how_fast_is_told_to_those_who_may_know_it(fresh_run, client):
    anna, bert = an_approver(), an_approver("bert")
    a_decision("C004", "approved", anna)
    a_decision("C005", "rejected", bert)
    report = reports.build(fresh_run)
    ends = Decision.objects.filter(authority="person").select_related("request")
    assert {row["person"]: (row["approved"], row["rejected"]) for row in report["decided"]["by_person"]} == {
        user_key(user): (
            ends.filter(actor_key=user_key(user), verdict="approved").count(),
            ends.filter(actor_key=user_key(user), verdict="rejected").count(),
        )
        for user in (anna, bert)
    }
    for row in report["decided"]["by_person"]:
        end = ends.get(actor_key=row["person"])
        waited = (end.decided_at - end.request.requested_at).total_seconds() / 3600
        assert row["hours_to_decide"]["value"] == pytest.approx(waited)
    # A name that the trail can forget is not kept in a report for ever.
    assert "anna" not in json.dumps(report["decided"])
    assert "| anna | 1 | 0 |" in reports.render_markdown(report, names=reports.names_in(report))
    assert "anna" not in reports.render_markdown(report)


def test_the_page_of_a_report_names_who_decided_to_auditors_alone(people, fresh_run, client):
    anna = an_approver()
    a_decision("C004", "approved", anna)
    PipelineRun.objects.filter(pk=fresh_run.pk).update(report=reports.build(fresh_run))
    address = reverse("admin:journeys_pipelinerun_report", args=[fresh_run.pk])
    for name, told in (("auditor", True), ("operator", False)):
        client.force_login(people[name])
        page = client.get(address).content.decode()
        assert ("Who decided" in page) == told
        assert ("anna" in page) == told


def test_next_steps_have_names_counts_and_dates(fresh_run):
    steps = reports.build(fresh_run)["next_steps"]
    request = ApprovalRequest.objects.pending().by_priority().first()
    due = request.decision_due_at
    assert f"Decide 2 interventions, first: {request.title}, by {due.day} {due:%b %Y}." in steps
    assert any(step.startswith("Mend ") for step in steps)
    text = reports.render_markdown(reports.build(fresh_run))
    assert "## What to do next" in text


def test_next_steps_name_those_new_at_risk_and_what_is_stuck():
    first, last = run_row(), run_row()
    for name in ("Ames", "Bell", "Cole", "Dunn"):
        customer = a_customer(name=name)
        an_assessment(first, customer=customer, tier="low")
        an_assessment(last, customer=customer, tier="high")
    an_intervention(status="unknown")
    an_intervention(status="failed")
    steps = reports.build(last)["next_steps"]
    assert "Look at Ames, Bell, Cole and 1 more customer, new at risk since last time." in steps
    assert "Find out what became of 1 execution whose result is unknown." in steps
    assert "See why 1 execution failed." in steps


def test_the_command_prints_the_stored_report_of_the_latest_run(fresh_run, capsys):
    run_row(status="failed")
    call_command("report")
    assert capsys.readouterr().out == reports.render_markdown(fresh_run.report)
    call_command("report", run=fresh_run.pk, format="html")
    assert capsys.readouterr().out == reports.render_html(fresh_run.report)


def test_the_command_writes_to_a_file(fresh_run, capsys, tmp_path):
    call_command("report", out=tmp_path / "report.md")
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == reports.render_markdown(fresh_run.report)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "No run has succeeded yet"),
        ({"run": 999}, "There is no run 999"),
        ({"run": "failed"}, "has no report: it is failed"),
    ],
)
def test_the_command_exits_with_2_and_prints_nothing_without_a_report(options, says, capsys):
    failed = run_row(status="failed")
    if options.get("run") == "failed":
        options = {"run": failed.pk}
    with pytest.raises(CommandError, match=says) as refused:
        call_command("report", **options)
    assert refused.value.returncode == 2
    assert capsys.readouterr().out == ""


def test_the_command_refuses_a_file_that_cannot_be_written(fresh_run, tmp_path):
    with pytest.raises(CommandError, match="cannot be written") as refused:
        call_command("report", out=tmp_path / "missing" / "report.md")
    assert refused.value.returncode == 2
