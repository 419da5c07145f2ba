"""Records which servers are away for a worker's loops, and decides which failures the log should mention."""

from __future__ import annotations

import threading

from worker.network.causes import Cause

LASTING = frozenset({Cause.PASSWORD, Cause.RIGHTS, Cause.PLACE, Cause.TLS, Cause.MEMORY, Cause.DISK})
"""Causes that only an operator can remove. Often one appears after a lost connection, when the next one is refused."""

NO_LOOPS = frozenset({"dial", "webhook"})
"""Calls and deliveries are not loops, and do not report that they recovered."""


class Outages:
    """Keeps for each trouble, as "store.unavailable", the loops that have it and the logged causes. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of_loops: dict[str, str] = {}
        self._told: dict[str, set[Cause]] = {}

    def begin(self, loop: str, trouble: str, cause: Cause) -> bool:
        """Note a failure of `loop`. Returns whether it is the first of an outage, or the first with a lasting cause."""
        with self._lock:
            if loop not in NO_LOOPS:
                self._of_loops[loop] = trouble
            news = trouble not in self._told or cause in LASTING - self._told[trouble]
            self._told.setdefault(trouble, set()).add(cause)
            return news

    def end(self, loop: str, otherwise: str) -> tuple[str, bool, bool]:
        """Note that `loop` got through.

        Returns the trouble that it had, or `otherwise`; whether it is over for all loops; whether others still have it.
        """
        with self._lock:
            trouble = self._of_loops.pop(loop, otherwise)
            others = trouble in self._of_loops.values()
            over = trouble in self._told and not others
            if over:
                del self._told[trouble]
            return trouble, over, others
