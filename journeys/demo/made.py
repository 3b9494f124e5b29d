"""What a seeding made, as it is told at its end and kept in the audit."""

from dataclasses import dataclass

from journeys.domain.vocabulary import ExecutionMode


@dataclass(slots=True)
class Seeded:
    """`execution` is the mode in which it was left; `kept_back` says why it is not live."""

    customers: int
    seed: int
    weeks: int
    proposed: int = 0
    decided_by_people: int = 0
    rejected: int = 0
    executed: int = 0
    outcomes: int = 0
    execution: str = ExecutionMode.RECORD_ONLY.value
    kept_back: str = ""

    @property
    def subject(self) -> str:
        return f"{self.customers:,} invented customers (seed {self.seed}) and the sample, {self.weeks} weeks"
