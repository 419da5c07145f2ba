"""Decides when a source asks often for new messages, and when it waits until the bell rings."""

from __future__ import annotations

import time
from collections.abc import Callable

from worker.redisio.bell import Bell

QUIET_SECONDS = 0.01
"""After this long without a message, a worker stops asking and waits for the bell."""


class Listening:
    """The listening of one source; for one thread. It waits for `listen_seconds` at a time."""

    def __init__(
        self, bell: Bell, listen_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._bell, self._listen_seconds, self._clock = bell, listen_seconds, clock
        self._stirred = clock()

    def listen(self) -> None:
        """Wait for the bell, if it has been quiet for `QUIET_SECONDS`. The first such call only hangs the bell.

        So the source asks once more between hanging the bell and waiting for it. Raises StoreUnavailable.
        """
        if self._clock() - self._stirred < QUIET_SECONDS:
            return
        if not self._bell.hung:
            self._bell.hang()
        elif self._bell.wait(self._listen_seconds):
            self.stir()

    def stir(self) -> None:
        """End the quiet: a message came or Redis failed. Takes the bell down."""
        self._stirred = self._clock()
        self._bell.take_down()

    def close(self) -> None:
        """Take the bell down."""
        self._bell.take_down()
