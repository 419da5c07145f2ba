"""Schedules when a worker reports the messages that it has in hand, and when it takes over those of lost workers."""

from __future__ import annotations

from collections.abc import Callable

from worker.redisio.connection import SOCKET_SECONDS

KEEP_SECONDS = 5.0
"""How often a living worker reports the messages that it has in hand."""

ABANDONED_SECONDS = KEEP_SECONDS + 2 * SOCKET_SECONDS
"""A message that was not reported for this long is abandoned: its worker died or froze, or never got the reply with the
message. The turn that reports may wait for Redis twice."""


class Upkeep:
    """The schedule of one source.

    After an outage, in which no worker could report, a worker reports its messages at once and waits before it takes
    over any. A worker whose intake is stuck does not report, so that another takes over its messages. Known weakness: a
    worker that is merely slow may lose its messages too; the job then comes to the ledger twice, which knows it by its
    id.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._keep_at = self._take_over_at = clock()

    def turn(self, keep: Callable[[], object], take_over: Callable[[], bool]) -> None:
        """Call what is due. `take_over` returns False while there may be more to take over; it is then called again."""
        now = self._clock()
        if now >= self._keep_at:
            keep()
            self._keep_at = now + KEEP_SECONDS
        if now >= self._take_over_at and take_over():
            self._take_over_at = now + KEEP_SECONDS

    def interrupted(self) -> None:
        """Take note that Redis could not be reached."""
        self._keep_at = self._clock()
        self._take_over_at = self._keep_at + KEEP_SECONDS
