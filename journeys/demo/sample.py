"""The published sample portfolio, moved in time so that its reference day is another one."""

import json
from datetime import date, timedelta
from pathlib import Path

from django.conf import settings

from journeys.records import CustomerRecord, Record, SignalRecord, StateRecord, parse

REFERENCE_DAY = date(2025, 1, 15)
_KINDS = {
    "journeys.customer": (CustomerRecord, "customer_id"),
    "journeys.journeystate": (StateRecord, None),
    "journeys.signal": (SignalRecord, "signal_id"),
}
# Not ours to say: when we received it is now.
_LEFT_OUT = {"received_at"}


def records(day: date) -> list[list[Record]]:
    """The customers, stages and signals of fixtures/sample.json as they stand on `day`: a list of each kind,
    in the order in which they must be taken."""
    file = Path(settings.FIXTURE_DIRS[0]) / "sample.json"
    by_model: dict[str, list[Record]] = {model: [] for model in _KINDS}
    for row in json.loads(file.read_text(encoding="utf-8")):
        kind, key = _KINDS[row["model"]]
        raw = {name: value for name, value in row["fields"].items() if name not in _LEFT_OUT}
        if key:
            raw[key] = row["pk"]
        if "customer" in raw:
            raw["customer_id"] = raw.pop("customer")
        by_model[row["model"]].append(parse(kind, _moved(raw, day), today=day))
    return list(by_model.values())


def _moved(raw: dict, day: date) -> dict:
    """The fields with every day moved along; a stage keeps the number of days that was recorded for it."""
    distance = day - REFERENCE_DAY
    return {name: _later(value, distance) if _is_a_day(name) else value for name, value in raw.items()}


def _is_a_day(name: str) -> bool:
    return name.endswith(("_at", "_on", "_date"))


def _later(value: str | None, distance: timedelta) -> str | None:
    """An ISO day, or one with a time, `distance` whole days later."""
    if not value:
        return value
    return (date.fromisoformat(value[:10]) + distance).isoformat() + value[10:]
