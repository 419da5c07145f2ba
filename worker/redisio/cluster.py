"""A Redis Cluster: which of its servers has which key.

The map is asked for when it is first needed, so a worker starts while the cluster is down. It is asked for again after
MOVED, and after a server could not be reached: by a thread of its own, so that a server that hangs does not hold up
those that have a map. ASK is never followed: a slot whose keys are on their way from one server to another is not
available, because a script would see a shard of which half is there.

redis-py's RedisCluster is not used: it must reach a server when it is made, repeats commands, and follows ASK.
Source: Redis documentation, "Redis cluster specification", and `CLUSTER SLOTS`.
"""

from __future__ import annotations

import threading
import time
from binascii import crc_hqx
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from typing import Any, NamedTuple

import redis
from redis.exceptions import AskError, ClusterDownError, MovedError, RedisError, ResponseError

from worker.redisio.node import Failure, Node

SLOTS = 16384
ASK_AGAIN_SECONDS = 0.1
"""The shortest time between two questions for the map, and the longest wait for another one while there is one."""
MAP_SECONDS = 0.5
"""The longest wait for one server's answer to that question."""


class Place(NamedTuple):
    """Where a server listens."""

    host: str
    port: int


def slot_of(key: str | bytes) -> int:
    """Return the slot of a key, or of its hash tag if it has one."""
    raw = key.encode() if isinstance(key, str) else key
    _, brace, rest = raw.partition(b"{")
    tag, end, _ = rest.partition(b"}")
    return crc_hqx(tag if brace and end and tag else raw, 0) % SLOTS


class ClusterNode(Node):
    """A server of a cluster. It tells `nodes` of each sign that the map is out of date."""

    def __init__(self, client: redis.Redis, place: Place, nodes: ClusterNodes) -> None:
        super().__init__(client)
        self._place, self._nodes, self._marked = place, nodes, -1

    def failed(self, error: Failure) -> None:
        """See Node."""
        if isinstance(error, MovedError):
            self._nodes.learn(int(error.slot_id), Place(error.host or self._place.host, int(error.port)))
        elif not isinstance(error, ResponseError):
            self._nodes.ask_last(self._place)
        self._nodes.doubt()

    def answered(self, replies: Sequence[Any]) -> None:
        """See Node."""
        for reply in replies:
            if isinstance(reply, (MovedError, ClusterDownError)):
                self.failed(reply)
        if any(isinstance(reply, AskError) for reply in replies):
            self.find_mark()

    def find_mark(self) -> None:
        """Take another key as `mark`, which this server has."""
        for n in range(self._marked + 1, self._marked + SLOTS):
            mark = f"callworker:{{{n}}}:replicas"
            if self._nodes.has(self, mark):
                self._marked, self.mark = n, mark
                return


class ClusterNodes:
    """The primaries of a cluster. Implements `nodes.Nodes`. Thread-safe."""

    several = True

    def __init__(
        self, seeds: Iterable[Place], client_at: Callable[[Place, float | None], redis.Redis]
    ) -> None:
        """`seeds` are servers to ask first. `client_at` makes a client, with another timeout (s) if one is given."""
        self._seeds, self._client_at = tuple(seeds), client_at
        self._lock, self._asks = threading.Lock(), threading.Lock()
        self._known: dict[Place, ClusterNode] = {}
        self._slots: list[ClusterNode | None] = []
        self._doubted, self._asked_at = True, float("-inf")
        self._last: Failure = ClusterDownError("no server was asked yet")

    def of(self, key: str) -> Node:
        """See Nodes."""
        return self.of_slot(slot_of(key))

    def of_slot(self, slot: int) -> ClusterNode:
        """Return the server that has a slot. Raises redis-py's errors."""
        node = self._map()[slot]
        if node is None:
            self.doubt()
            raise ClusterDownError(f"no server has slot {slot}")
        return node

    def all(self) -> Sequence[ClusterNode]:
        """See Nodes. They are in the order of their slots."""
        return list(dict.fromkeys(node for node in self._map() if node is not None))

    def doubt(self) -> None:
        """Ask for the map again before the next use."""
        self._doubted = True

    def has(self, node: ClusterNode, key: str) -> bool:
        """Tell from the map whether a server has a key. Asks nobody."""
        return self._slots[slot_of(key)] is node

    def learn(self, slot: int, place: Place) -> None:
        """Take note of the server that has a slot now: it may be some time until each server says so."""
        with self._lock:
            self._slots[slot] = self._node(place)

    def ask_last(self, place: Place) -> None:
        """Ask other servers for the map before this one."""
        with self._lock:
            if place in self._known:
                self._known[place] = self._known.pop(place)

    def close(self) -> None:
        """Close all connections."""
        for node in self._known.values():
            node.client.close()

    def _map(self) -> list[ClusterNode | None]:
        if not self._slots:
            self._ask_again()
        elif self._is_due and not self._asks.locked():
            # While it asks, all go on with the map that there is.
            asking = threading.Thread(target=self._ask_again, name="store-map", daemon=True)
            asking.start()
            asking.join(ASK_AGAIN_SECONDS)
        if not self._slots:
            raise self._last
        return self._slots

    @property
    def _is_due(self) -> bool:
        wanted = self._doubted or not self._slots
        return wanted and time.monotonic() - self._asked_at >= ASK_AGAIN_SECONDS

    def _ask_again(self) -> None:
        with self._asks:
            if self._is_due:
                self._ask()
                self._asked_at = time.monotonic()

    def _ask(self) -> None:
        """Take the map of the first server that answers and is part of a whole cluster, else of any that answers."""
        self._doubted, found = False, None
        with self._lock:
            places = dict.fromkeys((*self._known, *self._seeds))
        for place in places:
            try:
                told, rows = self._told_by(place)
            except (RedisError, OSError) as error:
                self._last = error
                self.ask_last(place)
                continue
            found = found or (place, rows)
            if b"cluster_state:ok" in told:
                found = (place, rows)
                break
        if found is None:
            self._doubted = True
        else:
            self._take(*found)

    def _told_by(self, place: Place) -> tuple[bytes, list[Any]]:
        """Return what a server says of the cluster, and its map."""
        with closing(self._client_at(place, MAP_SECONDS)) as client:
            asked: Any = client
            return asked.execute_command("CLUSTER", "INFO"), asked.execute_command("CLUSTER", "SLOTS")

    def _take(self, told_by: Place, rows: list[Any]) -> None:
        slots: list[ClusterNode | None] = [None] * SLOTS
        with self._lock:
            for first, last, (host, port, *_), *_ in rows:
                # A server that does not know its own name means the one under which it was asked.
                node = self._node(Place((host or b"").decode() or told_by.host, int(port)))
                slots[first : last + 1] = [node] * (last + 1 - first)
            self._slots = slots
        for one in set(slots):
            if one is not None and not self.has(one, one.mark):
                one.find_mark()

    def _node(self, place: Place) -> ClusterNode:
        if place not in self._known:
            self._known[place] = ClusterNode(self._client_at(place, None), place, self)
        return self._known[place]
