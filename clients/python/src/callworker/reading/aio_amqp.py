"""Reads a queue of events on RabbitMQ, for asyncio. See `amqp_source`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aiormq.exceptions import ChannelAccessRefused, ChannelPreconditionFailed

from callworker.aio.amqp import amqp_errors, connected
from callworker.amqp_address import AmqpAddress
from callworker.errors import BrokerUnavailable
from callworker.reading.amqp_source import LEAST_SECONDS, OWN_AT_ONCE, SHARED_AT_ONCE, queue_arguments
from callworker.reading.names import EXCHANGE, listener

CLOSE_SECONDS = 5.0


class AsyncAmqpSource:
    """The queue from `make` to `close`. For one task. Without a name it is this reader's own."""

    def __init__(
        self, connection: AbstractConnection, types: Sequence[str], name: str | None, queue_type: str | None
    ) -> None:
        self._connection, self._types = connection, types
        self._own, self._queue = name is None, name or listener()
        self._arguments = queue_arguments(name, queue_type)
        self._arrived: asyncio.Queue[AbstractIncomingMessage | None] = asyncio.Queue()
        self._in_hand: AbstractIncomingMessage | None = None

    async def take(self, seconds: float) -> bytes | None:
        with amqp_errors("the events cannot be read"):
            await self._acknowledge()
        try:
            async with asyncio.timeout(max(seconds, LEAST_SECONDS)):
                message = await self._arrived.get()
        except TimeoutError:
            return None
        if message is None:
            raise BrokerUnavailable("the events cannot be read: the connection or the queue is gone")
        self._in_hand = message
        return message.body

    async def close(self) -> None:
        with suppress(BrokerUnavailable), amqp_errors("the connection did not close"):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._connection.close()

    drop = close

    async def _acknowledge(self) -> None:
        message, self._in_hand = self._in_hand, None
        if message is not None:
            await message.ack()

    async def make(self) -> None:
        """Make the queue, and begin to read it."""
        await self._made(
            lambda channel, passive: channel.declare_exchange(
                EXCHANGE, ExchangeType.TOPIC, durable=True, passive=passive
            )
        )
        with suppress(ChannelPreconditionFailed):
            # A queue that exists with other properties is used as it is.
            await self._made(
                lambda channel, passive: channel.declare_queue(
                    self._queue, passive=passive, **self._arguments
                )
            )
        for pattern in self._types:
            await self._bind(pattern)
        await self._consume()

    async def _made(self, declare: Callable[[AbstractChannel, bool], Awaitable[object]]) -> None:
        """Declare what the user may declare. Anything else must exist. Each error closes its channel."""
        try:
            async with self._connection.channel() as channel:
                await declare(channel, False)
        except ChannelAccessRefused:
            async with self._connection.channel() as channel:
                await declare(channel, True)

    async def _bind(self, pattern: str) -> None:
        try:
            async with self._connection.channel() as channel:
                await (await channel.get_queue(self._queue, ensure=False)).bind(EXCHANGE, pattern)
        except ChannelAccessRefused:
            # An operator has bound a durable queue for a user without the right.
            if self._own:
                raise

    async def _consume(self) -> None:
        channel = await self._connection.channel()
        await channel.set_qos(OWN_AT_ONCE if self._own else SHARED_AT_ONCE)
        channel.close_callbacks.add(self._ended)
        (await channel.get_underlay_channel()).on_consumer_cancel_callbacks.add(self._ended)
        queue = await channel.get_queue(self._queue, ensure=False)
        await queue.consume(self._arrived.put)

    def _ended(self, *_: object) -> None:
        """Wake the reader: the connection was lost, or the queue was deleted."""
        self._arrived.put_nowait(None)


async def opened(
    address: AmqpAddress, seconds: float, types: Sequence[str], name: str | None, queue_type: str | None
) -> AsyncAmqpSource:
    """Make the queue. No wait for an answer is longer than `seconds`. Raises BrokerUnavailable."""
    with amqp_errors("a queue for the events cannot be made"):
        async with asyncio.timeout(seconds):
            source = AsyncAmqpSource(await connected(address), types, name, queue_type)
        try:
            async with asyncio.timeout(seconds):
                await source.make()
        except BaseException:
            await source.drop()
            raise
    return source
