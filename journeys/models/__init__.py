from journeys.models.customers import Customer, JourneyState, Signal
from journeys.models.interventions import Execution, ExecutionSwitch, Intervention, Outcome
from journeys.models.policies import Policy
from journeys.models.runs import (
    Assessment,
    Bell,
    Finding,
    Heartbeat,
    InvariantCheck,
    MadeDue,
    Mark,
    PipelineRun,
    PolicyAllowance,
    RunRange,
)
from journeys.models.snapshots import PortfolioSnapshot
from journeys.models.worth import Assignment, Measurement

__all__ = [
    "Assessment",
    "Assignment",
    "Bell",
    "Customer",
    "Execution",
    "ExecutionSwitch",
    "Finding",
    "Heartbeat",
    "Intervention",
    "InvariantCheck",
    "JourneyState",
    "MadeDue",
    "Mark",
    "Measurement",
    "Outcome",
    "PipelineRun",
    "Policy",
    "PolicyAllowance",
    "PortfolioSnapshot",
    "RunRange",
    "Signal",
]
