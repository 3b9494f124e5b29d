"""The words that the demo's names and reasons are made of. All names are invented."""

from approvals.rules import RejectionCategory as Category
from journeys.domain.vocabulary import Segment

PLACES = (
    "Alder", "Amber", "Ash", "Barley", "Beacon", "Bramble", "Briar", "Brook", "Cedar", "Chalk", "Clover",
    "Copper", "Coral", "Crane", "Cresset", "Dale", "Drift", "Elm", "Ember", "Fallow", "Fern", "Finch",
    "Flint", "Foxglove", "Gorse", "Granite", "Harbour", "Hazel", "Heron", "Juniper", "Kestrel", "Larch",
    "Linden", "Marl", "Meadow", "Moss", "Oriel", "Osprey", "Pebble", "Plover", "Quartz", "Rowan", "Sable",
    "Sedge", "Sorrel", "Tamarisk", "Thistle", "Wren",
)  # fmt: skip
FEATURES = (
    "bank", "bourne", "bridge", "cliff", "combe", "cross", "field", "ford", "gate", "ham", "haven", "hurst",
    "landing", "mere", "mount", "point", "reach", "ridge", "side", "stead", "stone", "ton", "vale", "water",
    "well", "wick", "wood", "yard",
)  # fmt: skip
# What the firms of each segment do; it ends the name.
TRADES: dict[str, tuple[str, ...]] = {
    Segment.SMB: (
        "Bakery", "Books", "Cycles", "Dental", "Design", "Florists", "Garage", "Joinery", "Kitchens",
        "Opticians", "Photography", "Physio", "Pottery", "Prints", "Tea Rooms", "Tours",
    ),
    Segment.MID_MARKET: (
        "Analytics", "Brewing", "Clinics", "Components", "Couriers", "Estates", "Foods", "Freight",
        "Hotels", "Instruments", "Learning", "Media", "Outfitters", "Packaging", "Studios", "Textiles",
    ),
    Segment.ENTERPRISE: (
        "Airways", "Aggregates", "Bank", "Broadcasting", "Energy", "Group", "Health Trust", "Holdings",
        "Hospitals", "Insurance", "Logistics", "Marine", "Pharmaceuticals", "Rail", "Telecom", "Utilities",
    ),
}  # fmt: skip
MAILBOXES = ("accounts", "hello", "office", "operations", "platform", "success", "systems", "team")

# Where it is asked for, an approval has a reason; else only some have.
WHY_APPROVED_HIGH = (
    "Agreed with the account's owner.",
    "Fits what we heard on the last call.",
    "Go ahead; the pattern is clear.",
    "Worth doing before the review.",
)
WHY_APPROVED = ("", "", "", *WHY_APPROVED_HIGH)
# What was wrong, and the reason that was given.
WHY_REJECTED = (
    (Category.BAD_TIMING, "The owner spoke with them yesterday; another contact now would be one too many."),
    (
        Category.ALREADY_HANDLED,
        "Known outage on our side; support has already written to everybody concerned.",
    ),
    (Category.BAD_TIMING, "Their office is closed this fortnight. Nothing will be read."),
    (Category.POLICY_TOO_EAGER, "The drop is seasonal for this customer, as it was last year."),
    (Category.EVIDENCE_WRONG, "Two of the signals stem from one ticket that was opened twice."),
    (Category.BAD_TIMING, "They asked us to deal with their consultant until the migration is over."),
    (Category.ALREADY_HANDLED, "A visit is planned for next week; it will be raised there."),
    (Category.WRONG_ACTION, "The text does not fit this customer; a call by the owner is better."),
)


def company_name(number: int, segment: str) -> str:
    """A name for the `number`th customer, 0 upwards. Within a segment none comes twice among the first
    21,504; after that a number tells them apart."""
    trades = TRADES[segment]
    total = len(PLACES) * len(FEATURES) * len(trades)
    # A stride without a common divisor visits every combination once, in an order that looks like none.
    round_, place = divmod(number, total)
    place = place * 7919 % total
    rest, trade = divmod(place, len(trades))
    first, second = divmod(rest, len(FEATURES))
    name = f"{PLACES[first]}{FEATURES[second]} {trades[trade]}"
    return f"{name} {round_ + 1}" if round_ else name


def address(name: str, mailbox: str) -> str:
    return f"{mailbox}@{name.lower().replace(' ', '-')}.example"
