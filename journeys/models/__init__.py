from journeys.models.customers import Customer, JourneyState, Signal
from journeys.models.interventions import Execution, ExecutionSwitch, Intervention, Outcome
from journeys.models.policies import Policy
from journeys.models.runs import Assessment, Finding, Heartbeat, InvariantCheck, PipelineRun

__all__ = [
    "Assessment",
    "Customer",
    "Execution",
    "ExecutionSwitch",
    "Finding",
    "Heartbeat",
    "Intervention",
    "InvariantCheck",
    "JourneyState",
    "Outcome",
    "PipelineRun",
    "Policy",
    "Signal",
]
