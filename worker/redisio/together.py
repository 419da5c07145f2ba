"""One round trip to several servers, of which none holds up the others for longer than there is patience with it.

What may take long even before an answer can be waited for is done by a thread of its own for each server: to connect,
and to send so much that it does not fit on its way at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, wait
from typing import Any, TypeVar

import redis
from redis.exceptions import RedisError

from worker.redisio.node import LOOK_SECONDS, Command, Failure, Node, Sent, packed

T = TypeVar("T")

MUCH_BYTES = 32 * 1024
"""Less than this is sent at once, even to a server that does not read."""


def exchange(work: Iterable[tuple[Node, Sequence[Command], float]]) -> list[list[Any] | Failure]:
    """Do what `node.exchange` does. Each server has a patience (s): until it takes the commands, and until it answers.

    Once any thread has found that a server is away, it is not waited for any longer.
    """
    trips = list[_Trip]()
    try:
        for node, commands, patience_seconds in work:
            trips.append(_Trip(node, commands, patience_seconds))
            trips[-1].begin()
        for trip in trips:
            trip.finish_sending()
        return [trip.read() for trip in trips]
    except BaseException:
        for trip in trips:
            trip.abandon()
        raise


class _Trip:
    """What one server gets in a round trip, and what it answers."""

    def __init__(self, node: Node, commands: Sequence[Command], patience_seconds: float) -> None:
        self._node, self._patience_seconds = node, patience_seconds
        self._by = time.monotonic() + patience_seconds
        self._content, self._count = packed(commands), len(commands)
        self._sending: _Sending | None = None
        self._sent: Sent | Failure = redis.TimeoutError("nothing was sent")

    def begin(self) -> None:
        """Send, or have a thread do so."""
        connection = self._try(self._node.ready)
        if isinstance(connection, RedisError | OSError):
            self._sent = connection
        elif connection is None or len(self._content) >= MUCH_BYTES:
            self._sending = _Sending(self._node, self._content, self._count, connection)
        else:
            self._sent = self._try(lambda: self._node.send(self._content, self._count, connection))

    def finish_sending(self) -> None:
        """Wait until the thread has sent, if there is one."""
        if (sending := self._sending) is not None:
            self._sent = self._try(lambda: sending.result(self._by, self._is_over))
            self._by = time.monotonic() + self._patience_seconds

    def read(self) -> list[Any] | Failure:
        """Return the replies, or redis-py's error."""
        sent = self._sent
        if not isinstance(sent, Sent):
            return sent
        replies = self._try(lambda: sent.read(self._by, self._is_over))
        if isinstance(replies, list):
            self._node.answered(replies)
        return replies

    def abandon(self) -> None:
        """Wait for nothing any more."""
        if isinstance(self._sent, Sent):
            self._sent.abandon()
        elif self._sending is not None:
            self._sending.abandon()

    def _is_over(self) -> bool:
        return self._node.standing.away is not None

    def _try(self, step: Callable[[], T]) -> T | Failure:
        try:
            return step()
        except (RedisError, OSError) as error:
            self._node.failed(error)
            return error


class _Sending:
    """A thread that connects to a server, unless it is given a connection, and sends to it."""

    def __init__(self, node: Node, content: bytes, count: int, connection: Any) -> None:
        self._node, self._content, self._count, self._connection = node, content, count, connection
        self._over, self._sent = False, Future[Sent]()
        threading.Thread(target=self._run, name="store-send", daemon=True).start()

    def result(self, by: float, is_over: Callable[[], bool]) -> Sent:
        """Return what was sent. Raises redis-py's errors; then nothing more is sent."""
        while True:
            left = by - time.monotonic()
            if wait([self._sent], max(min(left, LOOK_SECONDS), 0.0)).done:
                return self._sent.result()
            if left <= LOOK_SECONDS or is_over():
                self.abandon()
                raise redis.TimeoutError("the server did not take the commands in time")

    def abandon(self) -> None:
        """Send nothing, if that has not begun, and read nothing."""
        self._over = True
        self._sent.add_done_callback(_abandon)

    def _run(self) -> None:
        try:
            connection = self._connection or self._node.connect()
            if self._over:
                self._node.keep(connection)
                raise redis.TimeoutError("the server was connected to too late")
            self._sent.set_result(self._node.send(self._content, self._count, connection))
        except BaseException as error:  # it is raised where the result is wanted
            self._sent.set_exception(error)


def _abandon(sent: Future[Sent]) -> None:
    if sent.exception() is None:
        sent.result().abandon()
