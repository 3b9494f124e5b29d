"""How the pipeline stands to the floor, on a portfolio of any size: see docs/growing.md."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import median

from journeys.bench.place import Place, place
from journeys.days import today

WORKERS = {"two_workers": 2, "four_workers": 4}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured. `database` is the address of a server, or empty for the kind in use; `full_only`
    leaves everything out but the full run and its floor."""

    customers: int = 20_000
    signals_per_customer: float = 5.0
    changed: float = 0.01
    rounds: int = 3
    seed: int = 1
    database: str = ""
    full_only: bool = False


def measure(plan: Plan, tell: Callable[[str], None] = lambda text: None) -> dict:
    """The figures, as docs/growing.md explains them. Raises journeys.bench.place.Broken."""
    day = today()
    with place(plan.database) as here:
        tell("inventing the portfolio")
        here.make("portfolio")
        made = here.do(
            "portfolio",
            "generate",
            customers=plan.customers,
            signals_per_customer=plan.signals_per_customer,
            seed=plan.seed,
            day=str(_day_before(day)),
        )
        rounds = []
        for number in range(1, plan.rounds + 1):
            rounds.append(
                _round(here, plan, day, made["heights"], lambda text, n=number: tell(f"round {n}: {text}"))
            )
        decisions = None if plan.full_only else _decisions(here, day, tell)
    return _figures(plan, here.vendor, made, rounds, decisions)


def _round(here: Place, plan: Plan, day: date, heights: dict, tell: Callable[[str], None]) -> dict:
    """Each on a fresh copy of the portfolio; the floor, and the runs that find it as it was, follow the full
    run, on its copy."""
    found = {}
    with here.copy("portfolio") as name:
        tell("full run")
        found["full"] = _run(here, name, as_of=str(day))
        tell("floor")
        found["floor"] = here.do(name, "floor", as_of=str(day), heights=heights)
        if not plan.full_only:
            tell("full run once more")
            found["again"] = _run(here, name, as_of=str(day))
            tell("what was changed")
            found["incremental"] = _changed_run(here, name, plan, day)
    if plan.full_only:
        return found
    with here.copy("portfolio") as name:
        tell("the next day")
        # The second finds what the first has proposed waiting, as on any other day.
        for _ in range(2):
            _run(here, name, as_of=str(_day_before(day)))
        found["next_day"] = _changed_run(here, name, plan, day)
    for key, workers in WORKERS.items():
        tell(f"{workers} workers")
        with here.copy("portfolio") as name:
            found[key] = here.do(name, "run_by_workers", as_of=str(day), workers=workers)
    return found


def _day_before(day: date) -> date:
    return day - timedelta(days=1)


def _changed_run(here: Place, name: str, plan: Plan, day: date) -> dict:
    """Over what is received on that day, and whoever is due by then."""
    here.do(name, "change", share=plan.changed, day=str(day), seed=plan.seed)
    return _run(here, name, as_of=str(day), changed_only=True)


def _run(here: Place, name: str, **arguments) -> dict:
    before = here.size(name)
    return here.do(name, "run", **arguments) | {"bytes_grown": here.size(name) - before}


def _decisions(here: Place, day: date, tell: Callable[[str], None]) -> dict:
    tell("a run, while somebody decides")
    with here.copy("portfolio") as name, here.start(name, "decide") as decider:
        run = here.do(name, "run", as_of=str(day))
        return here.answer(decider) | {"run_seconds": run["seconds"]}


def _figures(plan: Plan, vendor: str, made: dict, rounds: list[dict], decisions: dict | None) -> dict:
    counts = rounds[0]["full"]["counts"]

    def seconds(key: str) -> float | None:
        return median(row[key]["seconds"] for row in rounds) if key in rounds[0] else None

    def ratio(key: str, to: str) -> float | None:
        """The middle one of the rounds: what was measured one after the other is compared."""
        return (
            median(row[key]["seconds"] / row[to]["seconds"] for row in rounds) if key in rounds[0] else None
        )

    def longest(key: str) -> float | None:
        return max(row[key]["longest_transaction_ms"] for row in rounds) if key in rounds[0] else None

    figures = {
        "database": vendor,
        "customers": plan.customers,
        "signals": made["signals"],
        "rounds": plan.rounds,
        "generated_seconds": made["seconds"],
        "proposed": counts["proposed"],
        "suppressed": counts["suppressed"],
        "pending": counts["pending_approvals"],
        "rows_read": rounds[0]["floor"]["rows_read"],
        "rows_written": rounds[0]["floor"]["rows_written"],
        "bytes_per_customer": rounds[0]["full"]["bytes_grown"] / plan.customers,
        "floor_seconds": seconds("floor"),
        "full_seconds": seconds("full"),
        "full_to_floor": ratio("full", "floor"),
        "full_to_floor_cpu": _median([_cpu_ratio(row, vendor) for row in rounds]),
    }
    for key in WORKERS:
        figures |= {f"{key}_seconds": seconds(key), f"{key}_to_floor": ratio(key, "floor")}
    for key in ("again", "incremental", "next_day"):
        figures |= {f"{key}_seconds": seconds(key), f"{key}_to_full": ratio(key, "full")}
    peaks = [row[key]["peak_mib"] for row in rounds for key in ("full", *WORKERS) if key in row]
    return figures | {
        "peak_mib": None if None in peaks else max(peaks),
        "longest_transaction_ms": longest("full"),
        "next_day_longest_transaction_ms": longest("next_day"),
        "decisions": decisions,
        "measured": rounds,
    }


def _cpu_ratio(row: dict, vendor: str) -> float | None:
    """Of the seconds of processors, which others that work on the same machine disturb less; with those of
    the server. None where it is on another machine."""
    full, floor = (
        [row[key]["cpu_seconds"], row[key]["server_cpu_seconds"] if vendor == "postgresql" else 0.0]
        for key in ("full", "floor")
    )
    return None if None in full + floor else sum(full) / sum(floor)


def _median(values: list[float | None]) -> float | None:
    return None if None in values else median(values)
