"""Which of those whom the policy may decide are the most urgent of all, where its cap ends before they do."""

from collections.abc import Iterable
from heapq import nsmallest

# Priority and customer.
Candidate = tuple[float, str]


def rank(candidate: Candidate) -> tuple[float, str]:
    """The most urgent first; of equally urgent ones the one with the first id."""
    priority, customer_id = candidate
    return -priority, customer_id


class MostUrgent:
    """The `most` most urgent of all candidates that were seen so far: who is less urgent than each of these
    is none of them, whoever may come yet, and need not be looked at a second time."""

    def __init__(self, most: int):
        self._most = most
        self._ranks: list[tuple[float, str]] = []

    def see(self, candidates: Iterable[Candidate]) -> None:
        """Whoever is seen again counts once."""
        self._ranks = nsmallest(self._most, {*self._ranks, *map(rank, candidates)})

    def may_include(self, candidate: Candidate) -> bool:
        if len(self._ranks) < self._most:
            return True
        return bool(self._ranks) and rank(candidate) < self._ranks[-1]
