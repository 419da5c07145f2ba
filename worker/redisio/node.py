"""One Redis server: many commands in one write, over connections that are known to work."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import redis
from hiredis import pack_command
from redis.exceptions import RedisError, ResponseError

from worker.redisio.primary import leave
from worker.redisio.replicas import MARK

FRESH_SECONDS = 1.0
"""A connection that was used within this time is used again without a check, which would cost as much as a small
script."""

LEAST_SECONDS = 0.001
"""What has arrived is read also when the time is up."""

LOOK_SECONDS = 0.02
"""How often a thread that waits looks whether it still should."""

Command = tuple[str | bytes | float, ...]
"""A Redis command, as its words."""

Failure = RedisError | OSError
"""What redis-py raises."""


@dataclass(slots=True)
class Standing:
    """What is known of one of several servers, see `reach`: why it is left alone, if it is; when somebody last wanted
    something of it (monotonic s); how long it is waited for if that is longer than usual; and when it was last doubted
    that it still has its keys."""

    away: Failure | None = None
    wanted_at: float = 0.0
    patience_seconds: float = 0.0
    doubted_at: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Node:
    """A server, reached by the connections of a client's pool. Thread-safe."""

    def __init__(self, client: redis.Redis, mark: str = MARK) -> None:
        """`mark` is a key of this server, see `worker.redisio.replicas`."""
        self.client, self.mark, self.standing = client, mark, Standing()
        self.apart_until = 0.0
        """Until when (monotonic) no call on it may have several keys, see `Scripts.groups`."""
        self._fresh: deque[tuple[Any, float]] = deque()

    def write(self, commands: Sequence[Command]) -> Sent:
        """Send all commands in one write. Read the replies from what this returns, or abandon it.

        Does not use redis-py's pipeline, which takes several times as long as Redis does. Raises redis-py's errors.
        """
        return self.send(packed(commands), len(commands), self.ready() or self.connect())

    def send(self, content: bytes, count: int, connection: Any) -> Sent:
        """Send so many packed commands over a connection that `ready` or `connect` gave. Raises redis-py's errors."""
        sent = Sent(self, connection, count)
        try:
            connection.send_packed_command([content])
        except BaseException:
            sent.abandon()
            raise
        return sent

    def failed(self, error: Failure) -> None:
        """Take note that the server could not be reached. Nothing follows for a server that has all keys."""

    def answered(self, replies: Sequence[Any]) -> None:
        """Take note of replies, errors included. Nothing follows for a server that has all keys."""

    def keep(self, connection: Any) -> None:
        """Take back a connection from which everything was read."""
        self._fresh.append((connection, time.monotonic()))

    def leave(self) -> None:
        """Make all connections again before they are used: another server may be the primary by now."""
        with suppress(IndexError):
            while True:
                connection, _ = self._fresh.pop()
                leave(connection)
                self.client.connection_pool.release(connection)

    def ready(self) -> Any:
        """Take a connection that need not be made; None without one."""
        pool = self.client.connection_pool
        with suppress(IndexError):
            while True:
                connection, used_at = self._fresh.pop()
                if time.monotonic() - used_at < FRESH_SECONDS:
                    return connection
                is_whole = _is_whole(connection)
                pool.release(connection)
                if is_whole:
                    return pool.get_connection()
        return None

    def connect(self) -> Any:
        """Take a connection from redis-py's pool, which makes one if it has none. Raises redis-py's errors."""
        return self.client.connection_pool.get_connection()


class Sent:
    """Commands that were sent and whose replies were not read yet."""

    def __init__(self, node: Node, connection: Any, count: int) -> None:
        self.connection = connection
        self.node, self._count = node, count

    def read(self, by: float | None = None, is_over: Callable[[], bool] = lambda: False) -> list[Any]:
        """Return for each command its reply, or the error with which Redis answered it. Raises redis-py's errors.

        `by` is the moment until which they are waited for, if it comes before the connection's own end (monotonic s).
        Then `is_over` may end the wait earlier.
        """
        try:
            replies = [_reply(self.connection, by, is_over) for _ in range(self._count)]
        except BaseException:
            self.abandon()
            raise
        connection, self.connection = self.connection, None
        self.node.keep(connection)
        return replies

    def abandon(self) -> None:
        """End the connection: replies that still arrive must not be taken for those of the next commands."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.disconnect()
            self.node.client.connection_pool.release(connection)


def exchange(work: Iterable[tuple[Node, Sequence[Command]]]) -> list[list[Any] | Failure]:
    """Send commands to servers, and read only then: one round trip for all. For several see `together`.

    Returns for each server what `Sent.read` does, or the error with which redis-py failed there.
    """
    sent: list[Sent | Failure] = []
    try:
        for node, commands in work:
            try:
                sent.append(node.write(commands))
            except (RedisError, OSError) as error:
                node.failed(error)
                sent.append(error)
        return [_read(one) for one in sent]
    except BaseException:
        for one in sent:
            if isinstance(one, Sent):
                one.abandon()
        raise


def packed(commands: Sequence[Command]) -> bytes:
    """Return commands as Redis gets them."""
    return b"".join([_packed(words) for words in commands])


def _read(sent: Sent | Failure) -> list[Any] | Failure:
    if not isinstance(sent, Sent):
        return sent
    try:
        replies = sent.read()
    except (RedisError, OSError) as error:
        sent.node.failed(error)
        return error
    sent.node.answered(replies)
    return replies


def _reply(connection: Any, by: float | None, is_over: Callable[[], bool]) -> Any:
    try:
        if by is None:
            return connection.read_response()
        while True:
            left = by - time.monotonic()
            try:
                wait = max(min(left, LOOK_SECONDS), LEAST_SECONDS)
                return connection.read_response(timeout=wait, disconnect_on_error=False)
            except redis.TimeoutError:
                if left <= LOOK_SECONDS or is_over():
                    raise
    except ResponseError as error:
        return error


def _packed(command: Command) -> bytes:
    words: bytes = pack_command(command)  # type: ignore[arg-type]  # its stub allows one word only
    return words


def _is_whole(connection: Any) -> bool:
    """Tell whether a connection that waits for nothing can be used as it is."""
    try:
        return connection.is_connected and not connection.can_read()
    except (RedisError, OSError):
        return False
