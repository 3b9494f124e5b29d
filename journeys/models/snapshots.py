"""What a run over the portfolio amounted to."""

from django.db import models

from journeys.models.runs import PipelineRun


class PortfolioSnapshot(models.Model):
    """Counted once, as the run ends, and never changed: a page about a million customers reads one row, and
    the figures stay those of that day, whatever becomes of the customers.

    `cells` are [stage, segment, currency, tier, customers, of known value, their value a year]; money is a
    string, and a stage or segment that the product has no word for is "". `moves` are [segment, tier in the
    run `since`, tier now, customers], with "" for not assessed; there are none without an earlier run.
    `risen` are the first of those whose tier rose, of each segment, highest risk first: [customer, segment,
    tier then, tier now, risk]. `protected` is told by `journeys.reports.protected`.
    """

    run = models.OneToOneField(PipelineRun, models.CASCADE, primary_key=True, related_name="snapshot")
    as_of = models.DateField("as of")
    since = models.ForeignKey(PipelineRun, models.SET_NULL, null=True, related_name="+")
    cells = models.JSONField()
    moves = models.JSONField()
    risen = models.JSONField()
    protected = models.JSONField()

    class Meta:
        default_permissions = ()
        indexes = [models.Index(fields=["-as_of", "-run"], name="journeys_snapshot_latest")]

    def __str__(self):
        return f"The portfolio after run {self.run_id}"
