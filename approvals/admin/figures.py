"""The page with the figures about the queue: what waits, how fast it is decided, and how."""

from datetime import timedelta

from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.utils import timezone

from approvals import charts, shown
from approvals.addresses import request_url
from approvals.admin.trail import TRAIL_PERMISSION
from approvals.charts import Series
from approvals.figures import BANDS, PersonFigures, QueueFigures, Tally, queue_figures
from approvals.models import user_key
from approvals.panels import Panel, csv_file, placed
from approvals.sheets import NOT_KNOWN, Column, Sheet, count, minutes, share, words
from approvals.subjects import choices, labels

WINDOWS = (30, 90)
# Seconds. All decisions of the window are read for them, so they are counted no oftener, however many look.
KEPT = 60
_ENDED = (
    Series("low", "approved as proposed"),
    Series("c3", "approved with changes"),
    Series("medium", "rejected"),
    Series("rest", "expired undecided"),
    Series("c1", "by the policy alone"),
)
_TALLY = (
    count("As proposed", "Approved as proposed"),
    count("Changed", "Approved with changes"),
    Column("Rejected"),
    count("By people", "Decided by people"),
    share("Overridden"),
)


def page(admin, request: HttpRequest) -> HttpResponse:
    """GET: the page, or with `csv` one of its tables as a file. `days` and `kind` narrow it down."""
    if request.method not in ("GET", "HEAD"):
        return HttpResponseNotAllowed(["GET", "HEAD"])
    if not admin.has_view_permission(request):
        raise PermissionDenied
    days = _days(request.GET.get("days", ""))
    kind = request.GET.get("kind", "")
    kind = kind if kind in labels() else ""
    everybody = request.user.has_perm(TRAIL_PERMISSION)
    found = _figures(days, kind, "" if everybody else user_key(request.user))
    panels = _panels(found, kind, everybody=everybody)
    if "csv" in request.GET:
        return csv_file(request, panels)
    oldest = found.age.oldest
    context = {
        **admin.admin_site.each_context(request),
        "title": "Queue figures",
        "list_url": admin.list_url(),
        "found": found,
        "days": days,
        "windows": [(number, f"?days={number}" + (f"&kind={kind}" if kind else "")) for number in WINDOWS],
        "kinds": [("", "All kinds", f"?days={days}")]
        + [(name, label, f"?days={days}&kind={name}") for name, label in labels().items()],
        "kind": kind,
        "kind_label": labels().get(kind, "All kinds"),
        "oldest": (request_url(oldest.pk), oldest.title, shown.span(found.until - oldest.requested_at))
        if oldest
        else None,
        "median_age": shown.span(found.age.median) if found.age.median is not None else "",
        "pace": _pace(found),
        "panels": placed(request, panels),
        "everybody": everybody,
    }
    return TemplateResponse(request, "admin/approvals/approvalrequest/figures.html", context)


def _figures(days: int, kind: str, only: str) -> QueueFigures:
    """As of at most a minute ago; the page says when."""
    return cache.get_or_set(
        f"queue-figures:{days}:{kind}:{only}",
        lambda: queue_figures(now=timezone.now(), days=days, kind=kind, only=only),
        KEPT,
    )


def _days(text: str) -> int:
    return next((days for days in WINDOWS if str(days) == text), WINDOWS[0])


def _span(number: int | None) -> str:
    return NOT_KNOWN if number is None else shown.span(timedelta(minutes=number))


def _pace(found: QueueFigures) -> tuple[str, str]:
    return _span(found.pace.median), _span(found.pace.ninetieth)


def _panels(found: QueueFigures, kind: str, *, everybody: bool) -> list[Panel]:
    until = found.until.isoformat(timespec="seconds")
    of = ("kind", kind or "all")
    window = (("from", found.since.isoformat(timespec="seconds")), ("until", until), of)
    return [
        _waiting(found, (("as of", until), of)),
        _time_to_decide(found, window),
        _ended_by(
            "by-action",
            "Decisions by action",
            "Action",
            _actions(found.verdicts.by_action),
            found.verdicts.total,
            window,
        ),
        _ended_by(
            "by-score-band",
            "Decisions by risk score",
            "Risk score",
            _bands(found.verdicts.by_band),
            found.verdicts.total,
            window,
        ),
        _by_person(found.people, window, everybody=everybody),
    ]


def _waiting(found: QueueFigures, about: tuple) -> Panel:
    age = found.age
    rows = [(row.label, (row.in_time, row.late)) for row in age.ages]
    return Panel(
        title="How long what waits has waited",
        sheet=Sheet(
            name="waiting",
            columns=(words("Waited"), Column("In time"), Column("Late"), Column("Together")),
            rows=[(row.label, row.in_time, row.late, row.in_time + row.late) for row in age.ages],
            total=("Together", age.waiting - age.late, age.late, age.waiting),
            about=about,
        ),
        chart=charts.columns(rows, (Series("c1", "in time"), Series("high", "late")))
        if age.waiting
        else None,
        summary="; ".join(f"{label}: {in_time + late}" for label, (in_time, late) in rows),
        empty="Nothing waits for a decision.",
    )


def _time_to_decide(found: QueueFigures, about: tuple) -> Panel:
    weeks = [(f"{week.begins.day} {week.begins:%b}", week.pace) for week in found.weeks]
    chart = charts.columns(
        [(label, (pace.median or 0,)) for label, pace in weeks],
        (Series("c1", "half were decided within"),),
        told=["–" if pace.median is None else _short(pace.median) for _, pace in weeks],
        marks=[pace.ninetieth for _, pace in weeks],
        marked="nine in ten within",
    )
    return Panel(
        title="Time to decide, by week",
        sheet=Sheet(
            name="time-to-decide",
            columns=(
                words("Week from (UTC)"),
                count("Decided", "Decided by people"),
                minutes("Half within"),
                minutes("Nine in ten within"),
            ),
            rows=[
                (week.begins, week.pace.decided, week.pace.median, week.pace.ninetieth)
                for week in found.weeks
            ],
            total=("Whole window", found.pace.decided, found.pace.median, found.pace.ninetieth),
            about=about,
        ),
        chart=chart if found.pace.decided else None,
        summary="; ".join(f"week from {label}: {_span(pace.median)}" for label, pace in weeks),
        note="From asking to the decision that ended it, by the clock, nights and week-ends included. "
        "Decided by people only; a week with no decision has no figure.",
        empty="Nobody has decided anything in this window, so how long it takes is not known.",
    )


def _short(number: int) -> str:
    """ "45 m", "7 h", "3 d"."""
    if number < 100:
        return f"{number} m" if number else "<1 m"
    return f"{round(number / 60)} h" if number < 2880 else f"{round(number / 1440)} d"


def _actions(tallies: dict[str, Tally]) -> list[tuple[str, Tally]]:
    """Those on which people decided the most come first."""
    known = choices("action")
    rows = [(known.get(action, action), tally) for action, tally in tallies.items()]
    return sorted(rows, key=lambda row: (-row[1].decided, row[0]))


def _bands(tallies: dict[int | None, Tally]) -> list[tuple[str, Tally]]:
    """From the lowest band that occurs to the highest, none left out; what is not known last."""
    bands = sorted(band for band in tallies if band is not None)
    rows = [
        (_band_label(band), tallies.get(band, Tally())) for band in range(bands[0], bands[-1] + 1)
    ] if bands else []  # fmt: skip
    return rows + ([(NOT_KNOWN, tallies[None])] if None in tallies else [])


def _band_label(band: int) -> str:
    return f"{shown.score(band / BANDS, 1)} to {shown.score((band + 1) / BANDS, 1)}"


def _ended_by(
    name: str, title: str, heading: str, rows: list[tuple[str, Tally]], total: Tally, about: tuple
) -> Panel:
    testing = bool(total.by_testing)
    extra = (count("For testing", "Automatically, for testing"),) if testing else ()

    def line(label: str, tally: Tally) -> tuple:
        figures = (
            label,
            tally.approved,
            tally.changed,
            tally.rejected,
            tally.decided,
            tally.override_share,
            tally.expired,
            tally.by_policy,
        )
        return (*figures, tally.by_testing) if testing else figures

    series = (*_ENDED, Series("c4", "automatically, for testing")) if testing else _ENDED
    return Panel(
        title=title,
        sheet=Sheet(
            name=name,
            columns=(
                words(heading),
                *_TALLY,
                count("Expired", "Expired undecided"),
                count("By policy", "By the policy alone"),
                *extra,
            ),
            rows=[line(label, tally) for label, tally in rows],
            total=line("Together", total),
            about=about,
        ),
        chart=charts.bars(
            [(label, _parts(tally, testing=testing)) for label, tally in rows],
            series,
            told=[_overridden(tally) for _, tally in rows],
        )
        if total.anything
        else None,
        summary="; ".join(f"{label}: {_overridden(tally)}" for label, tally in rows),
        empty="No recommendation ended in this window.",
    )


def _parts(tally: Tally, *, testing: bool) -> tuple[int, ...]:
    parts = (tally.approved, tally.changed, tally.rejected, tally.expired, tally.by_policy)
    return (*parts, tally.by_testing) if testing else parts


def _overridden(tally: Tally) -> str:
    """ "3 of 12 overridden"."""
    if not tally.decided:
        return "none by people"
    return f"{tally.overridden:,} of {tally.decided:,} overridden"


def _by_person(people: tuple[PersonFigures, ...], about: tuple, *, everybody: bool) -> Panel:
    rows = [
        (
            person.name,
            person.tally.approved,
            person.tally.changed,
            person.tally.rejected,
            person.tally.decided,
            person.tally.override_share,
            person.pace.median,
        )
        for person in people
    ]
    drawn = [
        (person.name, (person.tally.approved, person.tally.changed, person.tally.rejected))
        for person in people
    ]
    return Panel(
        title="Decisions by person" if everybody else "Your own decisions",
        sheet=Sheet(
            name="by-person" if everybody else "own",
            columns=(words("Person"), *_TALLY, minutes("Half within")),
            rows=rows,
            about=about,
        ),
        chart=charts.bars(drawn, _ENDED[:3], told=[_overridden(person.tally) for person in people])
        if any(person.tally.decided for person in people)
        else None,
        summary="; ".join(f"{person.name}: {_overridden(person.tally)}" for person in people),
        note="Everybody's own words, of every kind of request; of two who approve the same, both count."
        if everybody
        else "Yours alone: those of others are for auditors.",
        empty="Nobody has decided anything in this window."
        if everybody
        else "You have decided nothing in this window.",
    )
