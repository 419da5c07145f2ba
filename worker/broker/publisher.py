"""Batches out to a broker: every message taken, or BrokerUnavailable raised."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Any

import kombu
from kombu import Queue

from worker.broker.amqp_wire import written_together
from worker.broker.confirms import Confirms
from worker.broker.connection import WAITS, Bindings, Link, Waits, broker_errors, connection_to
from worker.broker.message import PERSISTENT, Message
from worker.broker.redis_outbound import RedisOutbound
from worker.errors import BrokerRefused, BrokerUnavailable, ConfigurationError


class Publisher:
    """Sends batches over one connection, which is made at the first batch and again after an error.

    `queues` are declared and bound on every new connection. On AMQP every message is mandatory and
    confirmed; on Redis a batch is one pipeline, whose answer is the confirmation, once Redis' file has it. After an
    error none, some or all of the batch may be out: send it again, its readers drop repeats. No wait is longer than
    some seconds. For one thread only.

    Raises ConfigurationError at once if no transport understands the URL.
    """

    def __init__(
        self, url: str, queues: Sequence[Queue], queue_type: str | None = None, *, waits: Waits = WAITS
    ) -> None:
        """`queue_type`: see `worker.broker.queues.of_type`."""
        connection_to(url)
        self._url, self._queues, self._queue_type = url, queues, queue_type
        self._waits = waits
        self._session: _Session | None = None

    @property
    def connected(self) -> bool:
        return self._session is not None

    def publish(self, batch: Sequence[Message], queues: Collection[Queue] = ()) -> None:
        """Send `batch`, which needs `queues` beside those of every connection: they are declared when they are first
        needed. Raises BrokerUnavailable; then the next call makes a new connection.
        """
        if not batch:
            return
        with self._dropped_after_an_error():
            sent = self._session is not None and self._session.send(batch, queues)
            if not sent and not self._renewed().send(batch, queues):
                raise BrokerUnavailable("the broker forgot at once where messages go")

    def prepare(self) -> None:
        """Have a connection, with the queues declared. Raises BrokerUnavailable, as `publish` would."""
        if self._session is None:
            with self._dropped_after_an_error():
                self._renewed()

    def _renewed(self) -> _Session:
        self._drop()
        self._session = _Session(Link(self._url, self._queues, self._queue_type, waits=self._waits))
        return self._session

    @contextmanager
    def _dropped_after_an_error(self) -> Iterator[None]:
        try:
            with broker_errors("the broker did not take a message"):
                yield
        except ConfigurationError as error:
            # The address was good when this publisher was made: a file that it names is gone.
            self._drop()
            raise BrokerRefused(str(error)) from error
        except BaseException:
            self._drop()
            raise

    def close(self) -> None:
        """Close the connection; a later `publish` would make a new one. Never raises for a broker that is away."""
        session, self._session = self._session, None
        if session is not None:
            with suppress(BrokerUnavailable):
                session.link.close()

    def _drop(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.link.abandon()


class _Session:
    """What lives as long as one connection."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self._confirms = Confirms(link.channel, link.waits.answer_seconds) if link.confirms else None
        self._outbound: RedisOutbound | _Outbound = (
            RedisOutbound(link.channel) if link.is_redis else _Outbound(link.channel, self._confirms)
        )

    def send(self, batch: Sequence[Message], queues: Collection[Queue]) -> bool:
        """Return when the broker has them all; False, and nothing sent, if it forgot where they go."""
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
    """Sends with kombu's own producer."""

    def __init__(self, channel: Any, confirms: Confirms | None) -> None:
        self._channel, self._confirms = channel, confirms
        self._producer: Any = kombu.Producer(channel)

    def send(self, batch: Sequence[Message], _: Bindings) -> None:
        """Raises what kombu and the libraries under it raise; then any part of the batch may be out."""
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
