"""When a source of messages looks often for new ones, and when it waits until it hears of one."""

from __future__ import annotations

import time
from collections.abc import Callable

from worker.inbound.bell import Bell

QUIET_SECONDS = 0.01
"""After so long without a message a worker no longer looks, but listens."""


class Listening:
    """Of one source, for one thread. `listen_seconds`: how long at a time."""

    def __init__(
        self, bell: Bell, listen_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._bell, self._listen_seconds, self._clock = bell, listen_seconds, clock
        self._stirred = clock()

    def listen(self) -> None:
        """In a quiet time, wait for the bell; between its being hung and the first wait there is a look.

        Raises StoreUnavailable.
        """
        if self._clock() - self._stirred < QUIET_SECONDS:
            return
        if not self._bell.hung:
            self._bell.hang()
        elif self._bell.wait(self._listen_seconds):
            self.stir()

    def stir(self) -> None:
        """The quiet is over: look often. A bell that has not rung although something came is no good either."""
        self._stirred = self._clock()
        self._bell.take_down()

    def close(self) -> None:
        self._bell.take_down()
