"""What a run found and what came of it: rows -> figures -> a dict, then Markdown or HTML. Reads only."""

from journeys.reports.figures import collect
from journeys.reports.next_steps import next_steps
from journeys.reports.people import names_in, names_of
from journeys.reports.rendering import render_html, render_json, render_markdown
from journeys.reports.wording import gaps, takeaways

__all__ = ["build", "names_in", "names_of", "render_html", "render_json", "render_markdown"]


def build(run) -> dict:
    """The report of a run as a JSON-able dict, as the rows stand at this moment.

    Money is a string, days and moments are ISO, scores are 0..1. A measured figure is
    {"value", "numerator", "denominator", "source"}; its value is None, which is read "not known", where the
    denominator is 0. The number of queries does not depend on the size of the portfolio, and only the heads
    of the lists are kept in memory. The queries are not one snapshot: what others decide meanwhile may be
    in one count and not in the next.
    """
    report = collect(run)
    return report | {
        "takeaways": takeaways(report),
        "next_steps": next_steps(report),
        "not_known": gaps(report),
    }
