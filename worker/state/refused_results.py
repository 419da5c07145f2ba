"""Tells all workers that the broker refuses events: one relay finds it out, and no worker may dial then."""

from __future__ import annotations

from worker.core.fleet import Drain
from worker.errors import WrongKey
from worker.redisio.runner import Scripts
from worker.state import keys
from worker.state.drains import read_drain

HOLDS_MS = 15_000
"""How long a refusal counts: longer than a relay's pause between two tries, so that it lasts until a try succeeds or no
relay tries any more."""

MAX_TEXT = 500
"""Most characters of a refusal that are kept."""


class RefusedResults:
    """The broker's last refusal, and the drain that was on when it was read, in one round trip for both.

    Each method takes one round trip and may raise StoreUnavailable. Thread-safe; one thread reads.
    """

    def __init__(self, scripts: Scripts) -> None:
        self._scripts = scripts
        self.drain: Drain | None = None
        """The drain that was on at the last `read`."""

    def tell(self, problem: str) -> None:
        """Record that the broker refuses events, and why."""
        self._scripts.look_all([("SET", keys.REFUSAL, problem[:MAX_TEXT], "PX", HOLDS_MS)])

    def withdraw(self) -> None:
        """Record that the broker takes events again."""
        self._scripts.look_all([("DEL", keys.REFUSAL)])

    def read(self) -> str | None:
        """Return why the broker refuses events, or None if it does not. Reads the drain too.

        A key of another type is logged, and says nothing.
        """
        drain, refusal = self._scripts.look_each([("GET", keys.DRAIN), ("GET", keys.REFUSAL)])
        for found in (drain, refusal):
            if isinstance(found, Exception) and not isinstance(found, WrongKey):
                raise found
        self.drain = read_drain(drain) if isinstance(drain, bytes) else None
        return refusal.decode(errors="replace") if isinstance(refusal, bytes) else None
