"""A report as Markdown, or as HTML for screen and paper. Everything that was written outside is escaped."""

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from journeys.reports.layout import Cell, Chart, Items, Page, Paragraph, Table, Tiles
from journeys.reports.sections import lay_out

_STYLESHEET = Path(__file__).resolve().parent.parent / "static" / "journeys" / "report.css"

# What is markup anywhere in a line; an address is broken up, so that no reader makes a link of it.
_MARKUP = re.compile(r"[\\`*_\[\]<|~$@]|&(?=#|\w+;)|(?<=\w):(?=//)|(?<=www)\.", re.IGNORECASE)
# What is markup only where a paragraph or an item begins.
_OPENING = re.compile(r"^(\d*)([-+=#>.)])")


def render_html(
    report: dict, *, standalone: bool = True, names: Mapping[str, str] | None = None
) -> SafeString:
    """A whole page with its style in it, or the page's inner part for a page that links
    journeys/report.css itself. `names`, by key, are told where who decided is told: for a reader who may
    know it."""
    context = {"page": lay_out(report | {"names": names})}
    if not standalone:
        return render_to_string("journeys/report_body.html", context)
    return render_to_string("journeys/report.html", context | {"style": _style()})


@cache
def _style() -> SafeString:
    return mark_safe(_STYLESHEET.read_text(encoding="utf-8"))  # noqa: S308 - our own file, no text of a user


def render_json(report: dict) -> str:
    """The report as it is stored. Each KPI is {"name", "tier", "value", "numerator", "denominator", "target",
    "status", "window", ...} under "worth"."""
    return json.dumps(report, indent=2, ensure_ascii=False) + "\n"


def render_markdown(report: dict, *, names: Mapping[str, str] | None = None) -> str:
    page = lay_out(report | {"names": names})
    lines = [f"**{_escape(page.warning)}**", ""] if page.warning else []
    lines += [f"# {_escape(page.title)}", ""]
    lines += [f"- {_escape(what)}: {_escape(value)}" for what, value in page.facts]
    lines += ["", "## In short", ""]
    lines += [f"{place}. {_line(text)}" for place, text in enumerate(page.takeaways, start=1)]
    lines += _sections(page)
    return "\n".join(lines) + "\n"


def _sections(page: Page) -> list[str]:
    lines = []
    for section in page.sections:
        lines += ["", f"## {_escape(section.title)}"]
        # A chart says what its table says.
        for block in (block for block in section.blocks if not isinstance(block, Chart)):
            lines += ["", *_WRITERS[type(block)](block)]
    return lines


def _paragraph(block: Paragraph) -> list[str]:
    return [_line(block.text)]


def _items(block: Items) -> list[str]:
    return [f"- {_line(text)}" for text in block.items]


def _tiles(block: Tiles) -> list[str]:
    lines = []
    for tile in block.tiles:
        aside = f" ({_escape(tile.how)})" if tile.how else ""
        source = f". Of: {_escape(tile.source)}" if tile.source else ""
        lines.append(f"- {_escape(tile.label)}: **{_escape(tile.value)}**{aside}{source}.")
    return lines


def _table(block: Table) -> list[str]:
    rule = ("---:" if column in block.numeric else "---" for column in block.columns)
    lines = [_row(_escape(column) for column in block.columns), _row(rule)]
    lines += [_row(map(_cell, row)) for row in block.rows]
    return [*lines, "", _escape(f"… {block.more}.")] if block.more else lines


def _row(cells) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    return f"{_escape(cell.text)} ({_escape(cell.note)})" if cell.note else _escape(cell.text)


_WRITERS = {Paragraph: _paragraph, Items: _items, Tiles: _tiles, Table: _table}


def _escape(text: str) -> str:
    """Text for the middle of a line: behind a mark, or in a cell."""
    return _MARKUP.sub(r"\\\g<0>", text)


def _line(text: str) -> str:
    """Text that begins a paragraph or an item."""
    return _OPENING.sub(r"\1\\\2", _escape(text))
