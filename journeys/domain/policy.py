"""The policy: every threshold, weight and table the rules read, as one document.

`PUBLISHED` is the published policy. Another one is made by `load` from a JSON-like dict. A section or field
that is left out takes the published value; whoever stores a policy stores `load(document).model_dump(mode=
"json")`, which is complete, so that a later change of the defaults cannot change what was stored.
"""

import json
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationError, ValidationInfo, field_validator

from .policy_sections import (
    ActionPolicy,
    AuthorityPolicy,
    BulkPolicy,
    ClocksPolicy,
    EscalationPolicy,
    ExecutionPolicy,
    JourneyPolicy,
    PlanningPolicy,
    QuorumPolicy,
    RiskPolicy,
    Section,
    SignalsPolicy,
    SuppressionPolicy,
    _all_actions,
    _published_action,
)
from .policy_worth import HoldOutPolicy, KpisPolicy, OutcomesPolicy, RetentionPolicy, RoiPolicy
from .vocabulary import Action


class PolicyError(ValueError):
    """A document that is no policy. `problems` lists all that is wrong with it, each with its path."""

    def __init__(self, problems: list[str]):
        self.problems = problems
        super().__init__("The policy is refused: " + "; ".join(problems))


class PolicyDocument(Section):
    journey: JourneyPolicy = Field(JourneyPolicy(), description="Time in stage, friction and legal moves")
    signals: SignalsPolicy = Field(SignalsPolicy(), description="Kinds of signals and what each weighs")
    risk: RiskPolicy = Field(RiskPolicy(), description="The risk score, its tiers and the churn risk")
    planning: PlanningPolicy = Field(
        PlanningPolicy(), description="Confidence, recommended action and priority"
    )
    actions: Annotated[dict[Action, ActionPolicy], AfterValidator(_all_actions)] = Field(
        {action: _published_action(action) for action in Action},
        description="How each action is carried out, and what it says",
    )
    escalation: EscalationPolicy = Field(EscalationPolicy(), description="When a person must decide")
    authority: AuthorityPolicy = Field(AuthorityPolicy(), description="What the policy may decide alone")
    quorum: QuorumPolicy = Field(QuorumPolicy(), description="When it takes more than one person")
    bulk: BulkPolicy = Field(BulkPolicy(), description="What may be approved several at once")
    suppression: SuppressionPolicy = Field(SuppressionPolicy(), description="Never twice, and not too often")
    clocks: ClocksPolicy = Field(ClocksPolicy(), description="Deadlines and the working calendar")
    execution: ExecutionPolicy = Field(ExecutionPolicy(), description="Attempts at carrying out")
    outcomes: OutcomesPolicy = Field(OutcomesPolicy(), description="When it is measured what came of it")
    holdout: HoldOutPolicy = Field(HoldOutPolicy(), description="Whom to leave alone, to measure the effect")
    retention: RetentionPolicy = Field(RetentionPolicy(), description="How long what runs wrote is kept")
    kpis: KpisPolicy = Field(KpisPolicy(), description="Windows and targets of the figures")
    roi: RoiPolicy = Field(RoiPolicy(), description="What things cost: the assumptions of the return")

    @field_validator("planning")
    @classmethod
    def playbooks_name_known_kinds(cls, planning: PlanningPolicy, info: ValidationInfo) -> PlanningPolicy:
        signals = info.data.get("signals")
        if signals is None:  # refused already, under its own path
            return planning
        unknown = [
            f"playbooks.{stage}.rules.{place} names the kind {kind!r}, which signals.kinds does not have"
            for stage, playbook in planning.playbooks.items()
            for place, rule in enumerate(playbook.rules)
            for kind in rule.any_of
            if kind not in signals.kinds
        ]
        if unknown:
            raise ValueError("; ".join(unknown))
        return planning

    @field_validator("quorum")
    @classmethod
    def a_quorum_is_of_people(cls, quorum: QuorumPolicy, info: ValidationInfo) -> QuorumPolicy:
        escalation = info.data.get("escalation")
        if escalation is not None and quorum.account_value < escalation.account_value:
            raise ValueError("account_value is below escalation.account_value, where no person decides yet")
        return quorum


PUBLISHED = PolicyDocument()


def load(document: dict) -> PolicyDocument:
    """The policy that a JSON-like dict describes. Raises PolicyError, listing every problem with its path."""
    try:
        return _parsed(json.dumps(document))
    except ValidationError as error:
        raise PolicyError([_problem(detail) for detail in error.errors()]) from error
    except (TypeError, ValueError) as error:
        raise PolicyError([f"document: it cannot be written as JSON ({error})"]) from error


# The same few documents are asked for again and again: by a run for each thing that it decides.
_parsed = lru_cache(maxsize=16)(PolicyDocument.model_validate_json)


def _problem(detail: dict) -> str:
    path = ".".join(str(part) for part in detail["loc"] if part != "[key]") or "document"
    if detail["type"] == "extra_forbidden":
        return f"{path}: unknown key"
    return f"{path}: {detail['msg'].removeprefix('Value error, ')}"
