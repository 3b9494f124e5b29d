"""Planning a run: its goal and its steps are on record before it begins."""

from datetime import date

from django.conf import settings

from approvals.rules import Actor, Refusal
from journeys.days import today
from journeys.models import Customer, PipelineRun, Policy
from journeys.pipeline import whom
from journeys.pipeline.steps import STEPS
from journeys.services.proposals import testing_refusal

GOAL = "Find out which customers are at risk and why, and recommend one next action for each."


class BadScope(Refusal):
    """There is nothing to run on, or the day cannot be: the request is wrong, not the system."""

    code = "bad_scope"


class NotInForce(Refusal):
    """Another policy can be tried, by a dry run."""

    code = "not_in_force"


def plan_run(
    *,
    policy: Policy,
    actor: Actor,
    as_of: date | None = None,
    customer_id: str = "",
    auto_approve_for_testing: bool = False,
    dry_run: bool = False,
    changed_only: bool = False,
) -> PipelineRun:
    """An unsaved run with its goal and plan. With `changed_only` it looks only at those about whom something
    was received, or who are due; where nothing less than everybody will do (no run has looked at everybody
    yet, another policy, an earlier day), it looks at everybody all the same, and says so by that field.

    Raises BadScope where there is nothing to run on, the customer is unknown or the day lies ahead,
    NotInForce, and Refusal where automatic approval is refused.
    """
    as_of = as_of or today()
    if as_of > today():
        raise BadScope(f"The day {as_of} lies ahead; today is {today()} (UTC).")
    if customer_id and not Customer.objects.filter(pk=customer_id).exists():
        raise BadScope(f"There is no customer “{customer_id}”.")
    if not customer_id and not Customer.objects.exists():
        raise BadScope("There are no customers at all: load some first, for example by `loaddata sample`.")
    if not policy.active and not dry_run:
        raise NotInForce(f"Policy {policy} is not in force: only a dry run may try it.")
    auto_approve_for_testing = auto_approve_for_testing or settings.AUTO_APPROVE_FOR_TESTING
    if auto_approve_for_testing and (refusal := testing_refusal()):
        raise Refusal(refusal)
    if changed_only and customer_id:
        raise BadScope("Only a run over the portfolio looks at what changed only.")
    changed_only = changed_only and not whom.everybody_because(policy, as_of)
    scope = PipelineRun.Scope.CUSTOMER if customer_id else PipelineRun.Scope.PORTFOLIO
    takes_stock = not (changed_only and whom.stock_is_taken(as_of))
    planned = planned_for(scope, policy, actor, takes_stock=takes_stock)
    planned.changed_only = changed_only
    planned.customer_id, planned.as_of = customer_id or None, as_of
    planned.auto_approve_for_testing, planned.dry_run = auto_approve_for_testing, dry_run
    return planned


def planned_for(scope: PipelineRun.Scope, policy: Policy, actor: Actor, *, takes_stock: bool) -> PipelineRun:
    """An unsaved run of today with its goal and plan, and no further wishes."""
    return PipelineRun(
        scope=scope,
        as_of=today(),
        policy=policy,
        goal=GOAL,
        steps=[
            {
                "name": step.name,
                "depends_on": list(step.depends_on),
                "status": "planned" if takes_stock or not step.takes_stock else "skipped",
                "seconds": None,
                "in": None,
                "out": None,
            }
            for step in STEPS
        ],
        requested_by_key=actor.key,
        requested_by_name=actor.name,
        door=actor.door,
    )
