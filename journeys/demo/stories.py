"""How a customer of the demo has fared: stages with legal moves, and signals in clusters, some of which
recover. Everything is counted in days back from the demo's day; 0 is that day itself.
"""

from enum import Enum
from random import Random
from typing import NamedTuple

from journeys.domain.vocabulary import Stage

# How far back a cluster of signals may begin: well before those that the published policy still counts.
OLDEST_CLUSTER = 180


class Mood(Enum):
    """Nothing much, a rough patch that is over, or one that is not."""

    QUIET = "quiet"
    RECOVERED = "recovered"
    TROUBLED = "troubled"


class Stay(NamedTuple):
    """A stage, and how many days ago it was entered."""

    stage: Stage
    days_ago: int


class Sign(NamedTuple):
    """A signal to be. The day comes first, so that sorting sorts by it."""

    days_ago: int
    kind: str
    strength: float


# Out of 100 customers: how many are in the stage; and out of 100 of those, how many are troubled, recovered.
_STAGES = {
    Stage.ONBOARDING: (11, 24, 15),
    Stage.ENGAGEMENT: (31, 12, 34),
    Stage.SUPPORT: (12, 28, 34),
    Stage.RETENTION: (42, 6, 40),
    Stage.ESCALATION: (4, 75, 25),
}
# How a customer may have come to the present stage. Each step is a legal move of the published policy.
_PATHS = {
    Stage.ONBOARDING: ("onboarding",),
    Stage.ENGAGEMENT: ("onboarding engagement", "onboarding engagement", "engagement retention engagement"),
    Stage.SUPPORT: ("onboarding engagement support", "onboarding support", "engagement retention support"),
    Stage.RETENTION: (
        "onboarding engagement retention",
        "onboarding engagement retention",
        "engagement support retention",
        "retention support retention",
    ),
    Stage.ESCALATION: (
        "engagement retention escalation",
        "onboarding engagement support escalation",
        "retention support escalation",
    ),
}
# Days in a stage that is over, and in the present one so far: least and most.
_STAY = {
    Stage.ONBOARDING: (8, 26),
    Stage.ENGAGEMENT: (30, 110),
    Stage.SUPPORT: (3, 16),
    Stage.RETENTION: (60, 240),
    Stage.ESCALATION: (5, 20),
}
_STAY_SO_FAR = {
    Stage.ONBOARDING: (1, 24),
    Stage.ENGAGEMENT: (3, 62),
    Stage.SUPPORT: (1, 13),
    Stage.RETENTION: (5, 140),
    Stage.ESCALATION: (2, 40),
}
_BAD_NEWS = {
    Stage.ONBOARDING: ("failed_onboarding_step", "support_ticket_spike", "negative_sentiment"),
    Stage.ENGAGEMENT: ("usage_drop", "usage_drop", "inactivity_warning", "negative_sentiment"),
    Stage.SUPPORT: (
        "repeat_support_tickets",
        "support_satisfaction_low",
        "support_ticket_spike",
        "negative_sentiment",
    ),
    Stage.RETENTION: ("usage_drop", "inactivity_warning", "negative_sentiment", "support_ticket_spike"),
    Stage.ESCALATION: ("negative_sentiment", "support_ticket_spike", "repeat_support_tickets"),
}
_GOOD_NEWS = {
    Stage.ONBOARDING: ("positive_sentiment",),
    Stage.ENGAGEMENT: ("usage_recovery", "positive_sentiment"),
    Stage.SUPPORT: ("positive_sentiment",),
    Stage.RETENTION: ("renewal_intent", "positive_sentiment", "usage_recovery"),
    Stage.ESCALATION: ("positive_sentiment",),
}
# Counted by the published policy, and neither good nor bad: one kind that it knows, and one that it does not.
_NEUTRAL, _UNHEARD_OF = "low_product_usage", "champion_left"


def journey(random: Random) -> tuple[Mood, list[Stay]]:
    """A mood, and the stages in the order in which they were entered; the last is the present one."""
    present = random.choices(list(_STAGES), [share for share, _, _ in _STAGES.values()])[0]
    _, troubled, recovered = _STAGES[present]
    mood = random.choices(
        [Mood.TROUBLED, Mood.RECOVERED, Mood.QUIET], [troubled, recovered, 100 - troubled - recovered]
    )[0]
    *earlier, _ = random.choice(_PATHS[present]).split()
    days_ago = random.randint(*_STAY_SO_FAR[present])
    if mood is Mood.TROUBLED:  # those in trouble do not get on
        days_ago = max(days_ago, random.randint(*_STAY_SO_FAR[present]))
    stays = [Stay(present, days_ago)]
    for stage in map(Stage, reversed(earlier)):
        days_ago += random.randint(*_STAY[stage])
        stays.append(Stay(stage, days_ago))
    return mood, stays[::-1]


def signs(random: Random, mood: Mood, stays: list[Stay]) -> list[Sign]:
    """The signals of such a journey, the oldest first. None is of the day itself: it is not over yet."""
    oldest = stays[0].days_ago
    found = []
    for _ in range(random.choice((0, 0, 0, 1, 1, 2))):
        day = _day(random, 1, min(oldest, 170))
        kind = _NEUTRAL if random.random() < 0.3 else random.choice(_GOOD_NEWS[stage_on(stays, day)])
        found.append(Sign(day, kind, _strength(random, 0.25, 0.6)))
    if mood is Mood.RECOVERED:
        over = _day(random, 75, min(oldest, OLDEST_CLUSTER))
        found += _cluster(random, stays, begins=over, lasts=10, count=random.randint(2, 4), worst=0.85)
        better = max(1, over - random.randint(11, 25))
        found.append(
            Sign(better, random.choice(_GOOD_NEWS[stage_on(stays, better)]), _strength(random, 0.4, 0.8))
        )
    elif mood is Mood.TROUBLED:
        begins = _day(random, 2, min(oldest, 75))
        count = random.choice((1, 1, 2, 2, 3, 4, 6))
        found += _cluster(random, stays, begins=begins, lasts=min(begins, 28), count=count, worst=0.97)
        if random.random() < 0.01:
            found.append(Sign(begins, _UNHEARD_OF, _strength(random, 0.3, 0.9)))
    return sorted(found, reverse=True)


def _cluster(
    random: Random, stays: list[Stay], *, begins: int, lasts: int, count: int, worst: float
) -> list[Sign]:
    """Bad news within `lasts` days from `begins` on, each as a rule worse than the one before."""
    days = sorted((max(1, begins - random.randint(0, max(0, lasts - 1))) for _ in range(count)), reverse=True)
    low = worst - 0.45
    found = []
    for place, day in enumerate(days, start=1):
        least = low + (worst - low) * (place - 1) / (count + 1)
        found.append(
            Sign(day, random.choice(_BAD_NEWS[stage_on(stays, day)]), _strength(random, least, worst))
        )
    return found


def stage_on(stays: list[Stay], days_ago: int) -> Stage:
    """Where the customer was on that day."""
    return next((stay.stage for stay in reversed(stays) if stay.days_ago >= days_ago), stays[0].stage)


def _day(random: Random, latest: int, oldest: int) -> int:
    return random.randint(min(latest, oldest), oldest)


def _strength(random: Random, least: float, most: float) -> float:
    return round(random.uniform(least, most), 2)
