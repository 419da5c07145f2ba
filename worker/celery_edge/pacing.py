"""Computes the pauses between attempts to connect."""

from __future__ import annotations

import time
from collections.abc import Callable

from worker.engine.loops import FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS

LASTING_SECONDS = 10.0
"""A connection that lasted so long was a good one."""


class Pacing:
    """The pauses before attempts: none before the first, then 0.1 s, doubled up to 5 s while no connection lasts."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pause_seconds = 0.0
        self._last: float | None = None

    def next(self) -> float:
        """The seconds to wait before the next attempt. Call it once for each attempt."""
        if self._last is None:
            pause = 0.0
        elif self._clock() - self._last > LASTING_SECONDS:
            pause = FIRST_PAUSE_SECONDS
        else:
            pause = min(max(self._pause_seconds * 2, FIRST_PAUSE_SECONDS), MAX_PAUSE_SECONDS)
        self._pause_seconds, self._last = pause, self._clock() + pause
        return pause
