"""What all workers know of a broker that refuses events: one relay finds it out, and none may dial."""

from __future__ import annotations

import redis

from worker.redisio.runner import store_errors
from worker.state import keys

HOLDS_MS = 15_000
"""Longer than the pause between two tries of a relay, so that it holds until one gets through, or none tries."""

MAX_TEXT = 500


class RefusedResults:
    """The broker's last refusal, for some seconds. Thread-safe. Raises StoreUnavailable."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def tell(self, problem: str) -> None:
        with store_errors():
            self._client.set(keys.REFUSAL, problem[:MAX_TEXT], px=HOLDS_MS)

    def withdraw(self) -> None:
        with store_errors():
            self._client.delete(keys.REFUSAL)

    def read(self) -> str | None:
        """What was told last, None where it is over."""
        with store_errors():
            found = self._client.get(keys.REFUSAL)
        return found.decode(errors="replace") if isinstance(found, bytes) else None
