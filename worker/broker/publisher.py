"""Sends batches of messages to a broker: it takes every message, or BrokerUnavailable is raised."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import kombu
from kombu import Queue

from worker.broker.amqp_wire import written_together
from worker.broker.confirms import Confirms
from worker.broker.connection import TIMEOUTS, Bindings, Link, Timeouts, broker_errors, connection_to
from worker.broker.message import PERSISTENT, Message
from worker.broker.redis_outbound import RedisOutbound
from worker.errors import BrokerRefused, BrokerUnavailable, ConfigurationError


class Publisher:
    """Sends batches over one connection, which is made at the first batch and again after an error.

    On AMQP every message is mandatory and confirmed. On Redis a batch is one pipeline; its answer is the confirmation,
    once Redis' file and enough replicas have the batch. After an error none, some or all of the batch may be out: send
    it again, readers drop repeats. No wait is longer than a few seconds. For one thread only.
    """

    def __init__(
        self,
        url: str,
        queues: Sequence[Queue],
        queue_type: str | None = None,
        *,
        replicas: int = 0,
        timeouts: Timeouts = TIMEOUTS,
    ) -> None:
        """`queues` are declared and bound on every new connection; `queue_type`: see `worker.broker.queues.of_type`.

        `replicas` of a broker that is a Redis must have a batch before it counts as sent.

        Raises ConfigurationError for a URL that no transport understands.
        """
        connection_to(url)
        self._url, self._queues, self._queue_type = url, queues, queue_type
        self._replicas, self._timeouts = replicas, timeouts
        self._session: _Session | None = None

    @property
    def connected(self) -> bool:
        """Whether there is a connection that has worked so far."""
        return self._session is not None

    def publish(self, batch: Sequence[Message], queues: Collection[Queue] = ()) -> None:
        """Send `batch`. `queues` are the queues that it needs besides those of every connection.

        They are declared when they are first needed. Raises BrokerUnavailable; the next call then makes a new
        connection.
        """
        if not batch:
            return
        with self._dropped_after_an_error():
            sent = self._session is not None and self._session.send(batch, queues)
            if not sent and not self._renewed().send(batch, queues):
                raise BrokerUnavailable("the broker lost its bindings again at once")

    def prepare(self) -> None:
        """Connect and declare the queues, unless that is done. Raises BrokerUnavailable."""
        if self._session is None:
            with self._dropped_after_an_error():
                self._renewed()

    def _renewed(self) -> _Session:
        self._drop()
        link = Link(self._url, self._queues, self._queue_type, timeouts=self._timeouts)
        self._session = _Session(link, self._replicas)
        return self._session

    @contextmanager
    def _dropped_after_an_error(self) -> Iterator[None]:
        try:
            with broker_errors("the broker did not take a message"):
                yield
        except ConfigurationError as error:
            # The address was correct when this publisher was made, so a file that it names is gone.
            self._drop()
            raise BrokerRefused(str(error)) from error
        except BaseException:
            self._drop()
            raise

    def close(self) -> None:
        """Close the connection; a later `publish` makes a new one. Does not raise if the broker is away."""
        session, self._session = self._session, None
        if session is not None:
            with suppress(BrokerUnavailable):
                session.link.close()

    def _drop(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.link.abandon()


class _Session:
    """The objects that live as long as one connection."""

    def __init__(self, link: Link, replicas: int) -> None:
        self.link = link
        self._confirms = Confirms(link.channel, link.timeouts.answer_seconds) if link.confirms else None
        self._outbound: RedisOutbound | _Outbound = (
            RedisOutbound(link.channel, replicas, link.timeouts.answer_seconds)
            if link.is_redis
            else _Outbound(link.channel, self._confirms)
        )

    def send(self, batch: Sequence[Message], queues: Collection[Queue]) -> bool:
        """Return True once the broker has the whole batch; False, with nothing sent, if it has lost a binding."""
        self.link.declare(queues)
        bindings = self.link.bindings()
        if not self.link.intact(bindings):
            return False
        self._outbound.send(batch, bindings)
        if self._confirms is not None:
            self._confirms.wait()
        self.link.wait_until_written()
        return True


class _Outbound:
    """Sends messages with kombu's own producer."""

    def __init__(self, channel: Any, confirms: Confirms | None) -> None:
        self._channel, self._confirms = channel, confirms
        self._producer: Any = kombu.Producer(channel)

    def send(self, batch: Sequence[Message], _: Bindings) -> None:
        """Send the batch. Raises what kombu and its libraries raise; then any part of the batch may be out."""
        together = written_together(self._channel.connection) if self._confirms is not None else nullcontext()
        with together:
            for message in batch:
                self._publish(message)

    def _publish(self, message: Message) -> None:
        if self._confirms is not None:
            self._confirms.expect()
        self._producer.publish(
            message.body,
            exchange=message.exchange,
            routing_key=message.routing_key,
            content_type="application/json",
            content_encoding="utf-8",
            delivery_mode=PERSISTENT,
            mandatory=self._confirms is not None,
            headers=dict(message.headers),
            **message.properties,
        )
