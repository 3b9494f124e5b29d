"""What has been counted of a run, or of a part of it."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from time import perf_counter


@dataclass(slots=True)
class Progress:
    """What a step has done so far; `taken` and `given` are its `in` and `out`."""

    seconds: float = 0.0
    taken: int = 0
    given: int = 0

    def count(self, taken: int, given: int) -> None:
        self.taken += taken
        self.given += given


@dataclass(slots=True)
class Totals:
    """The figures of the customers that were looked at, and each step's progress, by its name. `signals` are
    those in force that belong to them, `unchanged_by` counts whose conclusion holds on, by what it says."""

    customers: int = 0
    signals: int = 0
    at_risk: int = 0
    proposed: int = 0
    below_confidence: int = 0
    not_assessed: int = 0
    by_policy: int = 0
    auto_approved: int = 0
    suppressed_by: Counter[str] = field(default_factory=Counter)
    unchanged_by: Counter[str] = field(default_factory=Counter)
    steps: dict[str, Progress] = field(default_factory=dict)

    def of(self, step: str) -> Progress:
        return self.steps.setdefault(step, Progress())

    @contextmanager
    def timed(self, step: str) -> Iterator[Progress]:
        """What breaks is not counted."""
        progress, started = self.of(step), perf_counter()
        yield progress
        progress.seconds += perf_counter() - started

    def add(self, other: "Totals") -> None:
        for name in _NUMBERS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.suppressed_by.update(other.suppressed_by)
        self.unchanged_by.update(other.unchanged_by)
        for name, progress in other.steps.items():
            mine = self.of(name)
            mine.seconds += progress.seconds
            mine.count(progress.taken, progress.given)

    def as_json(self) -> dict:
        return {name: getattr(self, name) for name in _NUMBERS} | {
            "suppressed_by": dict(self.suppressed_by),
            "unchanged_by": dict(self.unchanged_by),
            "steps": {
                name: [round(progress.seconds, 6), progress.taken, progress.given]
                for name, progress in self.steps.items()
            },
        }

    @classmethod
    def from_json(cls, told: Mapping) -> "Totals":
        """What `as_json` made."""
        return cls(
            **{name: told[name] for name in _NUMBERS},
            suppressed_by=Counter(told["suppressed_by"]),
            unchanged_by=Counter(told["unchanged_by"]),
            steps={name: Progress(*row) for name, row in told["steps"].items()},
        )


_NUMBERS = tuple(row.name for row in fields(Totals) if row.type is int or row.type == "int")
