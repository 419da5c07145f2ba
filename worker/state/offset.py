"""How Redis' clock stands to this process's monotonic clock."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass

KEPT_SECONDS = 2.0
"""How long a bound serves, to twice as long. Clocks drift apart by less than 0.4 ms in that time."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What to add to the monotonic clock to get Redis' time: at least, and at most, in microseconds."""

    least_us: float = -math.inf
    most_us: float = math.inf

    def within(self, other: Bounds) -> Bounds:
        return Bounds(max(self.least_us, other.least_us), min(self.most_us, other.most_us))

    @property
    def contradictory(self) -> bool:
        return self.least_us > self.most_us


class ClockOffset:
    """Learns from every reply that tells Redis' time. Thread-safe.

    Such a reply was made between sending and receiving. One exchange alone may have taken long, in a batch or on a busy
    Redis, and would leave a slot of some milliseconds no time at all; the quickest of the last seconds tell more.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._older, self._newer = Bounds(), Bounds()
        self._since = -math.inf

    def learn(self, sent: float, received: float, now_us: int) -> Bounds:
        """The bounds, once a reply said `now_us` between the monotonic moments `sent` and `received` (seconds)."""
        seen = Bounds(now_us - received * 1_000_000, now_us - sent * 1_000_000)
        with self._lock:
            if received - self._since > KEPT_SECONDS:
                self._older, self._newer, self._since = self._newer, Bounds(), received
            self._newer = self._newer.within(seen)
            bounds = self._newer.within(self._older)
            if bounds.contradictory:
                # One of the clocks was set.
                self._older, self._newer, bounds = Bounds(), seen, seen
            return bounds
