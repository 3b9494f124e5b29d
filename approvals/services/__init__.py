"""The only writers of requests and decisions. Each refuses first, then moves the row by compare-and-swap,
then records; the row's own condition decides who was first."""

from approvals.services.bulk import Answer, TooMany, approve_many, reject_many
from approvals.services.changing import NothingChanged, ask_for_changes, change, may_revise, revise
from approvals.services.checking import check_chain
from approvals.services.claims import claim, hand_on, release, take_over
from approvals.services.clocks import escalate_due, expire_overdue, remind_due, reroute_due
from approvals.services.deciding import (
    authorise_by_policy,
    decide,
    lapse,
    mark_used,
    may_revoke,
    revoke,
    supersede,
    use_approval,
)
from approvals.services.notices import silently, tell_outcome
from approvals.services.opening import (
    Facets,
    NewRequest,
    News,
    Opening,
    Terms,
    open_prepared,
    open_requests,
    prepare_requests,
    refresh,
)
from approvals.services.people import (
    Deciders,
    actor_of,
    check_may_decide,
    decider_of,
    delegate,
    end_delegation,
    limits_of,
    others_who_may,
    permissions_given,
    principals_of,
    was_given,
)
from approvals.services.preferences import choose_monthly_report, choose_time_zone
from approvals.services.viewing import note_viewed

__all__ = [
    "Answer",
    "Deciders",
    "Facets",
    "NewRequest",
    "News",
    "NothingChanged",
    "Opening",
    "Terms",
    "TooMany",
    "actor_of",
    "approve_many",
    "ask_for_changes",
    "authorise_by_policy",
    "change",
    "check_chain",
    "check_may_decide",
    "choose_monthly_report",
    "choose_time_zone",
    "claim",
    "decide",
    "decider_of",
    "delegate",
    "end_delegation",
    "escalate_due",
    "expire_overdue",
    "hand_on",
    "lapse",
    "limits_of",
    "mark_used",
    "note_viewed",
    "may_revise",
    "may_revoke",
    "open_prepared",
    "open_requests",
    "others_who_may",
    "permissions_given",
    "prepare_requests",
    "principals_of",
    "refresh",
    "reject_many",
    "release",
    "remind_due",
    "reroute_due",
    "revise",
    "revoke",
    "silently",
    "supersede",
    "take_over",
    "tell_outcome",
    "use_approval",
    "was_given",
]
