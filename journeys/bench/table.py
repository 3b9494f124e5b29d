"""The figures of `journeys.bench.scale`, for people to read."""

from collections.abc import Iterator
from statistics import median

# What is measured, and beside what it is set.
_ROWS = (
    ("floor", "The floor", ""),
    ("full", "Full run, one process", "floor"),
    ("two_workers", "Full run, two workers", "floor"),
    ("four_workers", "Full run, four workers", "floor"),
    ("again", "Once more, nothing changed", "full"),
    ("incremental", "What was changed", "full"),
    ("next_day", "The next day: changed, or due", "full"),
)
_WIDTH = 31


def table(figures: dict) -> str:
    return "\n".join(_lines(figures))


def _lines(figures: dict) -> Iterator[str]:
    customers, rounds = figures["customers"], figures["measured"]
    shares = ", ".join(
        f"{100 * figures[what] / customers:.1f} % {what}" for what in ("proposed", "suppressed", "pending")
    )
    yield (
        f"{customers:,} customers, {figures['signals']:,} signals, on {figures['database']}; "
        f"rounds: {figures['rounds']}. {shares}."
    )
    yield ""
    yield f"{'':{_WIDTH}}{'seconds':>9}{'CPU':>9}{'MiB':>7}  ratio"
    for key, name, to in _ROWS:
        if key in rounds[0]:
            yield f"{name:{_WIDTH}}{_costs([row[key] for row in rounds])}  {_ratio(figures, key, to)}"
        else:
            yield f"{name:{_WIDTH}}{'not measured':>25}"
    yield ""
    if figures["full_to_floor_cpu"] is not None:
        yield f"By the seconds of processors a full run takes {figures['full_to_floor_cpu']:.2f} x the floor."
    yield (
        f"A full run reads {figures['rows_read']:,} rows and writes {figures['rows_written']:,}; "
        f"{figures['bytes_per_customer']:,.0f} bytes a customer."
    )
    yield f"Its longest transaction takes {figures['longest_transaction_ms']:,.0f} ms."
    if "next_day" in rounds[0]:
        yield (
            f"The next day adds {rounds[0]['next_day']['bytes_grown'] / customers:,.0f} bytes a customer; "
            f"its longest transaction takes {figures['next_day_longest_transaction_ms']:,.0f} ms."
        )
    if figures["decisions"]:
        during, alone = figures["decisions"]["during"], figures["decisions"]["alone"]
        yield f"While a run writes, one person decides {_rate(during)}; alone, {_rate(alone)}."


def _costs(rows: list[dict]) -> str:
    cpu = median(sum(spent) if isinstance(spent := row["cpu_seconds"], list) else spent for row in rows)
    peaks = [row["peak_mib"] for row in rows if row["peak_mib"] is not None]
    peak = f"{max(peaks):,.0f}" if peaks else "?"
    return f"{median(row['seconds'] for row in rows):>9,.2f}{cpu:>9,.2f}{peak:>7}"


def _ratio(figures: dict, key: str, to: str) -> str:
    if not to:
        return "1"
    ratio = figures[f"{key}_to_{to}"]
    return f"{ratio:.2f} x the floor" if to == "floor" else f"{100 * ratio:.1f} % of a full run"


def _rate(found: dict) -> str:
    if found["per_second"] is None:
        return "nothing, as nothing waits"
    return f"{found['per_second']:.0f} times a second, in {found['longest_ms']:,.0f} ms at most"
