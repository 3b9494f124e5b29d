"""What the desk's templates say and show: moments, money, scores, chips, and lists that become cards."""

from datetime import date, datetime

from django import template
from django.utils import timezone
from django.utils.html import format_html, strip_tags
from django.utils.safestring import SafeString, mark_safe

from approvals import shown

register = template.Library()

register.filter("money", shown.money)
register.filter("score", shown.score)
register.filter("figure", lambda number: f"{number:,}")
register.filter("time_of_day", shown.time_of_day)
register.filter("signed", shown.signed)
register.filter("absolute", lambda moment: shown.absolute(moment) if moment else "")


@register.filter
def ago(moment: datetime | None) -> str:
    """Relative, with the moment itself behind it."""
    if moment is None:
        return "–"
    relative = shown.relative(moment, timezone.now())
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', moment.isoformat(), shown.absolute(moment), relative
    )


@register.filter
def moment(at: datetime | None) -> str:
    """Relative and absolute, both to read."""
    if at is None:
        return "–"
    return format_html(
        '{} <span class="why">{}</span>', shown.relative(at, timezone.now()), shown.absolute(at)
    )


@register.filter
def figure(number: int | None) -> str:
    """ "1,255"; "not known" for None, which is never 0."""
    return "not known" if number is None else f"{number:,}"


@register.filter
def day(on: date | None) -> str:
    return shown.day(on) if on else "–"


register.simple_tag(shown.zone_name, name="zone_name")


@register.simple_tag
def chip(text: object, tone: str = "") -> SafeString:
    """A small label; `tone` is high, medium, low or empty, and is never the only bearer of the meaning."""
    return format_html('<span class="chip {}">{}</span>', tone, text)


@register.simple_tag
def due(moment: datetime, now: datetime | None = None) -> SafeString:
    """A countdown: how long is left, louder the closer it is."""
    now = now or timezone.now()
    left = (moment - now).total_seconds()
    text = shown.span(moment - now) if left > 0 else f"{shown.span(now - moment)} late"
    tone = "high" if left < 3600 else "medium" if left < 4 * 3600 else ""
    return format_html(
        '<span class="chip {}"><time datetime="{}" title="{}">{}</time></span>',
        tone,
        moment.isoformat(),
        f"Due {shown.absolute(moment)}",
        text,
    )


@register.simple_tag
def labelled(rows, headers) -> list[list[SafeString]]:
    """The rows of a list, each cell with its column's heading, which a narrow screen shows before it."""
    # The heading of a column of checkboxes is itself a checkbox.
    headings = [format_html(' data-label="{}"', strip_tags(header["text"])) for header in headers]
    return [
        [
            # A cell begins with <td or <th.
            mark_safe(f"{cell[:3]}{heading}{cell[3:]}")  # noqa: S308 - the admin has escaped it
            for cell, heading in zip(row, headings, strict=False)
        ]
        for row in rows
    ]
