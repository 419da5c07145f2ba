"""Records which servers are away for a worker's loops, and decides which failures the log should mention."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from worker.network.causes import Cause

LASTING = frozenset(
    {Cause.PASSWORD, Cause.RIGHTS, Cause.PLACE, Cause.TLS, Cause.MEMORY, Cause.DISK, Cause.BLOCKED}
)
"""Causes that only an operator can remove. Often one appears after a lost connection, when the next one is refused."""

NO_LOOPS = frozenset({"dial", "webhook"})
"""Calls and deliveries are not loops, and do not report that they recovered."""

QUIET_SECONDS = 15.0
"""An outage is over if nothing has failed for this long. A server that takes reads and refuses writes, or that comes
and goes, makes one outage."""


@dataclass(slots=True)
class _Outage:
    """Since when, until when as far as is known (both monotonic s), and the causes that were logged."""

    since: float
    until: float
    causes: set[Cause] = field(default_factory=set)


class Outages:
    """Keeps for each trouble, as "store.unavailable", its outage and the loops that have it. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock, self._clock = threading.Lock(), clock
        self._of_loops: dict[str, str] = {}
        self._outages: dict[str, _Outage] = {}

    def begin(self, loop: str, trouble: str, cause: Cause) -> bool:
        """Note a failure of `loop`. Returns whether it is the first of an outage, or the first with a lasting cause."""
        with self._lock:
            if loop not in NO_LOOPS:
                self._of_loops[loop] = trouble
            now = self._clock()
            outage = self._outages.setdefault(trouble, _Outage(now, now))
            news = not outage.causes or cause in LASTING - outage.causes
            outage.until = now
            outage.causes.add(cause)
            return news

    def end(self, loop: str) -> tuple[str | None, bool]:
        """Note that `loop` got through. Returns the trouble that it had, if any, and whether others still have it."""
        with self._lock:
            trouble = self._of_loops.pop(loop, None)
            if trouble is not None:
                self._outages[trouble].until = self._clock()
            return trouble, trouble in self._of_loops.values()

    def over(self) -> list[tuple[str, float]]:
        """Forget the outages that are over, and return for each its trouble and how many seconds it took."""
        if not self._outages:
            return []
        with self._lock:
            open_still, now = set(self._of_loops.values()), self._clock()
            over = {
                trouble: outage
                for trouble, outage in self._outages.items()
                if trouble not in open_still and now - outage.until >= QUIET_SECONDS
            }
            for trouble in over:
                del self._outages[trouble]
            return [(trouble, outage.until - outage.since) for trouble, outage in over.items()]
