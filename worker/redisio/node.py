"""One Redis server: many commands in one write, over connections that are known to work."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
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

Command = tuple[str | bytes | float, ...]
"""A Redis command, as its words."""

Failure = RedisError | OSError
"""What redis-py raises."""


class Node:
    """A server, reached by the connections of a client's pool. Thread-safe."""

    def __init__(self, client: redis.Redis, mark: str = MARK) -> None:
        """`mark` is a key of this server, see `worker.redisio.replicas`."""
        self.client, self.mark = client, mark
        self.apart_until = 0.0
        """Until when (monotonic) no call on it may have several keys, see `Scripts.groups`."""
        self._fresh: deque[tuple[Any, float]] = deque()

    def write(self, commands: Sequence[Command]) -> Sent:
        """Send all commands in one write. Read the replies from what this returns, or abandon it.

        Does not use redis-py's pipeline, which takes several times as long as Redis does. Raises redis-py's errors.
        """
        sent = Sent(self, self._connection(), len(commands))
        try:
            sent.connection.send_packed_command([b"".join([_packed(words) for words in commands])])
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

    def _connection(self) -> Any:
        """Take a connection that was used just now, else one from redis-py's pool, which checks it first."""
        pool = self.client.connection_pool
        try:
            connection, used_at = self._fresh.pop()
        except IndexError:
            return pool.get_connection()
        if time.monotonic() - used_at < FRESH_SECONDS:
            return connection
        pool.release(connection)
        return pool.get_connection()


class Sent:
    """Commands that were sent and whose replies were not read yet."""

    def __init__(self, node: Node, connection: Any, count: int) -> None:
        self.connection = connection
        self.node, self._count = node, count

    def read(self, by: float | None = None) -> list[Any]:
        """Return for each command its reply, or the error with which Redis answered it. Raises redis-py's errors.

        `by` is the moment until which they are waited for, if it comes before the connection's own end (monotonic s).
        """
        try:
            replies = [_reply(self.connection, by) for _ in range(self._count)]
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


def exchange(
    work: Iterable[tuple[Node, Sequence[Command]]], patience_seconds: float | None = None
) -> list[list[Any] | Failure]:
    """Send commands to several servers, and read only then: one round trip for all.

    Returns for each server what `Sent.read` does, or the error with which redis-py failed there. Once all is sent,
    replies are waited for at most for `patience_seconds`, if it is given.
    """
    sent: list[Sent | Failure] = []
    try:
        for node, commands in work:
            try:
                sent.append(node.write(commands))
            except (RedisError, OSError) as error:
                node.failed(error)
                sent.append(error)
        by = None if patience_seconds is None else time.monotonic() + patience_seconds
        return [_read(one, by) for one in sent]
    except BaseException:
        for one in sent:
            if isinstance(one, Sent):
                one.abandon()
        raise


def _read(sent: Sent | Failure, by: float | None) -> list[Any] | Failure:
    if not isinstance(sent, Sent):
        return sent
    try:
        replies = sent.read(by)
    except (RedisError, OSError) as error:
        sent.node.failed(error)
        return error
    sent.node.answered(replies)
    return replies


def _reply(connection: Any, by: float | None) -> Any:
    try:
        if by is None:
            return connection.read_response()
        return connection.read_response(timeout=max(by - time.monotonic(), LEAST_SECONDS))
    except ResponseError as error:
        return error


def _packed(command: Command) -> bytes:
    packed: bytes = pack_command(command)  # type: ignore[arg-type]  # its stub allows one word only
    return packed
