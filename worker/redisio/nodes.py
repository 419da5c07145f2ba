"""Which servers a store has, and which of them has a key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import redis

from worker.redisio.node import Node


class Nodes(Protocol):
    """The servers of a store."""

    @property
    def several(self) -> bool:
        """Whether it may have more than one."""

    def of(self, key: str, /) -> Node:
        """Return the server that has `key`. Raises redis-py's errors if that cannot be learned at the moment."""

    def all(self) -> Sequence[Node]:
        """Return all servers that have keys. Raises redis-py's errors if they cannot be learned at the moment."""


class OneNode:
    """A store on one server."""

    several = False

    def __init__(self, client: redis.Redis) -> None:
        self._node = Node(client)

    def of(self, _key: str) -> Node:
        """See Nodes."""
        return self._node

    def all(self) -> Sequence[Node]:
        """See Nodes."""
        return (self._node,)
