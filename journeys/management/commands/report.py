from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from journeys import reports
from journeys.models import PipelineRun

BAD_INPUT = 2
_RENDERERS = {
    "md": lambda report: reports.render_markdown(report, names=reports.names_in(report)),
    "html": lambda report: reports.render_html(report, names=reports.names_in(report)),
    "json": reports.render_json,
}


class Command(BaseCommand):
    help = (
        "Print the report that a run stored. Exits with 2, and prints nothing, where there is no such run "
        "or it has no report."
    )

    def add_arguments(self, parser):
        parser.add_argument(
            "--run", metavar="ID", type=int, help="default: the latest run that succeeded, whatever its scope"
        )
        parser.add_argument("--format", choices=("md", "html", "json"), default="md", help="default: md")
        parser.add_argument("--out", metavar="FILE", type=Path, help="write to this file instead")

    def handle(self, **options):
        report = _stored(options["run"])
        text = _RENDERERS[options["format"]](report)
        if options["out"] is None:
            self.stdout.write(text, ending="")
            return
        try:
            options["out"].write_text(text, encoding="utf-8")
        except OSError as error:
            raise CommandError(
                f"The file {options['out']} cannot be written: {error.strerror}.", returncode=BAD_INPUT
            ) from error


def _stored(run_id: int | None) -> dict:
    runs = PipelineRun.objects.all()
    if run_id is None:
        run = runs.filter(status=PipelineRun.Status.SUCCEEDED, report__isnull=False).order_by("-pk").first()
        problem = "No run has succeeded yet: start one with `manage.py run_pipeline`."
    else:
        run = runs.filter(pk=run_id).first()
        problem = f"There is no run {run_id}."
    if run is None:
        raise CommandError(problem, returncode=BAD_INPUT)
    if run.report is None:
        raise CommandError(f"Run {run.pk} has no report: it is {run.status}.", returncode=BAD_INPUT)
    return run.report
