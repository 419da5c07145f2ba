"""One connection to RabbitMQ from asyncio."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import aio_pika
from aio_pika import exceptions
from aio_pika.abc import AbstractConnection
from aiormq import spec
from aiormq.exceptions import ChannelAccessRefused, ChannelLockedResource, ConnectionNotAllowed

from callworker import tls
from callworker.amqp_address import AmqpAddress
from callworker.confirms import NOT_TAKEN
from callworker.errors import BrokerRefused, BrokerUnavailable
from callworker.message import Message

# aio-pika raises RuntimeError on a connection or channel that was lost.
AMQP_ERRORS = (exceptions.AMQPError, OSError, RuntimeError, asyncio.TimeoutError)

_REFUSALS = (
    ChannelAccessRefused,
    ChannelLockedResource,
    ConnectionNotAllowed,
    exceptions.AuthenticationError,
    exceptions.ChannelNotFoundEntity,
    exceptions.ChannelPreconditionFailed,
    exceptions.ProbableAuthenticationError,
    ssl.SSLCertVerificationError,
)


@contextmanager
def amqp_errors(doing: str) -> Iterator[None]:
    """Turn any error of aio-pika into BrokerUnavailable or BrokerRefused, with `doing` as its beginning."""
    try:
        yield
    except AMQP_ERRORS as error:
        refused = any(isinstance(each, _REFUSALS) for each in (error, error.__cause__, error.__context__))
        kind = BrokerRefused if refused else BrokerUnavailable
        raise kind(f"{doing}: {str(error) or type(error).__name__}") from error


class AsyncAmqpSession:
    """Publishes mandatory, persistent messages to queues. See `callworker.amqp.AmqpSession`."""

    def __init__(self, connection: Any, channel: Any, seconds: float, queue_type: str | None) -> None:
        self._connection, self._channel = connection, channel
        self._seconds = seconds
        self._arguments = {"x-queue-type": queue_type} if queue_type else None
        self._declared: set[str] = set()

    async def send(self, batch: Sequence[Message]) -> None:
        with amqp_errors("the broker did not take a message"):
            for queue in sorted({message.queue for message in batch} - self._declared):
                await self._declare(queue)
            # aio-pika's exchange waits for the socket after each message, which takes a fifth longer.
            channel = await self._channel.get_underlay_channel()
            async with asyncio.timeout(self._seconds):
                await asyncio.gather(*(self._publish(channel, message) for message in batch))

    async def _publish(self, channel: Any, message: Message) -> None:
        properties = spec.Basic.Properties(
            content_type="application/json",
            content_encoding="utf-8",
            delivery_mode=2,
            correlation_id=message.task_id,
            headers=dict(message.headers),
        )
        try:
            await channel.basic_publish(
                message.body, routing_key=message.queue, properties=properties, mandatory=True, wait=False
            )
        except exceptions.PublishError:
            # The error of aio-pika holds the message.
            raise BrokerRefused(f"the broker has no queue {message.queue!r}") from None
        except exceptions.DeliveryError:
            raise BrokerUnavailable(NOT_TAKEN) from None

    async def _declare(self, queue: str) -> None:
        try:
            await self._declare_on_own_channel(queue, passive=False)
        except exceptions.ChannelPreconditionFailed:
            pass
        except ChannelAccessRefused:
            await self._look_for(queue)
        self._declared.add(queue)

    async def _look_for(self, queue: str) -> None:
        try:
            await self._declare_on_own_channel(queue, passive=True)
        except exceptions.ChannelNotFoundEntity as error:
            told = f"queue {queue!r} does not exist, and the user may not create it"
            raise BrokerRefused(told) from error

    async def _declare_on_own_channel(self, queue: str, *, passive: bool) -> None:
        """The broker closes a channel after an error."""
        async with asyncio.timeout(self._seconds), self._connection.channel() as channel:
            await channel.declare_queue(queue, durable=True, passive=passive, arguments=self._arguments)

    async def close(self) -> None:
        with suppress(*AMQP_ERRORS):
            async with asyncio.timeout(self._seconds):
                await self._connection.close()


async def connected(address: AmqpAddress) -> AbstractConnection:
    """Return an open connection. Raises what aio-pika raises."""
    return await aio_pika.connect(
        host=address.host or "localhost",
        port=address.port or (5671 if address.secure else 5672),
        login=address.user or "guest",
        password=address.password or "guest",
        virtualhost=address.virtual_host or "/",
        ssl=address.secure is not None,
        ssl_context=_context(address),
    )


async def connect(address: AmqpAddress, seconds: float, queue_type: str | None) -> AsyncAmqpSession:
    """Connect; no wait is longer than `seconds`. Raises BrokerUnavailable."""
    with amqp_errors("the broker cannot be used"):
        async with asyncio.timeout(seconds):
            connection = await connected(address)
            return AsyncAmqpSession(
                connection, await connection.channel(on_return_raises=True), seconds, queue_type
            )


def _context(address: AmqpAddress) -> ssl.SSLContext | None:
    if address.secure is None:
        return None
    try:
        return tls.context(address.secure)
    except ValueError as error:
        # The file existed when the client was made.
        raise OSError(str(error)) from error
