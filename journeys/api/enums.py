"""What the contract calls the domain's sets of words, each where it stands under several names."""

from journeys.domain import vocabulary
from journeys.domain.vocabulary import choices

STAGE = choices(vocabulary.Stage)
TIER = choices(vocabulary.Tier)
SEGMENT = choices(vocabulary.Segment)
CHANNEL = choices(vocabulary.Channel)
ACTION = choices(vocabulary.Action)
INTERVENTION_STATUS = choices(vocabulary.InterventionStatus)
EXECUTION_STATUS = choices(vocabulary.ExecutionStatus)
OUTCOME_KIND = choices(vocabulary.OutcomeKind)
FINDING_KIND = choices(vocabulary.FindingKind)
EXECUTION_MODE = choices(vocabulary.ExecutionMode)
SIGNAL_SOURCE = choices(vocabulary.SignalSource)
