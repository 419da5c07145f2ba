"""Tells all workers that the broker refuses events: one relay finds it out, and no worker may dial then."""

from __future__ import annotations

import redis

from worker.redisio.runner import store_errors
from worker.state import keys

HOLDS_MS = 15_000
"""How long a refusal counts: longer than a relay's pause between two tries, so that it lasts until a try succeeds or no
relay tries any more."""

MAX_TEXT = 500
"""Most characters of a refusal that are kept."""


class RefusedResults:
    """The broker's last refusal. Each method takes one round trip and may raise StoreUnavailable. Thread-safe."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def tell(self, problem: str) -> None:
        """Record that the broker refuses events, and why."""
        with store_errors():
            self._client.set(keys.REFUSAL, problem[:MAX_TEXT], px=HOLDS_MS)

    def withdraw(self) -> None:
        """Record that the broker takes events again."""
        with store_errors():
            self._client.delete(keys.REFUSAL)

    def read(self) -> str | None:
        """Return why the broker refuses events, or None if it does not."""
        with store_errors():
            found = self._client.get(keys.REFUSAL)
        return found.decode(errors="replace") if isinstance(found, bytes) else None
