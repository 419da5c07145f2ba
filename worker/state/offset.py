"""Learns the difference between Redis' clock and this process's monotonic clock."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass

KEPT_SECONDS = 2.0
"""A bound is used for this long, at most twice as long. Clocks drift apart by less than 0.4 ms in that time."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The least and the most that must be added to the monotonic clock to get Redis' time, in microseconds."""

    least_us: float = -math.inf
    most_us: float = math.inf

    def within(self, other: Bounds) -> Bounds:
        """Return the bounds that satisfy both."""
        return Bounds(max(self.least_us, other.least_us), min(self.most_us, other.most_us))

    @property
    def contradictory(self) -> bool:
        """Whether no offset satisfies the bounds."""
        return self.least_us > self.most_us


class ClockOffset:
    """Keeps the bounds of the offset, which every reply that contains Redis' time makes closer. Thread-safe.

    Redis read its clock between the sending and the receiving. One slow exchange, in a batch or on a busy Redis, would
    leave a doubt larger than a slot of some milliseconds; the quickest exchanges of the last seconds give close bounds.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._older, self._newer = Bounds(), Bounds()
        self._since = -math.inf

    def learn(self, sent: float, received: float, now_us: int) -> Bounds:
        """Return the bounds after a reply: Redis' time was `now_us` between `sent` and `received` (s, monotonic)."""
        seen = Bounds(now_us - received * 1_000_000, now_us - sent * 1_000_000)
        with self._lock:
            if received - self._since > KEPT_SECONDS:
                self._older, self._newer, self._since = self._newer, Bounds(), received
            self._newer = self._newer.within(seen)
            bounds = self._newer.within(self._older)
            if bounds.contradictory:
                # One of the two clocks was set, so the older bounds are void.
                self._older, self._newer, bounds = Bounds(), seen, seen
            return bounds
