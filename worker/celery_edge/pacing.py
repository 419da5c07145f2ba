"""Pauses between attempts at a connection."""

from __future__ import annotations

import time
from collections.abc import Callable

from worker.engine.loops import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS

LASTING_SECONDS = 10.0
"""A connection that was kept for so long was a good one."""


class Pacing:
    """None before the first attempt; then from 0.1 s to 5 s, doubled while what was attempted does not last."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._pause_seconds = 0.0
        self._last: float | None = None

    def next(self) -> float:
        """Seconds to wait before the attempt that follows; to be asked once for each."""
        if self._last is None:
            pause = 0.0
        elif self._clock() - self._last > LASTING_SECONDS:
            pause = FIRST_PAUSE_SECONDS
        else:
            pause = min(max(self._pause_seconds * 2, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
        self._pause_seconds, self._last = pause, self._clock() + pause
        return pause
