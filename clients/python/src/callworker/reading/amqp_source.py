"""Reads a queue of events on RabbitMQ, which sends them as they come."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from amqp.exceptions import AccessRefused, PreconditionFailed

from callworker.amqp import amqp_errors, connection
from callworker.amqp_address import AmqpAddress
from callworker.errors import BrokerUnavailable
from callworker.reading.names import EXCHANGE, listener

OWN_AT_ONCE, SHARED_AT_ONCE = 200, 1
"""How many events a reader holds. Of a queue that it shares, the next one comes once the one before it is done."""
LEAST_SECONDS = 0.5
"""The shortest look. What is in the queue already needs a moment to come."""


def queue_arguments(name: str | None, queue_type: str | None) -> dict[str, Any]:
    """Return how a queue is declared: a durable one with `name`, or one of a reader's own, which goes with it."""
    if name is None:
        # A quorum queue cannot be exclusive.
        return {
            "durable": False,
            "exclusive": True,
            "auto_delete": True,
            "arguments": {"x-queue-type": "classic"},
        }
    given = {} if queue_type is None else {"x-queue-type": queue_type}
    return {"durable": True, "exclusive": False, "auto_delete": False, "arguments": given}


class AmqpSource:
    """The queue from its making to `close`. For one thread. Raises BrokerUnavailable if it cannot be made."""

    def __init__(
        self,
        address: AmqpAddress,
        seconds: float,
        types: Sequence[str],
        name: str | None,
        queue_type: str | None,
    ) -> None:
        """Without a name the queue is this reader's own. No wait for an answer is longer than `seconds`."""
        self._connection = connection(address, seconds)
        self._types, self._own, self._queue = types, name is None, name or listener()
        self._arguments = queue_arguments(name, queue_type)
        self._arrived: deque[Any] = deque()
        self._in_hand: Any = None
        try:
            with amqp_errors("a queue for the events cannot be made"):
                self._connection.connect()
                # py-amqp's own read_timeout is swallowed by its read loop; the socket's is not.
                self._connection.sock.settimeout(seconds)
                self._channel: Any = self._connection.channel()
                self._make()
        except BaseException:
            self.drop()
            raise

    def take(self, seconds: float) -> bytes | None:
        with amqp_errors("the events cannot be read"):
            self._acknowledge()
            ends = time.monotonic() + seconds
            while not self._arrived:
                left = ends - time.monotonic()
                try:
                    self._connection.drain_events(timeout=max(left, LEAST_SECONDS))
                except TimeoutError:
                    if left <= LEAST_SECONDS:
                        return None
        self._in_hand = self._arrived.popleft()
        body = self._in_hand.body
        return body.encode() if isinstance(body, str) else bytes(body)

    def close(self) -> None:
        with suppress(BrokerUnavailable), amqp_errors("the connection did not close"):
            self._connection.close()

    def drop(self) -> None:
        with suppress(BrokerUnavailable), amqp_errors("the connection did not close"):
            self._connection.collect()

    def _acknowledge(self) -> None:
        message, self._in_hand = self._in_hand, None
        if message is not None:
            self._channel.basic_ack(message.delivery_tag)

    def _make(self) -> None:
        self._made(self._channel.exchange_declare, EXCHANGE, "topic", durable=True, auto_delete=False)
        with suppress(PreconditionFailed):
            # A queue that exists with other properties is used as it is.
            self._made(self._channel.queue_declare, self._queue, **self._arguments)
        for pattern in self._types:
            self._bind(pattern)
        self._channel.basic_qos(0, OWN_AT_ONCE if self._own else SHARED_AT_ONCE, False)
        self._channel.basic_consume(self._queue, callback=self._arrived.append)

    def _made(self, declare: Callable[..., object], name: str, *kind: str, **properties: Any) -> None:
        """Declare what the user may declare. Anything else must exist."""
        try:
            declare(name, *kind, **properties)
        except AccessRefused:
            declare(name, *kind, passive=True)

    def _bind(self, pattern: str) -> None:
        try:
            self._channel.queue_bind(self._queue, EXCHANGE, pattern)
        except AccessRefused:
            # An operator has bound a durable queue for a user without the right.
            if self._own:
                raise
