"""The forms in which a report is written, Markdown, HTML and JSON, and the command that writes it."""

import itertools
import json
import re

import pytest
from django.core.management import CommandError, call_command

from journeys import reports
from journeys.models import Finding, PipelineRun
from tests.by_hand import a_customer, an_assessment, run_row

pytestmark = pytest.mark.django_db

NASTY = "[x](javascript:alert(1)) | <b>bold</b>\n# *Ltd* & `co`"


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


def test_a_report_is_plain_json_and_is_kept_with_its_run(sample_run):
    stored = PipelineRun.objects.get(pk=sample_run.pk).report
    assert stored == sample_run.report == json.loads(json.dumps(stored, allow_nan=False))
    assert len(stored["takeaways"]) == 3


def test_the_part_for_other_pages_carries_no_style_of_its_own(sample_run):
    body = reports.render_html(sample_run.report, standalone=False)
    assert body.startswith('<article class="report">')
    assert "<style" not in body
    assert "style=" not in body
    page = reports.render_html(sample_run.report)
    assert page.startswith("<!doctype html>")
    assert "@media print" in page
    assert body.strip() in page


def test_the_command_prints_the_stored_report_of_the_latest_run(sample_run, capsys):
    run_row(status="failed")
    call_command("report")
    assert capsys.readouterr().out == reports.render_markdown(sample_run.report)
    call_command("report", run=sample_run.pk, format="html")
    assert capsys.readouterr().out == reports.render_html(sample_run.report)


def test_the_command_writes_to_a_file(sample_run, capsys, tmp_path):
    call_command("report", out=tmp_path / "report.md")
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == reports.render_markdown(sample_run.report)
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


def test_the_command_refuses_a_file_that_cannot_be_written(sample_run, tmp_path):
    with pytest.raises(CommandError, match="cannot be written") as refused:
        call_command("report", out=tmp_path / "missing" / "report.md")
    assert refused.value.returncode == 2
