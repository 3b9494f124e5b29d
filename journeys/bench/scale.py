"""How the pipeline stands to the floor, on a portfolio of any size: see docs/growing.md."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from statistics import median

from journeys.bench.place import Place, place
from journeys.days import today


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured. `database` is the address of a server, or empty for the kind in use."""

    customers: int = 20_000
    signals_per_customer: float = 5.0
    changed: float = 0.01
    rounds: int = 3
    seed: int = 1
    database: str = ""


def measure(plan: Plan, tell: Callable[[str], None] = lambda text: None) -> dict:
    """Raises journeys.bench.place.Broken."""
    # The day before, so that there is a next one.
    day = today() - timedelta(days=1)
    with place(plan.database) as here:
        tell("inventing the portfolio")
        here.make("portfolio")
        made = here.do(
            "portfolio",
            "generate",
            customers=plan.customers,
            signals_per_customer=plan.signals_per_customer,
            seed=plan.seed,
            day=str(day),
        )
        rounds = []
        for number in range(1, plan.rounds + 1):
            tell(f"round {number} of {plan.rounds}")
            rounds.append(_round(here, str(day), made["heights"]))
    full = [row["full"] for row in rounds]
    counts = full[0]["counts"]
    return {
        "database": here.vendor,
        "customers": plan.customers,
        "signals": made["signals"],
        "generated_seconds": made["seconds"],
        "proposed": counts["proposed"],
        "suppressed": counts["suppressed"],
        "pending": counts["pending_approvals"],
        "floor_seconds": median(row["floor"]["seconds"] for row in rounds),
        "full_seconds": median(row["seconds"] for row in full),
        "full_to_floor": median(row["full"]["seconds"] / row["floor"]["seconds"] for row in rounds),
        "peak_mib": max(row["peak_mib"] or 0 for row in full) or None,
        "longest_transaction_ms": max(row["longest_transaction_ms"] for row in full),
        "rounds": rounds,
    }


def _round(here: Place, day: str, heights: dict) -> dict:
    here.make("round", like="portfolio")
    try:
        before = here.size("round")
        full = here.do("round", "run", as_of=day)
        grown = here.size("round") - before
        return {
            "full": full,
            "floor": here.do("round", "floor", as_of=day, heights=heights),
            "bytes_grown": grown,
        }
    finally:
        here.drop("round")
