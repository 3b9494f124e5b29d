"""Who is deliberately left alone, to have somebody to compare with. Drawn by a hash: nobody chooses."""

import hashlib
from datetime import date
from enum import StrEnum

from .policy import PolicyDocument
from .vocabulary import Channel

_FINENESS = 1_000_000


class Arm(StrEnum):
    TREATED = "treated"
    HELD_OUT = "held_out"


def is_on(policy: PolicyDocument, as_of: date) -> bool:
    """Whether an experiment takes customers in on that day."""
    rules = policy.holdout
    return rules.share > 0 and (rules.ends_on is None or as_of <= rules.ends_on)


def draw(customer_id: str, policy: PolicyDocument) -> Arm:
    """The customer's arm, from customer and experiment alone: the same for as long as the experiment lives,
    and another draw in the next one."""
    rules = policy.holdout
    digest = hashlib.sha256(f"holdout:{rules.experiment}:{customer_id}".encode()).digest()
    drawn = int.from_bytes(digest[:8], "big") % _FINENESS < rules.share * _FINENESS
    return Arm.HELD_OUT if drawn else Arm.TREATED


def takes_part(*, channel: str | None, tier: str, value: float | None, policy: PolicyDocument) -> bool:
    """Whether the customer may be drawn at all. Who is excluded is contacted as always, and is in neither
    arm; an unknown value may be a large one. What reaches nobody has nothing to be held out of."""
    rules = policy.holdout
    if channel is None or channel == Channel.NONE:
        return False
    return tier in rules.tiers and value is not None and value < rules.below_account_value
