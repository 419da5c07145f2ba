"""The places for webhook deliveries of one worker, shared so that endpoints that hang leave some for all others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable

from worker.delivery.ports import Conclusion, Delivery, Destination, Health

MAX_IN_FLIGHT = 2048
_AT_ONCE = 4
"""Of scarce places so many are given away at once, and so no more to one endpoint."""


class Places:
    """Who has a place, and who may have one more. `taken` is the number of places taken. For one thread.

    Once half of the places are taken, an endpoint that has one gets no other. Once three quarters are, endpoints whose
    last attempt failed get none.
    """

    def __init__(self, count: int) -> None:
        self._count, self.taken = count, 0
        self._held: Counter[Destination] = Counter()
        self._failing: set[Destination] = set()

    @property
    def free(self) -> int:
        return self._count - self.taken

    def take(self, deliveries: Collection[Delivery]) -> None:
        """Give each of the deliveries a place."""
        self.taken += len(deliveries)
        self._held.update(delivery.destination for delivery in deliveries)

    def give_back(self, conclusions: Iterable[Conclusion]) -> None:
        """Free the places of deliveries whose hold has ended."""
        for conclusion in conclusions:
            where = conclusion.delivery.destination
            self.taken -= 1
            self._held[where] -= 1
            if not self._held[where]:
                del self._held[where]
            if conclusion.health is Health.GOOD:
                self._failing.discard(where)
            elif conclusion.health is not Health.NONE:
                self._failing.add(where)

    def offer(self) -> tuple[int, set[Destination]]:
        """Return how many deliveries may be leased now, and the destinations that get none of these places."""
        free = self.free
        spare = free - self._count // 2
        if spare > 0:
            return spare, set()
        barred = set(self._held)
        if free * 4 < self._count:
            barred |= self._failing
        return min(free, _AT_ONCE), barred
