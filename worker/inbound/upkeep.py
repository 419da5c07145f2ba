"""When a worker says which messages of a Redis broker it has in hand, and when it looks for what lost workers had."""

from __future__ import annotations

from collections.abc import Callable

from worker.redisio.connection import SOCKET_SECONDS

KEEP_SECONDS = 5.0
ABANDONED_SECONDS = KEEP_SECONDS + 2 * SOCKET_SECONDS
"""A worker that lives keeps what it has in hand every `KEEP_SECONDS`, in a turn that may wait for Redis twice. What was
not kept for so long is abandoned: its worker died or froze, or never heard that it had been given it."""


class Upkeep:
    """The schedule of one source.

    After an outage, in which nobody could keep anything, a worker keeps what it has at once, and leaves what others
    have alone for another while. One whose intake is stuck keeps nothing, so that another takes over what it has. A
    worker that is too slow all the same loses its messages to another one: then a job comes to the ledger twice, which
    knows it by its id.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._keep_at = self._take_over_at = clock()

    def turn(self, keep: Callable[[], object], take_over: Callable[[], bool]) -> None:
        """Do what is due. `take_over` returns False while it has not seen all that is abandoned."""
        now = self._clock()
        if now >= self._keep_at:
            keep()
            self._keep_at = now + KEEP_SECONDS
        if now >= self._take_over_at and take_over():
            self._take_over_at = now + KEEP_SECONDS

    def interrupted(self) -> None:
        """Redis could not be reached."""
        self._keep_at = self._clock()
        self._take_over_at = self._keep_at + KEEP_SECONDS
