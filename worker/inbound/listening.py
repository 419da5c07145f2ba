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
        self._stirred, self._in_vain = clock(), False

    def listen(self, patient: bool = False) -> bool:
        """Wait for the bell, if it has been quiet for `QUIET_SECONDS`; return whether to ask now.

        The first such call only hangs the bell, so that the source asks once more before it waits. A `patient` source,
        which left nothing behind when it asked last, asks after every other wait in vain: the bell may have failed.
        Raises StoreUnavailable.
        """
        if self._clock() - self._stirred < QUIET_SECONDS:
            return True
        if not self._bell.hung:
            self._bell.hang()
            self._in_vain = False
        elif self._bell.wait(self._listen_seconds):
            self.stir()
        else:
            self._in_vain = patient and not self._in_vain
            return not self._in_vain
        return True

    def stir(self) -> None:
        """End the quiet: a message came or Redis failed. Takes the bell down."""
        self._stirred = self._clock()
        self._bell.take_down()

    def close(self) -> None:
        """Take the bell down."""
        self._bell.take_down()
