"""Running the pipeline in a test."""

from datetime import date

from approvals.rules import Actor
from journeys import pipeline
from journeys.models import PipelineRun
from journeys.services.policies import in_force

SAMPLE_DAY = date(2025, 1, 15)


def planned_run(as_of: date = SAMPLE_DAY, **wishes) -> PipelineRun:
    tester = Actor(key="command:test", name="a test", door="command")
    return pipeline.plan_run(policy=in_force(), actor=tester, as_of=as_of, **wishes)


def run_pipeline(as_of: date = SAMPLE_DAY, **wishes) -> PipelineRun:
    return pipeline.run(planned_run(as_of, **wishes))
