"""What an experiment will take, before its policy is put in force. Reads only."""

from datetime import timedelta

from journeys.days import today
from journeys.domain import effect
from journeys.domain.policy import PolicyDocument
from journeys.domain.vocabulary import Channel, Origin, phrase
from journeys.models import Assignment, Customer, Intervention

# What was eligible in so many days says what will be.
DAYS_BACK = 90


def plan(rules: PolicyDocument) -> dict:
    """How many customers, and at the present rate how many months, the difference takes that the policy wants
    to see. Figures are None where nothing is known."""
    experiment = rules.holdout
    if not experiment.share:
        return {"on": False}
    needed = effect.customers_needed(
        base=experiment.base_share,
        difference=experiment.smallest_difference,
        held_share=experiment.share,
        power=experiment.power,
    )
    a_month = _eligible_a_month(rules)
    months = effect.months_needed(needed, a_month)
    return {
        "on": True,
        "experiment": experiment.experiment,
        "share": f"{experiment.share:.0%}",
        "ends_on": experiment.ends_on,
        "tiers": " or ".join(phrase(tier) for tier in experiment.tiers),
        "below": f"{experiment.below_account_value:,.0f}",
        "needed": None if needed is None else f"{needed:,}",
        "months": None if months is None else f"{months:,.1f}",
        "eligible_a_month": None if a_month is None else f"{a_month:,.0f}",
        "entered": f"{Assignment.objects.filter(experiment=experiment.experiment).count():,}",
        "sentence": _sentence(rules, needed, months),
    }


def _sentence(rules: PolicyDocument, needed: int | None, months: float | None) -> str:
    asked, days = rules.holdout, rules.outcomes.truth_days
    after = asked.base_share - asked.smallest_difference
    if needed is None:
        return "With these figures there is no answer to how many customers it takes."
    text = (
        f"To see the share that leaves within {days} days fall from {asked.base_share:.0%} to {after:.0%}, "
        f"with a probability of {asked.power:.0%}, it takes {needed:,} customers; the verdict comes "
        f"{days} days after the last of them has entered, and not before."
    )
    there = Customer.objects.count()
    if needed > there:
        return (
            f"{text} There are {there:,}, so it may never come: ask for a larger difference, "
            "or hold out more."
        )
    if months is None:
        return f"{text} Nobody has been eligible so far, so how long that takes is not known."
    return text


def _eligible_a_month(rules: PolicyDocument) -> float | None:
    """Different customers in 30 days who were proposed something, and whom the experiment would take; those
    whom it holds out already count too."""
    since = today() - timedelta(days=DAYS_BACK)
    experiment = rules.holdout
    proposed = Intervention.objects.filter(
        origin=Origin.MACHINE,
        as_of__gt=since,
        risk_tier__in=experiment.tiers,
        customer__account_value__lt=experiment.below_account_value,
    ).exclude(channel=Channel.NONE)
    held_out = Assignment.objects.filter(arm="held_out", assigned_on__gt=since)
    customers = proposed.values("customer_id").union(held_out.values("customer_id")).count()
    return customers * 30 / DAYS_BACK or None
