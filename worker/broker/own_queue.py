"""A queue of one program's own on exchange `results`. It gets a copy of each event while that program runs.

It is removed if nobody looks at it for a while. On AMQP it is also exclusive: the broker removes it together with the
connection. On Redis it is a list, and workers put nothing into a list that is gone (`broker/redis_outbound.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Any

from kombu import Queue

from worker.broker.connection import TIMEOUTS, Link, Timeouts, broker_errors
from worker.broker.queues import RESULTS_EXCHANGE, is_listener, listener
from worker.errors import BrokerUnavailable

LIFE_MS = 60_000
"""How long a queue outlives the last look at it. Longer than an attempt at a webhook takes."""

MAX_TAKEN = 1000
_PLACEHOLDER = "null"
"""The entry at the list's old end. It is no message: Redis has no empty lists."""


class OwnQueue:
    """The queue from its making to `close`. For one thread.

    Raises BrokerUnavailable if it cannot be made. Known weakness: on other transports than AMQP and Redis, the queue of
    a program that was killed stays.
    """

    def __init__(self, broker_url: str, *, life_ms: int = LIFE_MS, timeouts: Timeouts = TIMEOUTS) -> None:
        """It is removed if `take` was not called for `life_ms`."""
        self._link = Link(broker_url, [], timeouts=timeouts)
        self._queue = listener(life_ms=None if self._link.is_redis else life_ms)
        self._life_ms = life_ms
        try:
            with broker_errors("a queue for the events cannot be made"):
                self._make()
        except BaseException:
            self._link.abandon()
            raise

    def take(self) -> list[bytes]:
        """Return the bodies of the events that have come since the last call, oldest first, and remove them.

        Raises BrokerUnavailable, also if the queue is gone because this was not called for `life_ms`.
        """
        with broker_errors("the events cannot be read"):
            messages = self._in_list() if self._link.is_redis else self._in_queue()
            return [_bytes(message.body) for message in messages]

    def close(self) -> None:
        """Remove the queue. Does not raise if the broker is away."""
        with suppress(BrokerUnavailable), broker_errors("the queue cannot be removed"):
            self._bound(self._queue).delete()
        with suppress(BrokerUnavailable):
            self._link.close()

    def _make(self) -> None:
        if self._link.is_redis:
            self._remove_abandoned()
            self._make_list()
        self._link.declare([self._queue])
        # To declare is forgiving: the user may lack the right to bind.
        self._bound(self._queue).queue_bind()

    def _make_list(self) -> None:
        with self._link.redis_client() as client, client.pipeline() as pipeline:
            pipeline.rpush(self._queue.name, _PLACEHOLDER)
            pipeline.pexpire(self._queue.name, self._life_ms)
            pipeline.execute()

    def _remove_abandoned(self) -> None:
        """Remove what killed programs left: bindings without a list, and lists that an older worker made again."""
        names = [name for _, _, name in self._link.bindings()(RESULTS_EXCHANGE.name) if is_listener(name)]
        with self._link.redis_client() as client:
            abandoned = [listener(name) for name in names if client.pttl(name) < 0]
        self._link.declare(abandoned)
        for queue in abandoned:
            self._bound(queue).delete()

    def _in_list(self) -> list[Any]:
        name = self._queue.name
        with self._link.redis_client() as client, client.pipeline() as pipeline:
            pipeline.lrange(name, 0, -2)
            pipeline.ltrim(name, -1, -1)
            pipeline.pexpire(name, self._life_ms)
            rows, _, exists = pipeline.execute()
        if not exists:
            raise BrokerUnavailable("the queue for the events is gone: start again")
        return [self._link.channel.message_to_python(json.loads(row)) for row in reversed(rows)]

    def _in_queue(self) -> Iterator[Any]:
        bound = self._bound(self._queue)
        return islice(iter(lambda: bound.get(no_ack=True), None), MAX_TAKEN)

    def _bound(self, queue: Queue) -> Any:
        return queue.bind(self._link.channel)


def _bytes(body: Any) -> bytes:
    return body.encode() if isinstance(body, str) else bytes(body)
