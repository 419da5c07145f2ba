"""Notices a consumer that is connected and no longer turns."""

from __future__ import annotations

import time
from collections.abc import Callable

STALLED_AFTER_SECONDS = 60.0


class ConsumerWatch:
    """Heard from by the consumer's own loop; asked by the watch over the worker. Thread-safe.

    Only a consumer that is attached, which means connected, can stall: one that waits for its broker is well.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._restart: Callable[[], None] | None = None
        self._last_beat = 0.0

    def attach(self, restart: Callable[[], None]) -> None:
        """The consumer is connected; `restart`, called from another thread, makes it connect anew."""
        self._last_beat, self._restart = self._clock(), restart

    def detach(self) -> None:
        self._restart = None

    def beat(self) -> None:
        self._last_beat = self._clock()

    @property
    def stalled(self) -> bool:
        return self._restart is not None and self._clock() - self._last_beat > STALLED_AFTER_SECONDS

    def restart(self) -> None:
        """Make a stalled consumer connect anew; it has another while to beat."""
        restart, self._last_beat = self._restart, self._clock()
        if restart is not None:
            restart()
