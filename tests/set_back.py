"""Takes a copy of a store's keys, and sets it back to them, as a restored backup does."""

from __future__ import annotations

from typing import Any

import redis

from worker.redisio.cluster_client import ClusterClient


def servers_of(client: redis.Redis) -> list[redis.Redis]:
    """Return a client of each server that has keys."""
    return [node.client for node in client.nodes.all()] if isinstance(client, ClusterClient) else [client]


class Copy:
    """The keys of a store as they are when this is made."""

    def __init__(self, client: redis.Redis) -> None:
        self._servers = [(server, _keys_of(server)) for server in servers_of(client)]
        self.keys = {key: value for _, found in self._servers for key, (value, _) in found.items()}

    def restore(self) -> None:
        """Have the store hold these keys and no others."""
        for server, found in self._servers:
            server.flushall()
            for key, (value, milliseconds) in found.items():
                server.restore(key, milliseconds, value)


def _keys_of(server: redis.Redis) -> dict[bytes, tuple[bytes, int]]:
    names: Any = server.keys("*")
    return {name: (server.dump(name) or b"", max(server.pttl(name), 0)) for name in names}
