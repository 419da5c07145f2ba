"""Asks again and again whether the store takes writes, in a thread of its own, so that no other work waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable

from worker.core.records import StoreFacts
from worker.errors import StoreUnavailable

BEAT_SECONDS = 2.0
STALE_SECONDS = 10.0
"""Older facts count no more. A loop that fails pauses for at most 5 s, and an answer takes at most 2 s."""


class StoreHealth:
    """Keeps the newest facts about the store. One thread takes the turns; any thread may ask for `latest`."""

    def __init__(self, ask: Callable[[], StoreFacts], clock: Callable[[], float] = time.monotonic) -> None:
        self._ask, self._clock = ask, clock
        self._kept: tuple[float, StoreFacts] | None = None

    def turn(self) -> float:
        """Ask once; return the seconds until the next turn. Raises StoreUnavailable if no write is taken."""
        facts = self._ask()
        self._kept = self._clock(), facts
        if facts.problem is not None:
            raise facts.problem
        return BEAT_SECONDS

    def latest(self) -> StoreFacts | None:
        """Return what the store told last; None before its first answer."""
        kept = self._kept
        if kept is not None and self._clock() - kept[0] > STALE_SECONDS:
            return StoreFacts(problem=StoreUnavailable("Redis was not asked for a while"))
        return kept and kept[1]
