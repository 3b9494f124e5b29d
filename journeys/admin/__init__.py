"""The pages of the domain. Each is read-only; what can be done from it is an act that calls one service."""

from journeys.admin.customers import CustomerAdmin
from journeys.admin.execution import ExecutionAdmin, ExecutionSwitchAdmin
from journeys.admin.findings import FindingAdmin
from journeys.admin.interventions import InterventionAdmin, OutcomeAdmin
from journeys.admin.policies import PolicyAdmin
from journeys.admin.runs import AssessmentAdmin, PipelineRunAdmin
from journeys.admin.signals import JourneyStateAdmin, SignalAdmin
from journeys.admin.worth import AssignmentAdmin, MeasurementAdmin

__all__ = [
    "AssessmentAdmin",
    "AssignmentAdmin",
    "CustomerAdmin",
    "ExecutionAdmin",
    "ExecutionSwitchAdmin",
    "FindingAdmin",
    "InterventionAdmin",
    "JourneyStateAdmin",
    "MeasurementAdmin",
    "OutcomeAdmin",
    "PipelineRunAdmin",
    "PolicyAdmin",
    "SignalAdmin",
]
