"""Takes a copy of a Redis' keys, and sets it back to them, as a restored backup does."""

from __future__ import annotations

from typing import Any

import redis


class Copy:
    """The keys of a Redis as they are when this is made."""

    def __init__(self, client: redis.Redis) -> None:
        found: Any = client.keys("*")
        self._keys = {key: (client.dump(key) or b"", max(client.pttl(key), 0)) for key in found}

    def restore(self, client: redis.Redis) -> None:
        """Have Redis hold these keys and no others."""
        client.flushall()
        for key, (value, milliseconds) in self._keys.items():
            client.restore(key, milliseconds, value)
