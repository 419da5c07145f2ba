"""Notes what goes to Redis, and sends the same bytes again over many connections: far faster than Python makes them."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import hiredis
import redis
from hiredis import pack_command

from tests.faults.servers import ServerTrouble
from worker.redisio.node import Command, Node, Sent
from worker.redisio.nodes import OneNode

ANSWER_SECONDS, CHUNK_BYTES = 60.0, 1 << 16


@dataclass(frozen=True, slots=True)
class Trip:
    """The bytes of one round trip, and how many commands they are."""

    packed: bytes
    commands: int


class _NotingNode(Node):
    def __init__(self, client: redis.Redis) -> None:
        super().__init__(client)
        self.trips: list[Trip] = []

    def write(self, commands: Sequence[Command]) -> Sent:
        packed = b"".join(pack_command(words) for words in commands)  # type: ignore[arg-type]  # as in `node`
        self.trips.append(Trip(packed, len(commands)))
        return super().write(commands)


class Noting(OneNode):
    """One server, of which every round trip is noted."""

    def __init__(self, client: redis.Redis) -> None:
        self._node: _NotingNode = _NotingNode(client)

    def taken(self) -> list[Trip]:
        """Return the trips since the last call."""
        trips, self._node.trips = self._node.trips, []
        return trips


class _Line:
    """One connection: sends a trip, and the next one as soon as all replies are there."""

    def __init__(self, port: int, trips: Iterator[Trip]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), ANSWER_SECONDS)
        self._trips, self._reader, self._missing = trips, hiredis.Reader(), 0

    def next(self) -> bool:
        """Send the next trip; return False if there is none."""
        trip = next(self._trips, None)
        if trip is None:
            return False
        self.socket.sendall(trip.packed)
        self._missing = trip.commands
        return True

    def read(self) -> bool:
        """Read what has come; return whether all replies of the trip are there."""
        self._reader.feed(self.socket.recv(CHUNK_BYTES))
        while self._missing and (reply := self._reader.gets()) is not False:
            if isinstance(reply, Exception):
                raise ServerTrouble(f"Redis refuses what it took before: {reply}")
            self._missing -= 1
        return not self._missing


def replay(port: int, trips: Sequence[Trip], connections: int) -> None:
    """Send the trips in order over so many connections to a Redis on loopback; each waits for its replies."""
    rest = iter(trips)
    with selectors.DefaultSelector() as selector:
        lines = [_Line(port, rest) for _ in range(min(connections, len(trips)))]
        try:
            for line in lines:
                line.next()
                selector.register(line.socket, selectors.EVENT_READ, line)
            while selector.get_map():
                ready = selector.select(ANSWER_SECONDS)
                if not ready:
                    raise ServerTrouble("Redis does not answer")
                for key, _ in ready:
                    if key.data.read() and not key.data.next():
                        selector.unregister(key.fileobj)
        finally:
            for line in lines:
                line.socket.close()
